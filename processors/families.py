"""Families of lines in an envelope spectrum, one per bearing fault frequency.

A fault line is never taken for the largest line around: a family is a base frequency within 3 % of the expected one
(slip, and differences between makers) whose harmonics stand over their local floor together. Its score is the median
of the harmonics' levels, so one chance line can't carry it. A line on a multiple of the shaft speed doesn't count for
a family: it may be the shaft's own. Where only the shaft's multiples stand out, the family is called ambiguous.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, overload

import numba
import numpy as np
import numpy.typing as npt

from processors.bearings import BearingGeometry

F64 = npt.NDArray[np.float64]
Real = npt.NDArray[np.floating[Any]]

#: A family's base lies within this share of the expected frequency.
TOLERANCE: Final = 0.03
#: Harmonics looked at.
HARMONICS: Final = 3
#: The floor of a line is the median of this many bins on either side.
_FLOOR_REACH: Final = 40
#: A line within so many bins, or this share of its frequency, of a multiple of the shaft speed may be the shaft's.
_SHAFT_BINS: Final = 2.0
_SHAFT_SHARE: Final = 0.003
#: Where the shaft's multiples stand out so much more than any other base, they are what is reported.
_SHAFT_LEAD_DB: Final = 10.0
#: Names of the families, in the order of the feature catalogue.
FAMILY_NAMES: Final = ("BPFO", "BPFI", "BSF", "FTF")


@dataclass(frozen=True, slots=True)
class LineFamily:
    """What an envelope spectrum shows at one fault frequency and its harmonics.

    Parameters
    ----------
    name : str
        ``BPFO``, ``BPFI``, ``BSF`` (its line lies at twice the spin frequency) or ``FTF``.
    frequency_hz : float
        Expected frequency of the first line.
    found_hz : float or None
        Base frequency at which the harmonics stand out most; null where undecided.
    score_db : float or None
        Median over the harmonics of the level over the local floor, dB; null where undecided.
    harmonics : tuple of (float, float)
        Frequency and level over the local floor, dB, of each harmonic within the spectrum.
    ambiguous_with : str or None
        The shaft order that the found frequency can't be told from, e.g. ``3x``.
    decided : bool
        Whether the window is long enough, and the band wide enough, to answer.
    needed_s : float or None
        Window length that could answer, where this one is too short.
    """

    name: str
    frequency_hz: float
    found_hz: float | None
    score_db: float | None
    harmonics: tuple[tuple[float, float], ...]
    ambiguous_with: str | None
    decided: bool
    needed_s: float | None

    def standing(self, limit_db: float) -> int:
        """Return how many harmonics stand at least `limit_db` over their floor."""
        return sum(level >= limit_db for _, level in self.harmonics)


@numba.njit(cache=True)
def local_floor(amplitudes: Real, at: int) -> float:
    """Return the median amplitude around bin `at`."""
    first = max(1, at - _FLOOR_REACH)
    last = min(amplitudes.size - 1, at + _FLOOR_REACH + 1)
    return np.float64(np.median(amplitudes[first:last]))


@numba.njit(cache=True)
def level_over_floor_db(amplitudes: Real, position: float, floor: float) -> float:
    """Return the level over `floor` of the line at `position` (bins, one bin of play); 0 where there is no peak."""
    return 20.0 * math.log10(_ratio_to_floor(amplitudes, position, floor))


@numba.njit(cache=True)
def _ratio_to_floor(amplitudes: Real, position: float, floor: float) -> float:
    """Return the line at `position` (bins, one bin of play) over `floor`; 1 where there is no peak.

    The skirt of a strong line next to it is no peak.
    """
    at = math.floor(position + 0.5)
    top = 0.0
    for k in range(at - 1, at + 2):
        v = amplitudes[k]
        if v > top and v >= amplitudes[k - 1] and v >= amplitudes[k + 1]:
            top = v
    ratio: float = top / floor if top > 0.0 and floor > 0.0 else 1.0
    return ratio


@numba.njit(cache=True)
def may_be_the_shaft(position: float, shaft: float) -> bool:
    """Return whether a line at `position` can't be told from a multiple of the shaft frequency (both in bins)."""
    order = math.floor(position / shaft + 0.5)
    near = max(_SHAFT_BINS, _SHAFT_SHARE * position)
    return bool(order >= 1.0 and abs(position - order * shaft) < near)


