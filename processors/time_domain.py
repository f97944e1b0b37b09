"""Time-domain statistics of raw acceleration, and what they say about the signal itself.

One kernel walks each channel three times and leaves every sum in float64; it also writes the
samples less their mean, which the spectra start from. Rows don't know of each other, so a channel's values are the same
bits whatever lies beside it. Moments are 1/N.
"""

import math
from typing import Final

import numba
import numpy as np
import numpy.typing as npt

from contracts.errors import SignalError

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

#: Columns of the kernel's output, in order.
COLUMNS: Final = (
    "mean",
    "rms",
    "peak",
    "peak_to_peak",
    "kurtosis",
    "skewness",
    "mean_abs",
    "mean_root",
    "not_finite",
    "clipped",
    "abrupt_runs",
    "longest_hold",
)
INDEX: Final = {name: index for index, name in enumerate(COLUMNS)}

#: A rail is a largest or smallest value of at least this share of the largest magnitude.
_RAIL_SHARE: Final = 0.95
#: A clipped run starts or ends by a step of at least this share of the peak; a smooth crest creeps up to its maximum.
_ABRUPT_SHARE: Final = 0.02

_LARGEST_INT: Final = 0x7FFFFFFF
#: The exponent of a float32: all ones for what isn't finite.
_EXPONENT: Final = 0x7F800000


# nnan and ninf are left out: the kernel counts values that aren't finite
@numba.njit(cache=True, fastmath={"reassoc", "contract", "nsz", "arcp"})
def moments(samples: F32, out: F64, centred: F32) -> None:
    """Fill `out` (n_channels, len(COLUMNS)) and `centred` (like `samples`).

    A channel with values that aren't finite gets NaN and the count of those; a constant one gets NaN for the ratios.
    """
    for c in range(samples.shape[0]):
        x = samples[c]
        row = out[c]
        row[:] = np.nan
        centred[c, :] = np.float32(0.0)
        not_finite, lowest, highest = _extent(x.view(np.int32))
        row[8] = not_finite
        if not_finite:
            continue
        low = _as_float(lowest)
        high = _as_float(highest)
        if _has_equal_neighbours(x):
            _holds(x, low, high, row)
        else:
            row[9], row[10], row[11] = 0, 0, 1
        row[3] = np.float64(high) - np.float64(low)
        if low == high:
            row[0] = x[0]
            row[1] = 0.0
            row[2] = 0.0
            row[6] = 0.0
            row[7] = 0.0
            continue
        _sums(x, row, centred[c])
        row[2] = max(np.float64(high) - row[0], row[0] - np.float64(low))


# On integers of the same order the loop is vectorised; a minimum of floats is not.
@numba.njit(cache=True)
def _extent(bits: npt.NDArray[np.int32]) -> tuple[np.int32, np.int32, np.int32]:
    """Return how many of the float32 in `bits` aren't finite, and the least and the largest as ordered integers."""
    not_finite = np.int32(0)
    lowest = np.int32(_LARGEST_INT)
    highest = np.int32(-_LARGEST_INT - 1)
    for i in range(bits.size):
        v = bits[i]
        not_finite += np.int32((v & np.int32(_EXPONENT)) == np.int32(_EXPONENT))
        ordered = v ^ ((v >> np.int32(31)) & np.int32(_LARGEST_INT))
        lowest = min(lowest, ordered)
        highest = max(highest, ordered)
    return not_finite, lowest, highest


@numba.njit(cache=True)
def _as_float(ordered: np.int32) -> np.float32:
    bits = np.empty(1, np.int32)
    bits[0] = ordered ^ ((ordered >> np.int32(31)) & np.int32(_LARGEST_INT))
    value: np.float32 = bits.view(np.float32)[0]
    return value


@numba.njit(cache=True)
def _has_equal_neighbours(x: F32) -> bool:
    count = 0
    for i in range(1, x.size):
        count += x[i] == x[i - 1]
    return count > 0


@numba.njit(cache=True, fastmath={"reassoc", "contract", "nsz", "arcp"})
def _sums(x: F32, row: F64, centred: F32) -> None:
    n = x.size
    total = 0.0
    for i in range(n):
        total += np.float64(x[i])
    mean = total / n
    m2 = 0.0
    m3 = 0.0
    m4 = 0.0
    mean_abs = 0.0
    mean_root = 0.0
    for i in range(n):
        d = np.float64(x[i]) - mean
        a = abs(d)
        q = d * d
        m2 += q
        m3 += q * d
        m4 += q * q
        mean_abs += a
        mean_root += math.sqrt(a)
        centred[i] = np.float32(d)
    m2 /= n
    row[0] = mean
    row[1] = math.sqrt(m2)
    row[4] = m4 / n / (m2 * m2)
    row[5] = m3 / n / (m2 * math.sqrt(m2))
    row[6] = mean_abs / n
    row[7] = mean_root / n


