"""One Faust app: the lane's service, the condition agent, the alarm agent and their timers.

Faust supplies the application, its agents, services, timers and life cycle; high-rate measurements enter by the lane.
Agents never let an exception out of their bodies (Faust would lose the records under way): what can't go on ends the
process, and the next one starts from the checkpoint.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import faust
from faust.tables import TableManager

from contracts import ports, topics
from contracts import records as r
from contracts.codec import Codec
from processors.own_features import FeatureCode
from streams.alarms import AlarmWorker
from streams.conditions import ConditionWorker
from streams.dead_letters import DeadLetters
from streams.feed import Feed, add_lane, at_once, end, or_end
from streams.keeping import KEEP_S, keep_checkpoints
from streams.message import LogMessage
from streams.outbox import OutboxRelay
from streams.precedence import Precedence
from streams.retry import is_waiting
from streams.watchdog import LogEnds, Watchdog

_TICK_S: Final = 1.0
_SINK_POLL_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class StreamParts:
    """What the streams are bound to.

    ``prepare`` is awaited before the first measurement is asked for; ``ready`` is called once, when this worker has its
    partitions of both topics.
    """

    kafka_url: str
    app_id: str
    partitions: int
    store: ports.PartitionStore
    keeper: ports.CheckpointKeeper
    refusals: ports.RefusalAccount
    queue: ports.DeliveryQueue
    models: ports.ModelStore
    code: FeatureCode
    codec: Codec
    outlet: ports.Outlet
    clock: ports.Clock
    owner: str
    webhook_message: Callable[[r.AlarmTransition], tuple[str, bytes]]
    missed: Callable[[int, int, int], Sequence[LogMessage]]
    data_dir: str
    prepare: Callable[[], Awaitable[None]] = at_once
    ready: Callable[[], None] = lambda: None


class NoTables(TableManager):
    """Faust's table manager where there are no tables: it begins at once.

    Faust's own waits a second, in which agents might add some, and the consumer waits for it.
    """

    async def on_start(self) -> None:
        """Let the consumer subscribe."""
        await self._update_channels()
        await self.recovery.start()


class Readiness:
    """Calls `ready` once everything that is waited for has been reached.

    Parameters
    ----------
    parts : iterable of str
        What is waited for.
    ready : callable
        Called once.

    Examples
    --------
    >>> readiness = Readiness(["conditions", "measurements"], lambda: print("ready"))
    >>> readiness.reached("measurements")
    >>> readiness.reached("conditions")
    ready
    >>> readiness.reached("measurements")
    """

    def __init__(self, parts: Iterable[str], ready: Callable[[], None]) -> None:
        self._awaited = set(parts)
        self._ready = ready

    def reached(self, part: str) -> None:
        """Note that a part is there, for the first time or again."""
        if part in self._awaited:
            self._awaited.remove(part)
            if not self._awaited:
                self._ready()


def bare_app(app_id: str, kafka_url: str, partitions: int, data_dir: str) -> faust.App:
    """Return a Faust app without agents, set as all of ours are: raw values, no web server, no leader, no tables."""
    return faust.App(
        app_id,
        broker=f"kafka://{kafka_url}",
        store="memory://",
        datadir=data_dir,
        value_serializer="raw",
        key_serializer="raw",
        web_enabled=False,
        topic_disable_leader=True,
        topic_partitions=partitions,
        topic_replication_factor=1,
        topic_allow_declare=False,
        cython_optimizations=True,
        consumer_auto_offset_reset="earliest",
        broker_commit_interval=1.0,
        broker_session_timeout=10,
        broker_heartbeat_interval=2,
        broker_request_timeout=30,
        stream_wait_empty=False,
        table_standby_replicas=0,
        TableManager=NoTables,
    )


def run_app(app: faust.App, loop: asyncio.AbstractEventLoop) -> int:
    """Run an app until SIGTERM; return the exit status."""
    runner = faust.Worker(app, loop=loop, loglevel="warn", redirect_stdouts=False, quiet=True, override_logging=False)
    runner.spinner = None  # it would write control characters into the log, terminal or not
    try:
        runner.execute_from_commandline()
    except SystemExit as ended:
        return int(ended.code or 0)


def build_app(parts: StreamParts) -> faust.App:
    """Return the Faust app over `parts`; nothing runs until a worker starts it."""
    app = bare_app(parts.app_id, parts.kafka_url, parts.partitions, parts.data_dir)
    dead_letters = DeadLetters(parts.outlet, parts.refusals, parts.clock)
    precedence = Precedence()
    conditions = ConditionWorker(
        parts.store,
        parts.models,
        parts.code,
        parts.codec,
        parts.outlet,
        dead_letters,
        parts.clock,
        parts.owner,
        precedence,
    )
    relay = OutboxRelay(parts.store, parts.outlet, parts.queue, parts.webhook_message)
    alarms = AlarmWorker(
        parts.store,
        parts.codec,
        parts.outlet,
        dead_letters,
        relay,
        parts.clock,
        parts.owner,
        parts.missed,
        precedence,
    )
    readiness = Readiness([topics.MEASUREMENTS, topics.CONDITIONS], parts.ready)
    _feed(app, parts, conditions, readiness)
    _add_alarm_agent(app, parts, alarms, readiness)
    return app


def _feed(app: faust.App, parts: StreamParts, worker: ConditionWorker, readiness: Readiness) -> None:
    """Feed the condition agent by the lane; keep ticks, results and kept checkpoints going."""
    ends = LogEnds(parts.kafka_url, topics.MEASUREMENTS)

    async def keep() -> None:
        await keep_checkpoints(parts.keeper, ends.start_of, worker.ownerships())

    add_lane(
        app,
        Feed(
            agent="conditions",
            kafka_url=parts.kafka_url,
            topic=topics.MEASUREMENTS,
            group=f"{parts.app_id}-lane",
            worker=worker,
            watch=lambda: _watch(parts, ends, worker.applied),
            steps=((worker.tick, _TICK_S), (worker.store_due_rows, _SINK_POLL_S), (keep, KEEP_S)),
            prepare=parts.prepare,
            joined=lambda: readiness.reached(topics.MEASUREMENTS),
        ),
    )


def _add_alarm_agent(app: faust.App, parts: StreamParts, worker: AlarmWorker, readiness: Readiness) -> None:
    """Add the agent of the low-rate topic ``conditions``."""
    ends = LogEnds(parts.kafka_url, topics.CONDITIONS)
    topic = app.topic(topics.CONDITIONS, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")

    @app.agent(topic, name="alarms")
    async def keep_alarms(stream: Any) -> None:
        async for event in stream.events():
            await or_end(worker.apply(_as_log_message(event.message)))

    @app.service
    class AlarmWatch(faust.Service):
        """Notices when Faust's consumer is left without an assignment, or stands still."""

        async def on_start(self) -> None:
            self.watchdog = _watch(parts, ends, worker.applied)

        async def on_stop(self) -> None:
            self.watchdog.end()

    async def keep() -> None:
        assigned = {tp.partition for tp in app.consumer.assignment() if tp.topic == topics.CONDITIONS}
        await or_end(worker.keep(assigned))

    @app.timer(_TICK_S, name="alarm-ticks")  # type: ignore[untyped-decorator]  # faust's timer has no types
    async def tick() -> None:
        await keep()

    @app.task  # type: ignore[untyped-decorator]  # as above; it runs once the consumer has its partitions
    async def begin() -> None:
        await keep()
        readiness.reached(topics.CONDITIONS)

    @app.timer(KEEP_S, name="kept-checkpoints")  # type: ignore[untyped-decorator]  # as above
    async def keep_for_recomputation() -> None:
        await or_end(keep_checkpoints(parts.keeper, ends.start_of, worker.ownerships()))


def _watch(parts: StreamParts, ends: LogEnds, applied: Callable[[], dict[int, int]]) -> Watchdog:
    """Start a watchdog over a topic; a stall ends the process."""
    dog = Watchdog(ends.topic, parts.partitions, applied, ends.end_of, is_waiting, parts.clock)
    dog.guard(lambda _partitions: end())
    return dog


def _as_log_message(message: Any) -> LogMessage:
    headers = message.headers or ()
    pairs = headers.items() if hasattr(headers, "items") else headers
    return LogMessage(
        message.topic,
        message.partition,
        message.offset,
        int((message.timestamp or 0.0) * 1e9),
        message.key,
        message.value,
        tuple(pairs),
    )
