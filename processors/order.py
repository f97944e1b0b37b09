"""Order tracking: vibration over shaft angle instead of time, so that a changing speed smears no line.

The angle comes from a tacho or from speed readings, as a cubic spline over time. Samples are taken at equal angles so
densely that nothing folds, then low-passed and thinned over angle: there the filter's edge is an order, the same at
every speed. In between the order spectrum is what the spectrum is at constant speed; an average over revolutions keeps
what repeats with the shaft and lets the rest fall with the root of their number.

K. R. Fyfe, E. D. S. Munck, "Analysis of computed order tracking", MSSP 11 (1997), 187-205.
"""

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import scipy.signal
from scipy.interpolate import CubicSpline

from contracts.errors import SignalError
from processors.spectrum import Spectrum, amplitude_spectrum

F64 = npt.NDArray[np.float64]
Real = npt.NDArray[np.floating[Any]]

#: Samples a revolution over the highest order: room for the filter's edge.
SAMPLES_PER_ORDER: Final = 2.56
#: The signal is first sampled so much more finely, by a band-limited filter, that a cubic spline is exact enough.
_UPSAMPLING: Final = 4
#: The low-pass filter over angle reaches so many thinned samples to either side; its stop band lies 80 dB down.
_FILTER_REACH: Final = 24
_KAISER_BETA: Final = 8.0
#: A time for an angle is mended until it is exact to rounding.
_NEWTON_STEPS: Final = 4
#: More samples than this from one recording are a mistake in the speed.
_MOST_SAMPLES: Final = 50_000_000


@dataclass(frozen=True, slots=True)
class ShaftAngle:
    """Revolutions of the shaft over time, increasing, from ``start_s`` to ``stop_s``."""

    revolutions: CubicSpline
    start_s: float
    stop_s: float

    def times_s(self, revolutions: F64) -> F64:
        """Return when the shaft stood at `revolutions`."""
        grid = np.linspace(self.start_s, self.stop_s, max(1000, 4 * self.revolutions.x.size))
        times: F64 = np.interp(revolutions, self.revolutions(grid), grid)
        for _ in range(_NEWTON_STEPS):
            times = times - (self.revolutions(times) - revolutions) / self.revolutions(times, 1)
        return np.clip(times, self.start_s, self.stop_s)

    def speed_rpm(self, times_s: F64) -> F64:
        """Return the speed at `times_s`."""
        speed: F64 = 60.0 * self.revolutions(times_s, 1)
        return speed


@dataclass(frozen=True, slots=True)
class AngleSamples:
    """Channels over shaft angle: ``values`` (n_channels, n), ``per_revolution`` samples a turn from ``start`` on."""

    values: F64
    per_revolution: int
    start: float
    angle: ShaftAngle


def angle_from_tacho(pulse_times_s: F64, pulses_per_revolution: int = 1) -> ShaftAngle:
    """Return the shaft angle from the pulses of a tacho.

    Parameters
    ----------
    pulse_times_s : ndarray, shape (n_pulses,), float64
        When each pulse came, increasing.
    pulses_per_revolution : int
        Pulses a turn.

    Returns
    -------
    angle : ShaftAngle
        0 revolutions at the first pulse.

    Raises
    ------
    SignalError
        For fewer than four pulses, times that don't increase, or less than one pulse a turn.
    """
    if pulses_per_revolution < 1:
        raise SignalError(f"{pulses_per_revolution} pulses a revolution; at least 1 needed")
    times = _increasing(pulse_times_s, "tacho pulses")
    return _checked(CubicSpline(times, np.arange(times.size) / pulses_per_revolution), times)


def pulse_times_s(tacho: Real, sampling_rate_hz: float) -> F64:
    """Return when a tacho's signal rises through the middle of its range, between samples by a straight line.

    After a pulse the signal must fall below a quarter of the range before the next one counts, so that noise on an edge
    makes no pulses.

    Parameters
    ----------
    tacho : ndarray, shape (n_samples,)
        The signal, in any unit.
    sampling_rate_hz : float
        Its sampling rate.

    Returns
    -------
    times_s : ndarray, shape (n_pulses,), float64
        Increasing.

    Raises
    ------
    SignalError
        If the signal isn't one-dimensional and finite, has no range, or the rate isn't positive.

    Examples
    --------
    >>> pulse_times_s(np.array([0.0, 0.0, 4.0, 4.0, 0.0, 0.0, 4.0, 0.0]), 2.0).tolist()
    [0.75, 2.75]
    """
    if tacho.ndim != 1 or tacho.size < 2 or not np.isfinite(tacho).all() or not 0 < sampling_rate_hz < math.inf:
        raise SignalError(f"a tacho of shape {tacho.shape} at {sampling_rate_hz} Hz; finite samples in a row needed")
    low, high = float(tacho.min()), float(tacho.max())
    if not high > low:
        raise SignalError(f"the tacho stands at {low}: it has no pulses")
    middle, armed_below = 0.5 * (low + high), low + 0.25 * (high - low)
    rising = np.flatnonzero((tacho[:-1] < middle) & (tacho[1:] >= middle))
    falls = np.concatenate(([0], np.cumsum(tacho < armed_below)))
    armed = np.ones(rising.size, dtype=np.bool_)
    armed[1:] = falls[rising[1:] + 1] > falls[rising[:-1] + 1]
    kept = rising[armed]
    before = tacho[kept].astype(np.float64)
    times: F64 = (kept + (middle - before) / (tacho[kept + 1] - before)) / sampling_rate_hz
    return times


