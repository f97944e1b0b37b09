"""Analytic signals with known answers (fs 25.6 kHz, 1 s unless said)."""

import math
from typing import Any

import numpy as np
import pytest
import scipy.fft
import scipy.signal
from numpy.typing import NDArray

from contracts.errors import SignalError
from contracts.features import FEATURE_INDEX
from processors import envelope, spectrum
from processors.bearings import bearing
from processors.families import find_families
from processors.features import FeatureBlock, FeatureEngine, choose_bands
from processors.severity import vector_change
from processors.time_domain import describe

RATE_HZ = 25600.0
N = 25600
T_S = np.arange(N) / RATE_HZ


def features(signal: NDArray[Any], speed_rpm: float | None = None) -> FeatureBlock:
    samples = np.ascontiguousarray(signal[np.newaxis], dtype=np.float32)
    engine = FeatureEngine(1, samples.shape[1], RATE_HZ, (bearing("6205"),))
    return engine.compute(samples, speed_rpm, choose_bands(samples, RATE_HZ))


def value(block: FeatureBlock, name: str) -> float:
    return float(block.values[0, FEATURE_INDEX[name]])


def test_vector_1_sine_statistics() -> None:
    found = describe(np.sin(2 * np.pi * 160 * T_S))
    assert found["rms"] == pytest.approx(math.sqrt(0.5), rel=1e-9)
    assert found["crest_factor"] == pytest.approx(math.sqrt(2), rel=1e-9)
    assert found["kurtosis"] == pytest.approx(1.5, rel=1e-9)
    single = features(np.sin(2 * np.pi * 160 * T_S))
    assert value(single, "rms_g") == pytest.approx(math.sqrt(0.5), rel=6e-6)
    assert found["shape_factor"] == pytest.approx(1.1107, rel=3e-3)
    assert found["impulse_factor"] == pytest.approx(1.5708, rel=3e-3)
    assert found["clearance_factor"] == pytest.approx(1.7188, rel=3e-3)


def test_vector_2_velocity_and_displacement_on_a_bin() -> None:
    block = features(np.sin(2 * np.pi * 160 * T_S))
    assert value(block, "velocity_rms_mm_s") == pytest.approx(9806.65 / (2 * np.pi * 160) / math.sqrt(2), rel=1e-6)
    # float32: integration magnifies the rounding of the lowest bins
    assert value(block, "displacement_pp_um") == pytest.approx(2 * 9806650 / (2 * np.pi * 160) ** 2, rel=1e-5)


@pytest.mark.parametrize("phase", [0.0, 1.0])
@pytest.mark.parametrize(("line_hz", "share"), [(160.5, 2e-5), (37.3, 3.6e-4), (12.34, 3.3e-3)])
def test_vector_3_velocity_between_bins(line_hz: float, share: float, phase: float) -> None:
    block = features(np.sin(2 * np.pi * line_hz * T_S + phase) + 0.3 + 0.5 * T_S)
    assert value(block, "velocity_rms_mm_s") == pytest.approx(9806.65 / (2 * np.pi * line_hz) / math.sqrt(2), rel=share)


@pytest.mark.parametrize("line_hz", [160.5, 37.3, 20.5, 333.3, 700.7])
def test_true_displacement_between_bins_within_a_percent(line_hz: float) -> None:
    block = features(np.sin(2 * np.pi * line_hz * T_S))
    assert value(block, "displacement_pp_um") == pytest.approx(2 * 9806650 / (2 * np.pi * line_hz) ** 2, rel=8e-3)


def test_vector_4_two_lines() -> None:
    signal = 2 * np.sin(2 * np.pi * 50 * T_S) + np.sin(2 * np.pi * 120 * T_S)
    found = describe(signal)
    assert found["rms"] == pytest.approx(1.581139, rel=1e-6)
    assert found["kurtosis"] == pytest.approx(1.98, rel=1e-6)
    density = spectrum.power_density(signal[np.newaxis], RATE_HZ)
    assert spectrum.band_rms(density, 40, 80)[0] == pytest.approx(1.414214, rel=1e-6)
    assert spectrum.band_rms(density, 90, 150)[0] == pytest.approx(0.707107, rel=1e-6)


