"""The detectors for slow channels: formulae against published values, bits, bounds, and what they find."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from contracts.errors import SignalError
from processors.detection.charts import cusum, ewma, ewma_limit
from processors.detection.conformal import conformal_threshold
from processors.detection.forecasts import DAY_S, forecast_errors
from processors.detection.level_chart import LevelChart, allan_deviation
from processors.detection.persistence import given_again, held, persistent, unrecovered
from processors.detection.rarity import rarities, tail_rarity, warnings_of
from processors.detection.subspace import Subspace, held_out_limits, spe_limit, t_squared_limit

F64 = NDArray[np.float64]


def run_length(beyond: NDArray[np.bool_]) -> float:
    """Return the mean number of rows until each column is flagged first."""
    assert beyond.any(axis=0).all()
    return float((np.argmax(beyond, axis=0) + 1).mean())


@pytest.mark.parametrize(
    ("shift", "k", "h", "expected"),
    [(0.0, 0.5, 4.0, 170.0), (1.0, 0.5, 4.0, 8.3), (0.0, 0.5, 5.0, 460.0), (1.0, 0.5, 5.0, 10.3)],
)
def test_a_cusum_runs_as_long_as_it_should(shift: float, k: float, h: float, expected: float) -> None:
    rows = shift + np.random.default_rng(1).standard_normal((100 if shift else 6000, 1500))
    up, down = cusum(rows, k)
    assert run_length(np.maximum(up, down) > h) == pytest.approx(expected, rel=0.08)


@pytest.mark.parametrize(
    ("shift", "smoothing", "width", "expected"),
    [(0.0, 0.2, 3.0, 553.0), (1.0, 0.2, 3.0, 10.7), (0.0, 0.1, 2.7, 365.0), (1.0, 0.1, 2.7, 9.7)],
)
def test_an_ewma_chart_runs_as_long_as_it_should(shift: float, smoothing: float, width: float, expected: float) -> None:
    rows = shift + np.random.default_rng(2).standard_normal((120 if shift else 7000, 1500))
    # the table is for the limit of a chart that has run for long
    beyond = np.abs(ewma(rows, smoothing)) > ewma_limit(width, smoothing)
    assert run_length(beyond) == pytest.approx(expected, rel=0.08)


def test_limits_of_a_subspace_are_those_of_the_books() -> None:
    assert t_squared_limit(5, 100, 0.01) == pytest.approx(16.925, abs=1e-3)
    assert spe_limit(np.array([0.5, 0.3, 0.2]), 0.01) == pytest.approx(4.218, abs=1e-3)


def test_t_squared_is_exceeded_as_often_as_its_limit_says() -> None:
    rng = np.random.default_rng(3)
    mix = np.array([[1.0, 1.0, 1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, 1.0, 1.0]])
    shares = []
    for _ in range(20):
        # two causes behind six channels: which directions are kept is no matter of chance
        seen = rng.standard_normal((2200, 2)) @ mix + 0.05 * rng.standard_normal((2200, 6))
        model = Subspace.learn(seen[:200], 0.9)
        assert model.kept == 2
        t_squared, _ = model.statistics(seen[200:])
        shares.append(float((t_squared > t_squared_limit(model.kept, 200, 0.01)).mean()))
    assert np.mean(shares) == pytest.approx(0.01, abs=0.003)


def test_held_out_limits_hold_on_new_rows_where_the_models_own_do_not() -> None:
    rng = np.random.default_rng(4)
    normal, new = rng.standard_normal((150, 40)), rng.standard_normal((4000, 40))
    model = Subspace.learn(normal, 0.8)
    own = np.quantile(model.statistics(normal)[1], 0.99)
    _, held_out = held_out_limits(normal, 0.8, 0.01, 10)
    spe = model.statistics(new)[1]
    assert float((spe > own).mean()) > 0.05
    assert float((spe > held_out).mean()) < 0.02


def test_statistics_have_the_same_bits_whatever_the_batch() -> None:
    rng = np.random.default_rng(5)
    model = Subspace.learn(rng.standard_normal((100, 20)), 0.9)
    rows = rng.standard_normal((64, 20))
    whole = np.stack(model.statistics(rows))
    for size in (1, 5, 63):
        parts = [np.stack(model.statistics(rows[start : start + size])) for start in range(0, 64, size)]
        assert np.concatenate(parts, axis=1).tobytes() == whole.tobytes()


@pytest.mark.parametrize(("n", "alpha", "rank"), [(99, 0.01, 99), (100, 0.01, 100), (199, 0.01, 198), (19, 0.05, 19)])
def test_a_conformal_threshold_has_its_rank(n: int, alpha: float, rank: int) -> None:
    scores = np.random.default_rng(6).permutation(np.arange(1.0, n + 1))
    assert conformal_threshold(scores, alpha) == rank


def test_no_threshold_before_the_calibration_allows_it() -> None:
    assert conformal_threshold(np.arange(98.0), 0.01) is None
    with pytest.raises(SignalError, match=r"alpha 1\.5"):
        conformal_threshold(np.arange(98.0), 1.5)
    with pytest.raises(SignalError, match="finite"):
        conformal_threshold(np.array([1.0, np.nan]), 0.5)


def test_persistence_looks_back_only() -> None:
    flags = np.random.default_rng(7).random(200) < 0.5
    for needed, of in ((3, 3), (3, 5)):
        whole = persistent(flags, needed, of)
        assert all((persistent(flags[:cut], needed, of) == whole[:cut]).all() for cut in (1, 2, 50, 199))
    assert all((held(flags[:cut], 4) == held(flags, 4)[:cut]).all() for cut in (1, 2, 50, 199))


def test_a_rising_score_is_told_again_only_when_it_is_much_worse() -> None:
    told = given_again(np.linspace(1.0, 10.0, 100), 1000, 1.5)
    assert np.count_nonzero(told) == 6
    assert (told[told > 0][1:] > 1.5 * told[told > 0][:-1]).all()


def test_a_level_chart_warns_of_a_small_lasting_shift_and_not_of_the_calibration() -> None:
    rows = np.random.default_rng(8).standard_normal((1000, 4))
    rows[700:, 2] -= 1.5
    ratios = LevelChart.learn(rows[:400], 0.06, 4.0).ratios(rows)
    assert (np.abs(ratios[:700]) < 1.0).all()
    assert (ratios[760:, 2] < -1.0).all()
    assert (np.abs(ratios[:, [0, 1, 3]]) < 1.0).all()


def test_a_channel_that_never_moved_is_told_when_it_moves() -> None:
    rows = np.random.default_rng(9).standard_normal((200, 2))
    rows[:, 1] = 5.0
    rows[150:, 1] = 5.1
    assert LevelChart.learn(rows[:100], 0.5, 3.0).ratios(rows)[150:, 1].min() > 1.0
    assert not LevelChart.learn(rows[:100], 0.5, 3.0).ratios(rows)[:150, 1].any()
    assert LevelChart.learn(rows[:100], 0.5, 3.0, least=0.05).ratios(rows)[150:, 1].max() < 1.0


def test_what_wanders_over_minutes_gets_a_wider_limit_than_noise_of_the_same_spread() -> None:
    noise = np.random.default_rng(10).standard_normal((400, 1))
    wandering = np.cumsum(noise, axis=0)
    wandering *= noise.std() / wandering.std()
    limit = LevelChart.learn(np.concatenate([noise, wandering], axis=1), 0.1, 5.0).limit
    assert limit[1] > 2.0 * limit[0]


def test_a_level_between_two_steps_of_a_coarse_channel_is_found() -> None:
    rows = np.random.default_rng(11).choice([32.0, 33.0], p=[0.6, 0.4], size=(400, 1))
    assert LevelChart.learn(rows, 0.1, 5.0).centre[0] == pytest.approx(32.4, abs=0.05)


def test_the_allan_deviation_of_independent_rows_falls_with_the_root_of_the_span_and_ignores_the_level() -> None:
    rows = np.random.default_rng(12).standard_normal((100_000, 1))
    for span in (1, 10, 100):
        assert allan_deviation(rows, span)[0] == pytest.approx(span**-0.5, rel=0.05)
    assert allan_deviation(rows + 1e9, 10)[0] == pytest.approx(allan_deviation(rows, 10)[0], rel=1e-6)
    for span in (0, 50_001):
        with pytest.raises(SignalError, match="span"):
            allan_deviation(rows, span)


RATIOS = arrays(np.float64, st.tuples(st.integers(1, 40), st.integers(1, 3)), elements=st.floats(-5.0, 5.0))


@given(ratios=RATIOS, share=st.floats(0.0, 0.99))
def test_what_has_not_recovered_is_beyond_its_limit_and_near_its_largest_on_its_side(ratios: F64, share: float) -> None:
    flags = unrecovered(ratios, share)
    assert (flags == unrecovered(-ratios, share)).all()
    assert not flags[np.abs(ratios) <= 1.0].any()
    assert (unrecovered(ratios, 0.0) == (np.abs(ratios) > 1.0)).all()
    assert not (flags & ~unrecovered(ratios, 0.0)).any()
    cut = len(ratios) // 2
    assert (unrecovered(ratios[:cut], share) == flags[:cut]).all()
    # a new largest one counts whatever came before
    up = np.maximum.accumulate(ratios, axis=0)
    assert flags[(ratios == up) & (ratios > 1.0)].all()


def test_a_fault_that_is_gone_is_told_as_gone_after_the_same_time_whatever_its_size() -> None:
    lasts = []
    for size in (3.0, 30.0):
        step = np.zeros((300, 1))
        step[100:200] = size
        lasts.append(int(np.flatnonzero(unrecovered(ewma(step, 0.1), 0.5))[-1]))
    assert lasts[0] == lasts[1] == 205


def test_a_share_that_is_none_is_refused() -> None:
    for share in (-0.1, 1.0, float("nan")):
        with pytest.raises(SignalError, match="share"):
            unrecovered(np.zeros(3), share)


@pytest.mark.parametrize("bad", [np.zeros((10, 2)), np.full((50, 2), np.nan), np.zeros(50)])
def test_a_calibration_that_is_none_is_refused(bad: F64) -> None:
    with pytest.raises(SignalError):
        LevelChart.learn(bad, 0.5, 2.0)
    with pytest.raises(SignalError):
        Subspace.learn(bad, 0.9)


def test_a_weekly_rhythm_is_forecast_after_some_weeks() -> None:
    hours = np.arange(24 * 7 * 8)
    weekend = (hours // 24) % 7 >= 5
    values = np.where(weekend, 1.0, 5.0) + np.sin(hours / 24 * 2 * np.pi)
    assert float(np.abs(forecast_errors(values, 3600.0)[-24 * 7 :]).max()) < 1e-9


def test_a_spike_and_a_slow_sinking_are_rare_and_noise_is_not() -> None:
    noise = np.random.default_rng(10).standard_normal(3000)
    spiked, sinking = noise.copy(), noise.copy()
    spiked[2000] += 12.0
    sinking[2000:2200] -= 2.5
    assert float(rarities(noise, 3600.0)[500:].max()) < 3.0
    assert int(np.argmax(warnings_of(spiked, 3600.0))) == 2000
    assert 2000 <= int(np.argmax(rarities(sinking, 3600.0))) <= 2224


def test_a_tail_gives_decades_of_exponential_sizes() -> None:
    sizes = np.random.default_rng(11).exponential(size=20000)
    sizes[-1] = np.log(10.0) * 6.0
    assert float(tail_rarity(sizes, 10000, 1)[-1]) == pytest.approx(6.0, abs=0.3)


@pytest.mark.parametrize("values", [np.zeros(0), np.array([1.0, np.nan]), np.zeros((3, 1))])
def test_values_that_cannot_be_forecast_are_refused(values: F64) -> None:
    with pytest.raises(SignalError):
        forecast_errors(values, 60.0)


def test_constant_values_are_never_rare() -> None:
    assert not rarities(np.full(5000, 45.0), 300.0).any()
    with pytest.raises(SignalError, match="interval"):
        rarities(np.zeros(10), 2 * DAY_S)


@pytest.mark.parametrize("smoothing", [0.0, 1.1, np.nan])
def test_impossible_settings_are_refused(smoothing: float) -> None:
    with pytest.raises(SignalError, match="smoothing"):
        ewma(np.zeros((3, 1)), smoothing)
    with pytest.raises(SignalError, match="smoothing"):
        ewma_limit(3.0, smoothing)
