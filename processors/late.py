"""Windows that a hole has spoilt, kept open until late blocks complete them or their time is over.

A window that came out short, or not at all, is pending: the blocks it needs are kept, and they hold back the offset
from which a recovery reads. Late blocks are put among them. A pending window is cut again at most once: when it is
complete, or when it becomes final and has grown meanwhile.

Invariants: what is kept is bounded in time, in bytes and in number of blocks; without a hole nothing is kept; a cut
depends on the blocks alone, so it gives the bits that blocks in order would have given.
"""

from bisect import bisect_right, insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import msgspec

from processors.blocks import Buffered, Part, awaited, offsets_of, slack_ns
from processors.cutting import CORRECTED, Cutter, Window
from processors.few_bytes import packed, unpacked

#: What one channel group may keep: samples in bytes, and blocks for each channel (their places are in the snapshot).
KEPT_BYTES: Final = 4 * 1024 * 1024
KEPT_BLOCKS_PER_CHANNEL: Final = 96
MOST_PENDING: Final = 48
_SAMPLE_BYTES: Final = 4


class Pending(NamedTuple):
    """A window that waits: where it starts, its epoch, and the boot of the device that its blocks are of."""

    at_ns: int
    epoch_ns: int
    boot: bytes


class LateState(msgspec.Struct, array_like=True):
    """What a snapshot holds: where the kept blocks lie, the boots, and the fields of what is pending, in few bytes."""

    kept: bytes
    boots: list[bytes]
    pending: list[bytes]
    partial_ends: list[bytes]