def test_vector_5_white_noise_density() -> None:
    noise = np.random.default_rng(5).standard_normal((1, 2**20))
    density = spectrum.power_density(noise, 1000.0, segment=4096)
    assert density.values[0, 1:-1].mean() == pytest.approx(0.002, rel=0.01)
    assert density.values.sum() * density.bin_hz == pytest.approx(1.0, rel=0.01)


def test_vector_6_amplitude_modulation() -> None:
    signal = (1 + 0.5 * np.cos(2 * np.pi * 107 * T_S)) * np.cos(2 * np.pi * 3000 * T_S)
    lines = spectrum.amplitude_spectrum(signal[np.newaxis], RATE_HZ, "rectangular").values[0]
    assert [lines[3000], lines[2893], lines[3107]] == pytest.approx([1, 0.25, 0.25], abs=1e-9)
    assert math.sqrt(np.mean(signal**2)) == pytest.approx(0.75, abs=1e-9)
    plain = scipy.fft.rfft(signal[np.newaxis], axis=1)
    squared = envelope.squared_envelope(plain, N, 2000, 4000)
    assert squared.mean() == pytest.approx(1.125, abs=1e-9)
    amplitudes = envelope.envelope_spectrum(squared)[0]
    assert [amplitudes[107], amplitudes[214]] == pytest.approx([1.0, 0.125], abs=1e-9)
    # the squared envelope is 1.125 + cos + 0.125 cos of twice the phase: the envelope's own amplitude is 0.5
    assert (np.sqrt(squared.max()) - np.sqrt(squared.min())) / 2 == pytest.approx(0.5, abs=1e-3)


def outer_race(slip: float, sigma: float, seed: int) -> tuple[NDArray[Any], float]:
    """Return 4 s of a 6205's outer-race fault that rings 4 kHz with damping 0.05, and its true frequency."""
    rng = np.random.default_rng(seed)
    line_hz = bearing("6205").orders.bpfo * 1797 / 60 * (1 - slip)
    n = 4 * N
    ring_s = np.arange(512) / RATE_HZ
    ring = np.exp(-0.05 * 2 * np.pi * 4000 * ring_s) * np.sin(2 * np.pi * 4000 * math.sqrt(1 - 0.05**2) * ring_s)
    train = np.zeros(n)
    hits = np.cumsum(rng.normal(1.0, 0.003, size=int(4.2 * line_hz))) / line_hz * RATE_HZ
    train[hits[hits < n].astype(int)] = 1.0
    return 1.2 * scipy.signal.oaconvolve(train, ring)[:n] + sigma * rng.standard_normal(n), line_hz


@pytest.mark.parametrize("slip", [0.0, 0.01, 0.02])
@pytest.mark.parametrize("sigma", [0.3, 0.6, 1.0])
def test_vector_7_outer_race_fault_in_noise(slip: float, sigma: float) -> None:
    signal, line_hz = outer_race(slip, sigma, seed=7)
    assert describe(signal)["kurtosis"] < (3.1 if sigma == 1.0 else 8.0)
    family = features(signal, 1797.0).families[0][0]
    assert family.name == "BPFO"
    assert family.frequency_hz == pytest.approx(107.364, rel=1e-5)
    assert family.found_hz == pytest.approx(line_hz, rel=0.01)
    assert all(level >= 12 for _, level in family.harmonics)
    assert len(family.harmonics) == 3


def test_vector_9_echo_in_the_cepstrum() -> None:
    x = np.random.default_rng(9).standard_normal(4096)
    echoed = x + 0.4 * np.roll(x, 400)
    change = spectrum.real_cepstrum(echoed[np.newaxis])[0] - spectrum.real_cepstrum(x[np.newaxis])[0]
    # ln(1 + a·e^-jwd) is the series a·e^-jwd - a²/2·e^-2jwd; half of each term lies at either sign of the delay
    assert change[400] == pytest.approx(0.2, abs=1e-9)
    assert change[800] == pytest.approx(-0.04, abs=1e-9)


