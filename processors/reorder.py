"""Blocks in the order of event time: duplicates dropped, gaps declared, late blocks set aside and counted.

Contiguous blocks pass at once. A block that leaves a gap is held until what is missing has come, or until the
out-of-order tolerance says that it won't: then the run breaks, and a new one begins after the hole.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

import msgspec

from processors.blocks import Buffered, Part, awaited, offsets_of, slack_ns
from processors.few_bytes import packed, unpacked

#: Ranges of lost sequence numbers that are remembered for a boot, to tell late blocks from duplicates.
MISSING_RANGES: Final = 32
#: Former boots whose sequence numbers are remembered, for the same reason, each with so many ranges.
FORMER_BOOTS: Final = 4
FORMER_RANGES: Final = 8


@dataclass(frozen=True, slots=True)
class Hole:
    """A span without samples, and why: ``lost``, ``restart``, ``idle`` or ``retention``.

    ``late`` and ``too_late`` name spans whose samples came after the out-of-order tolerance, and after the lateness.
    """

    from_ns: int
    to_ns: int
    cause: str


class BootState(msgspec.Struct, array_like=True):
    """What a snapshot holds of a boot: ``missing`` are first and last sequence numbers, in few bytes."""

    boot: bytes
    last_sequence: int
    missing: bytes


@dataclass(slots=True)
class Boot:
    """Which sequence numbers of one boot of a device have been taken."""

    boot: bytes
    last_sequence: int = -1
    missing: list[tuple[int, int]] = field(default_factory=list)
    most_missing: int = MISSING_RANGES

    def knows(self, sequence: int) -> bool:
        """Return whether `sequence` has been taken."""
        lost = any(first <= sequence <= last for first, last in self.missing)
        return sequence <= self.last_sequence and not lost

    def take(self, sequence: int) -> None:
        """Note `sequence` as taken, and what it leaves out as missing."""
        if sequence > self.last_sequence:
            if sequence > self.last_sequence + 1:
                self.missing.append((self.last_sequence + 1, sequence - 1))
                self.keep(self.most_missing)
            self.last_sequence = sequence
            return
        left = []
        for first, last in self.missing:
            inside = first <= sequence <= last
            pieces = [(first, sequence - 1), (sequence + 1, last)] if inside else [(first, last)]
            left += [(low, high) for low, high in pieces if low <= high]
        self.missing = left
        self.keep(self.most_missing)

    def keep(self, most_missing: int) -> None:
        """Remember so many missing ranges from now on, the newest of them."""
        self.most_missing = most_missing
        del self.missing[:-most_missing]

    def snapshot(self) -> BootState:
        """Return the state; how many ranges are remembered follows from the boot's place."""
        return BootState(self.boot, self.last_sequence, packed(chain.from_iterable(self.missing)))


class ReorderState(msgspec.Struct, array_like=True):
    """What a snapshot holds: boots, the current one first, and the offsets of held blocks, in few bytes."""

    boots: list[BootState]
    end_ns: int
    running: bool
    held: bytes


