"""From a plain FFT to the power of each bin, and the figures that describe a power spectrum.

The Hann window is applied in the frequency domain (each bin less half its neighbours), so that one transform of the
detrended samples serves both the power spectrum and the envelope.
"""

import math
from typing import Any, Final

import numba
import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]
Complex = npt.NDArray[np.complexfloating[Any, Any]]

#: Columns of ``describe_power``'s output, in order.
SHAPE_COLUMNS: Final = ("centroid_bins", "entropy", "dominant_bin")


@numba.njit(cache=True)
def hann_mean_square(spectrum: Complex, n_samples: int, out: F64) -> None:
    """Fill `out` (n_channels, n_bins) with each bin's share of the mean square, Hann window with energy correction.

    `spectrum` is the plain one-sided FFT of `n_samples` samples.
    """
    n_channels, n_bins = spectrum.shape
    even = n_samples % 2 == 0
    # 2/(N·Σw²) with Σw² = 3N/8, and 1/4 from the bins' own weight of one half
    scale = 2.0 / (n_samples * (0.375 * n_samples)) * 0.25
    for c in range(n_channels):
        x = spectrum[c]
        for k in range(n_bins):
            left = x[k - 1] if k > 0 else np.conj(x[1])
            right = x[k + 1] if k + 1 < n_bins else np.conj(x[k - 1] if even else x[k])
            re = np.float64(x[k].real) - 0.5 * (np.float64(left.real) + np.float64(right.real))
            im = np.float64(x[k].imag) - 0.5 * (np.float64(left.imag) + np.float64(right.imag))
            out[c, k] = scale * (re * re + im * im)
        out[c, 0] *= 0.5
        if even:
            out[c, n_bins - 1] *= 0.5


@numba.njit(cache=True)
def describe_power(mean_square: F64, logarithms: F64, lowest_bin: int, out: F64) -> None:
    """Fill `out` (n_channels, 3) with centroid (bins), entropy (0 to 1) and the largest bin from `lowest_bin` on.

    `logarithms` holds those of `mean_square`, any finite number where that is 0. Without any power the three are NaN.
    """
    n_channels, n_bins = mean_square.shape
    for c in range(n_channels):
        total, weighted, sum_of_logarithms = _weighted_sums(mean_square[c], logarithms[c])
        if total > 0.0 and n_bins > 2:
            out[c, 0] = weighted / total
            entropy = (math.log(total) - sum_of_logarithms / total) / math.log(n_bins - 1)
            out[c, 1] = min(max(entropy, 0.0), 1.0)
            out[c, 2] = _largest_bin(mean_square[c], lowest_bin)
        else:
            out[c, :] = np.nan


@numba.njit(cache=True, fastmath={"reassoc", "contract", "nsz"})
def _weighted_sums(power: F64, logarithms: F64) -> tuple[float, float, float]:
    """Return the sums of a power spectrum, weighted by nothing, by the bin, and by its logarithms; without the mean."""
    total = 0.0
    weighted = 0.0
    sum_of_logarithms = 0.0
    for k in range(1, power.size):
        p = power[k]
        total += p
        weighted += p * k
        sum_of_logarithms += p * logarithms[k]
    return total, weighted, sum_of_logarithms


@numba.njit(cache=True)
def _largest_bin(power: F64, lowest_bin: int) -> float:
    """Return the first of the largest bins from `lowest_bin` (at least 1) on; NaN where there is no power."""
    # positive floats are ordered like the integers of their bits, whose maximum is vectorised
    bits = power.view(np.int64)
    first = max(lowest_bin, 1)
    largest = np.int64(0)
    for k in range(first, power.size):
        largest = max(largest, bits[k])
    if largest == 0:
        return np.nan
    for k in range(first, power.size):
        if bits[k] == largest:
            return np.float64(k)
    return np.nan


@numba.njit(cache=True)
def band_rms(mean_square: F64, edges: npt.NDArray[np.int64], out: F64) -> None:
    """Fill `out` (n_channels, n_bands) with the rms between edges (bins, the upper one excluded)."""
    for c in range(mean_square.shape[0]):
        for b in range(edges.shape[0]):
            total = 0.0
            for k in range(edges[b, 0], edges[b, 1]):
                total += mean_square[c, k]
            out[c, b] = math.sqrt(total)


@numba.njit(cache=True)
def line_rms(mean_square: F64, position: float, reach: float, out: F64) -> None:
    """Fill `out` (n_channels, 2) with position (bins) and rms of the strongest line within `reach` of `position`.

    A line is the main lobe of the Hann window: the largest bin with two bins on either side.
    """
    n_bins = mean_square.shape[1]
    first = max(1, math.floor(position - reach + 0.5))
    last = min(n_bins - 2, math.floor(position + reach + 0.5))
    for c in range(mean_square.shape[0]):
        out[c, :] = np.nan
        if last < first:
            continue
        at = first
        for k in range(first, last + 1):
            if mean_square[c, k] > mean_square[c, at]:
                at = k
        total = 0.0
        for k in range(max(0, at - 2), min(n_bins, at + 3)):
            total += mean_square[c, k]
        out[c, 0] = at
        out[c, 1] = math.sqrt(total)
