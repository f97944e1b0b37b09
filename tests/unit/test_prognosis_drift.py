"""Time left, health and drift: the specification's vectors, and where no answer is given."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from contracts.errors import SignalError
from processors import drift
from processors.kernel_regression import KernelRegression
from processors.prognosis import health_index, late_early_score, remaining_life
from processors.trajectory import describe


def growing(seed: int, n: int = 120, scatter: float = 0.05) -> tuple[np.ndarray, np.ndarray]:
    times_s = 10.0 * np.arange(n)
    noise = np.exp(scatter * np.random.default_rng(seed).standard_normal(n))
    return times_s, 1.0 + 0.1 * np.exp(times_s / 400.0) * noise


def test_an_exponential_trend_is_carried_on_to_its_limit() -> None:
    times_s, values = growing(0)
    outlook = remaining_life(times_s, values, limit=1.0 + 0.1 * np.exp(4.0), healthy=1.0, seed=3)
    assert outlook is not None
    assert outlook.p10_s < outlook.p50_s < outlook.p90_s
    assert outlook.p50_s == pytest.approx(1600.0 - times_s[-1], rel=0.03)


def test_the_spread_covers_what_scatter_can_do() -> None:
    told = covered = 0
    for seed in range(100):
        times_s, values = growing(seed, n=100, scatter=0.3)
        outlook = remaining_life(times_s, values, limit=1.0 + 0.1 * np.exp(4.0), healthy=1.0)
        told += outlook is not None
        covered += outlook is not None and outlook.p10_s <= 1600.0 - times_s[-1] <= outlook.p90_s
    assert told >= 40
    assert covered >= 0.75 * told


def exponential(share: np.ndarray) -> np.ndarray:
    return np.asarray(0.3 * np.exp(np.log(6.1 / 0.3) * share))


def power(p: float) -> Callable[[np.ndarray], np.ndarray]:
    """Return growth by a power of the time since some beginning, from 0.3 to 6.1."""
    begun = (0.3 / 6.1) ** (1.0 / p)
    return lambda share: np.asarray(6.1 * (begun + (1.0 - begun) * share) ** p)


def begun_late(p: float) -> Callable[[np.ndarray], np.ndarray]:
    """Return growth that is none of the shapes: its logarithm rises faster at first, and then more slowly."""
    return lambda share: np.asarray(0.3 + 5.8 * share**p)


def worn(
    seed: int, rho: float, scatter: float, growth: Callable[[np.ndarray], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return 120 hours that end at 7.1, with scatter that hangs together by rho."""
    noise, steps = np.zeros(120), np.random.default_rng(seed).standard_normal(120)
    for k in range(1, 120):
        noise[k] = rho * noise[k - 1] + np.sqrt(1.0 - rho**2) * scatter * steps[k]
    return 3600.0 * np.arange(120), 1.0 + growth(np.arange(120) / 120) * np.exp(noise)


def asked(growth: Callable[[np.ndarray], np.ndarray]) -> tuple[int, int]:
    """Return how often the time left is told, of 96 times, and how often it lies between p10 and p90."""
    told = covered = 0
    for rho, scatter in ((0.0, 0.05), (0.0, 0.2), (0.8, 0.1), (0.95, 0.15)):
        for seed in range(8):
            times_s, values = worn(seed, rho, scatter, growth)
            for seen in (60, 84, 108):
                outlook = remaining_life(times_s[:seen], values[:seen], limit=7.1, healthy=1.0)
                if outlook is not None:
                    told += 1
                    covered += bool(outlook.p10_s <= 120 * 3600.0 - times_s[seen - 1] <= outlook.p90_s)
    return told, covered


@pytest.mark.parametrize(
    ("growth", "at_least"),
    [(exponential, 40), (power(1.0), 40), (power(1.5), 40), (power(2.0), 40), (power(3.0), 40), (begun_late(2.0), 10)],
    ids=["exponential", "linear", "1.5", "square", "cubic", "square, begun late"],
)
def test_what_is_told_is_right_in_about_four_of_five_cases_whatever_the_shape(
    growth: Callable[[np.ndarray], np.ndarray], at_least: int
) -> None:
    told, covered = asked(growth)
    assert told >= at_least
    assert covered >= 0.75 * told


