"""The lane: whole batches of a high-rate topic from librdkafka, past Faust's per-record path.

It owns the consumer. Partitions are claimed in the database before the first record is read, read from the offset their
checkpoint names, and given up with a checkpoint. While the agent is busy the consumer is paused but goes on polling, so
that memory stays bounded and the group membership alive.
"""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any, Final, Protocol

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from contracts.errors import Unavailable
from streams.message import LogMessage
from streams.room import BatchSize, Room

_log = structlog.get_logger(__name__)

_POLL_S: Final = 0.1
#: Room is waited for so long before the consumer is paused.
_PATIENCE_S: Final = 1.0
#: Of one partition in one answer of the broker; a larger record comes all the same. Larger answers leave the caches,
#: and the memory for each is made anew.
_FETCH_BYTES: Final = 1024 * 1024
#: Prefetched records per consumer (KiB).
_PREFETCH_KIB: Final = 32 * 1024
#: A member learns of a rebalance by its heartbeat, and whoever takes partitions over has to wait for that.
_HEARTBEAT_MS: Final = 1_000
#: A broker that doesn't answer within this is asked again by the fetch itself.
_WAKE_S: Final = 0.5
_NS_PER_MS: Final = 1_000_000


Commit = Callable[[dict[int, int]], Awaitable[None]]


class BatchWorker(Protocol):
    """What a lane feeds: it owns partitions, processes their records in order, and makes that durable."""

    async def claim(self, partition: int) -> int:
        """Take a partition; return the offset to read from. Tries until that is known."""

    def drop(self, partitions: Iterable[int]) -> None:
        """Forget partitions without a checkpoint: another worker has them."""

    def applied(self) -> dict[int, int]:
        """Return the last processed offset of every owned partition."""

    async def process(self, batch: list[LogMessage]) -> None:
        """Process a batch in log order."""

    async def checkpoint(self, commit: Commit) -> float:
        """Make what is processed durable, then have `commit` told; return the seconds until the next checkpoint."""


