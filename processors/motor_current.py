"""Broken rotor bars in the stator current: sidebands of the line frequency at twice the slip.

A broken bar makes the rotor's field unequal, and the current swings at twice the slip frequency. The sidebands lie next
to a line some 50 dB above them, hence the Blackman-Harris window and the long record; without load there is no rotor
current that could tell.
"""

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from contracts.assets import DriveTrain
from processors.drive_train import RotorBars, rotor_bars
from processors.machine_readings import Facts
from processors.spectrum import amplitude_spectrum

#: The supply's frequency is looked for this close to its nominal value (Hz): grids hold it to a few tenths.
_GRID_HZ: Final = 0.5
#: A Blackman-Harris line is four bins wide to either side; a sideband is looked for this close to its place.
_REACH_BINS: Final = 1.5


def add_rotor_bars(
    facts: Facts,
    current: npt.NDArray[np.floating[Any]],
    sampling_rate_hz: float,
    train: DriveTrain,
    speed_rpm: float,
    load_ratio: float | None,
) -> RotorBars:
    """Add the level of the sidebands, dB to the line, where the record can tell; return where they lie or why not.

    Parameters
    ----------
    facts : Facts
        Is added to.
    current : ndarray, shape (n_samples,)
        Stator current of one phase, in any unit.
    sampling_rate_hz : float
        Its sampling rate.
    train : DriveTrain
        Line frequency and poles.
    speed_rpm : float
        Speed of the rotor.
    load_ratio : float or None
        Load over full load.

    Returns
    -------
    bars : RotorBars
        The sidebands, or the reason for none.
    """
    bars = rotor_bars(train, speed_rpm, current.size / sampling_rate_hz, load_ratio)
    if bars.lower_hz is None or bars.upper_hz is None or train.line_frequency_hz is None:
        return bars
    spectrum = amplitude_spectrum(current[np.newaxis].astype(np.float64), sampling_rate_hz, "blackman_harris")
    levels, bin_hz = spectrum.values[0], spectrum.bin_hz
    line = _strongest(levels, train.line_frequency_hz / bin_hz, _GRID_HZ / bin_hz)
    offset_bins = 0.5 * (bars.upper_hz - bars.lower_hz) / bin_hz
    sides = [_strongest(levels, line + sign * offset_bins, _REACH_BINS) for sign in (-1, 1)]
    if levels[line] > 0.0 and min(levels[sides]) > 0.0:
        ratio = math.sqrt(float(levels[sides[0]] * levels[sides[1]])) / float(levels[line])
        facts.add(0, {"rotor_bar_db": 20.0 * math.log10(ratio)}, {"rotor_bar_db": sides[0] * bin_hz})
    return bars


def _strongest(levels: npt.NDArray[np.float64], position: float, reach: float) -> int:
    first = max(1, round(position - reach))
    return first + int(np.argmax(levels[first : round(position + reach) + 1]))
