"""Windows that are broken, too short or odd: a defined result or a typed error, never a warning."""

import math
from typing import Any

import numpy as np
import pytest
import scipy.fft
from numpy.typing import NDArray

from contracts.errors import SignalError
from contracts.features import FEATURE_INDEX
from processors.band_choice import choose_bands, kurtogram_bands, measure_band
from processors.bearings import bearing
from processors.features import FeatureBlock, FeatureEngine, warm_up
from processors.time_domain import describe

RATE_HZ = 12800.0
N = 12800


def compute(signal: NDArray[Any], rate_hz: float = RATE_HZ, speed_rpm: float | None = 1797.0) -> FeatureBlock:
    samples = np.ascontiguousarray(np.atleast_2d(signal), dtype=np.float32)
    engine = FeatureEngine(samples.shape[0], samples.shape[1], rate_hz, [bearing("6205")] * samples.shape[0])
    return engine.compute(samples, speed_rpm, choose_bands(samples, rate_hz))


def gaussian(n: int = N, seed: int = 1) -> NDArray[Any]:
    return np.random.default_rng(seed).standard_normal(n)


def value(block: FeatureBlock, name: str) -> float:
    return float(block.values[0, FEATURE_INDEX[name]])


@pytest.mark.parametrize("level", [0.0, 0.1, -3.0])
def test_a_constant_channel_is_dead(level: float) -> None:
    block = compute(np.full(N, level))
    assert block.health[0].verdict == "dead"
    assert value(block, "rms_g") == 0.0
    assert value(block, "bias_g") == np.float32(level)
    for name in ("crest_factor", "kurtosis", "spectral_entropy", "dominant_frequency_hz", "bpfo_db"):
        assert math.isnan(value(block, name))
    assert tuple(block.families) == ((),)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_no_number_spoils_its_channel_alone(bad: float) -> None:
    rows = np.stack([gaussian(seed=1), gaussian(seed=2)]).astype(np.float32)
    clean = compute(rows)
    rows[0, 77] = bad
    block = compute(rows)
    assert block.health[0].verdict == "invalid"
    assert block.health[0].not_finite == 1
    assert np.isnan(block.values[0]).all()
    assert block.values[1].tobytes() == clean.values[1].tobytes()


def test_clipping_is_told_from_a_smooth_crest() -> None:
    clipped = compute(np.clip(gaussian() * 10, -12, 12).repeat(3)[:N])
    assert clipped.health[0].verdict == "clipped"
    assert value(clipped, "clipped_samples") > 100
    # a slow sine in 16-bit counts rests on its crest for many samples
    t_s = np.arange(N) / RATE_HZ
    resting = compute(np.round(np.sin(2 * np.pi * 10 * t_s) * 2**12) / 2**12)
    assert resting.health[0].clipped_samples > 100
    assert resting.health[0].verdict is None


def test_dropout_and_bias() -> None:
    dropped = gaussian()
    dropped[5000:5600] = 0.0
    assert compute(dropped).health[0].verdict == "dropout"
    assert compute(gaussian() * 0.1 + 2.5).health[0].verdict == "biased"
    assert compute(gaussian() * 0.1 + 1.0).health[0].verdict is None


@pytest.mark.parametrize("n", [2, 3, 7, 63, 64, 65, 101, 1000, 12801])
def test_short_and_odd_windows_have_a_defined_result(n: int) -> None:
    block = compute(gaussian(n))
    assert math.isfinite(value(block, "rms_g"))
    undecided = [family for family in block.families[0] if not family.decided]
    if n < 3000:
        assert len(undecided) == 4
        assert all(family.needed_s is not None and family.needed_s > n / RATE_HZ for family in undecided)
        assert math.isnan(value(block, "bpfo_db"))


def test_resolution_decides_what_is_answered() -> None:
    # 2048 samples at 25.6 kHz: lines of 12.5 Hz can't tell 3 % of 107 Hz
    short = compute(gaussian(2048), rate_hz=25600.0)
    assert [family.decided for family in short.families[0]] == [False] * 4
    assert short.families[0][0].needed_s == pytest.approx(1 / (0.03 * 107.364), rel=1e-4)
    second = compute(gaussian(25600), rate_hz=25600.0)
    assert [family.decided for family in second.families[0]] == [True, True, True, False]
    assert math.isnan(value(short, "velocity_rms_mm_s"))
    assert math.isfinite(value(second, "velocity_rms_mm_s"))


@pytest.mark.parametrize("speed_rpm", [None, 0.0])
def test_without_a_speed_nothing_that_needs_it_is_defined(speed_rpm: float | None) -> None:
    block = compute(gaussian(), speed_rpm=speed_rpm)
    assert tuple(block.families) == ((),)
    assert math.isnan(value(block, "order_1x_mm_s"))
    assert math.isfinite(value(block, "velocity_rms_mm_s"))


