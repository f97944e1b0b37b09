"""One Faust app: the lane's service, the condition agent, the alarm agent and their timers.

Faust supplies the application, its agents, services, timers and life cycle; high-rate measurements enter by the lane.
Agents never let an exception out of their bodies (Faust would lose the records under way): what can't go on ends the
process, and the next one starts from the checkpoint.
"""

import asyncio
import os
from collections.abc import AsyncIterable, Callable
from dataclasses import dataclass
from typing import Any, Final, NoReturn, cast

import faust
import structlog
from mode.utils.queues import ThrowableQueue

from contracts import ports, topics
from contracts import records as r
from contracts.codec import Codec
from contracts.errors import FaultlineError
from processors.own_features import FeatureCode
from streams.alarms import AlarmWorker
from streams.conditions import ConditionWorker
from streams.dead_letters import DeadLetters
from streams.lane import Lane
from streams.message import LogMessage
from streams.outbox import OutboxRelay
from streams.retry import is_waiting
from streams.watchdog import LogEnds, Watchdog

_log = structlog.get_logger(__name__)

_TICK_S: Final = 1.0
_SINK_POLL_S: Final = 0.05
#: Batches between the lane and the condition agent.
_BATCHES: Final = 4


class _Batches(faust.Channel[Any]):
    """The channel between lane and agent; it keeps what it holds.

    Faust empties the queues of its channels whenever its own consumer group has been rebalanced, and cancels whoever
    waits to put something in. The lane has a group of its own: its batches would be lost, and records with them.
    """

    @property
    def queue(self) -> ThrowableQueue[Any]:
        if self._queue is None:
            self._queue = ThrowableQueue(
                maxsize=self.maxsize or 0, flow_control=self.app.flow_control, clear_on_resume=False
            )
        return self._queue

    def full(self) -> bool:
        """Return whether the agent is behind: what is put here lies in the queue of the agent's own clone."""
        return any(clone.queue.full() for clone in self._subscribers)


@dataclass(frozen=True, slots=True)
class StreamParts:
    """What the streams are bound to."""

    kafka_url: str
    app_id: str
    partitions: int
    store: ports.PartitionStore
    queue: ports.DeliveryQueue
    models: ports.ModelStore
    code: FeatureCode
    codec: Codec
    outlet: ports.Outlet
    clock: ports.Clock
    owner: str
    webhook_message: Callable[[r.AlarmTransition], tuple[str, bytes]]
    data_dir: str
    ready: Callable[[], None] = lambda: None


def build_app(parts: StreamParts) -> faust.App:
    """Return the Faust app over `parts`; nothing runs until a worker starts it."""
    app = faust.App(
        parts.app_id,
        broker=f"kafka://{parts.kafka_url}",
        store="memory://",
        datadir=parts.data_dir,
        value_serializer="raw",
        key_serializer="raw",
        web_enabled=False,
        topic_disable_leader=True,
        topic_partitions=parts.partitions,
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
    )
    dead_letters = DeadLetters(parts.outlet, parts.clock)
    conditions = ConditionWorker(
        parts.store, parts.models, parts.code, parts.codec, parts.outlet, dead_letters, parts.clock, parts.owner
    )
    relay = OutboxRelay(parts.store, parts.outlet, parts.queue, parts.webhook_message)
    alarms = AlarmWorker(parts.store, parts.codec, parts.outlet, dead_letters, relay, parts.clock, parts.owner)
    _add_lane(app, parts, conditions)
    _add_alarm_agent(app, parts, alarms)
    return app


def _add_lane(app: faust.App, parts: StreamParts, worker: ConditionWorker) -> None:
    """Add the condition agent and the service that feeds it."""
    batches = _Batches(app, maxsize=_BATCHES)

    async def put(batch: list[LogMessage]) -> None:
        await batches.put(cast("Any", batch))

    @app.agent(batches, name="conditions")
    async def assess(stream: AsyncIterable[list[LogMessage]]) -> None:
        async for batch in stream:
            await _or_end(worker.process(batch))

    @app.service
    class LaneService(faust.Service):
        """Feeds the condition agent; keeps ticks, results and checkpoints going."""

        async def on_start(self) -> None:
            self.lane = Lane(parts.kafka_url, f"{parts.app_id}-lane", worker, put, batches.full)
            await self.lane.start()
            self.watchdog = _watch(parts, topics.MEASUREMENTS, worker.applied)
            parts.ready()

        async def on_stop(self) -> None:
            self.watchdog.end()
            await self.lane.stop()

        @faust.Service.task
        async def pump(self) -> None:
            while not self.should_stop:
                await _or_end(self.lane.pump())

        @faust.Service.task
        async def tick(self) -> None:
            while not self.should_stop:
                await _or_end(worker.tick())
                await self.sleep(_TICK_S)

        @faust.Service.task
        async def store(self) -> None:
            while not self.should_stop:
                await _or_end(worker.store_due_rows())
                await self.sleep(_SINK_POLL_S)

        @faust.Service.task
        async def checkpoint(self) -> None:
            while not self.should_stop:
                pause_s = await _or_end(worker.checkpoint(self.lane.commit))
                await self.sleep(pause_s)


def _add_alarm_agent(app: faust.App, parts: StreamParts, worker: AlarmWorker) -> None:
    """Add the agent of the low-rate topic ``conditions``."""
    topic = app.topic(topics.CONDITIONS, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")

    @app.agent(topic, name="alarms")
    async def keep_alarms(stream: Any) -> None:
        async for event in stream.events():
            await _or_end(worker.apply(_as_log_message(event.message)))

    @app.service
    class AlarmWatch(faust.Service):
        """Notices when Faust's consumer is left without an assignment, or stands still."""

        async def on_start(self) -> None:
            self.watchdog = _watch(parts, topics.CONDITIONS, worker.applied)

        async def on_stop(self) -> None:
            self.watchdog.end()

    @app.timer(_TICK_S, name="alarm-ticks")  # type: ignore[untyped-decorator]  # faust's timer has no types
    async def keep() -> None:
        assigned = {tp.partition for tp in app.consumer.assignment() if tp.topic == topics.CONDITIONS}
        await _or_end(worker.keep(assigned))


def _watch(parts: StreamParts, topic: str, applied: Callable[[], dict[int, int]]) -> Watchdog:
    """Start a watchdog over a topic; a stall ends the process."""
    ends = LogEnds(parts.kafka_url, topic)
    dog = Watchdog(topic, parts.partitions, applied, ends.end_of, is_waiting, parts.clock)
    dog.guard(lambda _partitions: _end())
    return dog


async def _or_end(step: Any) -> Any:  # noqa: RET503 -- _end never returns
    """Await `step`; an error that nobody can handle ends the process, to begin again at the checkpoint."""
    try:
        return await step
    except asyncio.CancelledError:
        raise
    except FaultlineError as error:
        _log.critical("ended_worker", error=str(error))
    except Exception:  # noqa: BLE001 -- whatever it is, nothing may be processed past it
        _log.critical("ended_worker", exc_info=True)
    _end()


def _end() -> NoReturn:
    """End the process at once: nothing may be processed past what failed, and a supervisor starts it again."""
    os._exit(1)


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