@numba.njit(cache=True)
def _holds(x: F32, low: np.float32, high: np.float32, row: F64) -> None:
    """Look at runs of equal samples: those on a rail are clipping, long ones are a held or dead signal."""
    n = x.size
    largest = max(abs(low), abs(high))
    clipped = 0
    abrupt_runs = 0
    longest = 1
    start = 0
    for i in range(1, n + 1):
        if i < n and x[i] == x[start]:
            continue
        length = i - start
        longest = max(longest, length)
        v = x[start]
        if length >= 3 and (v in (low, high)) and abs(v) >= _RAIL_SHARE * largest and low != high:
            clipped += length
            step = abs(v - x[start - 1]) if start > 0 else np.float32(0.0)
            if i < n:
                step = max(step, abs(v - x[i]))
            if step >= _ABRUPT_SHARE * largest:
                abrupt_runs += 1
        start = i
    row[9] = clipped
    row[10] = abrupt_runs
    row[11] = longest


def describe(samples: npt.ArrayLike) -> dict[str, float]:
    """Return the time-domain statistics of one signal.

    Parameters
    ----------
    samples : array_like, shape (n,)
        The signal, any unit; taken as float32.

    Returns
    -------
    statistics : dict of str to float
        ``COLUMNS`` and the ratios crest, shape, impulse and clearance factor; NaN where undefined.

    Raises
    ------
    SignalError
        If the signal is empty or not one-dimensional.

    Examples
    --------
    >>> describe([3.0, -3.0, 3.0, -3.0])["crest_factor"]
    1.0
    """
    x = np.ascontiguousarray(samples, dtype=np.float32)
    if x.ndim != 1 or x.size == 0:
        raise SignalError(f"a signal of shape {x.shape}; one dimension and at least one sample needed")
    out = np.empty((1, len(COLUMNS)))
    moments(x[np.newaxis], out, np.empty((1, x.size), np.float32))
    statistics = {name: float(out[0, index]) for name, index in INDEX.items()}
    crest, shape, impulse, clearance = ratios(out)
    return statistics | {
        "crest_factor": float(crest[0]),
        "shape_factor": float(shape[0]),
        "impulse_factor": float(impulse[0]),
        "clearance_factor": float(clearance[0]),
    }


def ratios(out: F64) -> tuple[F64, F64, F64, F64]:
    """Return crest, shape, impulse and clearance factor from the kernel's output; NaN for constant channels."""
    rms, peak = out[:, INDEX["rms"]], out[:, INDEX["peak"]]
    mean_abs, mean_root = out[:, INDEX["mean_abs"]], out[:, INDEX["mean_root"]]

    def over(numerator: F64, denominator: F64) -> F64:
        result = np.full(numerator.shape, np.nan)
        np.divide(numerator, denominator, out=result, where=denominator > 0)
        return result

    return over(peak, rms), over(rms, mean_abs), over(peak, mean_abs), over(peak, mean_root**2)


def hjorth(samples: npt.ArrayLike) -> tuple[float, float, float]:
    """Return activity, mobility and complexity of a signal; derivatives are differences of neighbours.

    B. Hjorth, "EEG analysis based on time domain properties", Electroenceph. Clin. Neurophysiol. 29 (1970), 306-310.

    Parameters
    ----------
    samples : array_like, shape (n,)
        The signal, any unit, at least 3 samples.

    Returns
    -------
    activity : float
        Variance, unit squared.
    mobility : float
        Standard deviation of the differences over that of the signal, per sample; NaN for a constant signal.
    complexity : float
        Mobility of the differences over that of the signal: 1 for a sine; NaN for a constant or a straight line.

    Raises
    ------
    SignalError
        If the signal is shorter than 3 samples or not one-dimensional.

    Examples
    --------
    >>> activity, mobility, complexity = hjorth(np.sin(2 * np.pi * np.arange(10_000) / 100))
    >>> round(activity, 6), round(mobility, 4), round(complexity, 3)
    (0.5, 0.0628, 1.0)
    """
    x = np.asarray(samples, dtype=np.float64)
    if x.ndim != 1 or x.size < 3:
        raise SignalError(f"a signal of shape {x.shape}; one dimension and at least 3 samples needed")
    first = np.diff(x)
    variances = [float(values.var()) for values in (x, first, np.diff(first))]
    if not variances[0] > 0.0:
        return variances[0], math.nan, math.nan
    mobility = math.sqrt(variances[1] / variances[0])
    if not variances[1] > 0.0:
        return variances[0], mobility, math.nan
    return variances[0], mobility, math.sqrt(variances[2] / variances[1]) / mobility