def test_the_high_band_needs_a_high_rate() -> None:
    assert math.isnan(value(compute(gaussian(10000), rate_hz=10000.0), "band_high_g"))
    assert math.isfinite(value(compute(gaussian(10240), rate_hz=10240.0), "band_high_g"))
    assert math.isnan(value(compute(gaussian(1000), rate_hz=1000.0), "velocity_rms_mm_s"))


@pytest.mark.parametrize("rate_hz", [0.0, -1.0, math.nan, math.inf])
def test_impossible_rates(rate_hz: float) -> None:
    with pytest.raises(SignalError, match="sampling rate"):
        FeatureEngine(1, N, rate_hz, [None])
    with pytest.raises(SignalError, match="sampling rate"):
        choose_bands(np.zeros((1, N), np.float32), rate_hz)


def test_wrong_shapes_and_types() -> None:
    engine = FeatureEngine(1, N, RATE_HZ, [None])
    good, bands = np.zeros((1, N), np.float32), np.array([[500.0, 5000.0]])
    wrong: list[NDArray[Any]] = [good.astype(np.float64), good[:, :-1], good[0], good[:, ::-1]]
    for samples in wrong:
        with pytest.raises(SignalError, match="samples"):
            engine.compute(samples, None, bands)
    with pytest.raises(SignalError, match="bands"):
        engine.compute(good, None, bands[0])
    with pytest.raises(SignalError, match="speed"):
        engine.compute(good, math.nan, bands)
    with pytest.raises(SignalError, match="samples"):
        FeatureEngine(1, 1, RATE_HZ, [None])
    with pytest.raises(SignalError, match="bearings"):
        FeatureEngine(2, N, RATE_HZ, [None])
    with pytest.raises(SignalError):
        choose_bands(np.zeros(N, np.float32), RATE_HZ)
    with pytest.raises(SignalError):
        describe([])


def test_one_sample_is_a_constant() -> None:
    assert describe([2.5])["rms"] == 0.0
    assert math.isnan(describe([2.5])["kurtosis"])


def impacts(rate_per_s: float, resonance_hz: float, amplitude: float, seed: int) -> NDArray[Any]:
    ring_s = np.arange(200) / RATE_HZ
    ring = np.exp(-600 * ring_s) * np.sin(2 * np.pi * resonance_hz * ring_s)
    train = np.zeros(N)
    train[(np.arange(0, N, RATE_HZ / rate_per_s)).astype(int)] = amplitude
    return np.convolve(train, ring)[:N] + 0.3 * gaussian(seed=seed)


def test_the_band_is_that_of_the_resonance() -> None:
    for resonance_hz in (1500.0, 3000.0, 4300.0):
        x = impacts(100.0, resonance_hz, 0.8, seed=3).astype(np.float32)[np.newaxis]
        low_hz, high_hz = choose_bands(x, RATE_HZ)[0]
        assert low_hz <= resonance_hz <= high_hz
        assert high_hz - low_hz <= 2600.0


def test_a_single_knock_does_not_win_the_band() -> None:
    x = impacts(100.0, 1500.0, 2.0, seed=4)
    knock_s = np.arange(300) / RATE_HZ
    for at in (3000, 9000):
        x[at : at + 300] += 60.0 * np.exp(-500 * knock_s) * np.sin(2 * np.pi * 4300 * knock_s)
    low_hz, high_hz = choose_bands(x.astype(np.float32)[np.newaxis], RATE_HZ)[0]
    assert low_hz <= 1500.0 <= high_hz < 4300.0


def test_a_band_of_fewer_than_three_impulses_is_rejected() -> None:
    knock_s = np.arange(300) / RATE_HZ
    knock = 20.0 * np.exp(-500 * knock_s) * np.sin(2 * np.pi * 4300 * knock_s)
    merits = []
    for places in ((), (3000,), (3000, 9000), tuple(range(500, N - 300, 1000))):
        x = gaussian(seed=5)
        for at in places:
            x[at : at + 300] += knock
        spectrum = scipy.fft.rfft(x[np.newaxis], axis=1).astype(np.complex64)
        merits.append(float(measure_band(spectrum, N, 1.0, (3333.0, 5000.0))[0, 1]))
    assert math.isfinite(merits[0])
    assert merits[1:3] == [-math.inf, -math.inf]
    assert merits[3] > merits[0]


def test_a_healthy_bearing_is_watched_over_the_whole_range() -> None:
    noise = np.random.default_rng(8).standard_normal((60, N)).astype(np.float32)
    whole = (choose_bands(noise, RATE_HZ) == [500.0, 5000.0]).all(axis=1)
    assert whole.mean() >= 0.95


def test_bands_lie_within_the_usable_range() -> None:
    for rate_hz in (1000.0, 12000.0, 25600.0, 96000.0):
        bands = kurtogram_bands(rate_hz)
        assert all(0 < low < high <= min(rate_hz / 2.56, 10000.0) for low, high in bands)


def test_warm_up_reports_its_steps() -> None:
    steps: list[str] = []
    warm_up(steps.append)
    assert steps == ["demodulation bands", "features"]
