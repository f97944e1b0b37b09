"""Modulation at the cage frequency: the mark of one rolling element that differs from the others.

The cage carries a damaged element through the load zone once a turn of its own, so the envelope swells at the cage
frequency and its multiples. The element's own line (twice its spin) needs the damage to meet both races, and an element
that also slips and tilts often shows no such line: then the cage's comb is all there is. A worn cage looks the same.

One strong line proves nothing here: the cage's harmonics lie so densely that some machine line is always near. So the
comb's mean level is held against combs of other spacings in the same spectrum, which meet the same lines by chance.
The comb is looked for in the plain spectrum and in the pre-whitened one, where the lines of shafts and gears are no
stronger than noise; so is the line of a race, which a real defect of a race leaves there too.

R. B. Randall, N. Sawalhi, M. Coats, "A comparison of methods for separation of deterministic and random signals",
Int. J. Condition Monitoring 1 (2011), 11-19; W. A. Smith, R. B. Randall, "Rolling element bearing diagnostics using the
Case Western Reserve University data: a benchmark study", MSSP 64-65 (2015), 100-131.
"""

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from processors.bearings import BearingGeometry
from processors.foreign_combs import foreign_comb
from processors.kernel import kernel
from processors.line_levels import TOLERANCE, highest_peaks, local_floor, may_be_the_shaft, ratio_to_floor

F64 = npt.NDArray[np.float64]
Real = npt.NDArray[np.floating[Any]]
Complex = npt.NDArray[np.complexfloating[Any, Any]]

#: Harmonics in the comb.
HARMONICS: Final = 6
#: A line counts up to this level, so that one alone can't carry the comb.
_LEVEL_CAP_DB: Final = 20.0
#: A comb stands out by so many standard deviations of the combs that aren't there. In noise 1 in 1000 would.
SIGNIFICANT: Final = 5.0
#: Without a part of its lines it still stands out by so many.
_EVEN: Final = 3.0
_COARSER: Final = (2, 3)
#: Spacings of the chance combs, over the cage frequency; those near simple ratios share lines with the cage's comb.
_CHANCE_RANGE: Final = (0.62, 1.6)
_N_CHANCE: Final = 96
_SIMPLE_RATIOS: Final = (2.0 / 3.0, 3.0 / 4.0, 1.0, 4.0 / 3.0, 3.0 / 2.0)
_RATIO_REACH: Final = 0.06
#: Chance combs of fewer bins scatter less than the estimate of their scatter is worth, dB.
_LEAST_SCATTER_DB: Final = 0.5


@dataclass(frozen=True, slots=True)
class CageComb:
    """What an envelope spectrum shows at multiples of the cage frequency.

    Parameters
    ----------
    expected_hz, found_hz : float
        Cage frequency by the geometry, and where the comb stands out most.
    harmonics : tuple of (float, float)
        Frequency and level over the local floor, dB, of each harmonic.
    score_db : float
        Mean of the levels, each capped.
    chance_db : float
        What combs of other spacings reach on average.
    significance : float
        By how many of their standard deviations the comb exceeds that.
    evenness : float
        The same without every second or without every third line, whichever is less: a comb of twice or three times
        the cage frequency has no others.
    foreign_hz : float or None
        The comb of another source, of which this one is every second, third … line; null where there is none.
    """

    expected_hz: float
    found_hz: float
    harmonics: tuple[tuple[float, float], ...]
    score_db: float
    chance_db: float
    significance: float
    evenness: float
    foreign_hz: float | None

    @property
    def stands(self) -> bool:
        """Whether the comb is no chance, and the cage's."""
        return self.significance >= SIGNIFICANT and self.evenness >= _EVEN and self.foreign_hz is None


def prewhiten(spectrum: Complex) -> Complex:
    """Return a spectrum whose every bin has magnitude 1 (or 0): cepstral pre-whitening.

    It leaves the phases alone, so impulses stay and steady lines sink into the noise.
    """
    magnitudes = np.sqrt(spectrum.real**2 + spectrum.imag**2)
    whitened: Complex = np.zeros_like(spectrum)
    np.divide(spectrum, magnitudes, out=whitened, where=magnitudes > 0)
    return whitened