@dataclass(slots=True)
class LateWindows:
    """The pending windows of one channel group.

    Parameters
    ----------
    cutter : Cutter
        Cuts the group's windows.
    lateness_s : float
        How much newer (event time) the newest block may be than the end of a window that late blocks still complete.
    """

    cutter: Cutter
    lateness_s: float
    kept: list[Buffered] = field(default_factory=list)
    pending: list[Pending] = field(default_factory=list)
    #: For runs that ended in a partial window: where the run ended, and where that window starts.
    _partial_ends: list[tuple[int, int]] = field(default_factory=list)

    def note_partial(self, end_ns: int, at_ns: int) -> None:
        """Note that the run which ended at `end_ns` has given its partial window, the one that starts at `at_ns`."""
        oldest_ns = self.pending[0].at_ns if self.pending else end_ns
        self._partial_ends = [one for one in self._partial_ends if one[0] >= oldest_ns][1 - MOST_PENDING :]
        self._partial_ends.append((end_ns, at_ns))

    def open(self, blocks: Sequence[Buffered], spoilt: Sequence[Pending]) -> Iterator[Window]:
        """Keep `spoilt` windows pending, with the `blocks` there are of them; yield what becomes final for them."""
        if spoilt:
            self.pending = sorted({*self.pending, *spoilt[-MOST_PENDING:]})
            for block in blocks:
                self._insert(block)
            self._prune()
        yield from self._trim()

    def offer(self, block: Buffered) -> Iterator[Window]:
        """Take a block that came in order; yield the pending windows that it completes."""
        if self.pending and self._is_needed(block.part):
            self._insert(block)
            yield from self._complete(block.part)
            yield from self._trim()

    def add(self, late: Buffered) -> bool:
        """Take a late block; return whether a pending window needs it and it fits between the blocks there are."""
        fits = bool(self.pending) and self._is_needed(late.part) and self._fits(late.part)
        if fits:
            self._insert(late)
        return fits

    def complete_with(self, late: Buffered) -> Iterator[Window]:
        """Yield the pending windows that a late block has completed."""
        yield from self._complete(late.part)
        yield from self._trim()

    def expire(self, newest_ns: int) -> Iterator[Window]:
        """Make final what ended longer than the lateness before `newest_ns`; yield what has grown meanwhile."""
        length_ns = self.cutter.duration_ns(self.cutter.n_window)
        oldest_ns = newest_ns - self.lateness_s * 1e9 - length_ns
        while self.pending and self.pending[0].at_ns < oldest_ns:
            yield from self._finish_oldest()

    def finish(self) -> Iterator[Window]:
        """Make everything final; yield what has grown meanwhile."""
        while self.pending:
            yield from self._finish_oldest()

    @property
    def oldest_epoch_ns(self) -> int | None:
        """The epoch of the oldest pending window."""
        return self.pending[0].epoch_ns if self.pending else None

    # --- cutting again ------------------------------------------------------------------------------------------------

    def _complete(self, part: Part) -> Iterator[Window]:
        done = []
        for one in self.pending:
            if not self._overlaps(one, part):
                continue
            run, head, available = self._run_of(one)
            if available >= self.cutter.n_window:
                done.append(one)
                out = self.cutter.empty(self.cutter.n_window)
                yield self.cutter.cut(run, head, out, epoch_ns=one.epoch_ns, version=CORRECTED)
        if done:
            self.pending = [one for one in self.pending if one not in done]
            self._prune()

    def _finish_oldest(self) -> Iterator[Window]:
        """Give up on the oldest window: it is cut short once more where its run ends elsewhere than it did."""
        one = self.pending.pop(0)
        run, head, available = self._run_of(one)
        n_samples = self.cutter.partial_length(available)
        if n_samples:
            end_ns = self.cutter.end_of(run[-1].part)
            if not any(end == end_ns and at <= one.at_ns for end, at in self._partial_ends):
                self.note_partial(end_ns, one.at_ns)
                out = self.cutter.empty(n_samples)
                yield self.cutter.cut(run, head, out, epoch_ns=one.epoch_ns, version=CORRECTED)
        self._prune()

    def _run_of(self, one: Pending) -> tuple[list[Buffered], int, int]:
        """Return the contiguous blocks from the one a window starts in, its first sample there, and how many follow."""
        blocks = [block for block in self.kept if block.part.boot == one.boot]
        if not blocks:
            return [], 0, 0
        place, head = self.cutter.find(blocks, one.at_ns)
        if head < 0 and not (place and self.cutter.follows(blocks[place - 1].part, blocks[place].part)):
            return [], 0, 0
        run = blocks[place : place + 1]
        for block in blocks[place + 1 :]:
            if not self.cutter.follows(run[-1].part, block.part):
                break
            run.append(block)
        head = max(head, 0)
        return run, head, sum(block.part.n_samples for block in run) - head

    # --- what is kept -------------------------------------------------------------------------------------------------

    def _insert(self, block: Buffered) -> None:
        if not any(kept.part.offset == block.part.offset for kept in self.kept):
            insort(self.kept, block, key=lambda buffered: buffered.part.start_ns)

    def _fits(self, part: Part) -> bool:
        """Return whether `part` overlaps no kept block by more than clocks may drift."""
        slack = slack_ns(part, self.cutter.sampling_rate_hz)
        place = bisect_right(self.kept, part.start_ns, key=lambda buffered: buffered.part.start_ns)
        before, after = self.kept[:place][-1:], self.kept[place:][:1]
        return all(self.cutter.end_of(b.part) <= part.start_ns + slack for b in before) and all(
            self.cutter.end_of(part) <= a.part.start_ns + slack for a in after
        )

    def _is_needed(self, part: Part) -> bool:
        """Return whether a pending window lies, at least in part, in the block or begins right after it."""
        slack = slack_ns(part, self.cutter.sampling_rate_hz)
        length_ns = self.cutter.duration_ns(self.cutter.n_window)
        place = bisect_right(self.pending, part.start_ns - slack - length_ns, key=lambda one: one.at_ns)
        return place < len(self.pending) and self._overlaps(self.pending[place], part)

    def _overlaps(self, one: Pending, part: Part) -> bool:
        slack = slack_ns(part, self.cutter.sampling_rate_hz)
        length_ns = self.cutter.duration_ns(self.cutter.n_window)
        return one.at_ns - slack < self.cutter.end_of(part) and one.at_ns + length_ns + slack > part.start_ns

    def _prune(self) -> None:
        self.kept = [block for block in self.kept if self._is_needed(block.part)]

    def _trim(self) -> Iterator[Window]:
        """Make the oldest windows final as long as more is kept than is allowed."""
        most_blocks = KEPT_BLOCKS_PER_CHANNEL * self.cutter.n_channels
        while self.pending and (
            len(self.pending) > MOST_PENDING or len(self.kept) > most_blocks or self._bytes() > KEPT_BYTES
        ):
            yield from self._finish_oldest()

    def _bytes(self) -> int:
        return sum(block.part.n_samples for block in self.kept) * self.cutter.n_channels * _SAMPLE_BYTES

    # --- recovery -----------------------------------------------------------------------------------------------------

    def forget(self) -> None:
        """Drop everything: what the log no longer holds can't be completed."""
        self.kept.clear()
        self.pending.clear()

    def snapshot(self) -> LateState:
        """Return the state without blocks."""
        return late_state(offsets_of(self.kept), self.pending, self._partial_ends)

    def resume(self, state: LateState) -> None:
        """Go on from `state`; the kept blocks are still to be put back."""
        self.kept = awaited(state.kept)
        pending = zip(*map(unpacked, state.pending), strict=True)
        self.pending = [Pending(at_ns, epoch_ns, state.boots[place]) for at_ns, epoch_ns, place in pending]
        self._partial_ends = list(zip(*map(unpacked, state.partial_ends), strict=True))


def late_state(kept: bytes, pending: Sequence[Pending], partial_ends: Sequence[tuple[int, int]]) -> LateState:
    """Return what a snapshot holds."""
    boots = list(dict.fromkeys(one.boot for one in pending))
    with_places = [(at_ns, epoch_ns, boots.index(boot)) for at_ns, epoch_ns, boot in pending]
    return LateState(
        kept,
        boots,
        [packed(one_field) for one_field in zip(*with_places, strict=True)],
        [packed(one_field) for one_field in zip(*partial_ends, strict=True)],
    )
