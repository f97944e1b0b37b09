"""Time-domain statistics of raw acceleration, and what they say about the signal itself.

One kernel walks each channel twice while it lies in the processor's cache: for the mean, and for the moments about it.
It also writes the samples less their mean, which the spectra start from. Within a block of samples the sums are of the
samples' own precision, over blocks they are float64: float32 signals come out within 1e-5, float64 ones within 4e-13.
Rows don't know of each other, so a channel's values are the same bits whatever lies beside it. Moments are 1/N.
"""

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from contracts.errors import SignalError
from processors.kernel import kernel

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
Real = npt.NDArray[np.floating[Any]]

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
    "crest_factor",
    "shape_factor",
    "impulse_factor",
    "clearance_factor",
)
INDEX: Final = {name: index for index, name in enumerate(COLUMNS)}

#: A rail is a largest or smallest value of at least this share of the largest magnitude.
_RAIL_SHARE: Final = 0.95
#: A clipped run starts or ends by a step of at least this share of the peak; a smooth crest creeps up to its maximum.
_ABRUPT_SHARE: Final = 0.02

_LARGEST_INT: Final = 0x7FFFFFFF
#: The exponent of a float32: all ones for what isn't finite.
_EXPONENT: Final = 0x7F800000
_NEGATIVE_EXPONENT: Final = 0xFF800000
#: Samples whose sums are of the samples' own precision; some 32 of them are added up in parallel.
_BLOCK: Final = 1024
#: Powers of two that deviations are scaled by, so that no fourth power leaves the range of float32.
_LARGEST_SCALE: Final = 100


@kernel()
def moments(samples: F32, out: F64, centred: F32) -> None:
    """Fill `out` (n_channels, len(COLUMNS)) and `centred` (like `samples`).

    A channel with values that aren't finite gets NaN and the count of those; a constant one gets NaN for the ratios.
    """
    bits = np.empty(2, np.int32)
    ends = bits.view(np.float32)
    for c in range(samples.shape[0]):
        x = samples[c]
        row = out[c]
        row[:] = np.nan
        row[8], held, total = _survey(x, bits)
        if row[8] > 0:
            centred[c, :] = np.float32(0.0)
            continue
        low, high = ends[0], ends[1]
        if held and _held_for_long(x[:-2], x[1:-1], x[2:]):
            _holds(x, low, high, row)
        else:
            row[9], row[10], row[11] = 0, 0, 2 if held else 1
        _statistics(x, np.float64(low), np.float64(high), total, row, centred[c])


@kernel()
def _survey(x: F32, bits: npt.NDArray[np.int32]) -> tuple[int, bool, float]:
    """Fill `bits` with those of the extremes; return how many aren't finite, whether neighbours are equal, the sum."""
    signed, unsigned = x.view(np.int32), x.view(np.uint32)
    highest, outermost, equal, total = _sweep(x, signed, unsigned)
    return _settle(signed, unsigned, highest, outermost, bits), equal > 0, total


# a loop is only vectorised well in a function of its own, over whole arrays
@kernel("reassoc", "contract", "nsz")
def _sweep(x: F32, signed: npt.NDArray[np.int32], unsigned: npt.NDArray[np.uint32]) -> tuple[Any, Any, int, float]:
    highest, outermost = signed[0], unsigned[0]
    equal, total = 0, np.float64(x[0])
    for i in range(1, x.size):
        highest = max(highest, signed[i])
        outermost = max(outermost, unsigned[i])
        equal += x[i] == x[i - 1]
        total += np.float64(x[i])
    return highest, outermost, equal, total


# a converter's counts often repeat once by chance, and seldom twice
@kernel()
def _held_for_long(before: F32, x: F32, after: F32) -> bool:
    """Return whether three neighbours are equal anywhere."""
    held = 0
    for i in range(x.size):
        held += (x[i] == before[i]) & (x[i] == after[i])
    return held > 0


@kernel()
def extent(x: F32, ends: npt.NDArray[np.int32]) -> int:
    """Fill `ends` (at least 2) with the bits of the least and the largest value; return how many aren't finite."""
    signed, unsigned = x.view(np.int32), x.view(np.uint32)
    return _settle(signed, unsigned, largest(signed), largest(unsigned), ends)


@kernel()
def _settle(
    signed: npt.NDArray[np.int32], unsigned: npt.NDArray[np.uint32], highest: Any, outermost: Any, ends: Any
) -> int:
    """Fill `ends` from the largest bits, taken with a sign and without one; return how many values aren't finite."""
    # The bits of floats without a sign are ordered as integers, those with one the other way round, above all others if
    # taken as unsigned. So the largest of either kind are the ends, unless all values have the same sign. Maxima of
    # integers are vectorised, those of floats are not.
    if highest < 0:
        highest = np.int32(_least(unsigned))
    if outermost <= np.uint32(_LARGEST_INT):
        outermost = _least(unsigned)
    ends[0], ends[1] = np.int32(outermost), highest
    not_finite = 0
    if highest >= np.int32(_EXPONENT) or outermost >= np.uint32(_NEGATIVE_EXPONENT):
        for i in range(signed.size):
            not_finite += (signed[i] & np.int32(_EXPONENT)) == np.int32(_EXPONENT)
    return not_finite


