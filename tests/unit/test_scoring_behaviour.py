"""What every scorer must do: baseline, half-space trees and autoencoder through the asset's scoring."""

import numpy as np
import pytest
from numpy.typing import NDArray

from adapters.models import ModelFolder
from contracts.assets import AssetConfiguration, ModelReference, RuleSettings
from contracts.errors import ConfigurationError
from contracts.features import FEATURE_INDEX, FEATURE_NAMES
from contracts.records import Score
from processors.scoring import AssetScoring
from processors.scoring.baseline import MAX_LEARNING, MAX_REGIMES
from processors.scoring.explanation import SEVERITY_FEATURES

N_FEATURES = len(FEATURE_NAMES)
BASELINE, FOREST, AUTOENCODER = 0, 1, 2
CHALLENGERS = (
    ModelReference(name="half-space-trees", version="1"),
    ModelReference(name="reference-autoencoder", version="1"),
)
MODELS = {"reference-autoencoder@1": ModelFolder().load("reference-autoencoder", "1")}
NORMAL = np.linspace(1.0, 4.0, N_FEATURES)
ONE = np.ones(1, dtype=np.bool_)
NONE = np.zeros(1, dtype=np.bool_)
#: Windows until every model has a threshold: baseline, forest's window, calibration.
UNTIL_ALL_KNOWN = 10 + 50 + 99


def config(models: tuple[ModelReference, ...] = CHALLENGERS, baseline_windows: int = 10) -> AssetConfiguration:
    rules = RuleSettings(baseline_windows=baseline_windows)
    return AssetConfiguration(
        asset_id="P-101", site_id="south", name="Pump", asset_type="pump", rules=rules, models=models
    )


def build(state: bytes | None = None, channel_ids: tuple[str, ...] = ("DE-a",), **kwargs: int) -> AssetScoring:
    return AssetScoring.build(config(**kwargs), channel_ids, MODELS, state)  # type: ignore[arg-type]  # test shorthand


