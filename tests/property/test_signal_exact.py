"""Every kernel against a plain reference, within rounding; and the same bits on one thread and on two.

The bounds are 4e-13 relative in float64 and 1e-5 in float32, for signals whose mean is at most 100 times their scatter;
relative means relative to the largest value of the result, since a bin that holds nothing has no relative error.
"""

import concurrent.futures
import math
from typing import Any

import numpy as np
import pytest
import scipy.fft
import scipy.signal
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from contracts.errors import SignalError
from contracts.features import FEATURE_INDEX
from processors import (
    averages,
    band_choice,
    cage,
    displacement,
    envelope,
    mean_square,
    order,
    spectrum,
    time_domain,
    velocity,
)
from processors.bearings import bearing
from processors.features import FeatureEngine, choose_bands
from processors.kurtogram import kurtogram
from processors.second_look import look_again

EXACT = 4e-13
SINGLE = 1e-5
RATE_HZ = 12000.0
SEEDS = st.integers(0, 2**32 - 1)
LENGTHS = st.sampled_from([16, 17, 999, 1000, 2048, 2999, 4096])
MEANS = st.floats(-100.0, 100.0)
FEW = settings(max_examples=25, deadline=None)


def signal(seed: int, n: int, mean: float = 0.0) -> NDArray[Any]:
    """Return a row of heavy-tailed noise of scatter 1."""
    x = np.random.default_rng(seed).standard_t(4, size=(1, n))
    return np.asarray((x - x.mean()) / x.std() + mean)


def close(found: NDArray[Any], expected: NDArray[Any], bound: float) -> None:
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= bound * np.abs(expected).max()


@FEW
@given(seed=SEEDS, n=LENGTHS, mean=MEANS)
def test_moments_in_single_precision(seed: int, n: int, mean: float) -> None:
    x = signal(seed, n, mean).astype(np.float32)
    wide = x[0].astype(np.float64)
    centred = wide - math.fsum(wide) / n
    found = time_domain.describe(x[0])
    expected = {
        "mean": math.fsum(wide) / n,
        "rms": math.sqrt(math.fsum(centred**2) / n),
        "kurtosis": scipy.stats.kurtosis(wide, fisher=False),
        "crest_factor": np.abs(centred).max() / np.sqrt(np.mean(centred**2)),
        "shape_factor": np.sqrt(np.mean(centred**2)) / np.abs(centred).mean(),
        "impulse_factor": np.abs(centred).max() / np.abs(centred).mean(),
        "clearance_factor": np.abs(centred).max() / np.sqrt(np.abs(centred)).mean() ** 2,
    }
    for name, value in expected.items():
        # the sums are float64 whatever the samples are
        assert found[name] == pytest.approx(value, rel=EXACT, abs=EXACT), name


