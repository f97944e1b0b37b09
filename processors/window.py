"""Analysis windows by sample count and event time.

A ``SampleWindows`` cuts the contiguous runs of one channel group into windows of a fixed number of samples. Contiguous
samples close a window at once; only across a gap does ``Reorder`` wait for what may still come.

Invariants: the windows are a function of the records on the log alone, whatever process reads them; a snapshot holds
no samples but the offsets they lie at, and ``refill`` puts them back.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

import msgspec
import numpy as np

from contracts.assets import WindowSettings
from contracts.errors import BadRecord, Reason
from contracts.records import Acquisition, AcquisitionBlock
from processors.reorder import Buffered, Hole, Part, Reorder, ReorderState, Samples

#: A window cut short is kept in quarters of the full length.
_PARTIAL_STEPS: Final = 4
_FEWEST_SAMPLES: Final = 16


@dataclass(frozen=True, slots=True)
class Window:
    """One analysis window; ``samples`` (channels × samples) is valid until the next window is taken."""

    start_ns: int
    end_ns: int
    samples: Samples
    speed_rpm: float | None
    load_ratio: float | None
    partial: bool


class WindowState(msgspec.Struct, array_like=True):
    """What a snapshot holds of one channel group."""

    sampling_rate_hz: float
    parts: list[Part]
    head: int
    idle_since_ns: int | None
    order: ReorderState


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
    idle_since_ns: int | None = None
    _parts: list[Buffered] = field(default_factory=list)
    _head: int = 0
    _order: Reorder = field(init=False)
    _window: Samples = field(init=False)
    _n_window: int = field(init=False)
    _n_hop: int = field(init=False)

    def __post_init__(self) -> None:
        self._n_window = round(self.settings.length_s * self.sampling_rate_hz)
        self._n_hop = max(1, round(self.settings.hop_s * self.sampling_rate_hz))
        if self._n_window < _FEWEST_SAMPLES:
            raise BadRecord(
                Reason.BAD_SAMPLING_RATE,
                f"{self.sampling_rate_hz} Hz gives {self._n_window} samples in {self.settings.length_s} s,"
                f" at least {_FEWEST_SAMPLES}",
            )
        self._window = np.empty((self.n_channels, self._n_window), dtype=np.float32)
        self._order = Reorder(self.sampling_rate_hz, self.settings.out_of_order_tolerance_s)

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
        part = Part(
            offset,
            block.start_ns,
            block.n_samples,
            block.sequence,
            block.boot_id,
            block.speed_rpm,
            block.load_ratio,
        )
        if block.acquisition is Acquisition.BURST:
            yield from self._burst(part, samples)
        else:
            yield from self._take(self._order.push(Buffered(part, samples)))

    def tick(self, at_ns: int, unobserved_ns: int = 0) -> Iterator[Window]:
        """Take the partition's clock; close what has waited longer than ``idle_close_s``.

        ``unobserved_ns`` is how long nobody kept the clock before this tick: that was no silence of the device.
        """
        self.idle_since_ns = at_ns if self.idle_since_ns is None else self.idle_since_ns + unobserved_ns
        idle_s = (at_ns - self.idle_since_ns) / 1e9
        yield from self._take(self._order.tick(idle_s))
        if idle_s >= self.settings.idle_close_s:
            yield from self.close()

    def close(self) -> Iterator[Window]:
        """End the contiguous run: yield what is left as a partial window, in quarters of the full length."""
        yield from self._take(self._order.stop())

    def take_holes(self) -> list[Hole]:
        """Return the holes found since the last call."""
        holes, self._order.holes = self._order.holes, []
        return holes

    # --- cutting ------------------------------------------------------------------------------------------------------

    def _burst(self, part: Part, samples: Samples) -> Iterator[Window]:
        """Take a declared burst: one burst is one window, and the pauses between bursts are no gaps."""
        if self._order.is_known(part):
            self._order.duplicates += 1
            return
        self._order.note(part)
        yield Window(part.start_ns, self._order.end_ns, samples, part.speed_rpm, part.load_ratio, partial=False)

    def _take(self, blocks: Iterable[Buffered | None]) -> Iterator[Window]:
        for block in blocks:
            if block is None:
                yield from self._end_run()
                continue
            self._parts.append(block)
            while self._available() >= self._n_window:
                yield self._cut(self._n_window, partial=False)
                self._advance(self._n_hop)

    def _end_run(self) -> Iterator[Window]:
        quarter = max(self._n_window // _PARTIAL_STEPS, _FEWEST_SAMPLES)
        n_samples = min(self._available(), self._n_window) // quarter * quarter
        if n_samples:
            yield self._cut(n_samples, partial=True)
        self._parts.clear()
        self._head = 0

    def _available(self) -> int:
        return sum(buffered.part.n_samples for buffered in self._parts) - self._head

    def _cut(self, n_samples: int, *, partial: bool) -> Window:
        """Copy the oldest `n_samples` into the window buffer (a partial window gets one of its own)."""
        out = np.empty((self.n_channels, n_samples), dtype=np.float32) if partial else self._window
        at, skip = 0, self._head
        speed, load = _Mean(), _Mean()
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
        start_ns = self._parts[0].part.start_ns + self._duration_ns(self._head)
        return Window(start_ns, start_ns + self._duration_ns(n_samples), out, speed.value(), load.value(), partial)

    def _advance(self, n_samples: int) -> None:
        self._head += n_samples
        while self._parts and self._head >= self._parts[0].part.n_samples:
            self._head -= self._parts.pop(0).part.n_samples

    def _duration_ns(self, n_samples: int) -> int:
        return round(n_samples * 1e9 / self.sampling_rate_hz)

    # --- recovery -----------------------------------------------------------------------------------------------------

    def oldest_offset(self) -> int | None:
        """Return the oldest offset whose samples are still needed."""
        return min((buffered.part.offset for buffered in self._waiting()), default=None)

    def refill(self, offset: int, samples: Samples) -> None:
        """Put back the samples that lie at `offset`, if they are needed."""
        for buffered in self._waiting():
            if buffered.part.offset == offset:
                buffered.samples = samples

    def end_refill(self) -> None:
        """Drop what the log no longer holds, so that no window is cut from samples that never came back."""
        waiting = self._waiting()
        if any(buffered.samples is None for buffered in waiting):
            first_ns = min(buffered.part.start_ns for buffered in waiting)
            self._order.holes.append(Hole(first_ns, self._order.end_ns, "retention"))
            self._order.held.clear()
            self._order.running = False
            self._parts.clear()
            self._head = 0

    def _waiting(self) -> list[Buffered]:
        return [*self._parts, *self._order.held]

    def snapshot(self) -> WindowState:
        """Return the state without samples."""
        parts = [buffered.part for buffered in self._parts]
        return WindowState(self.sampling_rate_hz, parts, self._head, self.idle_since_ns, self._order.snapshot())

    @classmethod
    def resume(cls, settings: WindowSettings, n_channels: int, state: WindowState) -> "SampleWindows":
        """Return windows that go on from `state` once ``refill`` has put the samples back."""
        windows = cls(settings, n_channels, state.sampling_rate_hz, state.idle_since_ns)
        windows._parts = [Buffered(part, None) for part in state.parts]
        windows._head = state.head
        windows._order.resume(state.order)
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
