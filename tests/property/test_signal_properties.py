"""What holds for every signal: energy is kept, scale passes through, and neighbours change no bit."""

from typing import Any

import numpy as np
import pytest
import scipy.fft
import scipy.signal
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from contracts.features import FEATURE_INDEX, FEATURE_NAMES
from processors import envelope, mean_square, spectrum, time_domain
from processors.bearings import bearing
from processors.features import FeatureEngine, choose_bands
from processors.line_levels import highest_peaks
from processors.line_search import search_family

RATE_HZ = 12000.0
SEEDS = st.integers(0, 2**32 - 1)
#: Even, odd, prime and power-of-two lengths.
LENGTHS = st.sampled_from([1999, 2000, 2048, 2500, 3001, 4095, 12000])

FEW = settings(max_examples=25, deadline=None)


def noise(seed: int, rows: int, n: int) -> NDArray[Any]:
    rng = np.random.default_rng(seed)
    scale = 10.0 ** rng.uniform(-2, 2, size=(rows, 1))
    return (rng.standard_t(4, size=(rows, n)) * scale).astype(np.float32)


@FEW
@given(seed=SEEDS, n=LENGTHS)
def test_parseval(seed: int, n: int) -> None:
    x = noise(seed, 2, n).astype(np.float64)
    x -= x.mean(axis=1, keepdims=True)
    density = spectrum.power_density(x, RATE_HZ, name="rectangular")
    np.testing.assert_allclose(density.values.sum(axis=1) * density.bin_hz, (x**2).mean(axis=1), rtol=1e-9)


