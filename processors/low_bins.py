"""The lowest bins of a spectrum in double precision, for channels whose low frequencies drown in rounding.

Integration magnifies the lowest bins, and with them what single precision makes of everything above. A whole transform
in double precision would cost more than all other features. Sums of neighbouring samples with the weights 1, 2 … D … 2,
1, one every D samples and made in double precision, have a short transform Y; with M = N/D its bin k holds the wanted
bin X[k] of the N samples beside D - 1 aliases, as such a sum passes their frequencies:

    D Y[k] = sum_j G(k + jM)² X[k + jM],   G(q) = sum_d exp(2πi q d/N),   j and d from 0 to D - 1.

The aliases are taken from the single-precision spectrum: of their rounding only |G(k + jM)/G(k)|² is left, the square
of sin(πk/N)/sin(πk/N + πj/D), little where k is small. Where that isn't enough, or nothing divides N, the whole signal
is transformed in double precision.
"""

import math
from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt
from rocket_fft import r2c

from processors.kernel import kernel
from processors.mean_square import hann_mean_square
from processors.time_domain import INDEX

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
C64 = npt.NDArray[np.complex64]
C128 = npt.NDArray[np.complex128]
Rows = npt.NDArray[np.int64]

#: Where the bins of a channel come from: all from single precision; the lowest from a short transform in double
#: precision, the others from single; all from double.
SINGLE: Final = 0
SHORT: Final = 1
WHOLE: Final = 2

#: Velocity and displacement are made of bins up to here.
HIGHEST_HZ: Final = 1000.0
#: So many bins beyond are held too, for windows that are applied as sums of neighbours.
MARGIN: Final = 10
#: The sums of neighbouring samples come at least so often a second, and are of so many samples at most.
_SLOWEST_HZ: Final = 750.0
_LARGEST_FACTOR: Final = 32
#: This share of the short spectrum is used; above, what it would mend is little.
_USED_SHARE: Final = 0.6
_MEAN: Final = INDEX["mean"]
#: So many channels are transformed together.
_ROWS: Final = 4


class LowBins:
    """The lowest bins of channels of one shape, window by window; in double precision where that is asked for.

    Parameters
    ----------
    n_channels, n_samples : int
        Shape of the windows.
    sampling_rate_hz : float
        Their sampling rate.
    """

    def __init__(self, n_channels: int, n_samples: int, sampling_rate_hz: float) -> None:
        bin_hz = sampling_rate_hz / n_samples
        self._shape = (n_channels, n_samples)
        self._n_bins = n_samples // 2 + 1
        self.n_low = min(self._n_bins, math.floor(HIGHEST_HZ / bin_hz + 1e-9) + 1 + MARGIN)
        self._factor = summed(n_samples, sampling_rate_hz)
        n_short = n_samples // self._factor // 2 if self._factor > 1 else 0
        self._used = min(self.n_low, math.floor(_USED_SHARE * n_short))
        #: By origin (``SINGLE``, ``SHORT``, ``WHOLE``) and bin: the share of single precision's rounding that is left.
        self.rounding = np.zeros((3, self.n_low))
        self.rounding[:WHOLE] = 1.0
        if self._used > 0:
            shares = alias_shares(n_samples, self._factor, np.arange(float(self._used)))
            self.rounding[SHORT, : self._used] = np.sqrt(np.sum(shares**2, axis=0))
        #: Origin of each channel's bins in this window.
        self.origins = np.zeros(n_channels, np.int64)
        self._room: _Room | None = None
        self._samples = np.empty((n_channels, 0), np.float32)
        self._moments = np.empty((n_channels, 0))
        self._single = np.empty((n_channels, 0), np.complex64)

    @property
    def spectrum(self) -> C128:
        """Return the plain FFT's lowest bins (n_channels, n_low), of channels refined in this window."""
        return self._held().spectrum

    @property
    def power(self) -> F64:
        """Return each bin's share of the mean square by a Hann window, g²; the last bin doesn't count."""
        return self._held().power

    def start(self, samples: F32, moments: F64, spectrum: C64) -> None:
        """Begin a window.

        Parameters
        ----------
        samples : ndarray, shape (n_channels, n_samples), float32
            Acceleration, g.
        moments : ndarray, shape (n_channels, len(time_domain.COLUMNS)), float64
            What ``time_domain.moments`` makes of it.
        spectrum : ndarray, shape (n_channels, n_bins), complex64
            Plain one-sided FFT of the samples less their mean, g.
        """
        self.origins[:] = SINGLE
        self._samples, self._moments, self._single = samples, moments, spectrum

    def refine(self, rows: Rows) -> None:
        """Fill spectrum and power of channels that aren't refined yet."""
        rows = rows[self.origins[rows] == SINGLE]
        if self._factor == 1:
            self.refine_wholly(rows)
        elif rows.size:
            room = self._held()
            _refine(
                self._samples,
                self._moments,
                self._single,
                rows,
                self._factor,
                room.weights,
                room.gains,
                room.sums,
                room.short,
                room.aliases,
                room.spectrum,
                room.power,
            )
            self.origins[rows] = SHORT

    def refine_wholly(self, rows: Rows) -> None:
        """Fill spectrum and power of channels from a transform in double precision."""
        for c in rows.tolist():
            if self.origins[c] != WHOLE:
                self.whole_power(c)

    def settle(
        self, rows: Rows, measure: Callable[[Rows], None], unsettled: Callable[[], npt.NDArray[np.bool_]]
    ) -> None:
        """Refine channels and `measure` them anew; wholly those of all that are then `unsettled` by rounding."""
        for refine in (self.refine, self.refine_wholly):
            if rows.size:
                refine(rows)
                measure(rows)
                rows = rows[unsettled()[rows]]

    def whole_power(self, c: int) -> F64:
        """Return all bins (1, n_bins) of a channel as `power` has the lowest; overwritten by the next call."""
        room = self._held()
        if room.whole is None:
            spectrum, power = np.empty((1, self._n_bins), np.complex128), np.empty((1, self._n_bins))
            room.whole = np.empty((1, self._shape[1])), spectrum, power
        _transform_wholly(self._samples[c], self._moments[c, _MEAN], *room.whole)
        _, spectrum, power = room.whole
        room.spectrum[c], room.power[c] = spectrum[0, : self.n_low], power[0, : self.n_low]
        self.origins[c] = WHOLE
        return power

    def _held(self) -> "_Room":
        """Return the memory of refined channels, which isn't there before a channel needs it."""
        if self._room is None:
            self._room = _Room(*self._shape, self.n_low, self._factor, self._used)
        return self._room


