"""Lines, peaks, densities and averages against plain NumPy and SciPy."""

import math
from typing import Any

import numpy as np
import pytest
import scipy.fft
import scipy.signal
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from contracts.errors import SignalError
from processors import averages, order
from processors.lines import Lines, phase_deg
from processors.peaks import amplitude_density, peaks, sideband_spacing_hz
from processors.spectrum import Spectrum, amplitude_spectrum, power_density, third_octaves
from processors.velocity import MM_S2_PER_G

RATE_HZ = 2048.0
SIZES = st.integers(64, 3000)
SEEDS = st.integers(0, 2**32 - 1)


def noise(seed: int, n: int, mean: float = 0.0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).standard_normal(n) + mean


@given(SIZES, SEEDS, st.floats(-100, 100))
def test_the_power_of_each_bin_is_that_of_a_plain_hann_spectrum(n: int, seed: int, mean: float) -> None:
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)
    double = noise(seed, n, mean)
    for samples, bound in ((double, 4e-13), (double.astype(np.float32), 1e-5)):
        x = samples.astype(np.float64)
        plain = 2.0 * np.abs(scipy.fft.rfft((x - x.mean()) * hann)) ** 2 / (n * np.sum(hann**2))
        plain[-1] *= 0.5 if n % 2 == 0 else 1.0
        plain[0] = 0.0
        assert np.abs(Lines(samples, RATE_HZ).power - plain).max() <= bound * plain.max()


@given(st.integers(8, 120), st.floats(0, 360), st.floats(0.1, 50.0), SEEDS)
def test_level_and_phase_of_a_line(k: int, phase: float, mm_s: float, seed: int) -> None:
    n = 2048
    omega = 2 * np.pi * k
    g = math.sqrt(2) * mm_s * omega / MM_S2_PER_G
    t_s = np.arange(n) / RATE_HZ
    floor = 1e-4 * g * noise(seed, n)
    one, other = (Lines(g * np.sin(omega * t_s + turn) + floor, RATE_HZ) for turn in (0.0, math.radians(phase)))
    assert one.velocity_mm_s(float(k)) == pytest.approx(mm_s, rel=1e-3)
    assert one.standing(float(k), float(k)) == one.velocity_mm_s(float(k))
    assert phase_deg(one, other, float(k)) == pytest.approx(180 - abs(180 - phase), abs=0.1)


def test_noise_has_no_line_and_beyond_the_spectrum_there_is_none() -> None:
    lines = Lines(noise(5, 4096), RATE_HZ)
    assert [lines.standing(hz, 20.0) for hz in (20.0, 40.0, 300.0)] == [0.0] * 3
    assert lines.at(RATE_HZ / 2) == -1
    assert math.isnan(lines.velocity_mm_s(RATE_HZ))
    assert math.isnan(phase_deg(lines, lines, RATE_HZ))
    assert math.isnan(phase_deg(Lines(np.zeros(64), RATE_HZ), lines, 100.0))


@given(st.lists(st.tuples(st.integers(1, 18), st.floats(0.05, 0.45), st.floats(0.5, 2.0)), min_size=1, max_size=4))
def test_peaks_are_where_the_lines_are(wanted: list[tuple[int, float, float]]) -> None:
    # at least 5 Hz apart and with different amplitudes
    lines = {place: (50.0 * place + offset, amplitude) for place, offset, amplitude in wanted}
    t_s = np.arange(2048) / RATE_HZ
    x = sum(a * np.sin(2 * np.pi * f * t_s) for f, a in lines.values())
    found = peaks(amplitude_spectrum(np.asarray(x)[np.newaxis], RATE_HZ), 0, 10.0, 1000.0, len(lines))
    assert len(found) == len(lines)
    assert [peak.amplitude for peak in found] == sorted((peak.amplitude for peak in found), reverse=True)
    for peak, (hz, amplitude) in zip(sorted(found, key=lambda p: p.frequency_hz), sorted(lines.values()), strict=True):
        assert peak.frequency_hz == pytest.approx(hz, abs=2e-3)
        assert peak.amplitude == pytest.approx(amplitude, rel=2e-3)
        assert peak.over_floor_db > 40.0


@given(SEEDS)
def test_peaks_of_noise_are_scipys_local_maxima(seed: int) -> None:
    spectrum = amplitude_spectrum(noise(seed, 512)[np.newaxis], RATE_HZ)
    tops, _ = scipy.signal.find_peaks(spectrum.values[0])
    found = peaks(spectrum, 0, 3 * spectrum.bin_hz, 250 * spectrum.bin_hz, 5)
    places = [round(peak.frequency_hz / spectrum.bin_hz) for peak in found]
    # a peak half-way between two bins rounds to either
    assert all(min(abs(tops - place)) <= 1 for place in places)
    inner = tops[(tops >= 3) & (tops <= 250)]
    assert found[0].amplitude >= spectrum.values[0, inner].max()


