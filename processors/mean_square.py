"""From a plain FFT to the power of each bin, and the figures that describe a power spectrum.

The Hann window is applied in the frequency domain (each bin less half its neighbours), so that one transform of the
detrended samples serves both the power spectrum and the envelope. Arithmetic is of the spectrum's own precision within
a block of bins, sums over blocks are float64.
"""

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from numpy.polynomial import Chebyshev, Polynomial

from processors.kernel import kernel

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
Real = npt.NDArray[np.floating[Any]]
Complex = npt.NDArray[np.complexfloating[Any, Any]]

#: Columns of ``describe_power``'s output, in order.
SHAPE_COLUMNS: Final = ("centroid_bins", "entropy", "dominant_bins", "dominant_amplitude")
#: Bins whose sums are of the spectrum's own precision.
BLOCK: Final = 512
#: log2(1 + z)/z for 1 + z between √½ and √2 by Chebyshev interpolation: its logarithm is 6e-7 off at most. In units of
#: the last place of a float32's exponent, so that the exponent needs no shift.
_LOGARITHM: Final = tuple(
    np.float32(c)
    for c in Chebyshev.interpolate(
        lambda z: 2.0**23 * np.log1p(z) / np.where(z == 0.0, 1.0, z) / math.log(2.0),
        6,
        domain=[math.sqrt(0.5) - 1.0, math.sqrt(2.0) - 1.0],
    )
    .convert(kind=Polynomial)
    .coef
)
_LN_2: Final = 2.0**-23 * math.log(2.0)
#: Bits of √½ as float32, and of the exponent with the sign.
_ROOT_OF_HALF: Final = 0x3F3504F3
_EXPONENT: Final = -0x800000
_INDEX: Final = np.arange(BLOCK, dtype=np.float32)


@kernel()
def hann_mean_square(spectrum: Complex, n_samples: int, out: Real) -> None:
    """Fill `out` (n_channels, n_bins) with each bin's share of the mean square, Hann window with energy correction.

    `spectrum` is the plain one-sided FFT of `n_samples` samples, complex numbers of `out`'s precision.
    """
    n_channels, n_bins = spectrum.shape
    even = n_samples % 2 == 0
    # 2/(N·Σw²) with Σw² = 3N/8, and 1/4 from the bins' own weight of one half
    scale = 2.0 / (n_samples * (0.375 * n_samples)) * 0.25
    for c in range(n_channels):
        x = spectrum[c]
        for k in (0, n_bins - 1):
            left = x[k - 1] if k > 0 else np.conj(x[1])
            right = x[k + 1] if k + 1 < n_bins else np.conj(x[k - 1] if even else x[k])
            out[c, k] = scale * _square(x[k] - (left + right) / 2)
        # interleaved: the bin on the left lies two numbers to the left
        parts = x.view(x.real.dtype)
        _hann_inside(parts[2:-2], parts[:-4], parts[4:], scale, out[c, 1:-1])
        out[c, 0] /= 2
        if even:
            out[c, n_bins - 1] /= 2


@kernel()
def _square(z: complex) -> float:
    return z.real * z.real + z.imag * z.imag


@kernel("contract")
def _hann_inside(middle: Real, left: Real, right: Real, scale: float, out: Real) -> None:
    factor, half = middle.dtype.type(scale), middle.dtype.type(0.5)
    for k in range(out.size):
        re = middle[2 * k] - half * (left[2 * k] + right[2 * k])
        im = middle[2 * k + 1] - half * (left[2 * k + 1] + right[2 * k + 1])
        out[k] = factor * (re * re + im * im)


@kernel()
def describe_power(mean_square: F32, lowest_bin: int, out: F64) -> None:
    """Fill `out` (n_channels, len(SHAPE_COLUMNS)) with what a power spectrum comes down to.

    Centroid (bins), entropy (0 to 1), and position (bins) and amplitude (peak) of the largest line from `lowest_bin`
    on. Without any power all are NaN; the line is, where the largest bin lies at an end.
    """
    n_channels, n_bins = mean_square.shape
    for c in range(n_channels):
        out[c, :] = np.nan
        total, weighted, sum_of_logarithms, k = _weighted_sums(mean_square[c], max(lowest_bin, 1))
        if not (total > 0.0 and n_bins > 2):
            continue
        out[c, 0] = weighted / total
        entropy = (math.log(total) - sum_of_logarithms / total) / math.log(n_bins - 1)
        out[c, 1] = min(max(entropy, 0.0), 1.0)
        if 1 <= k < n_bins - 1:
            _line_at(mean_square[c], k, out[c])


