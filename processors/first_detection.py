"""When a machine that runs to failure first shows it: the time from which on its remaining life may be asked for.

Each window is judged by those before it alone. The level must have risen in every direction, by far more than it
scattered while new and by half: a change in one direction is often the mount or running-in, and a change that is only
significant is no damage yet. Three times the level in every direction needs less patience.
"""

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from contracts.errors import SignalError
from processors.detection.persistence import persistent

F64 = npt.NDArray[np.float64]

#: Windows at the start that settle, and those after them from which the machine's own level is learnt.
SETTLING: Final = 6
LEARNT: Final = 54
#: A rise of so many robust standard deviations, and by this factor, in so many windows in a row.
_DEVIATIONS: Final = 5.0
_FACTOR: Final = 1.5
_IN_A_ROW: Final = 5
#: Or by this factor, in so many windows in a row.
_SEVERE_FACTOR: Final = 3.0
_SEVERE_IN_A_ROW: Final = 3
#: Takes a median absolute deviation to a standard deviation, for Gaussian scatter.
_MAD_TO_SIGMA: Final = 1.4826


def first_rise(levels: npt.NDArray[np.floating[Any]]) -> int | None:
    """Return the first window by which the rise is established, or nothing.

    Parameters
    ----------
    levels : ndarray, shape (n_channels, n_windows)
        Vibration level of each direction and window, positive (rms).

    Returns
    -------
    window : int or None
        Its index; what comes later doesn't change it.

    Raises
    ------
    SignalError
        If the levels aren't two-dimensional, positive and finite, or too few to learn from.

    Examples
    --------
    >>> levels = np.ones((2, 200)) + 0.01 * np.sin(np.arange(200))
    >>> levels[:, 150:] *= 2.0
    >>> first_rise(levels)
    154
    """
    established = risen(levels)
    return int(np.argmax(established)) if established.any() else None


def risen(levels: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.bool_]:
    """Return the windows in which a rise is established, shape (n_windows,); parameters as ``first_rise``."""
    if levels.ndim != 2 or levels.shape[0] < 1 or levels.shape[1] <= SETTLING + LEARNT:
        raise SignalError(f"levels of shape {levels.shape}; more than {SETTLING + LEARNT} windows needed to learn from")
    if not (np.isfinite(levels).all() and float(levels.min()) > 0.0):
        raise SignalError("levels must be positive and finite")
    logs: F64 = np.log(levels.astype(np.float64))
    learnt = logs[:, SETTLING : SETTLING + LEARNT]
    middle = np.median(learnt, axis=1, keepdims=True)
    scatter = _MAD_TO_SIGMA * np.median(np.abs(learnt - middle), axis=1, keepdims=True)
    return _lasting(logs > middle + np.maximum(_DEVIATIONS * scatter, math.log(_FACTOR)), _IN_A_ROW) | _lasting(
        logs > middle + np.maximum(_DEVIATIONS * scatter, math.log(_SEVERE_FACTOR)), _SEVERE_IN_A_ROW
    )


def _lasting(over: npt.NDArray[np.bool_], in_a_row: int) -> npt.NDArray[np.bool_]:
    """Return where every direction has been over its bound for so many windows, after those that were learnt from."""
    everywhere = np.logical_and.reduce(over, axis=0)
    everywhere[: SETTLING + LEARNT] = False
    return persistent(everywhere, in_a_row, in_a_row)