def test_unusable_ranges_of_peaks_are_refused() -> None:
    spectrum = amplitude_spectrum(noise(1, 512)[np.newaxis], RATE_HZ)
    for low_hz, high_hz, count in ((100.0, 101.0, 1), (10.0, 500.0, 0), (500.0, 100.0, 1)):
        with pytest.raises(SignalError):
            peaks(spectrum, 0, low_hz, high_hz, count)


@given(SIZES, SEEDS)
def test_amplitude_density_is_the_root_of_scipys_density(n: int, seed: int) -> None:
    x = noise(seed, n)
    _, plain = scipy.signal.periodogram(x, RATE_HZ, window="hann", detrend="constant")
    ours = amplitude_density(power_density(x[np.newaxis], RATE_HZ)).values[0]
    assert np.abs(ours - np.sqrt(plain)).max() <= 4e-13 * np.sqrt(plain.max())


@given(st.sampled_from([64, 100, 256]), st.sampled_from([0.0, 0.5, 0.75]), st.floats(0.05, 5.0), SEEDS)
def test_averages_against_plain_ones(segment: int, overlap: float, time_constant_s: float, seed: int) -> None:
    x = noise(seed, 1500)
    step = round(segment * (1 - overlap))
    rows = []
    for start in range(0, x.size - segment + 1, step):
        _, row = scipy.signal.periodogram(x[start : start + segment], RATE_HZ, window="hann", detrend="constant")
        rows.append(row)
    weights = np.exp(-np.arange(len(rows))[::-1] * step / RATE_HZ / time_constant_s)
    plain = np.average(rows, axis=0, weights=weights)
    faded = averages.exponential_density(x[np.newaxis], RATE_HZ, segment, time_constant_s, overlap)
    held = averages.peak_hold_density(x[np.newaxis], RATE_HZ, segment, overlap)
    assert np.abs(faded.values[0] - plain).max() <= 4e-13 * plain.max()
    assert np.abs(held.values[0] - np.max(rows, axis=0)).max() <= 4e-13 * np.max(rows)


@given(SEEDS)
def test_third_octaves_are_sums_between_their_edges(seed: int) -> None:
    density = power_density(noise(seed, 4096)[np.newaxis], RATE_HZ)
    centres, levels = third_octaves(density, 50.0, 800.0)
    assert centres == pytest.approx(1000.0 * 10.0 ** (np.arange(-13, 0) / 10.0))
    for centre, level in zip(centres, levels[0], strict=True):
        low, high = centre / 10**0.05, centre * 10**0.05
        inside = (density.frequencies_hz >= low) & (density.frequencies_hz < high)
        plain = math.sqrt(density.values[0, inside].sum() * density.bin_hz)
        assert level == pytest.approx(plain, rel=4e-13)


@given(st.integers(1, 7), st.integers(4, 40), SEEDS)
def test_a_synchronous_average_is_the_mean_of_the_whole_turns(turns: int, per_turn: int, seed: int) -> None:
    x = noise(seed, turns * per_turn + per_turn // 2)[np.newaxis]
    angle = order.angle_from_speed(np.arange(4.0), np.full(4, 60.0))
    average = order.synchronous_average(order.AngleSamples(x, per_turn, 0.0, angle))
    plain = [x[0, place : turns * per_turn : per_turn].mean() for place in range(per_turn)]
    assert average[0] == pytest.approx(plain, rel=4e-13, abs=4e-13)


def modulated(shaft_hz: float, seed: int = 1) -> NDArray[Any]:
    """Return a mesh that a damaged tooth modulates once a turn, in noise."""
    t_s = np.arange(8192) / RATE_HZ
    tooth = 1.0 + 2.0 * np.exp(-(((np.mod(t_s * shaft_hz, 1.0) - 0.5) / 0.06) ** 2))
    signal: NDArray[Any] = tooth * np.sin(2 * np.pi * 23 * shaft_hz * t_s) + 0.02 * noise(seed, t_s.size)
    return signal


@pytest.mark.parametrize("shaft_hz", [12.3, 14.0, 20.0, 27.9])
def test_the_cepstrum_finds_the_shaft_that_modulates_a_mesh(shaft_hz: float) -> None:
    found_hz, height = sideband_spacing_hz(modulated(shaft_hz), RATE_HZ, 9.0, 35.0)
    assert found_hz == pytest.approx(shaft_hz, rel=5e-3)
    _, of_noise = sideband_spacing_hz(noise(2, 8192), RATE_HZ, 9.0, 35.0)
    assert height > 2.0 * of_noise


def test_spacings_that_cannot_be_seen_are_refused() -> None:
    with pytest.raises(SignalError, match="s needed"):
        sideband_spacing_hz(noise(1, 256), RATE_HZ, 2.0, 50.0)
    for low_hz, high_hz in ((0.0, 10.0), (20.0, 10.0)):
        with pytest.raises(SignalError):
            sideband_spacing_hz(noise(1, 4096), RATE_HZ, low_hz, high_hz)
    assert amplitude_density(Spectrum(np.zeros((1, 3)), 1.0)).values.tolist() == [[0.0] * 3]
