"""Where a recomputation begins in each partition: where the log does, or at a kept checkpoint once that has expired.

From a kept checkpoint on only those rows can be judged that were stored after it: what was stored before follows from
records that the log no longer has.
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from adapters.kafka import log_starts
from adapters.timescale import Database, KeptCheckpoint, oldest_kept
from contracts import ports, topics
from contracts.errors import ConfigurationError, Unavailable

BEGINNING: Final = ports.Checkpoint(-1, 0, {})
_TOPICS: Final = (topics.MEASUREMENTS, topics.CONDITIONS)
_ALWAYS: Final = dt.datetime.min.replace(tzinfo=dt.UTC)

Place = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Beginnings:
    """Kept checkpoints by topic and partition; where there is none, the log has its beginning."""

    kept: Mapping[Place, KeptCheckpoint]

    def checkpoint(self, topic: str, partition: int) -> ports.Checkpoint:
        """Return what a partition begins with."""
        kept = self.kept.get((topic, partition))
        return BEGINNING if kept is None else kept.checkpoint

    def offsets(self, topic: str) -> dict[int, int]:
        """Return from which offset on the partitions that don't begin with the log are read."""
        return {at: kept.checkpoint.resume_offset for (name, at), kept in self.kept.items() if name == topic}

    def judged_after(self, topic: str) -> dt.datetime:
        """Return when rows that follow from a topic must have been stored to be judged."""
        return max((kept.stored_at for (name, _), kept in self.kept.items() if name == topic), default=_ALWAYS)

    def lines(self) -> list[str]:
        """Return a line for each partition that doesn't begin with the log."""
        return [
            f"{topic}/{partition}: from offset {kept.checkpoint.applied_offset + 1} on, by the checkpoint of "
            f"{kept.stored_at.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%SZ}; what was stored before isn't compared"
            for (topic, partition), kept in sorted(self.kept.items())
        ]

    def check(self, kafka_url: str) -> None:
        """Raise ``Unavailable`` if the log has lost a beginning meanwhile: what was read isn't whole."""
        for (topic, partition), start in _starts(kafka_url, _TOPICS).items():
            first = self.checkpoint(topic, partition).resume_offset
            if start > first:
                raise Unavailable("log", f"{topic}/{partition} has lost offset {first} meanwhile: run it again")


async def find_beginnings(database: Database, kafka_url: str) -> Beginnings:
    """Return where to begin.

    Parameters
    ----------
    database : Database
        Holds the kept checkpoints.
    kafka_url : str
        Bootstrap servers of the log.

    Raises
    ------
    ConfigurationError
        A partition's beginning has expired, and no kept checkpoint lies on what is left.
    """
    expired = {place: start for place, start in _starts(kafka_url, _TOPICS).items() if start > 0}
    kept = await oldest_kept(database, expired)
    for (topic, partition), start in expired.items():
        if (topic, partition) not in kept:
            raise ConfigurationError(
                f"{topic}/{partition} begins at offset {start}, and no kept checkpoint lies on what is left of it: "
                "the log must be kept longer than the ten minutes between two of them"
            )
    return Beginnings(kept)


def _starts(kafka_url: str, names: Iterable[str]) -> dict[Place, int]:
    return {(topic, at): start for topic in names for at, start in log_starts(kafka_url, topic).items()}
