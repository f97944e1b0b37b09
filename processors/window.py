"""Analysis windows by sample count and event time.

A ``SampleWindows`` puts the acquisition blocks of one channel group in order, finds gaps, and cuts windows of a fixed
number of samples. Contiguous samples close a window at once; only across a gap does it wait for what may still come.

Invariants: the windows are a function of the records on the log alone, whatever process reads them; a snapshot holds
no samples but the offsets they lie at, and ``refill`` puts them back.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from contracts.assets import WindowSettings
from contracts.errors import BadRecord, Reason
from contracts.records import Acquisition, AcquisitionBlock

Samples = NDArray[np.float32]

#: A block may start this share of its length beside the expected time and still follow on (the device's clock drifts).
_JITTER: Final = 0.25
#: A window cut short is kept in quarters of the full length.
_PARTIAL_STEPS: Final = 4
#: Ranges of lost sequence numbers that are remembered, to tell late blocks from duplicates.
_MISSING_RANGES: Final = 32


class Part(msgspec.Struct, array_like=True):
    """One block's place in the log and in time; ``filled`` in a snapshot is always false."""

    offset: int
    start_ns: int
    n_samples: int
    sequence: int
    boot_id: str
    speed_rpm: float | None
    load_ratio: float | None


@dataclass(frozen=True, slots=True)
class Window:
    """One analysis window; ``samples`` (channels × samples) is valid until the next window is taken."""

    start_ns: int
    end_ns: int
    samples: Samples
    speed_rpm: float | None
    load_ratio: float | None
    partial: bool


@dataclass(frozen=True, slots=True)
class Hole:
    """A span without samples, and why."""

    from_ns: int
    to_ns: int
    cause: str


class WindowState(msgspec.Struct, array_like=True):
    """What a snapshot holds of one channel group."""

    sampling_rate_hz: float
    parts: list[Part]
    head: int
    held: list[Part]
    boot_id: str
    last_sequence: int
    missing: list[tuple[int, int]]
    end_ns: int
    idle_since_ns: int | None


@dataclass(slots=True)
class _Buffered:
    part: Part
    samples: Samples | None


