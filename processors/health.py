"""The health of the signal itself: a broken sensor looks like a sick machine, or like a healthy one.

Sensor faults are judged from the raw samples before anything else is diagnosed.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, overload

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
    if hold >= _dead_hold(n_samples):
        verdict = "dead"
    elif runs >= _CLIPPED_RUNS:
        verdict = "clipped"
    elif hold >= max(_DROPOUT_SAMPLES, _DROPOUT_SHARE * n_samples):
        verdict = "dropout"
    elif abs(bias) > max(_BIAS_G, _BIAS_OVER_RMS * rms):
        verdict = "biased"
    return SensorHealth(n_samples, 0, clipped, runs, hold, rms, bias, verdict)


class HealthOfChannels(Sequence[SensorHealth]):
    """The health of every channel of a window, each judged when it is asked for.

    Parameters
    ----------
    moments : ndarray, shape (n_channels, len(time_domain.COLUMNS)), float64
        Output of ``time_domain.moments``.
    n_samples : int
        Length of the window.
    """

    def __init__(self, moments: npt.NDArray[np.float64], n_samples: int) -> None:
        self._moments = moments
        self._n_samples = n_samples

    @overload
    def __getitem__(self, index: int) -> SensorHealth: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[SensorHealth, ...]: ...
    def __getitem__(self, index: int | slice) -> SensorHealth | tuple[SensorHealth, ...]:
        if isinstance(index, slice):
            return tuple(judge(row, self._n_samples) for row in self._moments[index])
        return judge(self._moments[index], self._n_samples)

    def __len__(self) -> int:
        return len(self._moments)


def holds_signal(moments: npt.NDArray[np.float64], n_samples: int) -> npt.NDArray[np.bool_]:
    """Return which channels (n_channels,) are neither invalid nor dead."""
    holds: npt.NDArray[np.bool_] = moments[:, INDEX["longest_hold"]] < _dead_hold(n_samples)
    holds &= moments[:, INDEX["not_finite"]] == 0
    return holds


def _dead_hold(n_samples: int) -> float:
    return max(2.0, _DEAD_SHARE * n_samples)
