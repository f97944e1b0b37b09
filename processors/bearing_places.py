"""Where a bearing fault sits that several channels hear: the impacts of one bearing pass through the whole machine."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from contracts.assets import MeasurementPoint
from contracts.features import FEATURE_INDEX
from contracts.records import Diagnosis, Evidence
from processors.diagnosis import BEARING_FAULTS

F32 = npt.NDArray[np.float32]

#: Lines this close (as a share of the frequency) are one line: the width of a fault family.
_SAME_LINE: Final = 0.03
#: A bearing fault this much less over the floor than another at a louder channel is that other's echo (dB).
_OUTSHONE_DB: Final = 6.0
#: A place within this share (3 dB) of the loudest keeps a fault that is suspected there; the first of several does.
STAYS: Final = 0.7
_MOST_ECHOES: Final = 3


def place_bearing_faults(
    points: Sequence[MeasurementPoint],
    values: F32,
    single: Sequence[Diagnosis | None],
    suspected: Callable[[str], bool],
) -> list[Diagnosis]:
    """Return one diagnosis per bearing fault, at its place.

    Parameters
    ----------
    points : sequence of MeasurementPoint
        Where each channel measures.
    values : ndarray, shape (n_channels, len(FEATURES)), float32
        Features of the window.
    single : sequence of Diagnosis or None
        Per channel a sensor or a bearing fault, if there is one.
    suspected : callable
        Tells of a point id whether a fault is suspected there already: between places that are nearly as loud it stays
        there.
    """
    heard = [
        (float(values[row, FEATURE_INDEX["peak_g"]]), row, found)
        for row, found in enumerate(single)
        if found is not None and found.fault in BEARING_FAULTS.values()
    ]
    heard.sort(key=lambda entry: (-entry[0], entry[1]))
    placed = []
    while heard:
        loudest = heard[0]
        echoes = [entry for entry in heard[1:] if _is_echo(points, entry, loudest)]
        alike = [entry for entry in echoes if entry[2].fault == loudest[2].fault and entry[0] >= STAYS * loudest[0]]
        place = next((entry for entry in (loudest, *alike) if suspected(entry[2].point_id)), loudest)
        others = [entry for entry in (loudest, *echoes) if entry is not place]
        placed.append((place[1], _with_echoes(place[2], [other for _, _, other in others])))
        heard = [entry for entry in heard[1:] if entry not in echoes]
    return [found for _, found in sorted(placed, key=lambda entry: entry[0])]


def _is_echo(
    points: Sequence[MeasurementPoint], heard: tuple[float, int, Diagnosis], loudest: tuple[float, int, Diagnosis]
) -> bool:
    """Return whether a bearing fault is another's that is heard here.

    It is the same fault if it is the same bearing's, or has the same frequency. It is taken for the same, under
    another name or frequency, if it stands so far less out here: another bearing's lines are near by chance.
    """
    peak, row, found = heard
    loudest_peak, loudest_row, other = loudest
    if found.fault == other.fault:
        own_hz = _frequency_hz(found)
        one, two = points[row], points[loudest_row]
        same_bearing = one.location == two.location and one.bearing == two.bearing
        if same_bearing or abs(_frequency_hz(other) - own_hz) <= _SAME_LINE * own_hz:
            return True
    return peak < loudest_peak and _level_db(other) - _level_db(found) >= _OUTSHONE_DB


def _with_echoes(found: Diagnosis, others: Sequence[Diagnosis]) -> Diagnosis:
    """Return a bearing fault with the channels that hear it, too, as evidence."""
    evidence = tuple(_echo(other) for other in others[:_MOST_ECHOES] if other.evidence)
    return dataclasses.replace(found, evidence=(*found.evidence, *evidence))


def _echo(other: Diagnosis) -> Evidence:
    first = other.evidence[0]
    text = f"{other.point_id} hears {first.name} {first.value:.1f} {first.unit} over the floor"
    return dataclasses.replace(first, text=text)


def _level_db(diagnosis: Diagnosis) -> float:
    return next((item.value for item in diagnosis.evidence if item.unit == "dB"), 0.0)


def _frequency_hz(diagnosis: Diagnosis) -> float:
    return next((item.frequency_hz for item in diagnosis.evidence if item.frequency_hz is not None), 0.0)
