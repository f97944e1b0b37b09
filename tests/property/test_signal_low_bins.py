"""Velocity, displacement, bands and orders of float32 signals against float64, however little they are of it."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
import scipy.fft
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from contracts.features import FEATURE_INDEX
from processors import displacement, low_bins, time_domain, velocity
from processors.features import FeatureEngine
from processors.low_bins import LowBins

SINGLE = 1e-5
SEEDS = st.integers(0, 2**32 - 1)
MEANS = st.floats(-100.0, 100.0)
#: (samples, sampling rate): with a short transform of every length, and two lengths that have none.
SHAPES = st.sampled_from(
    [(2560, 25600.0), (2999, 12000.0), (5001, 12000.0), (8192, 25600.0), (12000, 12000.0), (25600, 25600.0)]
)
BANDS = ("band_low_g", "band_mid_g", "band_high_g")


def signal(
    seed: int, shape: tuple[int, float], lines_hz: list[float], noise: float, mean: float
) -> NDArray[np.float32]:
    """Return lines of 1 in heavy-tailed noise, the whole of scatter 1 about a mean; without lines just noise."""
    n, rate_hz = shape
    phase = 2 * np.pi * np.outer(lines_hz, np.arange(n) / rate_hz)
    x = np.sin(phase + np.arange(1, len(lines_hz) + 1)[:, np.newaxis]).sum(axis=0)
    x = x + np.random.default_rng(seed).standard_t(4, size=n) * (noise if lines_hz else 1.0)
    return np.asarray((x - x.mean()) / x.std() + mean, np.float32)


SIGNALS = st.builds(
    lambda *of: (of[1], signal(*of)),
    SEEDS,
    SHAPES,
    st.lists(st.floats(10.0, 1000.0) | st.floats(1000.0, 4500.0), max_size=3),
    st.sampled_from([0.0, 1e-4, 1e-3, 0.01, 0.1, 1.0]),
    MEANS,
)


def plain_transform(x: NDArray[np.float32]) -> NDArray[np.complex128]:
    wide = x.astype(np.float64)
    return np.asarray(scipy.fft.rfft(wide - math.fsum(wide) / wide.size))


def plain_power(x: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return each bin's share of the mean square by a Hann window."""
    wide = x.astype(np.float64)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(x.size) / x.size)
    power = np.abs(scipy.fft.rfft((wide - math.fsum(wide) / x.size) * hann)) ** 2 * 2.0 / (0.375 * x.size**2)
    power[0] /= 2
    power[-1] /= 2 if x.size % 2 == 0 else 1
    return np.asarray(power)


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


