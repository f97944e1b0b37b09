"""Where windows lie in time and how they are cut from blocks: the same whether a block came in time or late.

Invariants: windows start at the multiples of the hop after their grid's anchor, at the sample nearest to it by the
stamp of its own block; so a window's samples depend on the blocks it covers alone, not on what came before them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from processors.blocks import Buffered, Part, Samples, slack_ns

#: A window cut short is kept in quarters of the full length.
_PARTIAL_STEPS: Final = 4
FEWEST_SAMPLES: Final = 16
#: The version of a window that was cut in time, and of one that late blocks have completed.
IN_TIME: Final = 1
CORRECTED: Final = 2


@dataclass(frozen=True, slots=True)
class Window:
    """One analysis window; ``samples`` (channels × samples) is valid until the next window is taken.

    ``epoch_ns`` names the stretch of the grid whose windows share a demodulation band; ``speed_span_rpm`` is by how
    much the speed of its blocks differs.
    """

    start_ns: int
    end_ns: int
    samples: Samples
    speed_rpm: float | None
    load_ratio: float | None
    partial: bool
    epoch_ns: int
    version: int = IN_TIME
    speed_span_rpm: float = 0.0


@dataclass(frozen=True, slots=True)
class GroupWindow:
    """One window in canonical units; ``number`` counts the group's windows in time.

    One whose ``version`` isn't ``IN_TIME`` was completed by late blocks: it has features, but is judged no more.
    """

    start_ns: int
    end_ns: int
    samples_g: Samples
    speed_rpm: float | None
    load_ratio: float | None
    partial: bool
    number: int
    epoch_ns: int = 0
    version: int = IN_TIME
    speed_span_rpm: float = 0.0


@dataclass(frozen=True, slots=True)
class Grid:
    """Start times of windows: every hop after the anchor (0 before the first block), in epochs of ``epoch_windows``."""

    anchor_ns: int
    hop_s: float
    epoch_windows: int

    @property
    def laid(self) -> bool:
        """Whether a block has laid the grid."""
        return self.anchor_ns != 0

    def at_ns(self, index: int) -> int:
        """Return where window `index` starts, UTC ns.

        Examples
        --------
        >>> Grid(1_000, hop_s=0.5, epoch_windows=4).at_ns(3)
        1500001000
        """
        return self.anchor_ns + round(index * self.hop_s * 1e9)

    def epoch_ns(self, index: int) -> int:
        """Return where the epoch of window `index` starts, UTC ns."""
        return self.at_ns(index // self.epoch_windows * self.epoch_windows)

    def first_from(self, at_ns: float) -> int:
        """Return the first window that starts at `at_ns` or later."""
        index = max(0, int((at_ns - self.anchor_ns) / (self.hop_s * 1e9)) - 1)
        while self.at_ns(index) < at_ns:
            index += 1
        return index


@dataclass(frozen=True, slots=True)
class Cutter:
    """Cuts windows of `n_window` samples out of blocks in the order of time."""

    n_channels: int
    n_window: int
    sampling_rate_hz: float

    def duration_ns(self, n_samples: float) -> int:
        """Return how long `n_samples` last, ns."""
        return round(n_samples * 1e9 / self.sampling_rate_hz)

    def end_of(self, part: Part) -> int:
        """Return the time after the block's last sample, UTC ns."""
        return part.start_ns + self.duration_ns(part.n_samples)

    def sample_at(self, part: Part, at_ns: int) -> int:
        """Return which sample of `part` is nearest to `at_ns`; outside of it below 0 or from ``n_samples`` on."""
        return round((at_ns - part.start_ns) * self.sampling_rate_hz / 1e9)

    def follows(self, before: Part, part: Part) -> bool:
        """Return whether `part` goes on where `before` ends."""
        slack = slack_ns(part, self.sampling_rate_hz)
        return part.boot == before.boot and abs(part.start_ns - self.end_of(before)) <= slack

    def find(self, blocks: Sequence[Buffered], at_ns: int) -> tuple[int, int]:
        """Return the first block that reaches beyond `at_ns` and which of its samples is nearest to that time.

        The sample is below 0 where the block begins later; where no block reaches so far, it's the end of the last.
        """
        for place, buffered in enumerate(blocks):
            head = self.sample_at(buffered.part, at_ns)
            if head < buffered.part.n_samples:
                return place, head
        return len(blocks) - 1, blocks[-1].part.n_samples

    def partial_length(self, n_available: int) -> int:
        """Return how long a window cut short at `n_available` samples is kept."""
        quarter = max(self.n_window // _PARTIAL_STEPS, FEWEST_SAMPLES)
        return min(n_available, self.n_window) // quarter * quarter

    def cut(
        self, blocks: Sequence[Buffered], head: int, out: Samples, *, epoch_ns: int, version: int = IN_TIME
    ) -> Window:
        """Copy samples into `out` from sample `head` of the first block on.

        Parameters
        ----------
        blocks : sequence of Buffered
            Contiguous blocks that hold enough.
        head : int
            The window's first sample in the first block; its end for the beginning of the second.
        out : ndarray, shape (n_channels, n_samples), float32
            What to fill; shorter than a whole window for a partial one.
        epoch_ns : int
            The window's epoch.
        version : int
            ``IN_TIME`` or ``CORRECTED``.

        Returns
        -------
        window : Window
            The window; its speed and load are means weighted by samples, undefined where a block doesn't know them.
        """
        if head == blocks[0].part.n_samples:
            blocks, head = blocks[1:], 0
        n_samples = out.shape[1]
        at, skip = 0, head
        speed, load = _Mean(), _Mean()
        for buffered in blocks:
            part = buffered.part
            take = min(part.n_samples - skip, n_samples - at)
            if buffered.samples is not None:
                out[:, at : at + take] = buffered.samples[:, skip : skip + take]
            speed.add(part.speed_rpm, take)
            load.add(part.load_ratio, take)
            at, skip = at + take, 0
            if at == n_samples:
                break
        start_ns = blocks[0].part.start_ns + self.duration_ns(head)
        end_ns = start_ns + self.duration_ns(n_samples)
        partial = n_samples < self.n_window
        return Window(start_ns, end_ns, out, speed.value(), load.value(), partial, epoch_ns, version, speed.span())

    def whole(self, part: Part, samples: Samples, *, epoch_ns: int) -> Window:
        """Return a block as a window of its own (a burst)."""
        end_ns = self.end_of(part)
        return Window(part.start_ns, end_ns, samples, part.speed_rpm, part.load_ratio, False, epoch_ns)

    def empty(self, n_samples: int) -> Samples:
        """Return room for `n_samples` of every channel."""
        return np.empty((self.n_channels, n_samples), dtype=np.float32)


@dataclass(slots=True)
class _Mean:
    """A mean weighted by samples; undefined as soon as one part doesn't know its value."""

    total: float = 0.0
    weight: int = 0
    known: bool = True
    lowest: float = math.inf
    highest: float = -math.inf

    def add(self, value: float | None, weight: int) -> None:
        if value is None:
            self.known = False
            return
        self.total += value * weight
        self.weight += weight
        self.lowest, self.highest = min(self.lowest, value), max(self.highest, value)

    def value(self) -> float | None:
        return self.total / self.weight if self.known and self.weight else None

    def span(self) -> float:
        return max(0.0, self.highest - self.lowest) if self.known else 0.0
