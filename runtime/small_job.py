"""The small job of ``loadtests/peers`` by our own lane: what the platform's stream path costs beside its peers.

Nothing of the path is left out: the lane, its agent in a Faust app, ownership and checkpoints in the database with the
channels' states, the producer with its failures, the watchdog. Started by ``bench peers``.
"""

import asyncio
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import faust
import uvloop
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from msgspec import msgpack

from adapters.kafka import KafkaWriter
from adapters.timescale import Database, PartitionStore
from contracts import ports
from contracts.errors import ConfigurationError
from loadtests.peers.frames import PARTITIONS
from loadtests.peers.job import CHECKPOINT_S, LINGER_MS, Orders, SmallJob, State
from runtime.clock import SystemClock
from runtime.memory import keep_freed_memory, spare_collector
from runtime.settings import load_settings
from streams.app import bare_app, run_app
from streams.feed import Feed, add_lane, end
from streams.lane import Commit
from streams.message import LogMessage
from streams.retry import is_waiting
from streams.watchdog import LogEnds, Watchdog

_ANSWER_S: Final = 30.0
_AGENT: Final = "small-job"


class SmallJobWorker:
    """The job as a ``BatchWorker``: a partition's state is that of its channels.

    Parameters
    ----------
    job : SmallJob
        Scores frames.
    store : PartitionStore
        Ownership and checkpoints.
    writer : KafkaWriter
        Where records go.
    orders : Orders
        Topics.
    """

    def __init__(self, job: SmallJob, store: ports.PartitionStore, writer: KafkaWriter, orders: Orders) -> None:
        self._job = job
        self._store = store
        self._writer = writer
        self._orders = orders
        self._owned: dict[int, ports.Ownership] = {}
        self._applied: dict[int, int] = {}
        self._states: dict[int, State] = {}
        #: Partition of each channel whose state isn't stored yet.
        self._changed: dict[int, int] = {}
        self._turn = asyncio.Lock()

    async def claim(self, partition: int) -> int:
        """Take a partition with the states of its channels; return the offset to read from."""
        ownership, checkpoint = await self._store.claim(self._orders.group, partition, str(os.getpid()))
        self._owned[partition] = ownership
        self._applied[partition] = checkpoint.applied_offset
        self._states |= {
            int(channel): msgpack.decode(state, type=State) for channel, state in checkpoint.states.items()
        }
        return checkpoint.resume_offset

    def drop(self, partitions: Iterable[int]) -> None:
        """Forget partitions: another worker has them."""
        for partition in partitions:
            self._owned.pop(partition, None)
            self._applied.pop(partition, None)

    def applied(self) -> dict[int, int]:
        """Return the last processed offset of every owned partition."""
        return dict(self._applied)

    async def process(self, batch: list[LogMessage]) -> None:
        """Score the frames of a batch and write their records."""
        async with self._turn:
            owned = [message for message in batch if message.partition in self._owned]
            channels, records = self._job.score([message.value or b"" for message in owned], self._states)
            await self._writer.send_all(self._orders.sink, zip([m.key for m in owned], records, strict=True))
            for channel, message in zip(channels, owned, strict=True):
                self._changed[channel] = message.partition
                self._applied[message.partition] = message.offset

    async def checkpoint(self, commit: Commit) -> float:
        """Store what is processed once its records are acknowledged; return the seconds until the next checkpoint."""
        async with self._turn:
            applied, taken = dict(self._applied), self._taken()
            await self._writer.flush()
        for partition, states in taken.items():
            checkpoint = ports.Checkpoint(applied[partition], applied[partition] + 1, states)
            await self._store.checkpoint(self._owned[partition], checkpoint)
        await commit({partition: applied[partition] + 1 for partition in taken})
        return CHECKPOINT_S

    def _taken(self) -> dict[int, dict[str, bytes]]:
        """Return the changed states by partition and channel, of partitions that are owned."""
        taken: dict[int, dict[str, bytes]] = {}
        for channel, partition in self._changed.items():
            if partition in self._owned:
                taken.setdefault(partition, {})[str(channel)] = msgpack.encode(self._states[channel])
        self._changed.clear()
        return taken


def _watch(orders: Orders, worker: SmallJobWorker) -> Watchdog:
    ends = LogEnds(orders.bootstrap, orders.source)
    dog = Watchdog(orders.source, PARTITIONS, worker.applied, ends.end_of, is_waiting, SystemClock())
    dog.guard(lambda _partitions: end())
    return dog


def _build(orders: Orders, store: ports.PartitionStore) -> faust.App:
    control = f"{orders.group}-control"
    admin = AdminClient({"bootstrap.servers": orders.bootstrap})
    admin.create_topics([NewTopic(control, 1, 1)])[control].result(_ANSWER_S)
    app = bare_app(orders.group, orders.bootstrap, 1, orders.folder)
    writer = KafkaWriter(orders.bootstrap, linger_ms=LINGER_MS, max_messages=200_000)
    worker = SmallJobWorker(SmallJob(), store, writer, orders)
    feed = Feed(
        agent=_AGENT,
        kafka_url=orders.bootstrap,
        topic=orders.source,
        group=f"{orders.group}-lane",
        worker=worker,
        watch=lambda: _watch(orders, worker),
    )
    add_lane(app, feed)

    # Faust doesn't start without an agent on a topic
    @app.agent(app.topic(control, value_type=bytes, value_serializer="raw"), name="control")
    async def obey(stream: Any) -> None:
        async for _ in stream:
            pass

    return app


def main() -> int:
    """Run until SIGTERM; return the exit status."""
    orders, settings = Orders.given(), load_settings()
    if settings.database_url is None:
        raise ConfigurationError("the small job needs FAULTLINE_DATABASE_URL")
    keep_freed_memory()  # as the worker does
    Path(orders.folder).mkdir(parents=True)
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    database = Database(settings.database_url)
    loop.run_until_complete(database.__aenter__())
    app = _build(orders, PartitionStore(database))
    spare_collector()
    return run_app(app, loop)


if __name__ == "__main__":
    sys.exit(main())