def test_growth_that_none_of_the_shapes_is_like_is_not_told() -> None:
    told, _ = asked(begun_late(3.0))
    assert told <= 3


@pytest.mark.parametrize("rho", [0.0, 0.8, 0.95])
def test_scatter_that_hangs_together_widens_what_is_told(rho: float) -> None:
    told = covered = 0
    ratios: list[float] = []
    for seed in range(30):
        times_s, values = worn(seed, rho, 0.1, exponential)
        outlook = remaining_life(times_s[:96], values[:96], limit=7.1, healthy=1.0)
        if outlook is not None:
            told += 1
            covered += outlook.p10_s <= 25 * 3600.0 <= outlook.p90_s
            ratios.append(outlook.p90_s / outlook.p10_s)
    assert told >= 15
    assert covered / told >= 0.75
    assert bool(np.median(ratios) < 2.0) is (rho == 0.0)


def test_a_trend_is_not_carried_on_for_longer_than_it_was_seen() -> None:
    times_s, values = growing(0)
    seen = slice(40, 80)
    assert remaining_life(times_s[seen], values[seen], 1.0 + 0.1 * np.exp(4.0), 1.0) is None
    assert remaining_life(times_s[:100], values[:100], 1.0 + 0.1 * np.exp(4.0), 1.0) is not None


def test_a_trend_that_has_not_kept_its_promise_is_told_with_a_wider_spread_or_not_at_all() -> None:
    times_s = 10.0 * np.arange(160, dtype=np.float64)
    halting = 1.0 + 0.1 * np.exp(np.minimum(times_s, 900.0) / 300.0) + 1e-3 * times_s
    smooth = 1.0 + 0.1 * np.exp(times_s / 300.0)
    steady = remaining_life(times_s, smooth, 1.0 + 0.1 * np.exp(6.0), 1.0)
    assert steady is not None
    assert steady.p90_s < 1.05 * steady.p10_s
    held_up = remaining_life(times_s, halting, 1.0 + 0.1 * np.exp(6.0), 1.0)
    assert held_up is None or held_up.p90_s > 2.0 * held_up.p10_s