@dataclass(slots=True)
class Reorder:
    """Put the blocks of one channel group in order.

    ``push``, ``tick``, ``stop`` and ``end`` yield blocks in order, and ``None`` where the run of contiguous samples
    breaks. What is older than the newest block that has passed is left in ``late``.

    Parameters
    ----------
    sampling_rate_hz : float
        Sampling rate, Hz.
    tolerance_s : float
        How much newer (event time) a block may be than a missing one before that is given up, s.
    """

    sampling_rate_hz: float
    tolerance_s: float
    boot: Boot = field(default_factory=lambda: Boot(b""))
    end_ns: int = 0
    running: bool = False
    duplicates: int = 0
    holes: list[Hole] = field(default_factory=list)
    held: list[Buffered] = field(default_factory=list)
    late: list[Buffered] = field(default_factory=list)
    _former: list[Boot] = field(default_factory=list)

    def push(self, new: Buffered) -> Iterator[Buffered | None]:
        """Take a block; yield what can go on."""
        part = new.part
        boot = self._boot_of(part)
        if self.is_known(part):
            self.duplicates += 1
        elif part.start_ns < self.end_ns - slack_ns(part, self.sampling_rate_hz):
            if boot is None:  # the device has started again with its clock set back
                yield from self._give_up_all()
                yield from self._append(new)
            else:
                boot.take(part.sequence)
                self.late.append(new)
        elif self._passes(part):
            yield from self._append(new)
            yield from self._drain()
        else:
            self._hold(new)
            while self.held and self._waited_ns() > self.tolerance_s * 1e9:
                yield from self._give_up()

    def tick(self, idle_s: float) -> Iterator[Buffered | None]:
        """Give up on what hasn't come while the device was silent for `idle_s`."""
        if idle_s >= self.tolerance_s:
            yield from self._give_up_all()

    def stop(self) -> Iterator[None]:
        """End the run: whatever comes next begins a new one."""
        if self.running:
            self.running = False
            yield None

    def end(self) -> Iterator[Buffered | None]:
        """Give up on everything that is missing, and end the run."""
        yield from self._give_up_all()
        yield from self.stop()

    def note(self, part: Part) -> None:
        """Take a block that stands alone (a burst)."""
        self._enter(part)
        self.boot.take(part.sequence)
        self.end_ns = max(self.end_ns, self.end_of(part))

    def is_known(self, part: Part) -> bool:
        """Return whether a block with this sequence number of this boot has been taken before."""
        if any(part.sequence == h.part.sequence and part.boot == h.part.boot for h in self.held):
            return True
        boot = self._boot_of(part)
        return boot is not None and boot.knows(part.sequence)

    def end_of(self, part: Part) -> int:
        """Return the time after the block's last sample, UTC ns."""
        return part.start_ns + round(part.n_samples * 1e9 / self.sampling_rate_hz)

    # --- what passes --------------------------------------------------------------------------------------------------

    def _passes(self, part: Part) -> bool:
        """Return whether nothing can be missing before `part`, by its time or by its sequence number."""
        if not self.end_ns:
            return part.sequence == 0
        in_sequence = part.boot == self.boot.boot and part.sequence == self.boot.last_sequence + 1
        return in_sequence or abs(part.start_ns - self.end_ns) <= slack_ns(part, self.sampling_rate_hz)

    def _hold(self, new: Buffered) -> None:
        self.held.append(new)
        self.held.sort(key=lambda buffered: buffered.part.start_ns)

    def _waited_ns(self) -> int:
        """Return how far the newest held block is ahead of what is missing."""
        newest_ns = self.end_of(self.held[-1].part)
        return newest_ns - (self.end_ns or self.held[0].part.start_ns)

    def _give_up(self) -> Iterator[Buffered | None]:
        """Give up on what is missing before the oldest held block, and go on there."""
        yield from self._append(self.held.pop(0))
        yield from self._drain()

    def _give_up_all(self) -> Iterator[Buffered | None]:
        while self.held:
            yield from self._give_up()

    def _drain(self) -> Iterator[Buffered | None]:
        while self.held and self._passes(self.held[0].part):
            yield from self._append(self.held.pop(0))

    def _append(self, new: Buffered) -> Iterator[Buffered | None]:
        """Take a block as the newest; one that doesn't follow on breaks the run and leaves a hole before it."""
        part = new.part
        slack = slack_ns(part, self.sampling_rate_hz)
        restarted = bool(self.end_ns) and part.boot != self.boot.boot
        if self.end_ns and (restarted or abs(part.start_ns - self.end_ns) > slack):
            yield from self.stop()
            paused = part.sequence == self.boot.last_sequence + 1
            new.after = "restart" if restarted else "idle" if paused else "lost"
            if part.start_ns > self.end_ns + slack:
                self.holes.append(Hole(self.end_ns, part.start_ns, new.after))
        self._enter(part)
        self.boot.take(part.sequence)
        self.end_ns = self.end_of(part)
        self.running = True
        yield new

    # --- boots --------------------------------------------------------------------------------------------------------

    def _boot_of(self, part: Part) -> Boot | None:
        if self.boot.boot == part.boot:
            return self.boot
        return next((boot for boot in self._former if boot.boot == part.boot), None)

    def _enter(self, part: Part) -> None:
        """Make the block's boot the current one."""
        if part.boot == self.boot.boot:
            return
        boot = self._boot_of(part)
        if boot is None:  # of the very first boot nothing is known from before its first block
            boot = Boot(part.boot, -1 if self.end_ns else part.sequence - 1)
        former = [*self._former, self.boot] if self.end_ns else []
        self.boot.keep(FORMER_RANGES)
        self._former = [one for one in former if one is not boot][-FORMER_BOOTS:]
        boot.keep(MISSING_RANGES)
        self.boot = boot

    # --- recovery -----------------------------------------------------------------------------------------------------

    def snapshot(self) -> ReorderState:
        """Return the state without blocks."""
        boots = [one.snapshot() for one in (self.boot, *self._former)]
        return ReorderState(boots, self.end_ns, self.running, offsets_of(self.held))

    def resume(self, state: ReorderState, from_ns: int) -> None:
        """Go on from `state`; the held blocks, none older than `from_ns`, are still to be put back."""
        boots: list[Boot] = []
        for one in state.boots:
            numbers = iter(unpacked(one.missing))
            most = FORMER_RANGES if boots else MISSING_RANGES
            boots.append(Boot(one.boot, one.last_sequence, list(zip(numbers, numbers, strict=True)), most))
        self.boot, *self._former = boots
        self.end_ns, self.running = state.end_ns, state.running
        self.held = awaited(state.held, from_ns)