def windows(count: int, seed: int = 1, n_channels: int = 1) -> list[NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    noise = rng.normal(scale=0.1, size=(count, n_channels, N_FEATURES))
    return [row.astype(np.float32) for row in NORMAL * (1.0 + noise)]


def run(scoring: AssetScoring, course: list[NDArray[np.float32]], learn: bool = True) -> list[tuple[Score, ...]]:
    may = np.full(len(course[0]), learn)
    return [scores for x in course for scores in scoring.score(x, "r", may)]


def trained(seed: int = 1) -> AssetScoring:
    scoring = build()
    run(scoring, windows(UNTIL_ALL_KNOWN + 10, seed))
    return scoring


def with_feature(name: str, factor: float) -> NDArray[np.float32]:
    x = NORMAL.copy()
    x[FEATURE_INDEX[name]] *= factor
    return x.astype(np.float32)[np.newaxis]


def test_learning_is_visible_and_ends_when_it_should() -> None:
    scores = run(build(), windows(UNTIL_ALL_KNOWN + 1))
    first_known = [
        next(number for number, score in enumerate(s[model] for s in scores) if not score.learning)
        for model in (BASELINE, FOREST, AUTOENCODER)
    ]
    assert first_known == [10, 10 + 50 + 99, 10 + 99]
    for of_window in scores:
        for score in of_window:
            assert score.learning == (score.value is None) == (score.threshold is None)


@pytest.mark.parametrize("name", SEVERITY_FEATURES)
def test_the_baseline_flags_every_severity_feature_and_names_it(name: str) -> None:
    (scores,) = run(trained(), [with_feature(name, 3.0)], learn=False)
    score = scores[BASELINE]
    assert score.value is not None
    assert score.threshold == 3.5
    assert score.value > 3.5
    assert score.explanation[0].name == name
    assert score.explanation[0].limit is not None
    assert score.explanation[0].value > score.explanation[0].limit


def test_the_explanation_is_in_the_fields_words() -> None:
    scoring = build()
    normal = NORMAL.copy()
    normal[FEATURE_INDEX["kurtosis"]] = 3.1
    worse = normal.copy()
    worse[FEATURE_INDEX["kurtosis"]] = 6.8
    normal[FEATURE_INDEX["bpfo_db"]] = worse[FEATURE_INDEX["bpfo_db"]] = 4.0
    worse[FEATURE_INDEX["bpfo_db"]] += 14.0
    run(scoring, [normal.astype(np.float32)[np.newaxis]] * 10)
    (scores,) = run(scoring, [worse.astype(np.float32)[np.newaxis]])
    assert [fact.text for fact in scores[BASELINE].explanation] == [
        "kurtosis 3.1 → 6.8",
        "envelope at BPFO +14 dB",
    ]


@pytest.mark.parametrize("model", [BASELINE, FOREST, AUTOENCODER])
def test_worse_machines_score_higher(model: int) -> None:
    scoring = trained()
    values = []
    for factor in (1.0, 2.0, 4.0, 12.0):
        x = (NORMAL * factor).astype(np.float32)[np.newaxis]
        value = run(scoring, [x], learn=False)[0][model].value
        assert value is not None
        values.append(value)
    assert values == sorted(values)
    assert values[-1] > values[0]


@pytest.mark.parametrize("model", [BASELINE, FOREST, AUTOENCODER])
def test_a_broken_machine_lies_above_every_threshold_and_is_explained(model: int) -> None:
    (scores,) = run(trained(), [(NORMAL * 12.0).astype(np.float32)[np.newaxis]], learn=False)
    score = scores[model]
    assert score.value is not None
    assert score.threshold is not None
    assert score.value > score.threshold
    assert 1 <= len(score.explanation) <= 3


def test_a_snapshot_anywhere_gives_the_same_bits() -> None:
    course = windows(UNTIL_ALL_KNOWN + 20)
    for restart_at in (0, 1, 7, 10, 35, 61, 110, UNTIL_ALL_KNOWN + 5):
        undisturbed, restarted = build(), build()
        expected = run(undisturbed, course)
        got = run(restarted, course[:restart_at]) if restart_at else []
        restarted = build(restarted.snapshot())
        got += run(restarted, course[restart_at:])
        assert got == expected
        assert restarted.snapshot() == undisturbed.snapshot()


def test_inputs_stay_as_they_are() -> None:
    scoring = trained()
    x = windows(1, seed=9)[0]
    x[0, 3] = np.nan
    before = x.tobytes()
    scoring.score(x, "r", ONE)
    assert x.tobytes() == before


def test_frozen_learning_changes_no_state() -> None:
    scoring = trained()
    before = scoring.snapshot()
    run(scoring, windows(30, seed=3), learn=False)
    assert scoring.snapshot() == before


def test_nothing_is_learnt_while_frozen_from_the_start() -> None:
    scores = run(build(), windows(40), learn=False)
    assert all(score.learning for of_window in scores for score in of_window)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_count_as_undefined(bad: float) -> None:
    scoring = build()
    course = windows(UNTIL_ALL_KNOWN + 1)
    for x in course:
        x[0, FEATURE_INDEX["bpfo_db"]] = bad  # never defined: a channel without a bearing
    course[50][0, FEATURE_INDEX["kurtosis"]] = bad  # undefined once
    for scores in run(scoring, course):
        assert all(score.value is None or np.isfinite(score.value) for score in scores)
    assert not any(score.learning for score in run(scoring, course[-1:])[0])


def test_a_window_without_any_value_has_no_score_and_does_no_harm() -> None:
    scoring = trained()
    empty = np.full((1, N_FEATURES), np.nan, dtype=np.float32)
    (scores,) = run(scoring, [empty], learn=False)
    assert [score.value for score in scores] == [None, None, None]
    (after,) = run(scoring, windows(1, seed=4), learn=False)
    assert all(score.value is not None for score in after)


def test_a_constant_feature_falls_back_to_a_scale_of_its_own() -> None:
    scoring = build()
    run(scoring, [NORMAL.astype(np.float32)[np.newaxis]] * 12)
    (same,) = run(scoring, [NORMAL.astype(np.float32)[np.newaxis]], learn=False)
    assert same[BASELINE].value == 0.0
    (little,) = run(scoring, [with_feature("rms_g", 1.1)], learn=False)
    (much,) = run(scoring, [with_feature("rms_g", 1.3)], learn=False)
    assert little[BASELINE].value == pytest.approx(2.0, rel=1e-4)  # 10 % over a scale of 5 %
    assert much[BASELINE].value == pytest.approx(6.0, rel=1e-4)


def test_regimes_do_not_know_each_other() -> None:
    scoring = build()
    for x in windows(12):
        scoring.score(x, "slow", ONE)
    ((fast, *_),) = scoring.score(windows(1)[0] * 5, "fast", ONE)
    assert fast.learning
    ((slow, *_),) = scoring.score(windows(1)[0] * 5, "slow", NONE)
    assert slow.value is not None
    assert slow.value > 3.5


def test_channels_do_not_influence_each_other() -> None:
    course = windows(UNTIL_ALL_KNOWN + 5, n_channels=3)
    ids = ("a", "b", "c")
    together = build(channel_ids=ids)
    alone = [build(channel_ids=(channel_id,)) for channel_id in ids]
    for x in course:
        apart = [one.score(x[row : row + 1], "r", ONE)[0] for row, one in enumerate(alone)]
        assert together.score(x, "r", np.ones(3, dtype=np.bool_)) == apart


def test_state_follows_the_channel_id_through_a_new_configuration() -> None:
    two = build(channel_ids=("a", "b"))
    for x in windows(12, n_channels=2):
        two.score(x, "r", np.ones(2, dtype=np.bool_))
    three = build(two.snapshot(), channel_ids=("new", "b", "a"))
    scores = three.score(windows(1, n_channels=3)[0], "r", np.zeros(3, dtype=np.bool_))
    assert [of_channel[BASELINE].learning for of_channel in scores] == [True, False, False]
    without = AssetScoring.build(config(models=()), ("b",), {}, three.snapshot())
    assert [len(s) for s in without.score(windows(1)[0], "r", NONE)] == [1]


def test_state_stays_below_16_kib_a_channel_whatever_comes() -> None:
    scoring = build(baseline_windows=100)
    largest = 0
    rng = np.random.default_rng(5)
    for number in range(400):
        regime = f"speed {number % 40 / 10:.1f}, load 0.75" if number % 3 else f"speed {rng.integers(99)}, load 1.00"
        scoring.score(windows(1, seed=number)[0], regime, ONE)
        largest = max(largest, len(scoring.snapshot()))
    assert largest < 16 * 1024
    regimes = scoring._channels[0].baseline.regimes
    assert len(regimes) <= MAX_REGIMES
    assert sum(regime.centre is None for regime in regimes.values()) <= MAX_LEARNING


def test_state_with_every_regime_learnt_stays_below_16_kib() -> None:
    scoring = build(baseline_windows=30)
    for regime in range(MAX_REGIMES + 3):
        for x in windows(130 if regime < 2 else 31, seed=regime):
            scoring.score(x, f"speed {regime / 10:.1f}, load 0.75", ONE)
    for regime in range(MAX_LEARNING + 2):
        for x in windows(29, seed=regime):
            scoring.score(x, f"speed {regime / 10:.1f}, load 1.00", ONE)
    assert 8_000 < len(scoring.snapshot()) < 16 * 1024


def test_a_long_baseline_is_learnt_from_windows_spread_over_it() -> None:
    scoring = build(baseline_windows=100)
    scores = run(scoring, windows(101))
    assert [score[BASELINE].learning for score in scores] == [True] * 100 + [False]


def test_a_missing_model_and_wrong_shapes_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="reference-autoencoder@1"):
        AssetScoring.build(config(), ("a",), {}, None)
    with pytest.raises(ValueError, match="expected"):
        build().score(np.zeros((2, N_FEATURES), dtype=np.float32), "r", ONE)
    with pytest.raises(ConfigurationError, match="format"):
        build(b"\x07rest")


def test_features_of_another_catalogue_are_learnt_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    state = trained().snapshot()
    monkeypatch.setattr("processors.scoring.state.CATALOGUE_VERSION", 2)
    assert run(build(state), windows(1))[0][BASELINE].learning