def bins_needed(bin_hz: float, geometry: BearingGeometry, speed_rpm: float) -> int:
    """Return how many bins of an envelope spectrum `find_cage_comb` looks at."""
    cage_hz = geometry.orders.ftf * speed_rpm / 60.0
    return math.ceil(HARMONICS * (1.0 + TOLERANCE) * _CHANCE_RANGE[1] * cage_hz / bin_hz) + 48


def find_cage_comb(amplitudes: Real, bin_hz: float, geometry: BearingGeometry, speed_rpm: float) -> CageComb | None:
    """Return the comb at the cage frequency, or nothing where the spectrum is too coarse or too short for it.

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
    comb : CageComb or None
        The comb with its significance.
    """
    shaft_hz = speed_rpm / 60.0
    expected_hz = geometry.orders.ftf * shaft_hz
    if bin_hz > TOLERANCE * expected_hz or amplitudes.size < bins_needed(bin_hz, geometry, speed_rpm):
        return None
    expected, shaft = expected_hz / bin_hz, shaft_hz / bin_hz
    levels = np.empty(HARMONICS)
    found = search_comb(amplitudes, expected, shaft, levels)
    score = _mean_level(levels)
    chance = _chance_scores(amplitudes, expected, shaft)
    chance_db, scatter_db = float(chance.mean()), max(float(chance.std()), _LEAST_SCATTER_DB)
    spacing = foreign_comb(amplitudes, found, levels, shaft)
    return CageComb(
        expected_hz,
        found * bin_hz,
        tuple((found * bin_hz * (h + 1), level) for h, level in enumerate(levels.tolist())),
        score,
        chance_db,
        (score - chance_db) / scatter_db,
        (_least_without(levels, found, shaft) - chance_db) / scatter_db,
        spacing * bin_hz if spacing else None,
    )


def _mean_level(levels: F64) -> float:
    return float(np.minimum(levels, _LEVEL_CAP_DB).mean())


def _least_without(levels: F64, base: float, shaft: float) -> float:
    """Return the mean level without every second line, or without every third, whichever is lower."""
    numbers = np.arange(1, levels.size + 1)
    asked = np.array([not may_be_the_shaft(number * base, shaft) for number in numbers.tolist()])
    kept = [asked & (numbers % each > 0) for each in _COARSER]
    return min((_mean_level(levels[lines]) for lines in kept if lines.any()), default=0.0)


def _chance_scores(amplitudes: Real, expected: float, shaft: float) -> F64:
    """Return what combs of other spacings reach."""
    spacings = _chance_spacings()
    scores, levels = np.empty(spacings.size), np.empty(HARMONICS)
    for index, spacing in enumerate(spacings):
        search_comb(amplitudes, spacing * expected, shaft, levels)
        scores[index] = _mean_level(levels)
    return scores


def _chance_spacings() -> F64:
    spacings = np.geomspace(*_CHANCE_RANGE, _N_CHANCE)
    near = np.abs(spacings[:, np.newaxis] / np.array(_SIMPLE_RATIOS) - 1.0).min(axis=1)
    kept: F64 = spacings[near > _RATIO_REACH]
    return kept


@kernel()
def search_comb(amplitudes: Real, expected: float, shaft: float, levels: F64) -> float:
    """Return the base position (bins) near `expected` whose harmonics have the highest mean level.

    `levels` (n_harmonics,) is filled with their levels, dB. `shaft` is the shaft frequency (bins): lines on its
    multiples have level 0.
    """
    n_harmonics = levels.size
    peaks = np.empty_like(amplitudes)
    highest_peaks(amplitudes, np.empty_like(amplitudes), peaks)
    floors = np.empty(n_harmonics)
    trial = np.empty(n_harmonics)
    for h in range(n_harmonics):
        floors[h] = local_floor(amplitudes, math.floor((h + 1) * expected + 0.5))
    step = 0.5 / n_harmonics
    steps = math.floor(TOLERANCE * expected / step)
    best = expected
    best_score = -np.inf
    for s in range(-steps, steps + 1):
        base = expected + s * step
        score = 0.0
        for h in range(n_harmonics):
            position = (h + 1) * base
            level = 0.0
            if not may_be_the_shaft(position, shaft):
                level = 20.0 * math.log10(ratio_to_floor(peaks, position, floors[h]))
            trial[h] = level
            score += min(level, _LEVEL_CAP_DB)
        if score > best_score:
            best = base
            best_score = score
            levels[:] = trial
    return best
