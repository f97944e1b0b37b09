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

import numpy as np
import numpy.typing as npt

from contracts.records import NotDecided
from processors.bearings import BearingGeometry
from processors.line_levels import FLOOR_REACH, TOLERANCE
from processors.line_search import HARMONICS, N_FOUND, search_families

F64 = npt.NDArray[np.float64]
Real = npt.NDArray[np.floating[Any]]

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
    foreign_hz : float or None
        Lines at this frequency's multiples belong to another comb and don't count; null where there is none.
    """

    name: str
    frequency_hz: float
    found_hz: float | None
    score_db: float | None
    harmonics: tuple[tuple[float, float], ...]
    ambiguous_with: str | None
    decided: bool
    needed_s: float | None
    foreign_hz: float | None = None

    def standing(self, limit_db: float) -> int:
        """Return how many harmonics stand at least `limit_db` over their floor."""
        return sum(level >= limit_db for _, level in self.harmonics)


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
    own_hz : ndarray, shape (n_families, 2)
        Frequencies of the bearing of which each family's may be a multiple.
    shaft_hz, bin_hz : float
        Shaft frequency and resolution.
    """

    expected_hz: F64
    n_harmonics: npt.NDArray[np.int64]
    needed_s: tuple[float | None, ...]
    own_hz: F64
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
        against_cage = geometry.shaft_ratio - orders.ftf
        own_hz = shaft_hz * np.array([(orders.ftf, own) for own in (orders.ftf, against_cage, orders.bsf, orders.ftf)])
        return cls(expected_hz, harmonics, needed, own_hz, shaft_hz, bin_hz)

    @property
    def answerable(self) -> bool:
        """Whether any family can be looked for."""
        return bool((self.n_harmonics >= 2).any())

    def answer(self, amplitudes: Real) -> F64:
        """Return what each row of `amplitudes` shows, as `search_families` fills it; NaN where undecided."""
        found = np.full((amplitudes.shape[0], len(FAMILY_NAMES), N_FOUND), np.nan)
        expected, own = self.expected_hz / self.bin_hz, self.own_hz / self.bin_hz
        search_families(amplitudes, expected, self.n_harmonics, self.shaft_hz / self.bin_hz, own, found)
        return found

    def families(self, found: F64) -> tuple[LineFamily, ...]:
        """Return one row of the answer as families."""
        return tuple(self._family(index, row.tolist()) for index, row in enumerate(found))

    def _family(self, index: int, found: Sequence[float]) -> LineFamily:
        name, expected_hz = FAMILY_NAMES[index], float(self.expected_hz[index])
        if math.isnan(found[0]):
            return LineFamily(name, expected_hz, None, None, (), None, decided=False, needed_s=self.needed_s[index])
        base_hz = found[0] * self.bin_hz
        levels = found[N_FOUND - HARMONICS :][: int(self.n_harmonics[index])]
        return LineFamily(
            name,
            expected_hz,
            base_hz,
            found[1],
            tuple((base_hz * (h + 1), level) for h, level in enumerate(levels)),
            f"{int(found[2])}x" if found[2] else None,
            decided=True,
            needed_s=None,
            foreign_hz=found[3] * self.bin_hz if found[3] else None,
        )


class FamiliesOfChannels(Sequence[tuple[LineFamily, ...]]):
    """The families of every channel of a window, each put into words when it is asked for.

    Parameters
    ----------
    n_channels : int
        Number of channels; those without an answer have no families.
    """

    def __init__(self, n_channels: int) -> None:
        self._answers: list[tuple[Question, F64] | tuple[LineFamily, ...]] = [()] * n_channels

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
        if answer and isinstance(answer[0], Question):
            question, found = answer
            answer = self._answers[index] = question.families(found)
        return answer

    def __len__(self) -> int:
        return len(self._answers)

    def heard(self, limit_db: float, harmonics: int) -> list[tuple[LineFamily, ...]]:
        """Return each channel's families where any of them has so many harmonics over a bound, else none.

        Most windows of most channels have none: no words are found for them.
        """
        return [
            self[c] if answer and _any_stands(answer, limit_db, harmonics) else ()
            for c, answer in enumerate(self._answers)
        ]

    def undecided(self, channel: int) -> tuple[NotDecided, ...]:
        """Return the families of a channel that this window can't show, and the length that could."""
        answer = self._answers[channel]
        if not answer:
            return ()
        if isinstance(answer[0], Question):
            question, found = answer
            bases: list[float] = found[:, 0].tolist()
            families = zip(FAMILY_NAMES, question.needed_s, bases, strict=True)
            return tuple([NotDecided(name=name, needed_s=s) for name, s, base in families if math.isnan(base)])
        return tuple([NotDecided(name=one.name, needed_s=one.needed_s) for one in answer if not one.decided])


def _any_stands(answer: tuple[Question, F64] | tuple[LineFamily, ...], limit_db: float, harmonics: int) -> bool:
    if isinstance(answer[0], Question):
        levels_of_families: list[list[float]] = answer[1][:, N_FOUND - HARMONICS :].tolist()
        return any(sum([level >= limit_db for level in levels]) >= harmonics for levels in levels_of_families)
    return any(family.standing(limit_db) >= harmonics for family in answer)


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
    return math.ceil(HARMONICS * (1.0 + TOLERANCE) * highest_hz / bin_hz) + FLOOR_REACH + 4