def test_the_same_seed_gives_the_same_answer() -> None:
    times_s, values = growing(1)
    first, again, other = (remaining_life(times_s, values, 5.0, 1.0, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_there_is_no_answer_where_none_is_justified() -> None:
    times_s, values = growing(2)
    assert remaining_life(times_s, values[::-1].copy(), 5.0, 1.0) is None  # falling
    assert remaining_life(times_s, np.full(120, 1.5), 5.0, 1.0) is None  # level
    assert remaining_life(times_s[:7], values[:7], 5.0, 1.0) is None  # too few
    assert remaining_life(times_s, np.full(120, 0.5), 5.0, 1.0) is None  # never above the healthy value
    noise = 1.0 + np.exp(np.random.default_rng(3).standard_normal(30) + 0.002 * np.arange(30))
    assert remaining_life(times_s[:30], noise, 1e6, 1.0) is None  # could be anything


def test_a_limit_that_is_reached_leaves_nothing() -> None:
    times_s, values = growing(4)
    outlook = remaining_life(times_s, values, 1.05, 1.0)
    assert outlook is not None
    assert (outlook.p10_s, outlook.p50_s, outlook.p90_s) == (0.0, 0.0, 0.0)


def test_a_course_that_has_levelled_off_below_the_limit_is_not_told_to_be_at_its_end() -> None:
    times_s = 10.0 * np.arange(80, dtype=np.float64)
    values = 0.9 + 2.8 * np.clip((times_s - 50.0) / 150.0, 0.01, 1.0)
    assert remaining_life(times_s, values, 4.5, 0.9) is None


def test_what_cannot_be_carried_on_is_refused() -> None:
    times_s, values = growing(5)
    with pytest.raises(SignalError, match="limit"):
        remaining_life(times_s, values, 1.0, 1.0)
    with pytest.raises(SignalError, match="increase"):
        remaining_life(times_s[::-1].copy(), values, 5.0, 1.0)
    with pytest.raises(SignalError, match="shape"):
        remaining_life(times_s[1:], values, 5.0, 1.0)
    with pytest.raises(SignalError, match="healthy"):
        health_index(1.0, 0.0, 2.0)


def test_vector_14_late_costs_more_than_early() -> None:
    single = [late_early_score(np.array([d]), np.zeros(1)) for d in (-13.0, 0.0, 10.0)]
    assert single == pytest.approx([1.718281828, 0.0, 1.718281828], abs=1e-9)


def test_vector_11_stability_index() -> None:
    assert drift.stability_index(np.full(4, 0.25), np.array([0.4, 0.3, 0.2, 0.1])) == pytest.approx(0.228217, abs=1e-6)
    edges = stats.norm.ppf(np.arange(1, 10) / 10)
    shifted = np.diff(np.concatenate([[0.0], stats.norm.cdf(edges - 0.5), [1.0]]))
    assert drift.stability_index(shifted, np.full(10, 0.1)) == pytest.approx(0.237749, abs=1e-6)


def test_vector_12_distances_of_samples() -> None:
    first, second = np.arange(1.0, 11.0), np.arange(6.0, 16.0)
    distance, p = drift.kolmogorov_smirnov(first, second)
    assert (distance, p) == pytest.approx((0.5, 0.16782134274394334), abs=1e-9)
    assert drift.wasserstein_sigma(second, first) * first.std() == pytest.approx(5.0, abs=1e-9)


def test_bins_of_the_reference_see_a_later_shift() -> None:
    rng = np.random.default_rng(6)
    reference = rng.standard_normal(5000)
    edges = drift.quantile_edges(reference)
    assert drift.shares(reference, edges) == pytest.approx(np.full(10, 0.1), abs=1e-3)
    for offset, expected in ((0.0, drift.Shift.NONE), (0.4, drift.Shift.MODERATE), (1.0, drift.Shift.LARGE)):
        seen = drift.shares(offset + rng.standard_normal(5000), edges)
        assert drift.shift(drift.stability_index(seen, np.full(10, 0.1))) is expected


def test_autocorrelated_samples_prove_less() -> None:
    rng = np.random.default_rng(7)
    walks = np.cumsum(rng.standard_normal((2, 500)), axis=1)
    distance, p = drift.kolmogorov_smirnov(walks[0], walks[1])
    assert p < 1e-6
    assert drift.autocorrelated_p(distance, walks[0], walks[1]) > 0.05


@pytest.mark.parametrize("bad", [np.zeros(0), np.array([np.nan]), np.zeros((2, 2))])
def test_samples_that_are_none_are_refused(bad: np.ndarray) -> None:
    with pytest.raises(SignalError):
        drift.kolmogorov_smirnov(bad, np.arange(3.0))
    with pytest.raises(SignalError):
        drift.wasserstein_sigma(np.arange(3.0), bad)
    with pytest.raises(SignalError):
        drift.stability_index(bad, np.ones(4))


def test_a_description_of_a_row_is_blind_to_later_ones() -> None:
    rows = np.random.default_rng(8).standard_normal((90, 3))
    whole = describe(rows)
    assert all(describe(rows[:cut]).tobytes() == whole[:cut].tobytes() for cut in (1, 2, 19, 60))


def test_kernel_regression_learns_a_curve_and_predicts_the_same_bits_in_any_batch() -> None:
    rng = np.random.default_rng(9)
    x = rng.uniform(-2.0, 2.0, (400, 2))
    model = KernelRegression.learn(x, np.sin(x[:, 0]) + x[:, 1] ** 2, 80, 1.0, 1e-6, seed=0)
    new = rng.uniform(-1.8, 1.8, (50, 2))
    told = model.predict(new)
    assert float(np.abs(told - np.sin(new[:, 0]) - new[:, 1] ** 2).max()) < 0.05
    assert np.concatenate([model.predict(row[np.newaxis]) for row in new]).tobytes() == told.tobytes()
    with pytest.raises(SignalError, match="landmarks"):
        KernelRegression.learn(x, x[:, 0], 401, 1.0, 1e-6, seed=0)