@kernel()
def _weighted_sums(power: F32, lowest_bin: int) -> tuple[float, float, float, int]:
    """Return the sums of a power spectrum, weighted by nothing, by the bin, and by its logarithms; without the mean.

    And the first of the largest bins from `lowest_bin` on, 0 where there is no power.
    """
    total = weighted = sum_of_logarithms = 0.0
    highest, block = np.int32(0), 0
    start = 1
    while start < power.size:
        stop = min(start + BLOCK, power.size)
        if start < lowest_bin:
            stop = min(stop, lowest_bin)
        of_block, by_bin, by_logarithm, top = _block_sums(power[start:stop])
        total += of_block
        weighted += by_bin + start * of_block
        sum_of_logarithms += by_logarithm
        if start >= lowest_bin and top > highest:
            highest, block = top, start
        start = stop
    if block > 0:
        block += _first(power[block : min(block + BLOCK, power.size)].view(np.int32), highest)
    return total, weighted, sum_of_logarithms, block


@kernel()
def _first(numbers: npt.NDArray[np.int32], wanted: Any) -> int:
    """Return the place of the first of some integers that is as wanted."""
    # the farthest from the end, looked for in all of them: that is vectorised
    farthest = np.int32(0)
    for k in range(numbers.size):
        farthest = max(farthest, np.int32(numbers.size - k) if numbers[k] == wanted else np.int32(0))
    return numbers.size - int(farthest)


@kernel()
def block_sums(block: F32) -> tuple[float, float, float]:
    """Return the sums of at most ``BLOCK`` numbers, none negative: plain, times their index, times their logarithms."""
    total, weighted, sum_of_logarithms, _ = _block_sums(block)
    return total, weighted, sum_of_logarithms


@kernel()
def _block_sums(block: F32) -> tuple[float, float, float, Any]:
    total, weighted, by_exponent, top = _sum_block(block, block.view(np.int32), _INDEX[: block.size])
    return np.float64(total), np.float64(weighted), _LN_2 * np.float64(by_exponent), top


@kernel("reassoc", "contract", "nsz")
def _sum_block(power: F32, bits: npt.NDArray[np.int32], index: F32) -> tuple[Any, Any, Any, Any]:
    one = np.float32(1.0)
    c0, c1, c2, c3, c4, c5, c6 = _LOGARITHM
    total, weighted, sum_of_logarithms = np.float32(0.0), np.float32(0.0), np.float32(0.0)
    # positive floats are ordered like the integers of their bits, whose maximum is vectorised
    top = np.int32(0)
    for k in range(power.size):
        p = power[k]
        # mantissa between √½ and √2, and exponent; a logarithm from the library isn't vectorised
        e = np.int32(np.int32(bits[k] - np.int32(_ROOT_OF_HALF)) & np.int32(_EXPONENT))
        z = np.int32(bits[k] - e).view(np.float32) - one
        logarithm = np.float32(e) + z * (c0 + z * (c1 + z * (c2 + z * (c3 + z * (c4 + z * (c5 + z * c6))))))
        total += p
        weighted += p * index[k]
        sum_of_logarithms += p * logarithm
        top = max(top, bits[k])
    return total, weighted, sum_of_logarithms, top


@kernel()
def _line_at(power: Real, k: int, row: F64) -> None:
    """Fill position and amplitude of the line at local maximum `k`, as ``spectrum.interpolated_peak`` does."""
    left, mid, right = math.sqrt(power[k - 1]), math.sqrt(power[k]), math.sqrt(power[k + 1])
    ratio = max(left, right) / mid
    delta = min(max((2.0 * ratio - 1.0) / (1.0 + ratio), 0.0), 0.5)
    gain = 1.0 if delta < 1e-12 else math.sin(math.pi * delta) / (math.pi * delta * (1.0 - delta**2))
    row[2] = k + (delta if right >= left else -delta)
    # √3 takes the rms share of a bin to the Hann amplitude of the line in it
    row[3] = math.sqrt(3.0) * mid / gain


@kernel()
def band_rms(mean_square: Real, edges: npt.NDArray[np.int64], out: F64) -> None:
    """Fill `out` (n_channels, n_bands) with the rms between edges (bins, the upper one excluded)."""
    for c in range(mean_square.shape[0]):
        for b in range(edges.shape[0]):
            out[c, b] = math.sqrt(_sum(mean_square[c, edges[b, 0] : edges[b, 1]]))


@kernel("reassoc", "contract", "nsz")
def _sum(numbers: Real) -> float:
    total = 0.0
    for k in range(numbers.size):
        total += np.float64(numbers[k])
    return total


@kernel()
def line_rms(mean_square: Real, position: float, reach: float) -> tuple[float, float]:
    """Return position (bins) and rms of the strongest line within `reach` of `position` in one spectrum; NaN for none.

    A line is the main lobe of the Hann window: the largest bin with two bins on either side.
    """
    n_bins = mean_square.size
    first = max(1, math.floor(position - reach + 0.5))
    last = min(n_bins - 2, math.floor(position + reach + 0.5))
    if last < first:
        return math.nan, math.nan
    at = first
    for k in range(first, last + 1):
        if mean_square[k] > mean_square[at]:
            at = k
    total = 0.0
    for k in range(max(0, at - 2), min(n_bins, at + 3)):
        total += mean_square[k]
    return float(at), math.sqrt(total)