@dataclass(slots=True)
class SampleWindows:
    """Windows over the blocks of one channel group.

    Parameters
    ----------
    settings : WindowSettings
        Lengths and tolerances.
    n_channels : int
        Channels in the group.
    sampling_rate_hz : float
        Sampling rate, Hz.

    Raises
    ------
    BadRecord
        ``bad_sampling_rate`` where a window would hold fewer than 16 samples.
    """

    settings: WindowSettings
    n_channels: int
    sampling_rate_hz: float
    boot_id: str = ""
    last_sequence: int = -1
    end_ns: int = 0
    idle_since_ns: int | None = None
    holes: list[Hole] = field(default_factory=list)
    duplicates: int = 0
    _missing: list[tuple[int, int]] = field(default_factory=list)
    _parts: list[_Buffered] = field(default_factory=list)
    _head: int = 0
    _held: list[_Buffered] = field(default_factory=list)
    _window: Samples = field(init=False)
    _n_window: int = field(init=False)
    _n_hop: int = field(init=False)

    def __post_init__(self) -> None:
        self._n_window = round(self.settings.length_s * self.sampling_rate_hz)
        self._n_hop = max(1, round(self.settings.hop_s * self.sampling_rate_hz))
        if self._n_window < 16:
            raise BadRecord(
                Reason.BAD_SAMPLING_RATE,
                f"{self.sampling_rate_hz} Hz gives {self._n_window} samples in {self.settings.length_s} s, at least 16",
            )
        self._window = np.empty((self.n_channels, self._n_window), dtype=np.float32)

    # --- taking blocks ------------------------------------------------------------------------------------------------

    def push(self, offset: int, block: AcquisitionBlock, samples: Samples) -> Iterator[Window]:
        """Take a block; yield every window that is complete now.

        Parameters
        ----------
        offset : int
            Where the block lies in its partition.
        block : AcquisitionBlock
            The block.
        samples : ndarray, shape (n_channels, n_samples), float32
            Its samples.
        """
        self.idle_since_ns = None
        new = _Buffered(
            Part(
                offset,
                block.start_ns,
                block.n_samples,
                block.sequence,
                block.boot_id,
                block.speed_rpm,
                block.load_ratio,
            ),
            samples,
        )
        if block.acquisition is Acquisition.BURST:
            yield from self._burst(new)
            return
        yield from self._order(new)

    def _burst(self, new: _Buffered) -> Iterator[Window]:
        part, samples = new.part, new.samples
        if part.boot_id == self.boot_id and part.sequence <= self.last_sequence:
            self.duplicates += 1
        elif samples is not None:
            self.boot_id, self.last_sequence, self.end_ns = part.boot_id, part.sequence, self._end_ns(part)
            yield Window(part.start_ns, self.end_ns, samples, part.speed_rpm, part.load_ratio, partial=False)

    def _order(self, new: _Buffered) -> Iterator[Window]:
        part = new.part
        if part.boot_id != self.boot_id:
            yield from self._restart(new)
        elif self._known(part):
            self.duplicates += 1
        elif part.start_ns < self.end_ns - self._slack_ns(part):
            self.holes.append(Hole(part.start_ns, self._end_ns(part), "late"))
        elif self._follows(part) or not self._parts:
            self._append(new, "idle")
            yield from self._drain_held()
        else:
            self._held.append(new)
            self._held.sort(key=lambda buffered: buffered.part.start_ns)
            newest_ns = self._end_ns(self._held[-1].part)
            if newest_ns - self.end_ns > self.settings.out_of_order_tolerance_s * 1e9:
                yield from self._accept_gap()
        yield from self._complete()

    def _restart(self, new: _Buffered) -> Iterator[Window]:
        """Begin anew: another boot of the device, whose blocks can't fill a gap of the last one."""
        while self._held:
            yield from self._accept_gap()
            yield from self._complete()
        yield from self.close()
        self.boot_id, self.last_sequence = new.part.boot_id, -1
        self._missing.clear()
        self._append(new, "restart")

    def _slack_ns(self, part: Part) -> float:
        return _JITTER * part.n_samples * 1e9 / self.sampling_rate_hz

    def _follows(self, part: Part) -> bool:
        return abs(part.start_ns - self.end_ns) <= self._slack_ns(part)

    def _known(self, part: Part) -> bool:
        if any(part.sequence == held.part.sequence for held in self._held):
            return True
        lost = any(first <= part.sequence <= last for first, last in self._missing)
        return part.sequence <= self.last_sequence and not lost

    def _append(self, new: _Buffered, cause: str) -> None:
        """Add a block at the end; one that doesn't follow on leaves a hole before it."""
        part = new.part
        if self.end_ns and part.start_ns > self.end_ns + self._slack_ns(part):
            self.holes.append(Hole(self.end_ns, part.start_ns, cause))
        if part.sequence > self.last_sequence + 1 and self.last_sequence >= 0:
            self._missing = [*self._missing[1 - _MISSING_RANGES :], (self.last_sequence + 1, part.sequence - 1)]
        self._parts.append(new)
        self.last_sequence = max(self.last_sequence, part.sequence)
        self.end_ns = self._end_ns(part)

    def _drain_held(self) -> Iterator[Window]:
        while self._held and self._follows(self._held[0].part):
            self._append(self._held.pop(0), "lost")
            yield from self._complete()

    def _accept_gap(self) -> Iterator[Window]:
        """Give up on what is missing before the oldest held block, and go on there."""
        oldest = self._held.pop(0)
        yield from self.close()
        self._append(oldest, "lost")
        yield from self._drain_held()

    # --- cutting windows ----------------------------------------------------------------------------------------------

    def _complete(self) -> Iterator[Window]:
        while self._available() >= self._n_window:
            yield self._cut(self._n_window, partial=False)
            self._advance(self._n_hop)

    def _available(self) -> int:
        return sum(buffered.part.n_samples for buffered in self._parts) - self._head

    def _cut(self, n_samples: int, *, partial: bool) -> Window:
        """Copy the oldest `n_samples` into the window buffer."""
        out = self._window[:, :n_samples] if not partial else np.empty((self.n_channels, n_samples), dtype=np.float32)
        at, skip = 0, self._head
        speed, load = _Mean(), _Mean()
        first = self._parts[0].part
        for buffered in self._parts:
            part = buffered.part
            take = min(part.n_samples - skip, n_samples - at)
            if buffered.samples is not None:
                out[:, at : at + take] = buffered.samples[:, skip : skip + take]
            speed.add(part.speed_rpm, take)
            load.add(part.load_ratio, take)
            at, skip = at + take, 0
            if at == n_samples:
                break
        start_ns = first.start_ns + self._duration_ns(self._head)
        return Window(start_ns, start_ns + self._duration_ns(n_samples), out, speed.value(), load.value(), partial)

    def _advance(self, n_samples: int) -> None:
        self._head += n_samples
        while len(self._parts) > 1 and self._head >= self._parts[0].part.n_samples:
            self._head -= self._parts.pop(0).part.n_samples

    def close(self) -> Iterator[Window]:
        """End the contiguous run: yield what is left as a partial window, in quarters of the full length."""
        quarter = self._n_window // _PARTIAL_STEPS
        n_samples = min(self._available(), self._n_window) // quarter * quarter if self._parts else 0
        if n_samples >= max(quarter, 16):
            yield self._cut(n_samples, partial=True)
        self._parts.clear()
        self._head = 0

    def tick(self, at_ns: int, unobserved_ns: int = 0) -> Iterator[Window]:
        """Take the partition's clock; close what has waited longer than ``idle_close_s``.

        ``unobserved_ns`` is how long nobody kept the clock before this tick: that was no silence of the device.
        """
        self.idle_since_ns = at_ns if self.idle_since_ns is None else self.idle_since_ns + unobserved_ns
        if not (self._parts or self._held):
            return
        idle_s = (at_ns - self.idle_since_ns) / 1e9
        while self._held and idle_s >= self.settings.out_of_order_tolerance_s:
            yield from self._accept_gap()
            yield from self._complete()
        if idle_s >= self.settings.idle_close_s:
            yield from self.close()

    # --- time ---------------------------------------------------------------------------------------------------------

    def _duration_ns(self, n_samples: int) -> int:
        return round(n_samples * 1e9 / self.sampling_rate_hz)

    def _end_ns(self, part: Part) -> int:
        return part.start_ns + self._duration_ns(part.n_samples)

    # --- recovery -----------------------------------------------------------------------------------------------------

    def oldest_offset(self) -> int | None:
        """Return the oldest offset whose samples are still needed."""
        return min((b.part.offset for b in (*self._parts, *self._held)), default=None)

    def refill(self, offset: int, samples: Samples) -> None:
        """Put back the samples that lie at `offset`, if they are needed."""
        for buffered in (*self._parts, *self._held):
            if buffered.part.offset == offset:
                buffered.samples = samples

    def end_refill(self) -> None:
        """Drop what the log no longer holds, so that no window is cut from samples that never came back."""
        if any(buffered.samples is None for buffered in (*self._parts, *self._held)):
            first = min(b.part.start_ns for b in (*self._parts, *self._held))
            self.holes.append(Hole(first, self.end_ns, "retention"))
            self._parts.clear()
            self._held.clear()
            self._head = 0

    def snapshot(self) -> WindowState:
        """Return the state without samples."""
        return WindowState(
            self.sampling_rate_hz,
            [buffered.part for buffered in self._parts],
            self._head,
            [buffered.part for buffered in self._held],
            self.boot_id,
            self.last_sequence,
            self._missing,
            self.end_ns,
            self.idle_since_ns,
        )

    @classmethod
    def resume(cls, settings: WindowSettings, n_channels: int, state: WindowState) -> "SampleWindows":
        """Return windows that go on from `state` once ``refill`` has put the samples back."""
        windows = cls(settings, n_channels, state.sampling_rate_hz)
        windows.boot_id, windows.last_sequence = state.boot_id, state.last_sequence
        windows.end_ns, windows.idle_since_ns = state.end_ns, state.idle_since_ns
        windows._missing = list(state.missing)
        windows._parts = [_Buffered(part, None) for part in state.parts]
        windows._held = [_Buffered(part, None) for part in state.held]
        windows._head = state.head
        return windows


@dataclass(slots=True)
class _Mean:
    """A mean weighted by samples; undefined as soon as one part doesn't know its value."""

    total: float = 0.0
    weight: int = 0
    known: bool = True

    def add(self, value: float | None, weight: int) -> None:
        if value is None:
            self.known = False
            return
        self.total += value * weight
        self.weight += weight

    def value(self) -> float | None:
        return self.total / self.weight if self.known and self.weight else None
