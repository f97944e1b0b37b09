"""The watchdog: a partition whose log grows while nothing of it is applied has stalled, whatever the reason.

It looks from outside the event loop and the consumer's thread, so that it sees them hang. While the broker or the
database is away nothing can move, and that is no stall.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import structlog
from confluent_kafka import Consumer, KafkaException, TopicPartition

from contracts import ports, topics

_log = structlog.get_logger(__name__)

#: A partition may stand still for so long with records waiting.
STALL_S: Final = 30.0
_LOOK_S: Final = 5.0
#: How long the broker may take to name the end of a partition.
_ANSWER_S: Final = 2.0


class LogEnds:
    """Where the log ends now, asked by a client of its own: the lane's may hang.

    Parameters
    ----------
    kafka_url : str
        Bootstrap servers.
    """

    def __init__(self, kafka_url: str) -> None:
        self._consumer = Consumer(
            {"bootstrap.servers": kafka_url, "group.id": "faultline-watchdog", "enable.auto.commit": False},
            logger=logging.getLogger("kafka.librdkafka"),
        )

    def end_of(self, partition: int) -> int | None:
        """Return the offset after a partition's newest record; ``None`` while the broker doesn't answer."""
        try:
            at = TopicPartition(topics.MEASUREMENTS, partition)
            _low, high = self._consumer.get_watermark_offsets(at, timeout=_ANSWER_S)
        except KafkaException:
            return None
        return high


@dataclass(slots=True)
class Watchdog:
    """Tell which partitions have stalled.

    Parameters
    ----------
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

    applied: Callable[[], dict[int, int]]
    end_of: Callable[[int], int | None]
    waiting: Callable[[], bool]
    clock: ports.Clock
    limit_s: float = STALL_S
    _since: dict[int, tuple[int, float]] = field(default_factory=dict)
    _ended: threading.Event = field(default_factory=threading.Event)

    def look(self) -> list[int]:
        """Look once; return the partitions that have stalled."""
        now_s = self.clock.monotonic_s()
        applied = self.applied()
        for partition in set(self._since) - set(applied):
            del self._since[partition]
        for partition, offset in applied.items():
            end = None if self.waiting() else self.end_of(partition)
            known = self._since.get(partition)
            if end is None or end <= offset + 1 or known is None or known[0] != offset:
                self._since[partition] = (offset, now_s)
        return sorted(p for p, (_, since_s) in self._since.items() if now_s - since_s > self.limit_s)

    def guard(self, stalled: Callable[[list[int]], None]) -> threading.Thread:
        """Look every few seconds in a thread of its own; call `stalled` once, when a partition has."""
        thread = threading.Thread(target=self._guard, args=(stalled,), name="watchdog", daemon=True)
        thread.start()
        return thread

    def _guard(self, stalled: Callable[[list[int]], None]) -> None:
        while not self._ended.wait(_LOOK_S):
            partitions = self.look()
            if partitions:
                _log.critical("stalled_partitions", partitions=partitions, limit_s=self.limit_s)
                stalled(partitions)
                return

    def end(self) -> None:
        """Stop looking."""
        self._ended.set()
