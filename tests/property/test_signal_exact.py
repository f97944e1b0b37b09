"""Every kernel against a plain reference, within rounding; and the same bits on one thread and on two.

The bounds are 4e-13 relative in float64 and 1e-5 in float32, for signals whose mean is at most 100 times their scatter;
of spectra relative to the largest bin, since one that holds nothing has no relative error.
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
from contracts.features import FEATURE_INDEX, LINE_NAMES
from processors import (
    averages,
    band_choice,
    cage,
    envelope,
    mean_square,
    order,
    spectrum,
    time_domain,
    velocity,
)
from processors.bearings import bearing
from processors.families import Question, bins_needed
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


def error(found: NDArray[Any], expected: NDArray[Any]) -> float:
    """Return the largest difference in units of the largest value; infinite where the shapes differ."""
    if found.shape != expected.shape:
        return math.inf
    return float(np.abs(found - expected).max() / np.abs(expected).max())


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
    assert error(spectrum.amplitude_spectrum(x, RATE_HZ, name).values, plain * scale / weights.sum()) <= EXACT
    density = plain**2 * scale / (RATE_HZ * np.sum(weights**2))
    assert error(spectrum.power_density(x, RATE_HZ, name=name).values, density) <= EXACT


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
    assert error(spectrum.power_density(x, RATE_HZ, segment, overlap).values, expected) <= EXACT
    held = averages.peak_hold_density(x, RATE_HZ, segment, overlap).values
    rows = averages.density_segments(x, RATE_HZ, segment, overlap, "hann")
    assert error(held, np.max(rows, axis=0)) <= 0.0


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
        assert error(out, expected) <= bound


@FEW
@given(seed=SEEDS, n=st.sampled_from([1000, 2048, 2999]))
def test_shape_bands_and_integration_of_a_power_spectrum(seed: int, n: int) -> None:
    power = np.random.default_rng(seed).exponential(size=(1, n // 2 + 1))
    shape = np.empty((1, len(mean_square.SHAPE_COLUMNS)))
    mean_square.describe_power(power.astype(np.float32), 3, shape)
    p = power[0, 1:] / power[0, 1:].sum()
    expected = [np.sum(np.arange(1, p.size + 1) * p), -np.sum(p * np.log(p)) / np.log(p.size)]
    assert error(shape[:, :2], np.array([expected])) <= SINGLE
    assert abs(shape[0, 2] - (3 + np.argmax(power[0, 3:]))) <= 0.5
    edges = np.array([[1, 10], [10, 200]], np.int64)
    bands = np.empty((1, 2))
    mean_square.band_rms(power, edges, bands)
    assert error(bands, np.array([[math.sqrt(math.fsum(power[0, a:b])) for a, b in edges]])) <= EXACT
    out = np.empty((1, len(velocity.MOTION_FEATURES)))
    omega, first, of_velocity, of_displacement = velocity.integration_weights(15.0, 300.0, 1.5, n // 2 + 1)
    velocity.integrated_rms(power, np.array([0]), first, of_velocity, of_displacement, out)
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
        assert error(np.abs(lines), np.abs(expected_lines[: width - 1])) <= bound


@FEW
@given(seed=SEEDS, mean=MEANS, impact=st.sampled_from([0.0, 1.0, 10.0]), rpm=st.floats(1500.0, 3000.0))
def test_fault_lines_of_a_band_in_single_precision(seed: int, mean: float, impact: float, rpm: float) -> None:
    n, geometry, band_hz = 12_000, bearing("6205"), (2000.0, 4500.0)
    train = np.zeros(n)
    train[np.arange(0.0, n, RATE_HZ / (geometry.orders.bpfo * rpm / 60.0)).astype(int)] = impact
    ring_s = np.arange(300) / RATE_HZ
    ringing = np.convolve(train, np.exp(-800.0 * ring_s) * np.sin(2 * np.pi * 3000.0 * ring_s))[:n]
    x = (signal(seed, n) + ringing + mean).astype(np.float32)
    engine = FeatureEngine(1, n, RATE_HZ, [geometry])
    found = engine.compute(x, rpm, np.array([band_hz])).values[0, [FEATURE_INDEX[name] for name in LINE_NAMES]]
    wide = x.astype(np.float64)
    first, last = envelope.band_bins(*band_hz, RATE_HZ / n, n)
    squared = envelope.squared_envelope(scipy.fft.rfft(wide - math.fsum(wide[0]) / n, axis=1), n, first, last)
    n_bins = min(bins_needed(RATE_HZ / n, geometry, rpm), last - first)
    lines = np.ascontiguousarray(envelope.envelope_spectrum(squared)[:, :n_bins])
    expected = Question.of(geometry, rpm, RATE_HZ / n, n_bins).answer(lines)[0, :, 1]
    # 1e-5 of the ratio of a line to its floor
    np.testing.assert_allclose(found, expected, rtol=0.0, atol=1e-4)


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
    assert error(found[:, 0] + 2.0, kurtosis + 2.0) <= SINGLE
    lines = np.fft.rfft((squared - squared.mean(axis=1, keepdims=True)) * spectrum.window("hann", length), axis=1)
    for row, amplitudes in enumerate(np.abs(lines)[:, 5:200]):
        if found[row, 1] == -math.inf:  # rejected: too impulsive for noise, by too few impulses
            assert found[row, 0] > 8.0 / math.sqrt(600)
            continue
        blocks = [amplitudes[i : i + 64] for i in range(0, 195, 64)]
        levels = np.concatenate([block / np.median(block) for block in blocks])
        q = levels / levels.mean()
        assert found[row, 1] == pytest.approx(np.mean(q * np.log(q)), rel=SINGLE)


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