@settings(max_examples=80, deadline=None)
@given(SIGNALS)
def test_velocity_and_displacement(given_signal: tuple[tuple[int, float], NDArray[np.float32]]) -> None:
    (n, rate_hz), x = given_signal
    found = FeatureEngine(1, n, rate_hz, [None]).compute(x[np.newaxis], None, np.full((1, 2), np.nan)).values[0]
    measured = {name: float(found[FEATURE_INDEX[name]]) for name in velocity.MOTION_FEATURES}
    assert measured["displacement_pp_um"] == pytest.approx(
        displacement_pp_um(x.astype(np.float64), rate_hz), rel=SINGLE
    )
    rms = np.empty((1, 3))
    weights = velocity.integration_weights(10.0, 1000.0, rate_hz / n, n // 2 + 1)[1:]
    velocity.integrated_rms(plain_power(x)[np.newaxis], np.array([0]), *weights, rms)
    assert measured["velocity_rms_mm_s"] == pytest.approx(rms[0, 0], rel=SINGLE)
    assert measured["displacement_rms_um"] == pytest.approx(rms[0, 1], rel=SINGLE)


@settings(max_examples=80, deadline=None)
@given(SIGNALS, st.floats(1200.0, 6000.0))
def test_bands_and_orders(given_signal: tuple[tuple[int, float], NDArray[np.float32]], speed_rpm: float) -> None:
    (n, rate_hz), x = given_signal
    found = FeatureEngine(1, n, rate_hz, [None]).compute(x[np.newaxis], speed_rpm, np.full((1, 2), np.nan)).values[0]
    power, bin_hz = plain_power(x), rate_hz / n
    edges_hz = [10.0, 1000.0, 5000.0, math.inf]
    for name, (low_hz, high_hz) in zip(BANDS, itertools.pairwise(edges_hz), strict=True):
        bins = np.arange(power.size) * bin_hz
        inside = (bins >= low_hz - 1e-6) & (bins < (high_hz - 1e-6 if high_hz < rate_hz / 2 else math.inf))
        assert found[FEATURE_INDEX[name]] == pytest.approx(math.sqrt(math.fsum(power[inside])), rel=SINGLE), name
    for order in (1, 2, 3):
        position = order * speed_rpm / 60.0 / bin_hz
        measured = found[FEATURE_INDEX[f"order_{order}x_mm_s"]]
        if speed_rpm / 60.0 / bin_hz < 4.0:
            assert math.isnan(measured)
            continue
        reach = max(1.5, 0.01 * position)
        near = np.arange(math.floor(position - reach + 0.5), math.floor(position + reach + 0.5) + 1)
        # of two bins that are alike either may be the line
        tops = near[power[near] >= (1 - 1e-4) * power[near].max()]
        lines = [9806.65 * math.sqrt(power[at - 2 : at + 3].sum()) / (2 * np.pi * bin_hz * at) for at in tops]
        assert measured in [pytest.approx(line, rel=SINGLE) for line in lines], order


def test_the_taper_is_flat_where_the_wave_is_read() -> None:
    places = np.linspace(0.3, 0.7, 4001)
    taper = np.cos(2 * np.pi * np.outer(places, np.arange(9))) @ np.array(displacement.TAPER)
    assert np.abs(taper - 1.0).max() < 2.4e-6
    assert sum(displacement.TAPER) == pytest.approx(0.0, abs=1e-9)
    assert sum(k**2 * c for k, c in enumerate(displacement.TAPER)) == pytest.approx(0.0, abs=1e-7)


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.sampled_from([(2560, 25600.0), (8192, 25600.0), (12000, 12000.0), (48000, 48000.0)]))
def test_refined_bins_have_the_rounding_that_is_stated(seed: int, shape: tuple[int, float]) -> None:
    n, rate_hz = shape
    x = np.stack([signal(seed, shape, [3000.0 + seed % 997], 0.01, 0.0), signal(seed, shape, [], 1.0, 1.0)])
    centred, moments = np.empty_like(x), np.empty((2, len(time_domain.COLUMNS)))
    time_domain.moments(x, moments, centred)
    single = scipy.fft.rfft(centred, axis=1)
    lowest = LowBins(2, n, rate_hz)
    lowest.start(x, moments, single)
    assert low_bins.summed(n, rate_hz) > 1
    lowest.refine(np.array([0, 1]))
    assert lowest.origins.tolist() == [low_bins.SHORT] * 2
    assert (lowest.rounding[low_bins.SHORT, : int(50.0 * n / rate_hz)] < 0.08).all()
    for row, refined, power in zip(x, lowest.spectrum, lowest.power, strict=True):
        plain = plain_transform(row)[: lowest.n_low]
        # a line's rounding lies in few bins
        bounds = math.sqrt(n / 2) * (2e-5 * lowest.rounding[low_bins.SHORT] + 1e-13)
        assert (np.abs(refined - plain) <= bounds).all()
        np.testing.assert_allclose(power[:-1], plain_power(row)[: lowest.n_low - 1], atol=1e-9)
    lowest.refine(np.array([0]))
    lowest.refine_wholly(np.array([1, 0]))
    assert lowest.origins.tolist() == [low_bins.WHOLE] * 2
    for row, refined in zip(x, lowest.spectrum, strict=True):
        plain = plain_transform(row)[: lowest.n_low]
        assert np.abs(refined - plain).max() <= 4e-13 * np.abs(plain_transform(row)).max()


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.permutations(range(7)))
def test_a_channel_is_refined_to_the_same_bits_whatever_lies_beside_it(seed: int, order: list[int]) -> None:
    shape = (8192, 25600.0)
    # from hardly any low frequencies to nothing else: of every origin
    kinds: list[tuple[list[float], float]] = [([4000.3], 0.0), ([4000.0], 1e-3), ([3000.0], 0.1), ([3000.0], 1.0)]
    kinds += [([], 1.0), ([30.0], 0.01), ([30.0, 4000.0], 0.1)]
    x = np.stack([signal(seed + k, shape, *kinds[k], 0.0) for k in order])
    bands_hz = np.full((7, 2), np.nan)
    together = FeatureEngine(7, *shape, [None] * 7).compute(x, 1780.0, bands_hz).values
    engine = FeatureEngine(1, *shape, [None])
    for row, values in zip(x, together, strict=True):
        assert engine.compute(row[np.newaxis], 1780.0, bands_hz[:1]).values[0].tobytes() == values.tobytes()