@numba.njit(cache=True)
def search_family(amplitudes: Real, expected: float, shaft: float, levels: F64, shaft_levels: F64) -> float:
    """Return the base position (bins) near `expected` whose harmonics stand out most.

    `shaft` is the shaft frequency (bins): lines on its multiples have level 0. `levels` (n_harmonics,) is filled with
    the levels over the local floor, dB, and `shaft_levels` with those at the shaft's multiple next to `expected`. The
    harmonics must lie within `amplitudes` (n_bins,).
    """
    n_harmonics = levels.size
    floors = np.empty(n_harmonics)
    trial = np.empty(n_harmonics)
    multiple = max(1.0, math.floor(expected / shaft + 0.5)) * shaft
    on_shaft = abs(multiple - expected) <= TOLERANCE * expected
    for h in range(n_harmonics):
        floors[h] = local_floor(amplitudes, math.floor((h + 1) * expected + 0.5))
        shaft_levels[h] = level_over_floor_db(amplitudes, (h + 1) * multiple, floors[h]) if on_shaft else 0.0
    step = 0.5 / n_harmonics
    steps = math.floor(TOLERANCE * expected / step)
    best = expected
    best_score = -np.inf
    best_product = -np.inf
    for s in range(-steps, steps + 1):
        base = expected + s * step
        # ratios are ordered like their levels, and their product like the sum of these: no logarithm is needed yet
        product = 1.0
        for h in range(n_harmonics):
            position = (h + 1) * base
            trial[h] = 1.0 if may_be_the_shaft(position, shaft) else _ratio_to_floor(amplitudes, position, floors[h])
            product *= trial[h]
        score = _middle(trial)
        if score > best_score or (score == best_score and product > best_product):
            best = base
            best_score = score
            best_product = product
            levels[:] = trial
    for h in range(n_harmonics):
        levels[h] = 20.0 * math.log10(levels[h])
    return best


@numba.njit(cache=True)
def _middle(ratios: F64) -> float:
    """Return the median by level of two or three ratios: of two it is their geometric mean."""
    if ratios.size == 2:
        return math.sqrt(ratios[0] * ratios[1])
    lower, upper = min(ratios[0], ratios[1]), max(ratios[0], ratios[1])
    middle: float = max(lower, min(upper, ratios[2]))
    return middle


@numba.njit(cache=True)
def search_families(
    amplitudes: Real, expected: F64, n_harmonics: npt.NDArray[np.int64], shaft: float, out: F64
) -> None:
    """Fill `out` (n_rows, n_families, 3 + HARMONICS) with what each row of `amplitudes` (n_rows, n_bins) shows.

    That is the base position (bins), the median level (dB), the shaft order that the base can't be told from (0 where
    it can), and the harmonics' levels. `expected` (n_families,) are the bases by geometry, bins; a family of fewer than
    two harmonics is left out.
    """
    for f in range(expected.size):
        n = n_harmonics[f]
        if n < 2:
            continue
        levels, shaft_levels = np.empty(n), np.empty(n)
        for r in range(amplitudes.shape[0]):
            found = out[r, f]
            found[0] = search_family(amplitudes[r], expected[f], shaft, levels, shaft_levels)
            found[1] = np.median(levels)
            found[2] = 0.0
            on_shaft = np.median(shaft_levels)
            if on_shaft > found[1] + _SHAFT_LEAD_DB:
                found[2] = max(1.0, math.floor(expected[f] / shaft + 0.5))
                found[0], found[1] = found[2] * shaft, on_shaft
                levels[:] = shaft_levels
            found[3 : 3 + n] = levels


