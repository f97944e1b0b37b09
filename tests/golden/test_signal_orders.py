"""Order tracking and averages on analytic signals."""

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from contracts.errors import SignalError
from processors import averages, order, waterfall
from processors.hjorth import hjorth
from processors.spectrum import amplitude_spectrum, power_density

RATE_HZ = 25600.0
SECONDS = 10.0
T_S = np.arange(int(RATE_HZ * SECONDS)) / RATE_HZ


def turns(t_s: NDArray[Any]) -> NDArray[Any]:
    """Return the revolutions of a run-up from 10 to 30 Hz in 10 s."""
    result: NDArray[Any] = 10.0 * t_s + t_s**2
    return result


def pulses() -> NDArray[Any]:
    times_s: NDArray[Any] = -5.0 + np.sqrt(25.0 + np.arange(200))
    return times_s


def test_vector_8_order_of_a_run_up() -> None:
    signal = np.cos(2 * np.pi * 3.0 * turns(T_S))[np.newaxis]
    angle = order.angle_from_tacho(pulses())
    spectrum = order.order_spectrum(order.resample(signal, RATE_HZ, angle, 10.0))
    k = int(np.argmax(spectrum.values[0]))
    assert spectrum.bin_hz * k == pytest.approx(3.0, rel=1e-3)
    assert spectrum.values[0, k] == pytest.approx(1.0, rel=1e-3)
    plain = amplitude_spectrum(signal, RATE_HZ, "rectangular")
    assert plain.values[0].max() == pytest.approx(0.048, abs=0.02)


def test_speed_readings_give_the_same_orders() -> None:
    signal = np.stack([np.cos(2 * np.pi * 3.0 * turns(T_S)), 0.5 * np.cos(2 * np.pi * 7.0 * turns(T_S))])
    times = np.linspace(0.0, SECONDS, 21)
    angle = order.angle_from_speed(times, 60.0 * (10.0 + 2.0 * times))
    spectrum = order.order_spectrum(order.resample(signal, RATE_HZ, angle, 10.0))
    for channel, (expected, amplitude) in enumerate([(3.0, 1.0), (7.0, 0.5)]):
        k = int(np.argmax(spectrum.values[channel]))
        assert spectrum.bin_hz * k == pytest.approx(expected, rel=1e-3)
        assert spectrum.values[channel, k] == pytest.approx(amplitude, rel=1e-3)


def test_higher_orders_do_not_fold_down() -> None:
    signal = np.cos(2 * np.pi * 47.0 * turns(T_S))[np.newaxis]
    resampled = order.resample(signal, RATE_HZ, order.angle_from_tacho(pulses()), 10.0)
    middle = resampled.values[0, resampled.per_revolution : -resampled.per_revolution]
    assert np.abs(middle).max() < 1e-3


def test_vector_10_synchronous_average() -> None:
    rng = np.random.default_rng(10)
    resampled = order.resample(
        (np.cos(2 * np.pi * 3.0 * 20.0 * T_S) + rng.standard_normal(T_S.size))[np.newaxis],
        RATE_HZ,
        order.angle_from_speed(np.linspace(0, SECONDS, 50), np.full(50, 1200.0)),
        500.0,
    )
    hundred = order.AngleSamples(
        resampled.values[:, : 100 * resampled.per_revolution], resampled.per_revolution, 0.0, resampled.angle
    )
    average = order.synchronous_average(hundred)[0]
    assert average.size == resampled.per_revolution == 1280
    # the low-pass at order 640 of this shaft is the recording's own Nyquist frequency: all the noise comes through
    assert average.std() == pytest.approx(math.sqrt(0.5 + 0.01), rel=0.02)


def test_a_run_up_is_a_ridge_at_its_order_over_rising_speed() -> None:
    signal = np.cos(2 * np.pi * 3.0 * turns(T_S))[np.newaxis]
    full = waterfall.run_up(order.resample(signal, RATE_HZ, order.angle_from_tacho(pulses()), 10.0))
    assert (np.diff(full.speeds_rpm) > 0).all()
    np.testing.assert_allclose(full.speeds_rpm, 60.0 * (10.0 + 2.0 * full.times_s), rtol=1e-3)
    np.testing.assert_allclose(full.orders[full.amplitudes[0].argmax(axis=1)], 3.0, atol=1e-9)
    drawn = full.thinned(8, 40)
    assert drawn.amplitudes.shape == (1, 8, 40)
    assert drawn.amplitudes.max() == full.amplitudes.max()
    assert full.thinned(10_000, 10_000).amplitudes.tobytes() == full.amplitudes.tobytes()


