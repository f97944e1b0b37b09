"""ADWIN, running scalers and quantile filters give River's own answers, on series with shifts, ties and plateaus."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from river import anomaly, base, drift, preprocessing, stats
from river._river_rust.drift import AdaptiveWindowing

from contracts.errors import ConfigurationError
from contracts.features import FEATURE_INDEX, FEATURE_NAMES
from processors.scoring import adwin
from processors.scoring.adwin import DELTA, GRACE, MAX_BUCKETS, MIN_PART, AdaptiveWindow, Adwin
from processors.scoring.explanation import SEVERITY_COLUMNS
from processors.scoring.running import QUANTILE, STARTED, Quantile, QuantileFilter, StandardScaler, StandardScaling

SEEDS = pytest.mark.parametrize("seed", range(5))
RIVERS: Any = {
    "delta": DELTA,
    "clock": 1,
    "max_buckets": MAX_BUCKETS,
    "min_window_length": MIN_PART,
    "grace_period": GRACE,
}


def series(seed: int) -> list[float]:
    """Return numbers whose mean and spread change now and then; some stand still."""
    rng = np.random.default_rng(seed)
    parts = [rng.normal(m, s, int(rng.integers(20, 600))) for m, s in ((0, 1), (1.5, 1), (1.5, 0.2), (-1, 2), (3, 0))]
    numbers: list[float] = np.concatenate(parts).tolist()
    return numbers


@SEEDS
def test_the_adaptive_window_is_rivers_to_the_bit_through_snapshots(seed: int) -> None:
    own, rivers = AdaptiveWindow(), AdaptiveWindowing(**RIVERS)
    changes = 0
    for number, x in enumerate(series(seed)):
        if number % 97 == 0:
            own = AdaptiveWindow(own.snapshot())
        changed = own.update(x)
        assert changed == rivers.update(x)
        assert (own.width, own.total, own.squares) == (rivers.get_width(), rivers.get_total(), rivers.get_variance())
        changes += changed
    assert changes > 5


@SEEDS
def test_drifts_are_found_where_rivers_adwin_finds_them(seed: int) -> None:
    make: Any = drift.ADWIN
    rivers = make(**RIVERS)
    own = AdaptiveWindow()
    found: list[tuple[int, bool]] = []
    for number, x in enumerate(series(seed)):
        rivers.update(x)
        changed = own.update(x)
        if changed or rivers.drift_detected:
            found.append((number, changed == rivers.drift_detected))
        if changed:  # as River's begins anew after each
            own = AdaptiveWindow()
    assert len(found) >= 3
    assert all(same for _, same in found)


def test_the_rise_passes_one_where_a_drift_is_seen_and_says_nothing_of_a_fall() -> None:
    rng = np.random.default_rng(4)
    for shift in (2.0, -2.0):
        window = AdaptiveWindow()
        for x in rng.normal(size=300).tolist():
            window.update(x)
        before = [window.rise(x) or 0.0 for x in rng.normal(size=20).tolist()]
        rises = []
        for x in rng.normal(shift, 1.0, size=60).tolist():
            rises.append(window.rise(x) or 0.0)
            if window.update(x):
                break
        assert max(before) < 0.8
        assert (max(rises) > 0.95) == (shift > 0)


def test_a_long_window_forgets_its_oldest_and_stays_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adwin, "_LEVELS", 4)
    window = AdaptiveWindow()
    for x in np.random.default_rng(3).normal(size=500).tolist():
        window.update(x)
    assert window.width <= (MAX_BUCKETS + 1) * (1 + 2 + 4 + 8)
    kept = [bucket for buckets in window._levels for bucket in buckets]
    assert window.total == pytest.approx(sum(total for total, _ in kept))
    assert len(window.snapshot()) <= 8 * (3 + 4 + 2 * 4 * (MAX_BUCKETS + 1))
    assert AdaptiveWindow(window.snapshot()).snapshot() == window.snapshot()


def test_a_standing_fault_is_not_taken_for_normal_by_adwin() -> None:
    scorer, rng = Adwin(None), np.random.default_rng(5)
    for z in rng.normal(size=(STARTED + 300, len(FEATURE_NAMES))):
        scorer.take(z, normal=True)
    usual = max(scorer.score(z) or 0.0 for z in rng.normal(size=(50, len(FEATURE_NAMES))))
    broken = rng.normal(size=(400, len(FEATURE_NAMES)))
    broken[:, FEATURE_INDEX["bpfo_db"]] += 4.0
    scores = []
    for z in broken:
        scores.append(scorer.score(z) or 0.0)
        scorer.take(z, normal=False)
    assert min(scores[20:]) > 2.0 * usual
    with pytest.raises(ConfigurationError, match="no state of an adaptive window"):
        Adwin(scorer.snapshot()[:-8])


@pytest.mark.parametrize("q", [0.5, 0.9, QUANTILE])
@SEEDS
def test_the_quantile_is_rivers_to_the_bit_through_snapshots(seed: int, q: float) -> None:
    own, rivers = Quantile(q, np.zeros(16)), stats.Quantile(q)
    for number, x in enumerate(np.round(series(seed), 1).tolist()):  # rounded: with ties
        if number % 53 == 3:
            own = Quantile(q, own.snapshot())
        own.update(x)
        rivers.update(x)
        assert own.value == rivers.get()


@SEEDS
def test_means_and_variances_are_rivers_to_the_bit(seed: int) -> None:
    rng = np.random.default_rng(seed)
    own = StandardScaler(np.zeros(1 + 2 * 3))
    rivers: Any = preprocessing.StandardScaler()
    for number, x in enumerate(rng.normal([0.0, 5.0, -2.0], [1.0, 0.1, 9.0], size=(200, 3))):
        own.learn(x)
        if number % 29 == 0:
            own = StandardScaler(own.snapshot())
        seen = dict(enumerate(x.tolist()))
        rivers.learn_one(seen)
        assert own.means.tolist() == list(rivers.means.values())
        assert own.variances.tolist() == list(rivers.vars.values())
        if number:
            np.testing.assert_allclose(
                own.transform(x, 0.0), np.array(list(rivers.transform_one(seen).values())), rtol=1e-15
            )


def test_a_standard_scaler_follows_the_machine_where_the_baseline_stands() -> None:
    scorer, rng = StandardScaling(None), np.random.default_rng(1)
    for z in rng.normal(size=(STARTED, len(FEATURE_NAMES))):
        scorer.take(z, normal=True)
    warm = np.full(len(FEATURE_NAMES), 3.0)
    before = scorer.score(warm) or 0.0
    for z in rng.normal(3.0, 1.0, size=(10 * STARTED, len(FEATURE_NAMES))):
        scorer.take(z, normal=True)
    assert (scorer.score(warm) or 0.0) < before / 2


class RootMean(base.Estimator):
    """Gives the size of z's as River's filters ask for it."""

    def score_one(self, x: dict[int, float]) -> float:
        above = np.maximum(np.clip(list(x.values()), -20.0, 20.0), 0.0)
        return float(np.sqrt(np.square(above).mean()))

    def learn_one(self, x: dict[int, float]) -> None:
        """Nothing to learn."""


def test_the_filter_calls_anomalous_what_rivers_does() -> None:
    own = QuantileFilter(None)
    rivers: Any = anomaly.QuantileFilter(RootMean(), q=QUANTILE)
    rng = np.random.default_rng(6)
    found = 0
    rows: NDArray[np.float64] = rng.normal(size=(800, len(FEATURE_NAMES))) * rng.choice([1.0, 2.0], size=(800, 1))
    for number, z in enumerate(rows):
        x = dict(enumerate(z[SEVERITY_COLUMNS].tolist()))
        score = own.score(z)
        assert (score is None) == (number < STARTED)
        if score is not None:
            anomalous = rivers.classify(rivers.score_one(x))
            assert (score >= 1.0) == anomalous
            found += anomalous
        own.take(z, normal=True)
        rivers.learn_one(x)
    assert 5 < found < 40