@dataclass(frozen=True, slots=True)
class Question:
    """Which lines a bearing makes at a speed, and how many of their harmonics a spectrum can show.

    Parameters
    ----------
    expected_hz : ndarray, shape (n_families,)
        Base frequency of each family.
    n_harmonics : ndarray, shape (n_families,), int64
        How many harmonics the spectrum holds; less than two where the question can't be answered.
    needed_s : tuple of (float or None)
        Window length that could answer, where this one is too short.
    shaft_hz, bin_hz : float
        Shaft frequency and resolution.
    """

    expected_hz: F64
    n_harmonics: npt.NDArray[np.int64]
    needed_s: tuple[float | None, ...]
    shaft_hz: float
    bin_hz: float

    @classmethod
    def of(cls, geometry: BearingGeometry, speed_rpm: float, bin_hz: float, n_bins: int) -> "Question":
        """Return the question for spectra of `n_bins` bins."""
        shaft_hz = speed_rpm / 60.0
        orders = geometry.orders
        expected_hz = shaft_hz * np.array([orders.bpfo, orders.bpfi, 2.0 * orders.bsf, orders.ftf])
        needed_s = 1.0 / (TOLERANCE * expected_hz)
        too_short = needed_s * bin_hz > 1.0
        within = ((n_bins - 4) * bin_hz / (expected_hz * (1.0 + TOLERANCE))).astype(np.int64)
        harmonics = np.where(too_short, 0, np.clip(within, 0, HARMONICS))
        needed = tuple(float(s) if short else None for s, short in zip(needed_s, too_short, strict=True))
        return cls(expected_hz, harmonics, needed, shaft_hz, bin_hz)

    @property
    def answerable(self) -> bool:
        """Whether any family can be looked for."""
        return bool((self.n_harmonics >= 2).any())

    def answer(self, amplitudes: Real) -> F64:
        """Return what each row of `amplitudes` shows, as `search_families` fills it; NaN where undecided."""
        found = np.full((amplitudes.shape[0], len(FAMILY_NAMES), 3 + HARMONICS), np.nan)
        expected = self.expected_hz / self.bin_hz
        search_families(amplitudes, expected, self.n_harmonics, self.shaft_hz / self.bin_hz, found)
        return found

    def families(self, found: F64) -> tuple[LineFamily, ...]:
        """Return one row of the answer as families."""
        return tuple(self._family(index, row.tolist()) for index, row in enumerate(found))

    def _family(self, index: int, found: Sequence[float]) -> LineFamily:
        name, expected_hz = FAMILY_NAMES[index], float(self.expected_hz[index])
        if math.isnan(found[0]):
            return LineFamily(name, expected_hz, None, None, (), None, decided=False, needed_s=self.needed_s[index])
        base_hz = found[0] * self.bin_hz
        levels = found[3 : 3 + int(self.n_harmonics[index])]
        return LineFamily(
            name,
            expected_hz,
            base_hz,
            found[1],
            tuple((base_hz * (h + 1), level) for h, level in enumerate(levels)),
            f"{int(found[2])}x" if found[2] else None,
            decided=True,
            needed_s=None,
        )


class FamiliesOfChannels(Sequence[tuple[LineFamily, ...]]):
    """The families of every channel of a window, each put into words when it is asked for.

    Parameters
    ----------
    n_channels : int
        Number of channels; those without an answer have no families.
    """

    def __init__(self, n_channels: int) -> None:
        self._answers: list[tuple[Question, F64] | None] = [None] * n_channels

    def answer(self, channel: int, question: Question, found: F64) -> None:
        """Take one channel's row of an answer."""
        self._answers[channel] = (question, found)

    @overload
    def __getitem__(self, index: int) -> tuple[LineFamily, ...]: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[tuple[LineFamily, ...], ...]: ...
    def __getitem__(self, index: int | slice) -> tuple[LineFamily, ...] | tuple[tuple[LineFamily, ...], ...]:
        if isinstance(index, slice):
            return tuple(self[c] for c in range(len(self))[index])
        answer = self._answers[index]
        return () if answer is None else answer[0].families(answer[1])

    def __len__(self) -> int:
        return len(self._answers)


def find_families(
    amplitudes: Real, bin_hz: float, geometry: BearingGeometry, speed_rpm: float
) -> tuple[LineFamily, ...]:
    """Return the families of a bearing in one envelope spectrum.

    Parameters
    ----------
    amplitudes : ndarray, shape (n_bins,)
        Squared envelope spectrum.
    bin_hz : float
        Its resolution: one over the window's length.
    geometry : BearingGeometry
        The bearing.
    speed_rpm : float
        Shaft speed, positive.

    Returns
    -------
    families : tuple of LineFamily
        BPFO, BPFI, BSF and FTF.
    """
    question = Question.of(geometry, speed_rpm, bin_hz, amplitudes.size)
    return question.families(question.answer(amplitudes[np.newaxis])[0])


def bins_needed(bin_hz: float, geometry: BearingGeometry, speed_rpm: float) -> int:
    """Return how many bins of an envelope spectrum `find_families` looks at."""
    orders = geometry.orders
    highest_hz = max(orders.bpfo, orders.bpfi, 2.0 * orders.bsf) * speed_rpm / 60.0
    return math.ceil(HARMONICS * (1.0 + TOLERANCE) * highest_hz / bin_hz) + _FLOOR_REACH + 4