def test_vector_13_vector_change() -> None:
    assert vector_change(3.0, 40.0, 2.5, 180.0) == pytest.approx(5.171, abs=1e-3)


def test_peak_interpolation_between_bins() -> None:
    for position in (100.0, 100.2, 100.5, 100.8):
        signal = 1.7 * np.sin(2 * np.pi * position * np.arange(N) / N + 0.3)
        lines = spectrum.amplitude_spectrum(signal[np.newaxis], RATE_HZ).values[0]
        found, amplitude = spectrum.interpolated_peak(lines, int(np.argmax(lines)))
        assert found == pytest.approx(position, abs=2e-5)
        assert amplitude == pytest.approx(1.7, rel=2e-5)


@pytest.mark.parametrize(
    ("name", "gain", "bandwidth", "loss"),
    [
        ("rectangular", 1, 1, -3.92),
        ("hann", 0.5, 1.5, -1.42),
        ("hamming", 0.54, 1.3628, -1.75),
        ("blackman_harris", 0.3588, 2.0044, -0.83),
        ("flat_top", 0.2156, 3.7702, -0.010),
    ],
)
def test_windows(name: spectrum.Window, gain: float, bandwidth: float, loss: float) -> None:
    values = spectrum.window(name, 4096)
    assert spectrum.coherent_gain(values) == pytest.approx(gain, rel=2e-4)
    assert spectrum.noise_bandwidth_bins(values) == pytest.approx(bandwidth, rel=2e-4)
    assert spectrum.scallop_loss_db(values) == pytest.approx(loss, abs=6e-3)


def test_order_lines_in_velocity() -> None:
    signal = 0.1 * np.sin(2 * np.pi * 30.4 * T_S) + 0.05 * np.sin(2 * np.pi * 60.8 * T_S)
    block = features(signal, 30.4 * 60)
    assert value(block, "order_1x_mm_s") == pytest.approx(980.665 / (2 * np.pi * 30.4) / math.sqrt(2), rel=0.02)
    assert value(block, "order_2x_mm_s") == pytest.approx(490.3325 / (2 * np.pi * 60.8) / math.sqrt(2), rel=0.02)


def test_a_line_on_the_shaft_is_called_ambiguous() -> None:
    # a 6203's outer-race line can lock on to three times the shaft speed
    amplitudes = np.full(800, 0.01)
    amplitudes[[90, 180, 270]] = 1.0
    bpfo = find_families(amplitudes, 1.0, bearing("6203"), 1800.0)[0]
    assert bpfo.ambiguous_with == "3x"
    assert bpfo.score_db == pytest.approx(40.0)
    amplitudes = np.full(800, 0.01)
    amplitudes[[107, 215, 322]] = 1.0
    assert find_families(amplitudes, 1.0, bearing("6205"), 1797.0)[0].ambiguous_with is None


def test_third_octaves_split_the_energy() -> None:
    signal = 2 * np.sin(2 * np.pi * 1000 * T_S) + np.sin(2 * np.pi * 250 * T_S)
    density = spectrum.power_density(signal[np.newaxis], RATE_HZ)
    centres_hz, rms = spectrum.third_octaves(density, 100.0, 4000.0)
    by_centre = dict(zip(centres_hz.round().tolist(), rms[0].tolist(), strict=True))
    assert by_centre[1000.0] == pytest.approx(math.sqrt(2), rel=1e-6)
    assert by_centre[251.0] == pytest.approx(math.sqrt(0.5), rel=1e-6)
    assert math.sqrt(sum(level**2 for level in by_centre.values())) == pytest.approx(math.sqrt(2.5), rel=1e-6)
    with pytest.raises(SignalError):
        spectrum.third_octaves(density, 0.0, 100.0)