@kernel()
def largest(numbers: npt.NDArray[np.integer[Any]]) -> Any:
    """Return the largest of integers."""
    top = numbers[0]
    for i in range(numbers.size):
        top = max(top, numbers[i])
    return top


@kernel()
def _least(numbers: npt.NDArray[np.integer[Any]]) -> Any:
    least = numbers[0]
    for i in range(numbers.size):
        least = min(least, numbers[i])
    return least


@kernel()
def _statistics(x: Real, low: float, high: float, total: float, row: F64, centred: Real) -> None:
    """Fill the statistics of a finite signal between `low` and `high` whose sum is `total`."""
    row[3] = high - low
    if low == high:
        row[0] = low
        row[1] = 0.0
        row[2] = 0.0
        row[6] = 0.0
        row[7] = 0.0
        centred[:] = x - x
        return
    row[0] = total / x.size
    row[2] = max(high - row[0], row[0] - low)
    exponent = math.frexp(row[2])[1]
    scale = math.ldexp(1.0, -min(max(exponent, -_LARGEST_SCALE), _LARGEST_SCALE))
    _sums(x, row[0], scale, row, centred)
    row[12] = row[2] / row[1]
    row[13] = row[1] / row[6]
    row[14] = row[2] / row[6]
    row[15] = row[2] / (row[7] * row[7])


@kernel()
def _sums(x: Real, mean: float, scale: float, row: F64, centred: Real) -> None:
    """Fill `centred` and the moments about the mean; `scale` is a power of two."""
    n = x.size
    centre = x.dtype.type(mean)
    rest = x.dtype.type(mean - np.float64(centre))
    m2 = m3 = m4 = magnitude = root = 0.0
    for start in range(0, n, _BLOCK):
        stop = min(start + _BLOCK, n)
        sums = _sum_block(x[start:stop], centre, rest, x.dtype.type(scale), centred[start:stop])
        m2 += sums[0]
        m3 += sums[1]
        m4 += sums[2]
        magnitude += sums[3]
        root += sums[4]
    m2, m3, m4 = m2 / n, m3 / n, m4 / n
    row[1] = math.sqrt(m2) / scale
    row[4] = m4 / (m2 * m2)
    row[5] = m3 / (m2 * math.sqrt(m2))
    row[6] = magnitude / n / scale
    row[7] = root / n / math.sqrt(scale)


@kernel("reassoc", "contract", "nsz", "arcp")
def _sum_block(x: Real, centre: Any, rest: Any, scale: Any, out: Real) -> tuple[float, float, float, float, float]:
    """Fill `out` with the deviations from the mean; return the sums of their powers, magnitudes and roots."""
    zero = x.dtype.type(0.0)
    second, third, fourth, magnitude, root = zero, zero, zero, zero, zero
    for i in range(x.size):
        deviation = _deviation(x[i], centre, rest)
        out[i] = deviation
        d = deviation * scale
        a = abs(d)
        q = d * d
        second += q
        third += q * d
        fourth += q * q
        magnitude += a
        root += np.sqrt(a)
    return np.float64(second), np.float64(third), np.float64(fourth), np.float64(magnitude), np.float64(root)


@kernel()
def _deviation(value: Any, centre: Any, rest: Any) -> Any:
    # in this order, which no freedom of the sums may change: the first difference is exact wherever the mean is large
    return (value - centre) - rest


@kernel()
def _holds(x: Real, low: float, high: float, row: F64) -> None:
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
            step = abs(v - x[start - 1]) if start > 0 else v - v
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
        The signal, any unit; computed in float64.

    Returns
    -------
    statistics : dict of str to float
        One for each of ``COLUMNS``; NaN where undefined.

    Raises
    ------
    SignalError
        If the signal is empty or not one-dimensional.

    Examples
    --------
    >>> describe([3.0, -3.0, 3.0, -3.0])["crest_factor"]
    1.0
    """
    x = np.ascontiguousarray(samples, dtype=np.float64)
    if x.ndim != 1 or x.size == 0:
        raise SignalError(f"a signal of shape {x.shape}; one dimension and at least one sample needed")
    out = np.full((1, len(COLUMNS)), np.nan)
    out[0, INDEX["not_finite"]] = np.count_nonzero(~np.isfinite(x))
    if out[0, INDEX["not_finite"]] == 0:
        low, high = float(x.min()), float(x.max())
        _holds(x, low, high, out[0])
        _statistics(x, low, high, math.fsum(x), out[0], np.empty_like(x))
    return {name: float(out[0, index]) for name, index in INDEX.items()}
