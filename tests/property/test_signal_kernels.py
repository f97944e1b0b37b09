"""Kernels that are written for speed, against the plain way to say the same."""

import math

import numpy as np
import numpy.typing as npt
import pytest
import scipy.fft
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from processors import envelope, line_levels, line_search, mean_square, spectrum, time_domain
from processors.time_domain import COLUMNS, INDEX

FLOATS = st.floats(width=32, allow_nan=True, allow_infinity=True)


def moments(x: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    out = np.empty(len(COLUMNS))
    time_domain.moments(x[np.newaxis], out[np.newaxis], np.empty((1, x.size), np.float32))
    return out


@given(hnp.arrays(np.float32, st.integers(1, 70), elements=FLOATS))
@example(np.array([-0.0, 0.0, -0.0], np.float32))
@example(np.array([np.inf, 1.0], np.float32))
@example(np.array([-np.nan, 1.0], np.float32))
@example(np.array([-3.4e38, 3.4e38], np.float32))
@example(np.array([1e-45, -1e-45], np.float32))
def test_extremes_and_holds(x: npt.NDArray[np.float32]) -> None:
    found = moments(x)
    finite = np.isfinite(x)
    assert found[INDEX["not_finite"]] == x.size - finite.sum()
    if not finite.all():
        return
    assert found[INDEX["peak_to_peak"]] == np.float64(x.max()) - np.float64(x.min())
    breaks = np.flatnonzero(x[1:] != x[:-1]) + 1
    longest = np.diff(np.concatenate(([0], breaks, [x.size]))).max()
    assert found[INDEX["longest_hold"]] == longest


@given(st.integers(0, 2**32 - 1), st.integers(3, 300), st.integers(0, 20), st.floats(0.0, 1.0))
def test_description_of_a_power_spectrum(seed: int, n: int, lowest: int, share_of_zeros: float) -> None:
    rng = np.random.default_rng(seed)
    power = (rng.exponential(size=(2, n)) * 10.0 ** rng.integers(-12, 6)).astype(np.float32)
    power[rng.random((2, n)) < share_of_zeros] = 0.0
    out = np.empty((2, len(mean_square.SHAPE_COLUMNS)))
    mean_square.describe_power(power, lowest, out)
    bins = np.arange(1, n)
    for row, (centroid, entropy, position, amplitude) in zip(power.astype(np.float64), out, strict=True):
        inner = row[1:]
        if not inner.any():
            assert np.isnan([centroid, entropy, position, amplitude]).all()
            continue
        share = inner[inner > 0] / inner.sum()
        assert centroid == pytest.approx(np.sum(bins * inner) / inner.sum(), rel=1e-5)
        assert entropy == pytest.approx(-np.sum(share * np.log(share)) / np.log(n - 1), rel=1e-5, abs=1e-5)
        above = np.where(bins >= lowest, inner, 0.0)
        largest = 1 + int(np.argmax(above))
        if above.any() and largest < n - 1:
            line = spectrum.interpolated_peak(np.sqrt(3.0 * row), largest)
            assert (position, amplitude) == pytest.approx(line, rel=1e-6)
        else:
            assert np.isnan([position, amplitude]).all()


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 2, 17, 1000, 4096, 9001]), st.floats(-100.0, 100.0))
def test_moments_in_single_precision(seed: int, n: int, mean: float) -> None:
    x = (np.random.default_rng(seed).standard_t(4, size=n) + mean).astype(np.float32)
    wide, single = time_domain.describe(x), moments(x)
    for name, index in INDEX.items():
        # the mean is known within the scatter's rounding, not its own
        scale = {"mean": wide["rms"], "skewness": max(1.0, abs(wide["skewness"]))}.get(name, abs(wide[name]))
        assert single[index] == pytest.approx(wide[name], abs=1e-5 * scale, nan_ok=True), name


@pytest.mark.parametrize("exponent", [-36, -20, 0, 20, 36])
def test_no_power_of_ten_overflows_the_moments(exponent: int) -> None:
    x = np.random.default_rng(3).standard_normal(5000)
    scaled = (x * 10.0**exponent).astype(np.float32)
    found = moments(scaled)
    assert found[INDEX["rms"]] == pytest.approx(10.0**exponent * x.std(), rel=1e-5)
    assert found[INDEX["kurtosis"]] == pytest.approx(moments(x.astype(np.float32))[INDEX["kurtosis"]], rel=1e-5)


@given(st.integers(0, 2**32 - 1), st.integers(2, 3), st.floats(15.0, 60.0), st.floats(3.0, 40.0))
def test_family_against_a_plain_search(seed: int, n_harmonics: int, expected: float, shaft: float) -> None:
    amplitudes = np.random.default_rng(seed).rayleigh(size=400)
    levels, shaft_levels, room = np.empty(n_harmonics), np.empty(n_harmonics), np.empty((2, line_search.HARMONICS))
    peaks = np.empty_like(amplitudes)
    line_levels.highest_peaks(amplitudes, np.empty_like(amplitudes), peaks)
    found = line_search.search_family(amplitudes, peaks, expected, shaft, np.empty(0), levels, shaft_levels, room)

    def level_db(position: float, h: int) -> float:
        order = math.floor(position / shaft + 0.5)
        if order >= 1 and abs(position - order * shaft) < max(2.0, 0.003 * position):
            return 0.0
        centre, at = math.floor(h * expected + 0.5), math.floor(position + 0.5)
        floor = np.median(amplitudes[max(1, centre - 40) : min(amplitudes.size - 1, centre + 41)])
        peaks = [amplitudes[k] for k in (at - 1, at, at + 1) if amplitudes[k] >= max(amplitudes[[k - 1, k + 1]])]
        return 20.0 * math.log10(max(peaks) / floor) if peaks else 0.0

    def heights(base: float) -> list[float]:
        return [level_db(h * base, h) for h in range(1, n_harmonics + 1)]

    step = 0.5 / n_harmonics
    reach = math.floor(0.03 * expected / step)
    scores = [float(np.median(heights(expected + s * step))) for s in range(-reach, reach + 1)]
    assert float(np.median(levels)) == pytest.approx(max(scores), abs=1e-9)
    assert levels.tolist() == pytest.approx(heights(found), abs=1e-9)


@given(st.integers(0, 2**32 - 1), st.integers(64, 3000), st.data())
def test_a_coarsely_sampled_envelope_has_the_same_lowest_lines(seed: int, n: int, data: st.DataObject) -> None:
    first = data.draw(st.integers(1, n // 4))
    last = data.draw(st.integers(first + 2, n // 2))
    n_bins = data.draw(st.integers(1, last - first))
    x = np.random.default_rng(seed).standard_normal((2, n)).astype(np.float32)
    plain = scipy.fft.rfft(x, axis=1)
    full = envelope.squared_envelope(plain, n, first, last)
    coarse = envelope.squared_envelope(plain, n, first, last, n_bins)
    assert coarse.shape[1] <= full.shape[1]
    np.testing.assert_allclose(coarse.mean(axis=1), full.mean(axis=1), rtol=1e-5)
    lines = envelope.envelope_spectrum(full)[:, :n_bins]
    np.testing.assert_allclose(envelope.envelope_spectrum(coarse, n_bins), lines, atol=3e-6 * full.mean())
    repeated, means = envelope.Envelopes(n).spectra(plain, np.array([1, 0]), first, last, n_bins)
    np.testing.assert_allclose(means, full.mean(axis=1)[::-1], rtol=1e-5)
    np.testing.assert_allclose(repeated, lines[::-1], atol=3e-6 * full.mean())
