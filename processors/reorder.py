"""Blocks in the order of event time: duplicates dropped, gaps declared, late blocks counted.

Contiguous blocks pass at once. A block that leaves a gap is held until what is missing has come, or until the
out-of-order tolerance says that it won't: then the run breaks, and a new one begins after the hole.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

#: A block may start this share of its length beside the expected time and still follow on (the device's clock drifts).
_JITTER: Final = 0.25
#: Ranges of lost sequence numbers that are remembered, to tell late blocks from duplicates.
_MISSING_RANGES: Final = 32


class Part(msgspec.Struct, array_like=True):
    """One block's place in the log and in time."""

    offset: int
    start_ns: int
    n_samples: int
    sequence: int
    boot_id: str
    speed_rpm: float | None
    load_ratio: float | None


@dataclass(slots=True)
class Buffered:
    """A block with its samples (channels × samples); none until a recovery has put them back."""

    part: Part
    samples: Samples | None


@dataclass(frozen=True, slots=True)
class Hole:
    """A span without samples, and why: ``lost``, ``restart``, ``idle``, ``late`` or ``retention``."""

    from_ns: int
    to_ns: int
    cause: str


class ReorderState(msgspec.Struct, array_like=True):
    """What a snapshot holds; the held blocks without their samples."""

    boot_id: str
    last_sequence: int
    end_ns: int
    running: bool
    missing: list[tuple[int, int]]
    held: list[Part]


@dataclass(slots=True)
class Reorder:
    """Put the blocks of one channel group in order.

    ``push``, ``tick`` and ``stop`` yield blocks in order, and ``None`` where the run of contiguous samples breaks.

    Parameters
    ----------
    sampling_rate_hz : float
        Sampling rate, Hz.
    tolerance_s : float
        How much newer (event time) a block may be than a missing one before that is given up, s.
    """

    sampling_rate_hz: float
    tolerance_s: float
    boot_id: str = ""
    last_sequence: int = -1
    end_ns: int = 0
    running: bool = False
    duplicates: int = 0
    holes: list[Hole] = field(default_factory=list)
    held: list[Buffered] = field(default_factory=list)
    _missing: list[tuple[int, int]] = field(default_factory=list)

    def push(self, new: Buffered) -> Iterator[Buffered | None]:
        """Take a block; yield what can go on."""
        part = new.part
        if part.boot_id != self.boot_id:
            yield from self._restart(new)
        elif self.is_known(part):
            self.duplicates += 1
        elif part.start_ns < self.end_ns - self._slack_ns(part):
            self.holes.append(Hole(part.start_ns, self.end_of(part), "late"))
        elif self._follows(part) or not self.running:
            yield self._append(new, "idle")
            yield from self._drain()
        else:
            self.held.append(new)
            self.held.sort(key=lambda buffered: buffered.part.start_ns)
            newest_ns = self.end_of(self.held[-1].part)
            if newest_ns - self.end_ns > self.tolerance_s * 1e9:
                yield from self._give_up()

    def tick(self, idle_s: float) -> Iterator[Buffered | None]:
        """Give up on what hasn't come while the device was silent for `idle_s`."""
        while self.held and idle_s >= self.tolerance_s:
            yield from self._give_up()

    def stop(self) -> Iterator[None]:
        """End the run: whatever comes next begins a new one."""
        if self.running:
            self.running = False
            yield None

    def note(self, part: Part) -> None:
        """Take a block that stands alone (a burst)."""
        self.boot_id, self.last_sequence, self.end_ns = part.boot_id, part.sequence, self.end_of(part)

    def is_known(self, part: Part) -> bool:
        """Return whether a block with this sequence number of this boot has been taken before."""
        if part.boot_id != self.boot_id:
            return False
        if any(part.sequence == held.part.sequence for held in self.held):
            return True
        lost = any(first <= part.sequence <= last for first, last in self._missing)
        return part.sequence <= self.last_sequence and not lost

    def end_of(self, part: Part) -> int:
        """Return the time after the block's last sample, UTC ns."""
        return part.start_ns + round(part.n_samples * 1e9 / self.sampling_rate_hz)

    def _restart(self, new: Buffered) -> Iterator[Buffered | None]:
        """Begin anew: another boot of the device, whose blocks can't fill a gap of the last one."""
        while self.held:
            yield from self._give_up()
        yield from self.stop()
        self.boot_id, self.last_sequence = new.part.boot_id, -1
        self._missing.clear()
        yield self._append(new, "restart")

    def _give_up(self) -> Iterator[Buffered | None]:
        """Give up on what is missing before the oldest held block, and go on there."""
        oldest = self.held.pop(0)
        yield from self.stop()
        yield self._append(oldest, "lost")
        yield from self._drain()

    def _drain(self) -> Iterator[Buffered]:
        while self.held and self._follows(self.held[0].part):
            yield self._append(self.held.pop(0), "lost")

    def _append(self, new: Buffered, cause: str) -> Buffered:
        """Take a block as the newest; one that doesn't follow on leaves a hole before it."""
        part = new.part
        if self.end_ns and part.start_ns > self.end_ns + self._slack_ns(part):
            self.holes.append(Hole(self.end_ns, part.start_ns, cause))
        if part.sequence > self.last_sequence + 1 and self.last_sequence >= 0:
            self._missing = [*self._missing[1 - _MISSING_RANGES :], (self.last_sequence + 1, part.sequence - 1)]
        self.last_sequence = max(self.last_sequence, part.sequence)
        self.end_ns = self.end_of(part)
        self.running = True
        return new

    def _slack_ns(self, part: Part) -> float:
        return _JITTER * part.n_samples * 1e9 / self.sampling_rate_hz

    def _follows(self, part: Part) -> bool:
        return abs(part.start_ns - self.end_ns) <= self._slack_ns(part)

    def snapshot(self) -> ReorderState:
        """Return the state without samples."""
        held = [buffered.part for buffered in self.held]
        return ReorderState(self.boot_id, self.last_sequence, self.end_ns, self.running, list(self._missing), held)

    def resume(self, state: ReorderState) -> None:
        """Go on from `state`; the held blocks' samples are still to be put back."""
        self.boot_id, self.last_sequence = state.boot_id, state.last_sequence
        self.end_ns, self.running = state.end_ns, state.running
        self._missing = list(state.missing)
        self.held = [Buffered(part, None) for part in state.held]