class _Room:
    """What ``LowBins`` works in: tables of a shape, room for a few short transforms, and what comes out."""

    def __init__(self, n_channels: int, n_samples: int, n_low: int, factor: int, n_used: int) -> None:
        n_short = n_samples // factor
        bins = np.arange(-float(n_used), n_used)
        # real and imaginary parts have the same weight
        self.weights = np.repeat(alias_shares(n_samples, factor, bins)[: factor // 2].astype(np.float32), 2, axis=1)
        turns = np.exp(2j * np.pi / n_samples * np.outer(bins[n_used:], np.arange(factor)))
        self.gains: C128 = factor / turns.sum(axis=1) ** 2
        self.aliases = np.empty((2, 4 * n_used), np.float32)
        self.sums = np.empty((_ROWS, n_short))
        self.short = np.empty((_ROWS, n_short // 2 + 1), np.complex128)
        self.spectrum = np.empty((n_channels, n_low), np.complex128)
        self.power = np.empty((n_channels, n_low))
        self.whole: tuple[F64, C128, F64] | None = None


def summed(n_samples: int, sampling_rate_hz: float) -> int:
    """Return how many neighbouring samples are summed for the short transform; 1 where there is none.

    Examples
    --------
    >>> summed(25_600, 25_600.0), summed(12_000, 12_000.0), summed(2_999, 12_000.0)
    (32, 16, 1)
    """
    factor = 1
    while factor < _LARGEST_FACTOR and n_samples % (2 * factor) == 0 and sampling_rate_hz >= 2 * factor * _SLOWEST_HZ:
        factor *= 2
    return factor


def alias_shares(n_samples: int, factor: int, bins: F64) -> F64:
    """Return |G(q + jM)/G(q)|² for the bins q given and j = 1 … `factor` - 1, shape (factor - 1, n_bins)."""
    turn, steps = np.pi * bins / n_samples, np.pi * np.arange(1, factor)[:, np.newaxis] / factor
    shares: F64 = np.square(np.sin(turn) / np.sin(turn + steps))
    return shares


@kernel()
def _refine(
    samples: F32,
    moments: F64,
    single: C64,
    rows: Rows,
    factor: int,
    weights: F32,
    gains: C128,
    sums: F64,
    short: C128,
    aliases: F32,
    spectrum: C128,
    power: F64,
) -> None:
    axes = np.array([1])
    for start in range(0, rows.size, sums.shape[0]):
        n = min(sums.shape[0], rows.size - start)
        for r in range(n):
            c = rows[start + r]
            _sum_neighbours(samples[c], factor, moments[c, _MEAN], sums[r])
        r2c(sums[:n], short[:n], axes, True, 1.0, 1)
        for r in range(n):
            c = rows[start + r]
            _sum_aliases(single[c].view(np.float32), sums.shape[1], weights, aliases)
            _solve(short[r], gains, aliases, single[c], spectrum[c])
            hann_mean_square(spectrum[c : c + 1], samples.shape[1], power[c : c + 1])


@kernel()
def _sum_neighbours(samples: F32, factor: int, mean: float, out: F64) -> None:
    """Fill `out` with the weighted sums of the samples less their mean; the last one goes on at the first sample."""
    last = out.size - 1
    first_rising, falling = _sum_block(samples[:factor], factor)
    rising = first_rising
    offset = mean * factor * factor
    for m in range(last):
        next_rising, next_falling = _sum_block(samples[(m + 1) * factor : (m + 2) * factor], factor)
        out[m] = rising + next_falling - offset
        rising = next_rising
    out[last] = rising + falling - offset


@kernel("reassoc", "contract", "nsz")
def _sum_block(samples: F32, factor: int) -> tuple[float, float]:
    """Return the sums of a few samples with weights that rise from 1 to `factor` and that fall from one less to 0."""
    total = rising = 0.0
    for d in range(samples.size):
        total += np.float64(samples[d])
        rising += d * np.float64(samples[d])
    return rising + total, (factor - 1) * total - rising


@kernel()
def _sum_aliases(parts: F32, spacing: int, weights: F32, aliases: F32) -> None:
    """Fill `aliases` (2, n) with the weighted sums of the bins about multiples of the short rate, turned by j/D.

    The bins, real and imaginary parts in turn, lie from so many below the multiple to so many above it. Those above the
    middle of the spectrum, j > D/2, are the conjugates of those below it, which the lower half stands for.
    """
    aliases[:] = np.float32(0.0)
    factor, half = 2 * weights.shape[0], weights.shape[1] // 2
    for j in range(1, factor // 2):
        turn = 2.0 * math.pi * j / factor
        near = parts[2 * j * spacing - half : 2 * j * spacing + half]
        _add_turned(near, weights[j - 1], math.cos(turn), math.sin(turn), aliases[0], aliases[1])
    middle = factor // 2 * spacing
    _add_turned(
        parts[2 * middle - half : 2 * middle], weights[-1, :half], -1.0, 0.0, aliases[0, :half], aliases[1, :half]
    )


@kernel("contract")
def _add_turned(parts: F32, weights: F32, cosine: float, sine: float, in_phase: F32, in_quadrature: F32) -> None:
    c, s = np.float32(cosine), np.float32(sine)
    for i in range(parts.size):
        weighted = weights[i] * parts[i]
        in_phase[i] += c * weighted
        in_quadrature[i] += s * weighted


@kernel()
def _solve(short: C128, gains: C128, aliases: F32, single: C64, out: C128) -> None:
    """Fill `out` with the short transform's bins less their aliases; above, with those of single precision."""
    middle = gains.size
    near = aliases.view(np.complex64)
    for k in range(gains.size):
        above = complex(near[0, middle + k]) - 1j * complex(near[1, middle + k])
        below = complex(near[0, middle - k]) - 1j * complex(near[1, middle - k])
        out[k] = gains[k] * short[k] - (above + np.conj(below))
    for k in range(gains.size, out.size):
        out[k] = single[k]


@kernel()
def _transform_wholly(samples: F32, mean: float, wide: F64, spectrum: C128, power: F64) -> None:
    """Fill `wide` with the samples less their mean, then `spectrum` and `power`; all have one row."""
    for i in range(samples.size):
        wide[0, i] = np.float64(samples[i]) - mean
    r2c(wide, spectrum, np.array([1]), True, 1.0, 1)
    hann_mean_square(spectrum, samples.size, power)
