"""Whatever features come, in whatever order: scores are sane, restarts change nothing, a repeat gives the same bits."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from adapters.models import ModelFolder
from contracts.assets import AssetConfiguration, ModelReference, RuleSettings
from contracts.features import FEATURE_NAMES
from contracts.records import Score
from processors.scoring import AssetScoring
from processors.scoring.baseline import Baseline, robust_z
from processors.scoring.explanation import SEVERITY_COLUMNS
from tests.model_files import in_a_row

N_FEATURES = len(FEATURE_NAMES)
MODELS = {
    "reference-autoencoder@1": ModelFolder().load("reference-autoencoder", "1"),
    "in-a-row@1": in_a_row(3),
}
SECOND_NS = 1_000_000_000
CONFIG = AssetConfiguration(
    asset_id="P-101",
    site_id="south",
    name="Pump",
    asset_type="pump",
    rules=RuleSettings(baseline_windows=4),
    models=(
        ModelReference(name="half-space-trees", version="1"),
        ModelReference(name="reference-autoencoder", version="1"),
        *(ModelReference(name=name, version="1") for name in ("adwin", "standard-scaler", "quantile-filter")),
        ModelReference(name="in-a-row", version="1"),
    ),
)
#: (seed of the window, share of undefined features, regime, learn, seconds since the window before)
STEPS = st.lists(
    st.tuples(
        st.integers(0, 50),
        st.sampled_from([0.0, 0.3, 1.0]),
        st.sampled_from("aaaabcdef"),
        st.booleans(),
        st.sampled_from([1, 1, 1, 1, 60]),
    ),
    max_size=30,
)
Step = tuple[int, float, str, bool, int]


def window(seed: int, undefined: float) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    x = rng.lognormal(sigma=1.0, size=(2, N_FEATURES))
    x[rng.random(x.shape) < undefined] = rng.choice([np.nan, np.inf, -np.inf])
    return x.astype(np.float32)


def play(steps: list[Step], restart_at: int | None = None) -> list[list[tuple[Score, ...]]]:
    scoring = AssetScoring.build(CONFIG, ("a", "b"), MODELS, None)
    made, start_ns = [], 0
    for number, (seed, undefined, regime, learn, step_s) in enumerate(steps):
        if number == restart_at:
            scoring = AssetScoring.build(CONFIG, ("a", "b"), MODELS, scoring.snapshot())
        start_ns += step_s * SECOND_NS
        made.append(scoring.score(window(seed, undefined), regime, np.array([learn, True]), start_ns))
    return made


@settings(max_examples=25, deadline=None)
@given(STEPS, st.integers(0, 30))
def test_a_restart_anywhere_gives_the_same_scores(steps: list[Step], restart_at: int) -> None:
    assert play(steps, restart_at) == play(steps)


@settings(max_examples=25, deadline=None)
@given(STEPS)
def test_scores_are_finite_and_learning_ones_say_nothing(steps: list[Step]) -> None:
    for of_window in play(steps):
        for score in (score for of_channel in of_window for score in of_channel):
            assert score.value is None or np.isfinite(score.value)
            assert not score.learning or (score.value, score.threshold, score.explanation) == (None, None, ())


@given(
    hnp.arrays(np.float64, (6, N_FEATURES), elements=st.floats(-1e6, 1e6, width=32)),
    st.integers(0, len(SEVERITY_COLUMNS) - 1),
    st.floats(0.0, 1e6),
)
def test_robust_z_is_finite_and_grows_with_the_feature(rows: NDArray[np.float64], which: int, more: float) -> None:
    baseline = Baseline(windows=6)
    for row in rows:
        baseline.learn("r", row)
    regime = baseline.visit("r")
    assert regime is not None
    column = SEVERITY_COLUMNS[which]
    x = rows[0].copy()
    before = robust_z(regime, x)
    x[column] += more
    after = robust_z(regime, x)
    assert np.isfinite(before).all()
    assert after[column] >= before[column]
    others = np.delete(np.arange(N_FEATURES), column)
    assert (after[others] == before[others]).all()