class Lane:
    """A consumer of one topic that hands batches on as they are asked for.

    The lane reads when there is room, and whoever has processed a batch gives its room back. So a batch is read about
    when the one before it is taken up: it holds one record when nothing waits, and many while a backlog does.

    Parameters
    ----------
    kafka_url : str
        Bootstrap servers.
    topic : str
        What is read.
    group : str
        Consumer group.
    worker : BatchWorker
        Claims, checkpoints and drops partitions.
    put : callable
        Takes a batch, in the event loop, at once.
    room : Room
        For batches that are read and not yet processed.
    joined : callable
        Called, in the event loop, whenever partitions were given, none among them, and are claimed.
    """

    def __init__(
        self,
        kafka_url: str,
        topic: str,
        group: str,
        worker: BatchWorker,
        put: Callable[[list[LogMessage]], None],
        room: Room,
        joined: Callable[[], None] = lambda: None,
    ) -> None:
        self._topic = topic
        self._worker = worker
        self._put = put
        self._room = room
        self._joined = joined
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="lane")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._paused = False
        self._asleep = False
        self._stopping = False
        self._closing = threading.Event()
        self._batch_size = BatchSize()
        self._commits: SimpleQueue[dict[int, int]] = SimpleQueue()
        self._consumer = Consumer(
            {
                "bootstrap.servers": kafka_url,
                "group.id": group,
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "partition.assignment.strategy": "cooperative-sticky",
                "fetch.wait.max.ms": 20,
                "fetch.queue.backoff.ms": 20,
                "fetch.message.max.bytes": _FETCH_BYTES,
                "queued.max.messages.kbytes": _PREFETCH_KIB,
                "session.timeout.ms": 10_000,
                "heartbeat.interval.ms": _HEARTBEAT_MS,
                "reconnect.backoff.max.ms": 1_000,
                "error_cb": _report,
            },
            logger=logging.getLogger("kafka.librdkafka"),
        )

    async def run(self) -> None:
        """Join the group and read, in a thread of its own, until `stop`.

        Raises
        ------
        FaultlineError
            A partition can't be claimed or checkpointed.
        KafkaException
            The consumer can't go on.
        """
        self._loop = asyncio.get_running_loop()
        await self._loop.run_in_executor(self._thread, self._run, self._loop)

    async def stop(self) -> None:
        """Checkpoint what is processed and leave the group."""
        self._stopping = True
        await self._worker.checkpoint(self.commit)
        self._closing.set()
        await asyncio.get_running_loop().run_in_executor(None, self._thread.shutdown)

    async def commit(self, offsets: dict[int, int]) -> None:
        """Have resume offsets committed to Kafka, soon: the database's checkpoint is what counts.

        It never waits for the lane's thread, which may itself be waiting, in a rebalance, for a checkpoint; and a call
        on the consumer from here would wait for that thread.
        """
        self._commits.put(offsets)

    # --- in the lane's own thread -------------------------------------------------------------------------------------

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        self._consumer.subscribe([self._topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost)
        while not self._closing.is_set():
            self._commit()
            # pausing throws away what was fetched ahead, so it isn't for every batch that takes a while
            if not self._room.take(_POLL_S if self._paused else _PATIENCE_S):
                self._idle()
            elif batch := self._read():
                self._room.hand_on()
                loop.call_soon_threadsafe(self._put, batch)
        self._commit()
        self._consumer.close()

    def _read(self) -> list[LogMessage]:
        if self._paused:
            self._consumer.resume(self._consumer.assignment())
            self._paused = False
            self._asleep = True
        if self._asleep:
            self._wake()
        first = self._consumer.poll(_POLL_S)
        if first is None:
            return []
        messages = [first, *self._consumer.consume(self._batch_size.records - 1, timeout=0)]
        batch = [_as_log_message(message) for message in messages if message.error() is None or not _is_error(message)]
        self._batch_size.learn(batch)
        return batch

    def _wake(self) -> None:
        """Have the client fetch at once: after a pause, its own in each rebalance too, it sleeps for up to a second.

        Any request to a partition's leader wakes the thread that fetches from there.
        """
        self._asleep = False
        leaders = [TopicPartition(self._topic, each.partition, 0) for each in self._consumer.assignment()]
        try:
            if leaders:
                self._consumer.offsets_for_times(leaders, timeout=_WAKE_S)
        except KafkaException as error:
            _log.info("missed_wake", topic=self._topic, error=str(error))

    def _commit(self) -> None:
        """Commit what checkpoints have asked for; a refusal is no fault."""
        newest: dict[int, int] = {}
        while not self._commits.empty():
            newest.update(self._commits.get())
        if newest:
            positions = [TopicPartition(self._topic, p, offset) for p, offset in newest.items()]
            try:
                self._consumer.commit(offsets=positions, asynchronous=True)
            except KafkaException as error:
                _log.warning("missed_commit", topic=self._topic, error=str(error))

    def _idle(self) -> None:
        """Poll without taking anything: paused partitions deliver nothing."""
        self._consumer.pause(self._consumer.assignment())
        self._paused = True
        unexpected = self._consumer.poll(0.005)
        if unexpected is not None and not _is_error(unexpected):
            again = _as_log_message(unexpected)
            self._consumer.seek(TopicPartition(again.topic, again.partition, again.offset))

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        # what was read of a partition that comes back must be gone before its new owner begins
        self._room.drain()
        starts = []
        for partition in partitions:
            offset = self._await(self._worker.claim(partition.partition))
            starts.append(TopicPartition(self._topic, partition.partition, offset))
        consumer.incremental_assign(starts)
        self._asleep = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._joined)

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        if not self._stopping:
            self._await(self._worker.checkpoint(no_commit))
        self._worker.drop([partition.partition for partition in partitions])
        consumer.incremental_unassign(partitions)
        self._asleep = True

    def _lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._worker.drop([partition.partition for partition in partitions])
        consumer.incremental_unassign(partitions)

    def _await(self, step: Coroutine[Any, Any, Any]) -> Any:
        if self._loop is None:
            raise Unavailable("lane", "it hasn't been started")
        return asyncio.run_coroutine_threadsafe(step, self._loop).result()


async def no_commit(_offsets: dict[int, int]) -> None:
    """Leave Kafka's offsets: the next owner reads them from the checkpoint."""


def _as_log_message(message: Any) -> LogMessage:
    """Return a received message as ours; the client's types allow for messages that were never sent."""
    return LogMessage(
        message.topic(),
        message.partition(),
        message.offset(),
        message.timestamp()[1] * _NS_PER_MS,
        message.key(),
        message.value(),
        tuple(headers) if (headers := message.headers()) else (),
    )


def _is_error(message: Message) -> bool:
    """Return whether this is an error in a message's place, which is logged."""
    error = message.error()
    if error is not None:
        _log.warning("consumer_error", topic=message.topic(), error=error.str())
    return error is not None


def _report(error: KafkaError) -> None:
    """Log what matters: the client tells of every refused connection, many times a second."""
    if error.fatal() or error.code() == KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001 -- the client's public name
        _log.warning("kafka_error", error=error.str())
