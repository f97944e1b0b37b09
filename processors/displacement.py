"""The true peak-to-peak of a displacement wave: its extremes, wherever between the samples they lie.

The wave comes from the plain FFT of the acceleration: the taper is a sum of neighbouring bins, the integration a
division, and since the band ends at 1000 Hz a short inverse transform is enough.
"""

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from rocket_fft import c2r

from processors.kernel import kernel
from processors.time_domain import extent

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
C64 = npt.NDArray[np.complex64]
Rows = npt.NDArray[np.int64]
Complex = npt.NDArray[np.complexfloating[Any, Any]]
Real = npt.NDArray[np.floating[Any]]

#: Cosine coefficients of the taper of the displacement's wave: the sum is 1 within 2.4e-6 over the middle two fifths of
#: the window, and falls to 0 at both ends together with its first three derivatives (the least ripple of any such sum).
TAPER: Final = (
    0.732715085,
    -0.455005553,
    -0.269405901,
    -0.08806116,
    0.01362804,
    0.035951173,
    0.022012312,
    0.00711439,
    0.001051614,
)
_MAGNITUDE: Final = 0x7FFFFFFF
_TAPER_SHARE: Final = 0.3
#: Samples of the displacement per period of the band's upper edge.
OVERSAMPLING: Final = 4.0
#: An extreme of the wave lies between its samples; it is looked for at so many places on either side of a high sample,
_PLACES: Final = 16
#: from so many samples on either side.
_REACH: Final = 8
#: Between two samples a wave of this band rises by less than this share of the largest second difference of samples:
#: an eighth of its second derivative, which at the band's edge is 1.24 times that.
_RISE: Final = 0.2
#: So many samples are looked at together for whether any is high enough.
_SCANNED: Final = 32


class Tapered:
    """Room and weights for the tapered bins of one channel.

    Parameters
    ----------
    wave : ndarray, shape (n,), float64
        What takes each bin of the acceleration to one of the displacement's wave.
    dtype : type
        ``complex64`` or ``complex128``, as the spectrum is.
    """

    def __init__(self, wave: F64, dtype: type[np.complexfloating[Any, Any]]) -> None:
        self.bins = np.empty(wave.size + 2 * (len(TAPER) - 1), dtype)
        real = self.bins.real.dtype
        #: Real and imaginary part have the same weight.
        self.weights = np.repeat(wave, 2).astype(real)
        #: For the bins on one side: half of each coefficient but the first.
        self.halves = np.array([TAPER[0], *(0.5 * c for c in TAPER[1:])], real)


@kernel()
def peak_to_peak(
    spectrum: Complex,
    rows: Rows,
    n_samples: int,
    weights: Real,
    halves: Real,
    bins: Complex,
    places: F64,
    fine: F32,
    fine_bins: C64,
    out: F64,
) -> None:
    """Fill the last column of `out` at `rows` with the largest less the smallest displacement in a window's middle.

    In um; `spectrum` (n_channels, n_bins) is the plain one-sided FFT of the signals of `n_samples`, g, at least as far
    as the taper reaches beyond the band. Weights, halves and bins are those of a ``Tapered``, the rest a ``Motion``'s.
    """
    axes, bits, values = np.array([1]), np.empty(2, np.int32), np.empty(places.shape[1])
    for start in range(0, rows.size, fine.shape[0]):
        n = min(fine.shape[0], rows.size - start)
        for r in range(n):
            _mirror(spectrum[rows[start + r]], n_samples, bins)
            _taper(bins.view(bins.real.dtype), weights, halves, fine_bins[r].view(np.float32))
        c2r(fine_bins[:n], fine[:n], axes, False, 1.0, 1)
        for r in range(n):
            out[rows[start + r], -1] = _range_of_middle(fine[r], places, bits, values)


@kernel()
def _mirror(spectrum: Complex, n_samples: int, bins: Complex) -> None:
    """Fill `bins` with the spectrum from so many bins below zero on as the taper reaches."""
    reach = len(TAPER) - 1
    n_bins = spectrum.size
    for k in range(reach):
        bins[k] = np.conj(spectrum[reach - k])
    held = min(n_bins, bins.size - reach)
    bins[reach : reach + held] = spectrum[:held]
    for k in range(held, bins.size - reach):
        bins[reach + k] = np.conj(spectrum[n_samples - k])