@FEW
@given(seed=SEEDS, n=LENGTHS)
def test_hann_power_of_the_kernel_is_that_of_the_windowed_signal(seed: int, n: int) -> None:
    x = noise(seed, 2, n)
    out = np.empty((2, n // 2 + 1))
    mean_square.hann_mean_square(scipy.fft.rfft(x.astype(np.float64), axis=1), n, out)
    reference = np.abs(np.fft.rfft(x.astype(np.float64) * spectrum.window("hann", n), axis=1)) ** 2
    reference *= 2.0 / (n * 0.375 * n)
    reference[:, 0] /= 2
    if n % 2 == 0:
        reference[:, -1] /= 2
    np.testing.assert_allclose(out, reference, rtol=1e-6, atol=1e-12 * reference.max())


@FEW
@given(seed=SEEDS, n=LENGTHS, factor=st.floats(1e-2, 1e2))
def test_amplitude_is_linear(seed: int, n: int, factor: float) -> None:
    x = noise(seed, 1, n).astype(np.float64)
    single = spectrum.amplitude_spectrum(x, RATE_HZ).values
    np.testing.assert_allclose(
        spectrum.amplitude_spectrum(factor * x, RATE_HZ).values, factor * single, rtol=1e-9, atol=1e-12 * single.max()
    )


@FEW
@given(seed=SEEDS, n=LENGTHS, rows=st.integers(2, 9), data=st.data())
def test_a_row_alone_gives_the_bits_it_gives_among_others(seed: int, n: int, rows: int, data: st.DataObject) -> None:
    x = noise(seed, rows, n)
    row = data.draw(st.integers(0, rows - 1))
    alone = np.ascontiguousarray(x[row : row + 1])
    geometry = bearing("6205")
    bands = choose_bands(x, RATE_HZ)
    assert choose_bands(alone, RATE_HZ).tobytes() == bands[row : row + 1].tobytes()
    together = FeatureEngine(rows, n, RATE_HZ, [geometry] * rows).compute(x, 1797.0, bands)
    single = FeatureEngine(1, n, RATE_HZ, [geometry]).compute(alone, 1797.0, np.ascontiguousarray(bands[row : row + 1]))
    assert single.values[0].tobytes() == together.values[row].tobytes()
    assert single.families[0] == together.families[row]
    assert single.health[0] == together.health[row]


@FEW
@given(seed=SEEDS, n=LENGTHS)
def test_computing_twice_gives_the_same_bits_whatever_came_between(seed: int, n: int) -> None:
    x, other = noise(seed, 2, n), noise(seed ^ 1, 2, n)
    engine = FeatureEngine(2, n, RATE_HZ, [bearing("6205"), None])
    bands = choose_bands(x, RATE_HZ)
    first = engine.compute(x, 1797.0, bands)
    kept = first.values.copy()
    engine.compute(other, None, bands)
    assert first.values.tobytes() == kept.tobytes()
    assert engine.compute(x, 1797.0, bands).values.tobytes() == kept.tobytes()


@FEW
@given(seed=SEEDS, n=LENGTHS)
def test_moments_against_scipy(seed: int, n: int) -> None:
    x = noise(seed, 1, n)[0]
    wide = x.astype(np.float64)
    centred = wide - wide.mean()
    found = time_domain.describe(x)
    expected = {
        "mean": wide.mean(),
        "rms": np.sqrt(np.mean(centred**2)),
        "peak": np.abs(centred).max(),
        "peak_to_peak": np.ptp(wide),
        "kurtosis": scipy.stats.kurtosis(wide, fisher=False),
        "skewness": scipy.stats.skew(wide),
        "crest_factor": np.abs(centred).max() / np.sqrt(np.mean(centred**2)),
        "shape_factor": np.sqrt(np.mean(centred**2)) / np.abs(centred).mean(),
        "impulse_factor": np.abs(centred).max() / np.abs(centred).mean(),
        "clearance_factor": np.abs(centred).max() / np.sqrt(np.abs(centred)).mean() ** 2,
    }
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-9, abs=1e-9 * float(np.abs(wide).max())), name


@FEW
@given(seed=SEEDS, n=st.sampled_from([2000, 2048, 3001]), low=st.floats(600, 2000), width=st.floats(500, 3000))
def test_squared_envelope_against_hilbert(seed: int, n: int, low: float, width: float) -> None:
    x = noise(seed, 1, n).astype(np.float64)
    first, last = envelope.band_bins(low, low + width, RATE_HZ / n, n)
    plain = scipy.fft.rfft(x, axis=1)
    squared = envelope.squared_envelope(plain, n, first, last)
    cut = np.zeros_like(plain)
    cut[:, first:last] = plain[:, first:last]
    reference = np.abs(scipy.signal.hilbert(scipy.fft.irfft(cut, n=n, axis=1), axis=1)) ** 2
    assert squared.mean() == pytest.approx(reference.mean(), rel=1e-9)
    lines = np.abs(scipy.fft.rfft(squared, axis=1))[0, 1 : last - first] / squared.shape[1]
    np.testing.assert_allclose(
        lines,
        np.abs(scipy.fft.rfft(reference, axis=1))[0, 1 : last - first] / n,
        rtol=1e-7,
        atol=1e-9 * reference.max(),
    )


@FEW
@given(seed=SEEDS)
def test_features_of_a_signal_k_times_as_strong(seed: int) -> None:
    x = np.random.default_rng(seed).standard_normal((1, 12000)).astype(np.float32)
    engine = FeatureEngine(1, 12000, RATE_HZ, [bearing("6205")])
    bands = choose_bands(x, RATE_HZ)
    # a power of two changes exponents alone
    weak, strong = engine.compute(x, 1797.0, bands).values[0], engine.compute(4 * x, 1797.0, bands).values[0]
    for name in FEATURE_NAMES:
        one, four = weak[FEATURE_INDEX[name]], strong[FEATURE_INDEX[name]]
        grows = name.endswith(("_g", "_mm_s", "_um"))
        np.testing.assert_allclose(four, 4 * one if grows else one, rtol=2e-6, err_msg=name)


@FEW
@given(seed=SEEDS, expected=st.floats(30, 200), shaft=st.floats(15, 60))
def test_family_search_against_a_plain_one(seed: int, expected: float, shaft: float) -> None:
    amplitudes = np.random.default_rng(seed).rayleigh(size=1000)
    levels, shaft_levels, peaks = np.empty(3), np.empty(3), np.empty_like(amplitudes)
    highest_peaks(amplitudes, np.empty_like(amplitudes), peaks)
    found = search_family(amplitudes, peaks, expected, shaft, np.empty(0), levels, shaft_levels, np.empty((2, 3)))

    def level(position: float, h: int) -> float:
        order = round(position / shaft)
        if order >= 1 and abs(position - order * shaft) < max(2.0, 0.003 * position):
            return 0.0
        at = int(position + 0.5)
        centre = int(h * expected + 0.5)
        floor = np.median(amplitudes[max(1, centre - 40) : centre + 41])
        peaks = [
            amplitudes[k] for k in (at - 1, at, at + 1) if amplitudes[k] >= max(amplitudes[k - 1], amplitudes[k + 1])
        ]
        return float(20 * np.log10(max(peaks) / floor)) if peaks else 0.0

    bases = expected + np.arange(-int(0.03 * expected * 6), int(0.03 * expected * 6) + 1) / 6
    scores = [np.median([level(h * base, h) for h in (1, 2, 3)]) for base in bases]
    assert np.median(levels) == pytest.approx(max(scores), abs=1e-9)
    assert [level(h * found, h) for h in (1, 2, 3)] == pytest.approx(list(levels), abs=1e-9)