def angle_from_speed(times_s: F64, speeds_rpm: F64) -> ShaftAngle:
    """Return the shaft angle from speed readings: the integral of their spline.

    Raises
    ------
    SignalError
        For fewer than four readings, times that don't increase, or speeds that aren't positive.
    """
    times = _increasing(times_s, "speed readings")
    if speeds_rpm.shape != times.shape or not np.isfinite(speeds_rpm).all() or speeds_rpm.min() <= 0:
        raise SignalError(f"speeds of shape {speeds_rpm.shape}; {times.shape} positive numbers needed")
    return _checked(CubicSpline(times, speeds_rpm / 60.0).antiderivative(), times)


def _increasing(times_s: F64, what: str) -> F64:
    times = np.asarray(times_s, dtype=np.float64)
    if times.ndim != 1 or times.size < 4:
        raise SignalError(f"{what} of shape {times.shape}; at least 4 in one dimension needed")
    if not np.isfinite(times).all() or not (np.diff(times) > 0).all():
        raise SignalError(f"the times of the {what} don't increase")
    return times


def _checked(revolutions: CubicSpline, times: F64) -> ShaftAngle:
    grid = np.linspace(times[0], times[-1], 8 * times.size)
    slowest = float(revolutions(grid, 1).min())
    if slowest <= 0.0:
        raise SignalError(f"the shaft turns backwards ({60.0 * slowest:.1f} rpm): a pulse is missing or too many")
    return ShaftAngle(revolutions, float(times[0]), float(times[-1]))


def resample(samples: Real, sampling_rate_hz: float, angle: ShaftAngle, highest_order: float) -> AngleSamples:
    """Return signals at equal shaft angles.

    Parameters
    ----------
    samples : ndarray, shape (n_channels, n_samples)
        The signals; the first sample lies at time 0.
    sampling_rate_hz : float
        Their sampling rate.
    angle : ShaftAngle
        The shaft angle over the same time.
    highest_order : float
        Orders up to this one come through; higher ones are filtered away.

    Returns
    -------
    resampled : AngleSamples
        At least 2.56 samples a revolution and order.

    Raises
    ------
    SignalError
        If the shape, the rate or the order is unusable, or less than one revolution lies in the recording.
    """
    if samples.ndim != 2 or samples.shape[1] < 16 or not 0 < sampling_rate_hz < math.inf:
        raise SignalError(f"signals of shape {samples.shape} at {sampling_rate_hz} Hz; (channels, at least 16) needed")
    if not 0 < highest_order < math.inf:
        raise SignalError(f"highest order {highest_order}; a positive number needed")
    start_s = max(angle.start_s, 0.0)
    stop_s = min(angle.stop_s, (samples.shape[1] - 1) / sampling_rate_hz)
    start, stop = (float(angle.revolutions(t)) for t in (start_s, stop_s))
    if stop_s <= start_s or stop - start < 1.0:
        raise SignalError(f"{max(stop - start, 0.0):.2f} revolutions within the recording; at least 1 needed")
    thinned = math.ceil(SAMPLES_PER_ORDER * highest_order)
    slowest_hz = float(angle.revolutions(np.linspace(start_s, stop_s, 4096), 1).min())
    factor = max(1, math.ceil(sampling_rate_hz / slowest_hz / thinned))
    count = math.floor((stop - start) * thinned * factor) + 1
    if count > _MOST_SAMPLES:
        raise SignalError(f"{count} samples over angle; at most {_MOST_SAMPLES}: is {60 * slowest_hz:.2f} rpm right?")
    times = angle.times_s(start + np.arange(count) / (thinned * factor))
    fine = scipy.signal.resample_poly(samples.astype(np.float64), _UPSAMPLING, 1, axis=1, padtype="line")
    fine_s = np.arange(fine.shape[1]) / (_UPSAMPLING * sampling_rate_hz)
    dense: F64 = CubicSpline(fine_s, fine, axis=1)(times)
    if factor > 1:
        taps = scipy.signal.firwin(2 * _FILTER_REACH * factor + 1, 1.0 / factor, window=("kaiser", _KAISER_BETA))
        # the stubs leave out an array of taps, which SciPy documents
        dense = scipy.signal.resample_poly(dense, 1, factor, axis=1, window=taps, padtype="line")  # type: ignore[call-overload]
    return AngleSamples(np.ascontiguousarray(dense), thinned, start, angle)


def order_spectrum(resampled: AngleSamples) -> Spectrum:
    """Return the amplitude (peak) spectrum over orders; ``bin_hz`` of the result is in orders.

    Whole revolutions are taken, so that every order of the shaft lies on a bin.
    """
    turns = resampled.values.shape[1] // resampled.per_revolution
    if turns < 1:
        raise SignalError(
            f"{resampled.values.shape[1]} samples, {resampled.per_revolution} a revolution; one turn needed"
        )
    return amplitude_spectrum(resampled.values[:, : turns * resampled.per_revolution], float(resampled.per_revolution))


def synchronous_average(resampled: AngleSamples) -> F64:
    """Return the average revolution of each channel, shape (n_channels, per_revolution).

    What doesn't repeat with the shaft falls with the root of the number of revolutions.

    Raises
    ------
    SignalError
        If there is less than one revolution.
    """
    n_channels, n = resampled.values.shape
    turns = n // resampled.per_revolution
    if turns < 1:
        raise SignalError(f"{n} samples, {resampled.per_revolution} a revolution; one turn needed")
    whole = resampled.values[:, : turns * resampled.per_revolution]
    average: F64 = whole.reshape(n_channels, turns, resampled.per_revolution).mean(axis=1)
    return average