# real and imaginary part alternate: the next bin lies two numbers on
@kernel("reassoc", "contract", "nsz")
def _taper(parts: Real, weights: Real, halves: Real, out: F32) -> None:
    """Fill `out` with the weighted bins of the tapered signal, from the bins of the plain one."""
    c0, c1, c2, c3 = halves[0], halves[1], halves[2], halves[3]
    c4, c5, c6, c7, c8 = halves[4], halves[5], halves[6], halves[7], halves[8]
    for j in range(weights.size):
        near = c1 * (parts[j + 14] + parts[j + 18]) + c2 * (parts[j + 12] + parts[j + 20])
        far = c3 * (parts[j + 10] + parts[j + 22]) + c4 * (parts[j + 8] + parts[j + 24])
        farther = c5 * (parts[j + 6] + parts[j + 26]) + c6 * (parts[j + 4] + parts[j + 28])
        farthest = c7 * (parts[j + 2] + parts[j + 30]) + c8 * (parts[j] + parts[j + 32])
        out[j] = weights[j] * (c0 * parts[j + 16] + near + far + farther + farthest)


@kernel()
def _range_of_middle(wave: F32, places: F64, bits: npt.NDArray[np.int32], values: F64) -> float:
    """Return the extent of the wave's middle, between samples too; `bits` (2,) and `values` (n_places,) are room."""
    edge = math.ceil(_TAPER_SHARE * wave.size)
    middle = wave[edge : wave.size - edge]
    ends = bits.view(np.float32)
    extent(middle, bits)
    rise = np.float32(_RISE) * _largest_bend(wave[edge - 1 :], middle, wave[edge + 1 :])
    low, high = ends[0], ends[1]
    bottom, top = -float(low), float(high)
    for start in range(0, middle.size, _SCANNED):
        stop = min(start + _SCANNED, middle.size)
        below, above = _count_outside(middle[start:stop], low + rise, high - rise)
        if below > 0:
            bottom = _highest(wave, edge, edge + start, edge + stop, -1.0, bottom, rise, places, values)
        if above > 0:
            top = _highest(wave, edge, edge + start, edge + stop, 1.0, top, rise, places, values)
    return top + bottom


@kernel()
def _count_outside(numbers: F32, low: Any, high: Any) -> tuple[Any, Any]:
    below, above = np.int32(0), np.int32(0)
    for i in range(numbers.size):
        below += np.int32(numbers[i] <= low)
        above += np.int32(numbers[i] >= high)
    return below, above


@kernel()
def _largest_bend(left: F32, middle: F32, right: F32) -> Any:
    """Return the largest magnitude of second differences."""
    most = np.int32(0)
    for i in range(middle.size):
        bend = np.float32((left[i] - middle[i]) + (right[i] - middle[i]))
        # the bits of magnitudes are ordered as integers
        most = max(most, np.int32(bend.view(np.int32) & np.int32(_MAGNITUDE)))
    return np.int32(most).view(np.float32)


@kernel()
def _highest(
    wave: F32, edge: int, start: int, stop: int, sign: float, top: float, rise: float, places: F64, values: F64
) -> float:
    """Return the largest of `sign` times the wave from `start` to `stop`, or `top`; `edge` samples don't count."""
    last = wave.size - edge - 1
    for i in range(start, stop):
        height = sign * wave[i]
        if height + rise < top:  # a sample next to it may be higher: crests can lie closer than two samples
            continue
        top = max(top, _extreme_near(wave, i, sign, i > edge, i < last, places, values))
    return top


@kernel()
def _extreme_near(wave: F32, at: int, sign: float, before: bool, after: bool, places: F64, values: F64) -> float:
    """Return the largest of `sign` times the wave within a sample before and after sample `at`."""
    near = wave[at - _REACH : at + _REACH + 1]
    values[:] = 0.0
    for k in range(near.size):
        for p in range(values.size):
            values[p] += places[k, p] * (sign * near[k])
    first = 0 if before else _PLACES
    last = values.size - 1 if after else _PLACES
    top = first
    for p in range(first, last + 1):
        if values[p] > values[top]:
            top = p
    if not 0 < top < values.size - 1:
        return float(values[top])
    # the vertex of the parabola through the three, unless it lies outside
    slope = 0.5 * (values[top + 1] - values[top - 1])
    bend = values[top + 1] - 2.0 * values[top] + values[top - 1]
    if not bend < 0.0 or (top == first and slope < 0.0) or (top == last and slope > 0.0):
        return float(values[top])
    return float(values[top] - 0.5 * slope * slope / bend)


def between_samples() -> F64:
    """Return the weights (samples, places) that interpolate within one sample of the middle one.

    Of all weights these leave the least error in a wave whose power is spread over the band.
    """
    nodes = np.arange(-_REACH, _REACH + 1)
    places = np.arange(-_PLACES, _PLACES + 1) / _PLACES
    share = 2.0 / OVERSAMPLING
    alike = np.sinc(share * (nodes[:, np.newaxis] - nodes))
    weights: F64 = np.linalg.solve(alike, np.sinc(share * (nodes[:, np.newaxis] - places)))
    return np.ascontiguousarray(weights)
