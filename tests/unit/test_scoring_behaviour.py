"""What every scorer must do: baseline, trees, autoencoder, charts, T² and SPE through the asset's scoring."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from adapters.models import ModelFolder
from contracts.assets import AssetConfiguration, ModelReference, RuleSettings
from contracts.errors import ConfigurationError
from contracts.features import FEATURE_INDEX, FEATURE_NAMES
from contracts.records import Score
from processors.scoring import AssetScoring
from processors.scoring.adwin import GRACE
from processors.scoring.agreement import ROWS, Agreement
from processors.scoring.baseline import MAX_LEARNING, MAX_REGIMES
from processors.scoring.challengers import SCORERS
from processors.scoring.charts import TOLERANCE, PageHinkley
from processors.scoring.explanation import SEVERITY_FEATURES
from processors.scoring.port import Scorer
from processors.scoring.running import STARTED
from processors.scoring.succession import MAX_WINDOW_COUNT
from tests.model_files import in_a_row

N_FEATURES = len(FEATURE_NAMES)
BASELINE, FOREST, AUTOENCODER = 0, 1, 2
DEFAULT = (
    ModelReference(name="half-space-trees", version="1"),
    ModelReference(name="reference-autoencoder", version="1"),
)
SEQUENCE = ModelReference(name="in-a-row", version="1")
CHALLENGERS = (*DEFAULT, *(ModelReference(name=name, version="1") for name in SCORERS), SEQUENCE)
NAMES = ("baseline", *(reference.name for reference in CHALLENGERS))
EVERY = pytest.mark.parametrize("model", range(len(NAMES)), ids=NAMES)
MODELS = {
    "reference-autoencoder@1": ModelFolder().load("reference-autoencoder", "1"),
    "in-a-row@1": in_a_row(MAX_WINDOW_COUNT),
}
SECOND_NS = 1_000_000_000
NORMAL = np.linspace(1.0, 4.0, N_FEATURES)
ONE = np.ones(1, dtype=np.bool_)
NONE = np.zeros(1, dtype=np.bool_)
#: Windows until every model has a threshold: baseline, rows of T² and SPE, calibration.
UNTIL_ALL_KNOWN = 10 + ROWS + 99


def config(models: tuple[ModelReference, ...] = CHALLENGERS, baseline_windows: int = 10) -> AssetConfiguration:
    rules = RuleSettings(baseline_windows=baseline_windows)
    return AssetConfiguration(
        asset_id="P-101", site_id="south", name="Pump", asset_type="pump", rules=rules, models=models
    )


def build(state: bytes | None = None, channel_ids: tuple[str, ...] = ("DE-a",), **kwargs: Any) -> AssetScoring:
    return AssetScoring.build(config(**kwargs), channel_ids, MODELS, state)


def windows(count: int, seed: int = 1, n_channels: int = 1) -> list[NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    noise = rng.normal(scale=0.1, size=(count, n_channels, N_FEATURES))
    return [row.astype(np.float32) for row in NORMAL * (1.0 + noise)]


def score(
    scoring: AssetScoring, x: NDArray[np.float32], regime: str, may: NDArray[np.bool_]
) -> list[tuple[Score, ...]]:
    """Score the window a second after the newest that the scoring knows of."""
    newest_ns = None if scoring._rows is None else scoring._rows._successions[0]._state.newest_ns
    return scoring.score(x, regime, may, 0 if newest_ns is None else newest_ns + SECOND_NS)


def run(scoring: AssetScoring, course: list[NDArray[np.float32]], learn: bool = True) -> list[tuple[Score, ...]]:
    may = np.full(len(course[0]), learn)
    return [scores for x in course for scores in score(scoring, x, "r", may)]


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
        for model in range(len(NAMES))
    ]
    started = 10 + 50 + 99
    known = dict.fromkeys(NAMES, started) | {"baseline": 10, "reference-autoencoder": 10 + 99}
    known |= {"adwin": started + GRACE + 1, "t2-spe": UNTIL_ALL_KNOWN, "in-a-row": 10 + MAX_WINDOW_COUNT - 1 + 99}
    assert dict(zip(NAMES, first_known, strict=True)) == known
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


def test_no_score_is_explained_by_a_feature_that_is_not_defined() -> None:
    scoring = trained()
    x = (NORMAL * np.where(np.arange(N_FEATURES) % 3, 1.0, 12.0)).astype(np.float32)[np.newaxis]
    # an autoencoder's and a chart's largest residuals may be those of features that the window lacks
    for lacking in range(N_FEATURES):
        course = x.copy()
        course[0, lacking:] = np.nan
        for of_window in run(scoring, [course] * 2, learn=False):
            facts = [fact for score in of_window for fact in score.explanation]
            assert all(np.isfinite(np.array([fact.value, fact.limit], np.float64)).all() for fact in facts)


@EVERY
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


@EVERY
def test_a_broken_machine_lies_above_every_threshold_and_is_explained(model: int) -> None:
    broken = [(NORMAL * 12.0).astype(np.float32)[np.newaxis]] * 15  # a chart needs some of them
    score = run(trained(), broken, learn=False)[-1][model]
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
    score(scoring, x, "r", ONE)
    assert x.tobytes() == before


def test_frozen_learning_changes_no_state() -> None:
    scoring = build(models=DEFAULT)
    run(scoring, windows(UNTIL_ALL_KNOWN))
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
    assert {score.value for score in scores} == {None}
    after = run(scoring, windows(MAX_WINDOW_COUNT, seed=4), learn=False)
    assert [score.value is None for score in after[0]] == [name == "in-a-row" for name in NAMES]
    assert all(score.value is not None for score in after[-1])


def test_a_constant_feature_falls_back_to_a_scale_of_its_own() -> None:
    scoring = build()
    run(scoring, [NORMAL.astype(np.float32)[np.newaxis]] * 12)
    (same,) = run(scoring, [NORMAL.astype(np.float32)[np.newaxis]], learn=False)
    assert same[BASELINE].value == pytest.approx(0.0, abs=0.01)  # centres are kept to 0.05 %, scales are 5 % of them
    (little,) = run(scoring, [with_feature("rms_g", 1.1)], learn=False)
    (much,) = run(scoring, [with_feature("rms_g", 1.3)], learn=False)
    assert little[BASELINE].value == pytest.approx(2.0, abs=0.01)  # 10 % over a scale of 5 %
    assert much[BASELINE].value == pytest.approx(6.0, abs=0.01)


def test_regimes_do_not_know_each_other() -> None:
    scoring = build()
    for x in windows(12):
        score(scoring, x, "slow", ONE)
    ((fast, *_),) = score(scoring, windows(1)[0] * 5, "fast", ONE)
    assert fast.learning
    ((slow, *_),) = score(scoring, windows(1)[0] * 5, "slow", NONE)
    assert slow.value is not None
    assert slow.value > 3.5


def test_channels_do_not_influence_each_other() -> None:
    course = windows(UNTIL_ALL_KNOWN + 5, n_channels=3)
    ids = ("a", "b", "c")
    together = build(channel_ids=ids)
    alone = [build(channel_ids=(channel_id,)) for channel_id in ids]
    for x in course:
        apart = [score(one, x[row : row + 1], "r", ONE)[0] for row, one in enumerate(alone)]
        assert score(together, x, "r", np.ones(3, dtype=np.bool_)) == apart


def test_state_follows_the_channel_id_through_a_new_configuration() -> None:
    two = build(channel_ids=("a", "b"))
    for x in windows(12, n_channels=2):
        score(two, x, "r", np.ones(2, dtype=np.bool_))
    three = build(two.snapshot(), channel_ids=("new", "b", "a"))
    scores = score(three, windows(1, n_channels=3)[0], "r", np.zeros(3, dtype=np.bool_))
    assert [of_channel[BASELINE].learning for of_channel in scores] == [True, False, False]
    without = AssetScoring.build(config(models=()), ("b",), {}, three.snapshot())
    assert [len(s) for s in score(without, windows(1)[0], "r", NONE)] == [1]


def test_state_stays_below_16_kib_a_channel_whatever_comes() -> None:
    scoring = build(baseline_windows=100, models=(*DEFAULT, SEQUENCE))
    largest = 0
    rng = np.random.default_rng(5)
    for number in range(400):
        regime = f"speed {number % 40 / 10:.1f}, load 0.75" if number % 3 else f"speed {rng.integers(99)}, load 1.00"
        score(scoring, windows(1, seed=number)[0], regime, ONE)
        largest = max(largest, len(scoring.snapshot()))
    assert largest < 16 * 1024
    regimes = scoring._channels[0].baseline.regimes
    assert len(regimes) <= MAX_REGIMES
    assert sum(regime.centre is None for regime in regimes.values()) <= MAX_LEARNING


def test_state_with_every_regime_learnt_stays_below_16_kib() -> None:
    scoring = build(baseline_windows=30, models=(*DEFAULT, SEQUENCE))
    for regime in range(MAX_REGIMES + 3):
        for x in windows(60, seed=regime):
            score(scoring, x, f"speed {regime / 10:.1f}, load 0.75", ONE)
    for regime in range(MAX_LEARNING + 2):
        for x in windows(29, seed=regime):
            score(scoring, x, f"speed {regime / 10:.1f}, load 1.00", ONE)
    for x in windows(MAX_WINDOW_COUNT, seed=99):
        score(scoring, x, "speed 1.4, load 0.75", ONE)
    assert scoring._rows is not None
    assert scoring._rows.newest(MAX_WINDOW_COUNT)[1] == [True]
    assert 6_000 < len(scoring.snapshot()) < 16 * 1024


def test_a_long_baseline_is_learnt_from_windows_spread_over_it() -> None:
    scoring = build(baseline_windows=100)
    scores = run(scoring, windows(101))
    assert [score[BASELINE].learning for score in scores] == [True] * 100 + [False]


# --- scorers of single channels, by themselves ----------------------------------------------------------------------


ALONE = pytest.mark.parametrize("name", list(SCORERS))


def zs(count: int, seed: int = 1, shift: float = 0.0) -> NDArray[np.float64]:
    return shift + np.random.default_rng(seed).standard_normal((count, N_FEATURES))


def taught(name: str, count: int = 200, state: bytes | None = None) -> Scorer:
    scorer = SCORERS[name](state)
    for z in zs(count):
        scorer.take(z, normal=True)
    return scorer


@ALONE
def test_a_snapshot_of_a_scorer_goes_on_bit_for_bit(name: str) -> None:
    one = SCORERS[name](None)
    for number, z in enumerate(zs(150)):
        if number in (0, 1, ROWS - 1, ROWS, 120):
            one = SCORERS[name](one.snapshot())
        one.take(z, normal=True)
    other = taught(name, 150)
    assert one.snapshot() == other.snapshot()
    assert [one.score(z) for z in zs(5, seed=2)] == [other.score(z) for z in zs(5, seed=2)]


@ALONE
def test_scoring_changes_neither_scorer_nor_input(name: str) -> None:
    scorer = taught(name)
    before, z = scorer.snapshot(), zs(1, seed=3)[0]
    z[0] = np.nan
    bits = z.tobytes()
    first = scorer.score(z)
    scorer.explain(z)
    assert scorer.score(z) == first
    assert scorer.snapshot() == before
    scorer.take(z, normal=True)
    assert z.tobytes() == bits


@ALONE
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_undefined_and_wild_features_give_finite_scores_and_states(name: str, bad: float) -> None:
    scorer = SCORERS[name](None)
    rows = zs(ROWS + 20)
    rows[:, 3], rows[5], rows[6, :4], rows[7] = bad, bad, 1e300, -1e300
    for z in rows:
        scorer.take(z, normal=True)
        value = scorer.score(z)
        assert value is None or np.isfinite(value)
    assert np.isfinite(scorer.score(zs(1)[0]) or 0.0)


@ALONE
def test_a_constant_feature_does_no_harm(name: str) -> None:
    scorer = SCORERS[name](None)
    rows = zs(ROWS)
    rows[:, FEATURE_INDEX["kurtosis"]] = 0.25
    for z in rows:
        scorer.take(z, normal=True)
    assert np.isfinite(scorer.score(rows[0]) or 0.0)


@ALONE
def test_a_lasting_shift_is_told_from_none_and_explained_by_its_feature(name: str) -> None:
    scorer = taught(name)
    column = FEATURE_INDEX["bpfo_db"]
    plain, shifted = zs(40, seed=4), zs(40, seed=4)
    shifted[:, column] += 4.0
    worse = SCORERS[name](scorer.snapshot())
    for one, other in zip(plain, shifted, strict=True):
        scorer.take(one, normal=True)
        worse.take(other, normal=False)
    assert (worse.score(shifted[-1]) or 0.0) > 1.5 * (scorer.score(plain[-1]) or 0.0)
    assert int(np.nanargmax(worse.explain(shifted[-1]))) == column


@ALONE
def test_more_is_never_less(name: str) -> None:
    scorer = taught(name)
    z = np.zeros(N_FEATURES)
    values = []
    for height in (0.0, 1.0, 2.0, 4.0):
        z[FEATURE_INDEX["rms_g"]] = height
        values.append(scorer.score(z) or 0.0)
    assert values == sorted(values)
    assert values[-1] > values[0]


@ALONE
def test_a_chart_comes_back_after_a_fault(name: str) -> None:
    scorer = taught(name)
    usual = max(scorer.score(z) or 0.0 for z in zs(50, seed=5))
    for z in zs(100, seed=6, shift=10.0):
        scorer.take(z, normal=False)
    for z in zs(100, seed=7, shift=-0.5):
        scorer.take(z, normal=True)
    assert (scorer.score(zs(1, seed=5)[0]) or 0.0) < 3.0 * usual


@ALONE
def test_the_memory_of_a_scorer_is_bounded(name: str) -> None:
    assert max(len(taught(name, count).snapshot()) for count in (1, ROWS - 1, ROWS, 1000)) < 6 * 1024


@ALONE
def test_a_state_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError):
        SCORERS[name](b"\x01\x02\x03")


def test_page_hinkley_is_rivers(monkeypatch: pytest.MonkeyPatch) -> None:
    from river import drift

    monkeypatch.setattr("processors.scoring.charts.FORGETTING", 1.0)  # where River's form and the sums are one
    own: Any = drift.PageHinkley(min_instances=1, delta=TOLERANCE, threshold=1e9, alpha=1.0, mode="up")
    scorer = PageHinkley(None)
    start = np.zeros((STARTED, N_FEATURES))
    start[::2], start[1::2] = 1.0, -1.0
    for z in start:
        scorer.take(z, normal=True)
    unit = np.sqrt(STARTED / (STARTED - 1))
    own._min_increase = 0.0
    z = np.full(N_FEATURES, -1e9)
    for value in np.random.default_rng(8).uniform(-1.0, 1.4, size=300).tolist():
        z[FEATURE_INDEX["rms_g"]] = value * unit
        score = scorer.score(z)
        scorer.take(z, normal=True)
        own.update(value)
        assert score == pytest.approx(own._sum_increase - own._min_increase, abs=1e-9)


def test_features_that_never_move_leave_t2_and_spe_silent() -> None:
    scorer = Agreement(None)
    for _ in range(ROWS + 5):
        scorer.take(np.zeros(N_FEATURES), normal=True)
    assert scorer.score(np.zeros(N_FEATURES)) is None
    assert Agreement(scorer.snapshot()).score(np.zeros(N_FEATURES)) is None


def test_a_missing_model_and_wrong_shapes_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="reference-autoencoder@1"):
        AssetScoring.build(config(), ("a",), {}, None)
    with pytest.raises(ValueError, match="expected"):
        score(build(), np.zeros((2, N_FEATURES), dtype=np.float32), "r", ONE)
    with pytest.raises(ValueError, match="need the window's start"):
        build().score(np.zeros((1, N_FEATURES), dtype=np.float32), "r", ONE)
    with pytest.raises(ConfigurationError, match="format"):
        build(b"\x07rest")


def test_features_of_another_catalogue_are_learnt_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    state = trained().snapshot()
    monkeypatch.setattr("processors.scoring.state.CATALOGUE_VERSION", 2)
    assert run(build(state), windows(1))[0][BASELINE].learning
