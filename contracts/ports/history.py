"""What the stream stores, and how it stays exact: history, checkpoints and who owns a partition."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from contracts import records as r


@dataclass(frozen=True, slots=True)
class Ownership:
    """The right to write for one partition, until somebody else claims it."""

    topic: str
    partition: int
    epoch: int


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a new owner starts from.

    ``applied_offset`` is the last offset whose results are stored (-1 for none), ``resume_offset`` the oldest record
    still needed by an open window, ``states`` the state of each asset.
    """

    applied_offset: int
    resume_offset: int
    states: Mapping[str, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveformSnapshot:
    """One analysis window of one channel, kept whole; ``samples`` is little-endian float32."""

    channel_id: str
    asset_id: str
    start_ns: int
    sampling_rate_hz: float
    unit: str
    speed_rpm: float | None
    samples: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Samples that a channel group lacked in time, ``from_ns`` to ``to_ns``, and why.

    ``cause`` is ``lost``, ``restart``, ``idle`` or ``retention`` for what isn't there, ``late`` for a block that came
    after the out-of-order tolerance, ``too_late`` for one that no window waited for any longer.
    """

    asset_id: str
    channel_group: str
    from_ns: int
    to_ns: int
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectedFeatures:
    """Features of a window that late blocks have completed; what was judged in time stands beside them unchanged.

    ``version`` is 2: version 1 are the features that were judged. The channels have no scores.
    """

    asset_id: str
    window_start_ns: int
    window_end_ns: int
    partial: bool
    code_version: str
    version: int
    channels: tuple[r.ChannelAssessment, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowScore:
    """What a model in shadow said of one channel's window; nobody is told but those who compare models."""

    asset_id: str
    channel_id: str
    window_start_ns: int
    window_end_ns: int
    code_version: str
    score: r.Score


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredReading:
    """One reading as stored."""

    asset_id: str
    reading: r.Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmLimit:
    """How far a model's scores must stay over their threshold at a point to raise an alarm, and how well that is known.

    ``limit`` is a ratio to the threshold; it is null, and no alarm is raised, while ``windows`` are fewer than
    ``windows_needed``. ``expected_per_month`` are the false alarms that the calibration lets expect.
    """

    asset_id: str
    point_id: str
    model: str
    regime: str
    at_ns: int
    windows: int
    windows_needed: int
    limit: float | None
    expected_per_month: float


@dataclass(slots=True)
class HistoryRows:
    """Results that await storage; each has a deterministic key, so storing it twice changes nothing."""

    assessments: list[r.Assessment] = dataclasses.field(default_factory=list)
    conditions: list[r.Condition] = dataclasses.field(default_factory=list)
    readings: list[StoredReading] = dataclasses.field(default_factory=list)
    events: list[r.MachineEvent] = dataclasses.field(default_factory=list)
    waveforms: list[WaveformSnapshot] = dataclasses.field(default_factory=list)
    gaps: list[Gap] = dataclasses.field(default_factory=list)
    corrections: list[CorrectedFeatures] = dataclasses.field(default_factory=list)
    shadow_scores: list[ShadowScore] = dataclasses.field(default_factory=list)
    alarm_limits: list[AlarmLimit] = dataclasses.field(default_factory=list)

    def extend(self, more: "HistoryRows") -> None:
        """Add all of `more`."""
        for name in self.__slots__:
            getattr(self, name).extend(getattr(more, name))

    def __len__(self) -> int:
        return sum(len(getattr(self, name)) for name in self.__slots__)


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """An alarm transition that waits to be relayed to Kafka."""

    sequence: int
    transition: r.AlarmTransition


class PartitionStore(Protocol):
    """State and history of partitions: every state-bearing transaction checks the owner's epoch.

    Every method raises ``Unavailable`` while the database is away, and ``StaleOwner`` once the epoch is no longer the
    partition's.
    """

    async def claim(self, topic: str, partition: int, owner: str) -> tuple[Ownership, Checkpoint]:
        """Take the partition: raise its epoch and return the checkpoint to start from."""

    async def append(self, rows: HistoryRows) -> None:
        """Store results, idempotently, in one transaction."""

    async def checkpoint(self, ownership: Ownership, checkpoint: Checkpoint) -> None:
        """Store offsets and the given (changed) states in one transaction that checks the epoch."""

    async def apply_alarms(
        self, ownership: Ownership, checkpoint: Checkpoint, transitions: Sequence[r.AlarmTransition]
    ) -> None:
        """Store alarm states, history, outbox rows and the checkpoint in one transaction that checks the epoch."""

    async def unsent(self, ownership: Ownership, limit: int) -> list[OutboxRow]:
        """Return the partition's oldest outbox rows that no acknowledged relay has covered."""

    async def mark_sent(self, ownership: Ownership, sequence: int) -> None:
        """Record that all outbox rows of the partition up to `sequence` are on the topic."""


class CheckpointKeeper(Protocol):
    """Keeps checkpoints with their states, so that a log whose beginning has expired can still be recomputed."""

    async def keep(self, ownership: Ownership, log_start: int) -> None:
        """Keep the stored checkpoint if the last one is old enough; forget those that begin before `log_start`.

        Raises ``Unavailable`` while the database is away, and ``StaleOwner`` once the epoch is no longer the
        partition's.
        """


class RefusalAccount(Protocol):
    """How many records all workers together have refused within a minute."""

    async def allow_refusals(self, records: int, limit: int) -> int:
        """Allow so many refusals, as far as `limit` a minute leaves room; return how many, 0 where there is none.

        Raises ``Unavailable`` while the database is away.
        """