@pytest.mark.parametrize(
    "times",
    [np.arange(3.0), np.array([0.0, 1.0, 1.0, 2.0]), np.array([0.0, 1.0, math.nan, 2.0]), np.arange(8.0).reshape(2, 4)],
)
def test_unusable_pulses_are_refused(times: NDArray[Any]) -> None:
    with pytest.raises(SignalError):
        order.angle_from_tacho(times)


def test_unusable_arguments_are_refused() -> None:
    angle = order.angle_from_tacho(pulses())
    signal = np.zeros((1, 1000))
    with pytest.raises(SignalError):
        order.resample(signal[0], RATE_HZ, angle, 5.0)
    with pytest.raises(SignalError):
        order.resample(signal, 0.0, angle, 5.0)
    with pytest.raises(SignalError, match="revolutions"):
        order.resample(signal, RATE_HZ, angle, 5.0)
    with pytest.raises(SignalError):
        order.resample(np.zeros((1, 25600)), RATE_HZ, angle, 0.0)
    with pytest.raises(SignalError):
        order.angle_from_speed(np.arange(5.0), np.array([1.0, 2.0, 0.0, 3.0, 4.0]))
    with pytest.raises(SignalError):
        order.angle_from_tacho(pulses(), 0)


def test_a_missing_pulse_that_turns_the_spline_back_is_named() -> None:
    times = np.array([0.0, 1.0, 1.001, 1.002, 2.5, 4.0])
    with pytest.raises(SignalError, match="backwards"):
        order.angle_from_tacho(times)


def test_exponential_average_follows_and_peak_hold_keeps() -> None:
    loud_then_quiet = np.random.default_rng(3).standard_normal((1, 200_000))
    loud_then_quiet[:, 100_000:] *= 0.1
    slow = averages.exponential_density(loud_then_quiet, 1000.0, 1000, 1e9)
    fast = averages.exponential_density(loud_then_quiet, 1000.0, 1000, 5.0)
    welch = power_density(loud_then_quiet, 1000.0, segment=1000)
    np.testing.assert_allclose(slow.values, welch.values, rtol=1e-6)
    assert fast.values[0, 1:-1].mean() == pytest.approx(0.01 * 0.002, rel=0.05)
    held = averages.peak_hold_density(loud_then_quiet, 1000.0, 1000)
    assert (held.values >= welch.values).all()
    assert held.values[0, 1:-1].mean() > 0.002


def test_hjorth_of_a_sine_a_ramp_and_a_constant() -> None:
    activity, mobility, complexity = hjorth(3.0 * np.sin(2 * np.pi * np.arange(100_000) / 50))
    assert activity == pytest.approx(4.5, rel=1e-9)
    assert complexity == pytest.approx(1.0, rel=1e-4)
    assert mobility == pytest.approx(2.0 * math.sin(math.pi / 50), rel=1e-4)
    assert math.isnan(hjorth(np.ones(10))[1])
    assert math.isnan(hjorth(np.arange(8.0))[2])
    with pytest.raises(SignalError):
        hjorth([1.0, 2.0])


def test_pulses_of_a_noisy_tacho_are_counted_once_and_placed_between_samples() -> None:
    rate_hz, t_s = 5000.0, np.arange(20000) / 5000.0
    edge = np.clip(20.0 * np.cos(2 * np.pi * (10.0 * t_s + 2.0 * t_s**2)) + 0.5, 0.0, 1.0)
    noisy = edge + 0.04 * np.random.default_rng(1).standard_normal(t_s.size)
    found = order.pulse_times_s(noisy, rate_hz)
    whole = np.arange(1, 73) - 0.25  # cos rises through 0 a quarter turn before each whole one
    expected = (-10.0 + np.sqrt(100.0 + 8.0 * whole)) / 4.0
    assert found.size == expected.size
    assert np.abs(found - expected).max() < 0.5 / rate_hz
    for wrong in (np.zeros(100), np.full(100, np.nan), np.zeros((2, 50))):
        with pytest.raises(SignalError):
            order.pulse_times_s(wrong, rate_hz)


def test_a_slow_edge_with_chatter_in_the_middle_is_one_pulse() -> None:
    slow = np.array([0.0, 0.3, 0.48, 0.52, 0.49, 0.53, 0.8, 1.0, 0.0, 0.0, 1.0])
    assert order.pulse_times_s(slow, 1.0).size == 2
