"""One race or both: what the log envelope of the whole range says about where the impacts come from.

A defect of a race shows that race's lines. A damaged rolling element meets both races, marks both, and shows the lines
of both at once, often without its own. The two lines belong together only if they tell of the same cage speed: whatever
the slip and the contact angle are, BPFO + BPFI is the number of elements times the shaft speed. Lines of the machine
that happen to lie near a race's don't keep that.

The squared envelope can't answer this: a few large knocks fill its spectrum, and its clearest band shows what is
clearest, not what is there. The logarithm counts the small impacts beside the large ones.

P. Borghesani, J. Antoni, "CS2 analysis in presence of non-Gaussian background noise", MSSP 90 (2017), 378-398.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from contracts.records import Diagnosis, Evidence
from processors.bearings import BearingGeometry
from processors.diagnosis import BEARING_FAULTS
from processors.families import LineFamily

Real = npt.NDArray[np.floating[Any]]

#: Both races must stand so high, in windows of any length. In noise with shafts and tones 1 in 1000 pairs does
#: (simulated).
_PAIR_DB: Final = 12.0
#: A race that stands so far above the other one has a defect of its own.
_RACE_LEAD_DB: Final = 10.0
#: Two lines of one bearing agree to this share, about what a speed reading is worth,
_AGREEMENT: Final = 0.003
#: or to so many bins of the spectrum.
_AGREEMENT_BINS: Final = 1.0
#: The cage's speed over the expected one: slip slows it down, a contact angle under thrust speeds it up.
_CAGE_RANGE: Final = (-0.03, 0.015)
#: So far above the other race in the clearest band, a race is confirmed.
_CONFIRMED_DB: Final = 6.0
_HIGHEST_CONFIDENCE: Final = 0.75
#: Smallest envelope that has a logarithm of its own, over the mean.
_SMALLEST: Final = 1e-12


@dataclass(frozen=True, slots=True)
class RacePair:
    """The lines of both races, seen together in one spectrum."""

    outer: LineFamily
    inner: LineFamily

    @property
    def score_db(self) -> float:
        """Return the level of the lower one."""
        return min(_score(self.outer), _score(self.inner))

    @property
    def lead_db(self) -> float:
        """Return by how much the higher one leads."""
        return abs(_score(self.outer) - _score(self.inner))

    def confirms(self, name: str, families: Sequence[LineFamily]) -> bool:
        """Return whether `name` is the one race of the clearest band, at the frequency where the pair has it.

        Parameters
        ----------
        name : str
            The race, ``BPFO`` or ``BPFI``.
        families : sequence of LineFamily
            What the clearest band shows.

        Returns
        -------
        confirmed : bool
            False where that band shows the other race nearly as high, or a line that isn't the bearing's.
        """
        mine, other = (self.outer, self.inner) if name == "BPFO" else (self.inner, self.outer)
        seen = {family.name: family for family in families}
        here, rival = seen[mine.name], seen[other.name]
        return same_line(here, mine) and _score(here) >= _score(rival) + _CONFIRMED_DB


def same_line(one: LineFamily, other: LineFamily) -> bool:
    """Return whether two spectra have a family at the same base frequency."""
    if one.found_hz is None or other.found_hz is None:
        return False
    return abs(one.found_hz - other.found_hz) <= _AGREEMENT * one.frequency_hz


def log_envelope(squared: Real) -> Real:
    """Return the logarithm of squared envelopes; where one vanishes, that of a trillionth of its mean.

    Parameters
    ----------
    squared : ndarray, shape (n_channels, m)
        Squared envelopes.

    Returns
    -------
    logarithms : ndarray, shape (n_channels, m)
        Natural logarithms; zero where a channel is silent.

    Examples
    --------
    >>> log_envelope(np.array([[1.0, 1.0], [0.0, 0.0]])).tolist()
    [[0.0, 0.0], [0.0, 0.0]]
    """
    floor = _SMALLEST * squared.mean(axis=1, keepdims=True)
    logarithms: Real = np.log(np.where(floor > 0, np.maximum(squared, floor), squared.dtype.type(1.0)))
    return logarithms


def find_pair(
    families: Sequence[LineFamily], bin_hz: float, geometry: BearingGeometry, speed_rpm: float
) -> RacePair | None:
    """Return the lines of both races, where both stand, neither far above the other, and with one cage speed.

    Lines that may be the shaft's prove nothing: three and five times its speed would often pass for such a pair.

    Parameters
    ----------
    families : sequence of LineFamily
        The bearing's lines in the spectrum of a log envelope.
    bin_hz : float
        Resolution of that spectrum.
    geometry : BearingGeometry
        The bearing.
    speed_rpm : float
        Shaft speed, positive.

    Returns
    -------
    pair : RacePair or None
        The two races.
    """
    seen = {family.name: family for family in families}
    outer, inner = seen["BPFO"], seen["BPFI"]
    if outer.found_hz is None or inner.found_hz is None or outer.ambiguous_with or inner.ambiguous_with:
        return None
    pair = RacePair(outer, inner)
    together_hz = geometry.n_elements * speed_rpm / 60.0
    miss_hz = abs(outer.found_hz + inner.found_hz - together_hz)
    cage = outer.found_hz / outer.frequency_hz - 1.0
    agrees = miss_hz <= max(_AGREEMENT * together_hz, _AGREEMENT_BINS * bin_hz)
    possible = _CAGE_RANGE[0] <= cage <= _CAGE_RANGE[1]
    return pair if agrees and possible and pair.score_db >= _PAIR_DB and pair.lead_db <= _RACE_LEAD_DB else None


def middle_pair(pairs: Sequence[RacePair | None]) -> RacePair | None:
    """Return the middle one of the windows' pairs, or nothing unless most windows have one."""
    found = sorted((pair for pair in pairs if pair is not None), key=lambda pair: pair.score_db)
    return found[(len(found) - 1) // 2] if 2 * len(found) > len(pairs) else None


def both_races(pair: RacePair, found: Diagnosis | None, point_id: str) -> Diagnosis:
    """Return the diagnosis of a damaged rolling element, with both races as its evidence."""
    confidence = 0.5 + 0.02 * (pair.score_db - _PAIR_DB) + 0.01 * (_RACE_LEAD_DB - pair.lead_db)
    return Diagnosis(
        point_id=point_id,
        channel_id=point_id,
        fault=BEARING_FAULTS["BSF"],
        confidence=round(min(confidence, _HIGHEST_CONFIDENCE), 3),
        evidence=(
            *(_evidence(family) for family in (pair.outer, pair.inner)),
            *(found.evidence if found is not None else ()),
        ),
    )


def _evidence(family: LineFamily) -> Evidence:
    text = (
        f"{family.name} {family.found_hz:.1f} Hz: {_score(family):.1f} dB over the floor of the whole range's log"
        " envelope, together with the other race at the same cage speed: what passes both is a rolling element"
    )
    return Evidence(
        name=family.name,
        value=round(_score(family), 2),
        unit="dB",
        limit=_PAIR_DB,
        frequency_hz=family.found_hz,
        text=text,
    )


def _score(family: LineFamily) -> float:
    return statistics.median(level for _, level in family.harmonics) if family.harmonics else 0.0