def displacement_pp_um(x: NDArray[Any], rate_hz: float) -> float:
    """Return what ``Motion`` is to measure, in float64, from a wave sampled 64 times as densely."""
    n, dense = x.size, 64
    taper = np.cos(2 * np.pi * np.outer(np.arange(n) / n, np.arange(9))) @ np.array(displacement.TAPER)
    spectrum_g = np.fft.rfft((x - math.fsum(x) / n) * taper)
    frequency_hz = np.arange(n // 2 + 1) * rate_hz / n
    inside = (frequency_hz >= 10.0 - 1e-9) & (frequency_hz <= 1000.0 + 1e-9)
    wave_bins = np.zeros(n // 2 + 1, complex)
    wave_bins[inside] = -spectrum_g[inside] * 9806650.0 / (2 * np.pi * frequency_hz[inside]) ** 2
    length = scipy.fft.next_fast_len(math.ceil(4000.0 * n / rate_hz), real=True)
    wave = np.fft.irfft(wave_bins[: length // 2 + 1], length * dense) * (length * dense / n)
    edge = math.ceil(0.3 * length)
    middle = wave[edge * dense : (length - edge - 1) * dense + 1]
    return vertex(middle) + vertex(-middle)


def vertex(wave: NDArray[Any]) -> float:
    """Return the largest value of a wave, between its samples too: of all crests, since many are nearly as high."""
    left, middle, right = wave[:-2], wave[1:-1], wave[2:]
    crests = (middle >= left) & (middle >= right) & (left + right < 2 * middle)
    slope, bend = (right - left)[crests] / 2, (right + left - 2 * middle)[crests]
    return float(max(wave[0], wave[-1], *(middle[crests] - slope**2 / (2 * bend))))


@settings(max_examples=60, deadline=None)
@given(
    seed=SEEDS,
    shape=st.sampled_from([(2560, 25600.0), (2999, RATE_HZ), (5001, RATE_HZ), (8192, 25600.0), (25600, 25600.0)]),
    mean=MEANS,
    lines_hz=st.lists(st.floats(10.0, 1000.0) | st.floats(1000.0, 4500.0), max_size=3),
    noise=st.sampled_from([0.0, 1e-4, 0.01, 1.0]),
)
def test_true_peak_to_peak_of_the_displacement(
    seed: int, shape: tuple[int, float], mean: float, lines_hz: list[float], noise: float
) -> None:
    n, rate_hz = shape
    phase = 2 * np.pi * np.outer(lines_hz, np.arange(n) / rate_hz)
    x = np.sin(phase + np.arange(1, len(lines_hz) + 1)[:, np.newaxis]).sum(axis=0)
    x = x + signal(seed, n)[0] * (noise if lines_hz else 1.0)
    x = (x / x.std() + mean).astype(np.float32)
    centred, power = np.empty((1, n), np.float32), np.empty((1, n // 2 + 1), np.float32)
    moments = np.empty((1, len(time_domain.COLUMNS)))
    time_domain.moments(x[np.newaxis], moments, centred)
    plain = scipy.fft.rfft(centred, axis=1)
    mean_square.hann_mean_square(plain, n, power)
    measured = velocity.Motion(1, n, rate_hz).measure(x[np.newaxis], moments, plain, power, None)
    assert measured is not None
    wide = x.astype(np.float64)
    assert measured[0, 2] == pytest.approx(displacement_pp_um(wide, rate_hz), rel=SINGLE)
    expected = np.empty((1, n // 2 + 1))
    mean_square.hann_mean_square(scipy.fft.rfft(wide[np.newaxis] - math.fsum(wide) / n, axis=1), n, expected)
    rms = np.empty((1, 3))
    velocity.integrated_rms(expected, *velocity.integration_weights(10.0, 1000.0, rate_hz / n, n // 2 + 1)[1:], rms)
    np.testing.assert_allclose(measured[0, :2], rms[0, :2], rtol=SINGLE)


def test_the_taper_is_flat_where_the_wave_is_read() -> None:
    places = np.linspace(0.3, 0.7, 4001)
    taper = np.cos(2 * np.pi * np.outer(places, np.arange(9))) @ np.array(displacement.TAPER)
    assert np.abs(taper - 1.0).max() < 2.4e-6
    assert sum(displacement.TAPER) == pytest.approx(0.0, abs=1e-9)
    assert sum(k**2 * c for k, c in enumerate(displacement.TAPER)) == pytest.approx(0.0, abs=1e-7)


@FEW
@given(seed=SEEDS, n=LENGTHS, mean=MEANS, name=st.sampled_from(["rectangular", "hann", "flat_top"]))
def test_amplitude_and_density(seed: int, n: int, mean: float, name: spectrum.Window) -> None:
    x = signal(seed, n, mean)
    weights = spectrum.window(name, n)
    plain = np.abs(np.fft.rfft((x - x.mean()) * weights))
    scale = np.full(n // 2 + 1, 2.0)
    scale[0] = 1.0
    if n % 2 == 0:
        scale[-1] = 1.0
    close(spectrum.amplitude_spectrum(x, RATE_HZ, name).values, plain * scale / weights.sum(), EXACT)
    density = plain**2 * scale / (RATE_HZ * np.sum(weights**2))
    close(spectrum.power_density(x, RATE_HZ, name=name).values, density, EXACT)


@FEW
@given(seed=SEEDS, segment=st.sampled_from([128, 255, 1000]), overlap=st.sampled_from([0.0, 0.5, 0.75]))
def test_welch_against_scipy(seed: int, segment: int, overlap: float) -> None:
    x = signal(seed, 4096)
    step = max(1, round(segment * (1.0 - overlap)))
    # the stubs leave out an array of weights, which SciPy documents
    _, expected = scipy.signal.welch(  # type: ignore[call-overload]
        x,
        RATE_HZ,
        window=spectrum.window("hann", segment),
        nperseg=segment,
        noverlap=segment - step,
        detrend="constant",
    )
    close(spectrum.power_density(x, RATE_HZ, segment, overlap).values, expected, EXACT)
    held = averages.peak_hold_density(x, RATE_HZ, segment, overlap).values
    rows = averages.density_segments(x, RATE_HZ, segment, overlap, "hann")
    close(held, np.max(rows, axis=0), 0.0)


@FEW
@given(seed=SEEDS, n=st.sampled_from([1000, 2048, 2999]))
def test_hann_in_the_frequency_domain(seed: int, n: int) -> None:
    x = signal(seed, n)
    expected = np.abs(np.fft.rfft(x * spectrum.window("hann", n))) ** 2 * 2.0 / (n * 0.375 * n)
    expected[:, 0] /= 2
    if n % 2 == 0:
        expected[:, -1] /= 2
    for dtype, bound in ((np.float64, EXACT), (np.float32, SINGLE)):
        out = np.empty((1, n // 2 + 1), dtype)
        mean_square.hann_mean_square(scipy.fft.rfft(x.astype(dtype), axis=1), n, out)
        close(out, expected, bound)


@FEW
@given(seed=SEEDS, n=st.sampled_from([1000, 2048, 2999]))
def test_shape_bands_and_integration_of_a_power_spectrum(seed: int, n: int) -> None:
    power = np.random.default_rng(seed).exponential(size=(1, n // 2 + 1))
    shape = np.empty((1, len(mean_square.SHAPE_COLUMNS)))
    mean_square.describe_power(power.astype(np.float32), 3, shape)
    p = power[0, 1:] / power[0, 1:].sum()
    expected = [np.sum(np.arange(1, p.size + 1) * p), -np.sum(p * np.log(p)) / np.log(p.size)]
    close(shape[:, :2], np.array([expected]), SINGLE)
    assert abs(shape[0, 2] - (3 + np.argmax(power[0, 3:]))) <= 0.5
    edges = np.array([[1, 10], [10, 200]], np.int64)
    bands = np.empty((1, 2))
    mean_square.band_rms(power, edges, bands)
    close(bands, np.array([[math.sqrt(math.fsum(power[0, a:b])) for a, b in edges]]), EXACT)
    out = np.empty((1, len(velocity.MOTION_FEATURES)))
    omega, first, of_velocity, of_displacement = velocity.integration_weights(15.0, 300.0, 1.5, n // 2 + 1)
    velocity.integrated_rms(power, first, of_velocity, of_displacement, out)
    assert (first, omega.size) == (10, 191)
    k = np.arange(10, 201)
    unit = 2 * np.pi * 1.5
    expected_mm_s = 9806.65 * math.sqrt(math.fsum(power[0, 10:201] / (k**2 + 1.0)) / unit**2)
    assert out[0, 0] == pytest.approx(expected_mm_s, rel=EXACT)


@FEW
@given(seed=SEEDS, n=st.sampled_from([1000, 2048, 2999]), low=st.integers(20, 100), width=st.integers(50, 300))
def test_envelope_against_a_long_hilbert_transform(seed: int, n: int, low: int, width: int) -> None:
    x = signal(seed, n)
    plain = np.fft.rfft(x)
    cut = np.zeros(n, complex)
    cut[low : low + width] = 2.0 * plain[0, low : low + width]
    expected = np.abs(np.fft.ifft(cut)) ** 2
    expected_lines = np.fft.rfft(expected) / n
    for dtype, bound in ((np.float64, EXACT), (np.float32, SINGLE)):
        squared = envelope.squared_envelope(scipy.fft.rfft(x.astype(dtype), axis=1), n, low, low + width)
        lines = scipy.fft.rfft(squared, axis=1)[0, : width - 1] / squared.shape[1]
        close(np.abs(lines), np.abs(expected_lines[: width - 1]), bound)


@FEW
@given(seed=SEEDS, rows=st.integers(1, 5))
def test_spectral_kurtosis(seed: int, rows: int) -> None:
    samples = np.random.default_rng(seed).standard_normal((rows, 2000))
    plain = scipy.fft.rfft(samples, axis=1)
    found = band_choice.measure_band(plain.astype(np.complex64), 2000, 5.0, (1000.0, 4000.0))
    length = scipy.fft.next_fast_len(600 + 200 + 1)
    cut = np.zeros((rows, length), complex)
    cut[:, :600] = plain[:, 200:800]
    squared = np.abs(np.fft.ifft(cut, axis=1)) ** 2
    kurtosis = (squared**2).mean(axis=1) / squared.mean(axis=1) ** 2 - 2.0
    close(found[:, 0] + 2.0, kurtosis + 2.0, SINGLE)
    lines = np.fft.rfft((squared - squared.mean(axis=1, keepdims=True)) * spectrum.window("hann", length), axis=1)
    for row, amplitudes in enumerate(np.abs(lines)[:, 5:200]):
        if found[row, 1] == -math.inf:  # rejected: too impulsive for noise, by too few impulses
            assert found[row, 0] > 8.0 / math.sqrt(600)
            continue
        blocks = [amplitudes[i : i + 64] for i in range(0, 195, 64)]
        levels = np.concatenate([block / np.median(block) for block in blocks])
        q = levels / levels.mean()
        assert found[row, 1] == pytest.approx(np.mean(q * np.log(q)), abs=1e-4)


@FEW
@given(seed=SEEDS, impulses=st.integers(0, 4))
def test_kurtosis_without_the_strongest_impulses(seed: int, impulses: int) -> None:
    rng = np.random.default_rng(seed)
    squared = rng.exponential(size=777).astype(np.float32)
    for at in rng.choice(np.arange(10, 767), impulses, replace=False):
        squared[at - 2 : at + 3] = 50.0
    wide = squared.astype(np.float64)
    kept = np.ones(777, bool)
    for _ in range(2):
        top = int(np.argmax(np.where(kept, wide, -1.0)))
        begin = end = top
        while begin > 0 and kept[begin - 1] and wide[begin - 1] > wide.mean():
            begin -= 1
        while end < 776 and kept[end + 1] and wide[end + 1] > wide.mean():
            end += 1
        kept[begin : end + 1] = False
    expected = (wide[kept] ** 2).mean() / wide[kept].mean() ** 2 - 2.0
    found = band_choice.guarded_kurtosis(squared, wide.sum(), (wide**2).sum(), np.empty(800, np.float32))
    assert found == pytest.approx(expected, abs=1e-9)


@FEW
@given(seed=SEEDS, spacing=st.floats(20.0, 60.0))
def test_comb_against_a_plain_one(seed: int, spacing: float) -> None:
    amplitudes = np.random.default_rng(seed).rayleigh(size=1200)
    levels = np.empty(6)
    found = cage.search_comb(amplitudes, spacing, 1e6, levels)

    def level(position: float, centre: int) -> float:
        at = math.floor(position + 0.5)
        floor = np.median(amplitudes[max(1, centre - 40) : centre + 41])
        peaks = [v for v, a, b in zip(amplitudes[at - 1 :], amplitudes[at - 2 :], amplitudes[at:], strict=False)][:3]
        standing = [p for k, p in enumerate(peaks) if p >= max(amplitudes[at - 2 + k], amplitudes[at + k])]
        return float(20.0 * np.log10(max(standing) / floor)) if standing else 0.0

    centres = [math.floor(h * spacing + 0.5) for h in range(1, 7)]
    bases = spacing + np.arange(-math.floor(0.03 * spacing * 12), math.floor(0.03 * spacing * 12) + 1) / 12.0
    scores = [np.mean([min(level((h + 1) * b, centres[h]), 20.0) for h in range(6)]) for b in bases]
    assert np.minimum(levels, 20.0).mean() == pytest.approx(max(scores), abs=1e-9)
    assert abs(found - spacing) <= 0.03 * spacing


def test_two_threads_give_the_bits_of_one() -> None:
    inputs = [np.random.default_rng(seed).standard_normal((4, 25600)).astype(np.float32) for seed in range(8)]
    geometry = bearing("6205")

    def work(x: NDArray[np.float32]) -> bytes:
        bands = choose_bands(x, 25600.0)
        block = FeatureEngine(4, 25600, 25600.0, [geometry] * 4).compute(x, 1797.0, bands)
        look = look_again(x[:1], 25600.0, geometry, 1797.0, (float(bands[0, 0]), float(bands[0, 1])))
        return bands.tobytes() + block.values.tobytes() + repr((tuple(block.families), look)).encode()

    alone = [work(x) for x in inputs]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        assert list(pool.map(work, inputs)) == alone


@pytest.mark.parametrize("n", [1, 0])
def test_a_signal_without_samples_is_a_typed_error(n: int) -> None:
    x = np.zeros((1, n), np.float32)
    for call in (
        lambda: spectrum.amplitude_spectrum(x, RATE_HZ),
        lambda: spectrum.power_density(x, RATE_HZ),
        lambda: choose_bands(x, RATE_HZ),
        lambda: kurtogram(x[0], RATE_HZ),
        lambda: order.resample(x, RATE_HZ, order.angle_from_speed(np.arange(4.0), np.full(4, 600.0)), 5.0),
    ):
        with pytest.raises(SignalError):
            call()


@pytest.mark.parametrize("rate_hz", [0.0, -1.0, math.nan, math.inf])
def test_an_impossible_rate_is_a_typed_error(rate_hz: float) -> None:
    x = np.random.default_rng(1).standard_normal((1, 1000)).astype(np.float32)
    with pytest.raises(SignalError):
        spectrum.amplitude_spectrum(x, rate_hz)
    with pytest.raises(SignalError):
        choose_bands(x, rate_hz)
    with pytest.raises(SignalError):
        kurtogram(x[0], rate_hz)
    with pytest.raises(SignalError):
        FeatureEngine(1, 1000, rate_hz, [None])


@pytest.mark.parametrize("n", [1000, 1001, 2999])
@pytest.mark.parametrize("kind", ["constant", "zero", "nan", "infinite", "one impulse"])
def test_strange_signals_have_a_defined_result(n: int, kind: str) -> None:
    x = np.full((2, n), 3.0 if kind == "constant" else 0.0, np.float32)
    x[0, n // 2] = {"nan": np.nan, "infinite": np.inf, "one impulse": 9.0}.get(kind, x[0, 0])
    x[1] = np.random.default_rng(2).standard_normal(n)
    bands = choose_bands(x, RATE_HZ)
    block = FeatureEngine(2, n, RATE_HZ, [bearing("6205")] * 2).compute(x, 1797.0, bands)
    rms = block.values[:, FEATURE_INDEX["rms_g"]]
    assert math.isfinite(rms[1])
    assert math.isnan(rms[0]) == (kind in ("nan", "infinite"))
    assert math.isnan(block.values[0, FEATURE_INDEX["kurtosis"]]) == (kind != "one impulse")
    assert (
        look_again(np.nan_to_num(x[:1], posinf=0.0), RATE_HZ, bearing("6205"), 1797.0, (500.0, 2500.0)).plain.comb
        is None
    )
