"""The watchdog: a partition whose log grows while nothing of it is applied has stalled, whatever the reason.

It looks from outside the event loop and the consumer's thread, so that it sees them hang. While the broker or the
database is away nothing can move, and that is no stall.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import structlog
from confluent_kafka import Consumer, KafkaException, TopicPartition

from contracts import ports

_log = structlog.get_logger(__name__)

#: A partition may stand still for so long with records waiting.
STALL_S: Final = 30.0
_LOOK_S: Final = 5.0
#: How long the broker may take to name the end of a partition.
_ANSWER_S: Final = 2.0


class LogEnds:
    """Where a topic begins and ends now, asked by a client of its own: the others may hang.

    Parameters
    ----------
    kafka_url : str
        Bootstrap servers.
    topic : str
        The topic.
    """

    def __init__(self, kafka_url: str, topic: str) -> None:
        self.topic = topic
        self._kafka_url = kafka_url

    @cached_property
    def _consumer(self) -> Consumer:
        """The client, made when first asked: a described app starts nothing."""
        return Consumer(
            {"bootstrap.servers": self._kafka_url, "group.id": "faultline-watchdog", "enable.auto.commit": False},
            logger=logging.getLogger("kafka.librdkafka"),
        )

    def end_of(self, partition: int) -> int | None:
        """Return the offset after a partition's newest record; ``None`` while the broker doesn't answer."""
        bounds = self._bounds(partition)
        return bounds and bounds[1]

    def start_of(self, partition: int) -> int | None:
        """Return the offset of a partition's oldest record; ``None`` while the broker doesn't answer."""
        bounds = self._bounds(partition)
        return bounds and bounds[0]

    def _bounds(self, partition: int) -> tuple[int, int] | None:
        try:
            return self._consumer.get_watermark_offsets(TopicPartition(self.topic, partition), timeout=_ANSWER_S)
        except KafkaException:
            return None


@dataclass(slots=True)
class Watchdog:
    """Tell which partitions of a topic stand still.

    An owned partition stands still when records wait and none is applied. Where this worker owns none, a partition
    stands still when its log doesn't grow: its owner would append a tick a second, so nobody owns it, and this worker
    has been left out of an assignment.

    Parameters
    ----------
    topic : str
        For the log line.
    partitions : int
        How many partitions the topic has.
    applied : callable
        Returns the applied offset of every owned partition.
    end_of : callable
        Returns the offset after a partition's newest record, ``None`` while the broker doesn't answer.
    waiting : callable
        Tells whether the worker waits for a part that is away.
    clock : Clock
        Measures how long.
    limit_s : float
        How long a partition may stand still.
    """

    topic: str
    partitions: int
    applied: Callable[[], dict[int, int]]
    end_of: Callable[[int], int | None]
    waiting: Callable[[], bool]
    clock: ports.Clock
    limit_s: float = STALL_S
    #: By partition: what hasn't changed (whether owned, an offset), and since when.
    _since: dict[int, tuple[tuple[bool, int], float]] = field(default_factory=dict)
    _ended: threading.Event = field(default_factory=threading.Event)

    def look(self) -> list[int]:
        """Look once; return the partitions that stand still for too long."""
        now_s = self.clock.monotonic_s()
        applied = self.applied()
        for partition in range(self.partitions):
            mark = self._mark(partition, applied)
            known = self._since.get(partition)
            if mark is None or known is None or known[0] != mark:
                self._since[partition] = (mark or (False, -1), now_s)
        return sorted(p for p, (_, since_s) in self._since.items() if now_s - since_s > self.limit_s)

    def _mark(self, partition: int, applied: dict[int, int]) -> tuple[bool, int] | None:
        """Return what must change if all is well; ``None`` where nothing has to."""
        end = None if self.waiting() else self.end_of(partition)
        if end is None:
            return None
        if partition in applied:
            return (True, applied[partition]) if end > applied[partition] + 1 else None
        return None if applied else (False, end)

    def guard(self, stalled: Callable[[list[int]], None]) -> threading.Thread:
        """Look every few seconds in a thread of its own; call `stalled` once, when a partition has."""
        thread = threading.Thread(target=self._guard, args=(stalled,), name="watchdog", daemon=True)
        thread.start()
        return thread

    def _guard(self, stalled: Callable[[list[int]], None]) -> None:
        while not self._ended.wait(_LOOK_S):
            partitions = self.look()
            if partitions:
                _log.critical("stalled_partitions", topic=self.topic, partitions=partitions, limit_s=self.limit_s)
                stalled(partitions)
                return

    def end(self) -> None:
        """Stop looking."""
        self._ended.set()
