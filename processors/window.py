"""Analysis windows by sample count and event time.

A ``SampleWindows`` cuts the contiguous runs of one channel group into windows of a fixed number of samples, on a grid
in event time that a lost block doesn't shift. Contiguous samples close a window at once; only across a gap does
``Reorder`` wait for what may still come. What comes later still completes windows in ``LateWindows``.

Invariants: the windows are a function of the records on the log alone, whatever process reads them; a snapshot holds
no blocks but the offsets they lie at, and ``refill`` puts them back.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import msgspec

from contracts.assets import WindowSettings
from contracts.errors import BadRecord, Reason
from contracts.records import Acquisition, AcquisitionBlock
from processors.blocks import Buffered, Part, Samples, awaited, offsets_of, refill
from processors.cutting import FEWEST_SAMPLES, Cutter, Grid, Window
from processors.late import LateState, LateWindows, Pending
from processors.reorder import Hole, Reorder, ReorderState


class WindowState(msgspec.Struct, array_like=True):
    """What a snapshot holds of one channel group; ``parts`` are offsets in few bytes, none older than ``from_ns``."""

    sampling_rate_hz: float
    parts: bytes
    from_ns: int
    head: int
    idle_since_ns: int | None
    order: ReorderState
    anchor_ns: int
    index: int
    late: LateState


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
    #: Whether the last tick has closed or given up anything.
    changed_by_tick: bool = False
    _parts: list[Buffered] = field(default_factory=list)
    _head: int = 0
    _in_run: bool = False
    _grid: Grid = field(init=False)
    _index: int = 0
    _order: Reorder = field(init=False)
    _late: LateWindows = field(init=False)
    _cutter: Cutter = field(init=False)
    _window: Samples = field(init=False)

    def __post_init__(self) -> None:
        n_window = round(self.settings.length_s * self.sampling_rate_hz)
        if n_window < FEWEST_SAMPLES:
            raise BadRecord(
                Reason.BAD_SAMPLING_RATE,
                f"{self.sampling_rate_hz} Hz gives {n_window} samples in {self.settings.length_s} s,"
                f" at least {FEWEST_SAMPLES}",
            )
        self._cutter = Cutter(self.n_channels, n_window, self.sampling_rate_hz)
        self._window = self._cutter.empty(n_window)
        self._order = Reorder(self.sampling_rate_hz, self.settings.out_of_order_tolerance_s)
        self._late = LateWindows(self._cutter, self.settings.lateness_s)
        self._begin_grid(0)

    def push(self, offset: int, block: AcquisitionBlock, samples: Samples) -> Iterator[Window]:
        """Take a block; yield every window that is complete now, those that it completes late among them.

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
        part = Part.of(offset, block)
        if block.acquisition is Acquisition.BURST:
            yield from self._burst(part, samples)
            return
        yield from self._take(self._order.push(Buffered(part, samples)))
        yield from self._take_late()

    def tick(self, at_ns: int, unobserved_ns: int = 0) -> Iterator[Window]:
        """Take the partition's clock; close what has waited longer than ``idle_close_s``.

        ``unobserved_ns`` is how long nobody kept the clock before this tick: that was no silence of the device.
        """
        self.idle_since_ns = at_ns if self.idle_since_ns is None else self.idle_since_ns + unobserved_ns
        idle_s = (at_ns - self.idle_since_ns) / 1e9
        before = self._standing()
        yield from self._take(self._order.tick(idle_s))
        if idle_s >= self.settings.idle_close_s:
            yield from self._take(self._order.stop())
        if idle_s >= self.settings.lateness_s:
            yield from self._late.finish()
            if not self._in_run:
                self._parts.clear()
        self.changed_by_tick = self._standing() != before

    def _standing(self) -> tuple[bool, int, int, int]:
        return self._in_run, len(self._parts), len(self._order.held), len(self._late.pending)

    def close(self) -> Iterator[Window]:
        """End the contiguous run: yield what is left as a partial window, in quarters of the full length."""
        yield from self._take(self._order.end())
        yield from self._late.finish()

    def take_holes(self) -> list[Hole]:
        """Return the holes found since the last call."""
        holes, self._order.holes = self._order.holes, []
        return holes

    @property
    def oldest_epoch_ns(self) -> int | None:
        """The epoch of the oldest window that late blocks may still complete."""
        return self._late.oldest_epoch_ns

    # --- cutting ------------------------------------------------------------------------------------------------------

    def _burst(self, part: Part, samples: Samples) -> Iterator[Window]:
        """Take a declared burst: one burst is one window, and the pauses between bursts are no gaps."""
        if self._order.is_known(part):
            self._order.duplicates += 1
            return
        self._order.note(part)
        if not self._grid.laid or self._index >= self._grid.epoch_windows:
            self._begin_grid(part.start_ns)
        self._index += 1
        yield self._cutter.whole(part, samples, epoch_ns=self._grid.anchor_ns)

    def _take(self, blocks: Iterable[Buffered | None]) -> Iterator[Window]:
        for block in blocks:
            if block is None:
                yield from self._end_run()
                continue
            if not self._in_run:
                yield from self._begin_run(block)
            yield from self._late.offer(block)
            self._parts.append(block)
            self._seek()
            while self._available() >= self._cutter.n_window:
                yield self._cutter.cut(self._parts, self._head, self._window, epoch_ns=self._epoch_ns())
                self._index += 1
                self._seek()
            yield from self._late.expire(self._order.end_ns)

    def _take_late(self) -> Iterator[Window]:
        """Put late blocks where windows wait for them; record each, for it was missing when its time had come."""
        late, self._order.late = self._order.late, []
        for block in late:
            needed = self._late.add(block)
            span = block.part.start_ns, self._cutter.end_of(block.part)
            self._order.holes.append(Hole(*span, "late" if needed else "too_late"))
            if needed:
                yield from self._late.complete_with(block)

    def _begin_run(self, block: Buffered) -> Iterator[Window]:
        """Lay the grid for a new run: a loss leaves the old one in force, a pause or a restart begins another.

        Windows of the old grid that the hole has spoilt wait for what is missing, unless nothing is.
        """
        self._in_run = True
        part, old = block.part, self._parts
        self._parts, self._head = [], 0
        first_ns = part.start_ns - self._cutter.duration_ns(0.5)
        grid = self._grid
        if not grid.laid or block.after == "idle":
            self._begin_grid(part.start_ns)
            return
        clock_went_back = bool(old) and part.start_ns < old[-1].part.start_ns
        next_index = grid.first_from(first_ns)
        earliest = max(self._index, grid.first_from(part.start_ns - self.settings.lateness_s * 1e9))
        if block.after == "restart" or earliest > self._index:
            self._begin_grid(part.start_ns)
        else:
            self._index = next_index
        if clock_went_back:
            yield from self._late.finish()
        if old:
            boot = old[-1].part.boot
            spoilt = [Pending(grid.at_ns(i), grid.epoch_ns(i), boot) for i in range(earliest, next_index)]
            yield from self._late.open(old, spoilt)

    def _end_run(self) -> Iterator[Window]:
        """Cut what is left short; the blocks stay until the next run tells whether anything is missing."""
        self._in_run = False
        n_samples = self._cutter.partial_length(self._available())
        if n_samples:
            out = self._cutter.empty(n_samples)
            window = self._cutter.cut(self._parts, self._head, out, epoch_ns=self._epoch_ns())
            self._late.note_partial(self._order.end_ns, self._grid.at_ns(self._index))
            yield window

    def _begin_grid(self, anchor_ns: int) -> None:
        epoch_windows = max(1, round(self.settings.band_interval_s / self.settings.hop_s))
        self._grid = Grid(anchor_ns, self.settings.hop_s, epoch_windows)
        self._index = 0

    def _epoch_ns(self) -> int:
        return self._grid.epoch_ns(self._index)

    def _available(self) -> int:
        return sum(buffered.part.n_samples for buffered in self._parts) - self._head

    def _seek(self) -> None:
        """Go to the next window's first sample; the run's last block stays, for the next may begin beside its time."""
        place, head = self._cutter.find(self._parts, self._grid.at_ns(self._index))
        if head < 0 and place:
            place, head = place - 1, self._parts[place - 1].part.n_samples
        del self._parts[:place]
        self._head = max(head, 0)

    # --- recovery -----------------------------------------------------------------------------------------------------

    def needed_offsets(self) -> set[int]:
        """Return every offset whose samples are still needed."""
        return {buffered.part.offset for buffered in self._waiting()}

    def refill(self, offset: int, block: AcquisitionBlock, samples: Samples) -> None:
        """Put back the block that lies at `offset`, if it is needed."""
        refill(self._waiting(), Part.of(offset, block), samples)

    def end_refill(self) -> None:
        """Drop what the log no longer holds, so that no window is cut from samples that never came back."""
        if any(buffered.samples is None for buffered in self._late.kept):
            self._late.forget()
        waiting = [*self._parts, *self._order.held]
        if any(buffered.samples is None for buffered in waiting):
            first_ns = min(buffered.part.start_ns for buffered in waiting)
            self._order.holes.append(Hole(first_ns, self._order.end_ns, "retention"))
            self._order.held.clear()
            self._order.running = False
            self._in_run = False
            self._parts.clear()
            self._head = 0

    def _waiting(self) -> list[Buffered]:
        return [*self._late.kept, *self._parts, *self._order.held]

    def snapshot(self) -> WindowState:
        """Return the state without blocks."""
        waiting = [*self._parts, *self._order.held]
        return WindowState(
            self.sampling_rate_hz,
            offsets_of(self._parts),
            min((buffered.part.start_ns for buffered in waiting), default=0),
            self._head,
            self.idle_since_ns,
            self._order.snapshot(),
            self._grid.anchor_ns,
            self._index,
            self._late.snapshot(),
        )

    @classmethod
    def resume(cls, settings: WindowSettings, n_channels: int, state: WindowState) -> "SampleWindows":
        """Return windows that go on from `state` once ``refill`` has put the blocks back."""
        windows = cls(settings, n_channels, state.sampling_rate_hz, state.idle_since_ns)
        windows._parts = awaited(state.parts, state.from_ns)
        windows._head = state.head
        windows._in_run = state.order.running
        windows._begin_grid(state.anchor_ns)
        windows._index = state.index
        windows._order.resume(state.order, state.from_ns)
        windows._late.resume(state.late)
        return windows
