"""The health of the signal itself: a broken sensor looks like a sick machine, or like a healthy one.

Sensor faults are judged from the raw samples before anything else is diagnosed.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from processors.time_domain import INDEX

#: A signal held for this share of the window is dead; for the smaller share (or many samples) it has dropped out.
_DEAD_SHARE: Final = 0.5
_DROPOUT_SHARE: Final = 0.01
_DROPOUT_SAMPLES: Final = 32
#: A rail touched in at least this many runs is clipping.
_CLIPPED_RUNS: Final = 2
#: Gravity on a DC-coupled sensor is 1 g; a larger offset that dwarfs the vibration is a fault.
_BIAS_G: Final = 1.5
_BIAS_OVER_RMS: Final = 3.0


@dataclass(frozen=True, slots=True)
class SensorHealth:
    """What the raw samples say about the sensor.

    ``verdict`` is ``invalid`` (values that aren't finite), ``dead``, ``clipped``, ``dropout``, ``biased``, or null.
    ``longest_hold`` is the longest run of equal samples; ``abrupt_runs`` counts runs on a rail that begin or end by a
    step.
    """

    n_samples: int
    not_finite: int
    clipped_samples: int
    abrupt_runs: int
    longest_hold: int
    rms_g: float
    bias_g: float
    verdict: str | None


def judge(row: npt.NDArray[np.float64], n_samples: int) -> SensorHealth:
    """Return the health of one channel.

    Parameters
    ----------
    row : ndarray, shape (len(time_domain.COLUMNS),), float64
        The channel's output of ``time_domain.moments``.
    n_samples : int
        Length of its window.

    Returns
    -------
    health : SensorHealth
        Counts and verdict.
    """
    not_finite = int(row[INDEX["not_finite"]])
    if not_finite:
        return SensorHealth(n_samples, not_finite, 0, 0, 0, math.nan, math.nan, "invalid")
    clipped, runs, hold = (int(row[INDEX[name]]) for name in ("clipped", "abrupt_runs", "longest_hold"))
    rms, bias = float(row[INDEX["rms"]]), float(row[INDEX["mean"]])
    verdict = None
    if hold >= max(2, _DEAD_SHARE * n_samples):
        verdict = "dead"
    elif runs >= _CLIPPED_RUNS:
        verdict = "clipped"
    elif hold >= max(_DROPOUT_SAMPLES, _DROPOUT_SHARE * n_samples):
        verdict = "dropout"
    elif abs(bias) > max(_BIAS_G, _BIAS_OVER_RMS * rms):
        verdict = "biased"
    return SensorHealth(n_samples, 0, clipped, runs, hold, rms, bias, verdict)
