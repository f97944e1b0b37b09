"""Kernels that are written for speed, against the plain way to say the same."""

import numpy as np
import numpy.typing as npt
import pytest
import scipy.fft
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from processors import envelope, mean_square, time_domain
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
    power = rng.exponential(size=(2, n)) * 10.0 ** rng.integers(-12, 6)
    power[rng.random((2, n)) < share_of_zeros] = 0.0
    out = np.empty((2, 3))
    mean_square.describe_power(power, np.log(np.maximum(power, 1e-300)), lowest, out)
    bins = np.arange(1, n)
    for row, (centroid, entropy, dominant) in zip(power[:, 1:], out, strict=True):
        if not row.any():
            assert np.isnan([centroid, entropy, dominant]).all()
            continue
        share = row[row > 0] / row.sum()
        assert centroid == pytest.approx(np.sum(bins * row) / row.sum(), rel=1e-12)
        assert entropy == pytest.approx(-np.sum(share * np.log(share)) / np.log(n - 1), rel=1e-9, abs=1e-12)
        above = np.where(bins >= lowest, row, 0.0)
        if above.any():
            assert dominant == 1 + np.argmax(above)
        else:
            assert np.isnan(dominant)


@given(st.integers(0, 2**32 - 1), st.integers(64, 3000), st.data())
def test_a_coarsely_sampled_envelope_has_the_same_lowest_lines(seed: int, n: int, data: st.DataObject) -> None:
    first = data.draw(st.integers(1, n // 4))
    last = data.draw(st.integers(first + 2, n // 2))
    n_bins = data.draw(st.integers(1, last - first))
    x = np.random.default_rng(seed).standard_normal((2, n)).astype(np.float32)
    spectrum = scipy.fft.rfft(x, axis=1)
    full = envelope.squared_envelope(spectrum, n, first, last)
    coarse = envelope.squared_envelope(spectrum, n, first, last, n_bins)
    assert coarse.shape[1] <= full.shape[1]
    np.testing.assert_allclose(coarse.mean(axis=1), full.mean(axis=1), rtol=1e-5)
    lines = envelope.envelope_spectrum(full)[:, :n_bins]
    np.testing.assert_allclose(envelope.envelope_spectrum(coarse, n_bins), lines, atol=3e-6 * full.mean())
