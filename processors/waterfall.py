"""The waterfall of a run-up: one order spectrum after another, over speed, of a size that can be drawn.

Thinning for a plot keeps the largest value of every cell: a resonance that is one line wide must not vanish.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from contracts.errors import SignalError
from processors.order import AngleSamples
from processors.spectrum import amplitude_spectrum

F64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Waterfall:
    """Order spectra over time.

    Parameters
    ----------
    times_s, speeds_rpm : ndarray, shape (n_rows,)
        Middle of each spectrum's stretch, and the speed there.
    orders : ndarray, shape (n_columns,)
        Order of each column.
    amplitudes : ndarray, shape (n_channels, n_rows, n_columns)
        Amplitudes (peak).
    """

    times_s: F64
    speeds_rpm: F64
    orders: F64
    amplitudes: F64

    def thinned(self, most_rows: int, most_columns: int) -> "Waterfall":
        """Return the waterfall with at most so many rows and columns, the largest amplitude in each cell."""
        if most_rows < 1 or most_columns < 1:
            raise SignalError(f"{most_rows} rows and {most_columns} columns; at least 1 of each needed")
        rows = _starts(self.times_s.size, most_rows)
        columns = _starts(self.orders.size, most_columns)
        tall = np.maximum.reduceat(self.amplitudes, rows, axis=1)
        return Waterfall(
            self.times_s[rows], self.speeds_rpm[rows], self.orders[columns], np.maximum.reduceat(tall, columns, axis=2)
        )


def run_up(resampled: AngleSamples, revolutions: int = 16, overlap: float = 0.5) -> Waterfall:
    """Return the waterfall of a recording over angle.

    Parameters
    ----------
    resampled : AngleSamples
        The recording.
    revolutions : int
        Length of each spectrum: its resolution is one over this, orders.
    overlap : float
        Share of a stretch that the next one repeats, 0 to 0.9.

    Returns
    -------
    waterfall : Waterfall
        One row per stretch.

    Raises
    ------
    SignalError
        If the recording is shorter than one stretch, or the overlap is out of range.
    """
    length = revolutions * resampled.per_revolution
    if revolutions < 1 or length > resampled.values.shape[1] or not 0 <= overlap <= 0.9:
        turns = resampled.values.shape[1] / resampled.per_revolution
        raise SignalError(f"stretches of {revolutions} of {turns:.1f} revolutions, overlap {overlap}: 0 to 0.9 allowed")
    starts = np.arange(0, resampled.values.shape[1] - length + 1, max(1, round(length * (1.0 - overlap))))
    spectra = [amplitude_spectrum(resampled.values[:, s : s + length], float(resampled.per_revolution)) for s in starts]
    middles = resampled.start + (starts + 0.5 * length) / resampled.per_revolution
    times = resampled.angle.times_s(middles)
    amplitudes = np.stack([spectrum.values for spectrum in spectra], axis=1)
    return Waterfall(times, resampled.angle.speed_rpm(times), spectra[0].frequencies_hz, amplitudes)


def _starts(n: int, most: int) -> npt.NDArray[np.int64]:
    return np.unique((np.arange(min(n, most)) * n) // min(n, most))
