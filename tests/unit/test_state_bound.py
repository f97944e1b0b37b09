"""How large a channel's state can get: filled to the brim it stays within what is foretold, and too much is refused."""

import numpy as np
import pytest

from adapters.models import ModelFolder
from contracts.assets import AssetConfiguration, Channel, MeasurementPoint, ModelReference, RuleSettings
from contracts.errors import BadRecord, ConfigurationError
from contracts.features import FEATURE_NAMES
from contracts.records import ChannelAssessment, Score
from processors.conditions.alarm_limits import AlarmLimits
from processors.conditions.sustained_ratios import LimitsState
from processors.configured import check_configuration, window_counts
from processors.scoring import AssetScoring
from processors.scoring.baseline import MAX_REGIMES
from processors.scoring.challengers import SCORER_BYTES, SCORERS
from processors.scoring.succession import MAX_WINDOW_COUNT
from processors.state_bound import LIMIT_BYTES, REST_BYTES, check_state, most_bytes
from runtime.model_gate import check_states
from tests.model_files import Models, in_a_row

DEFAULT = ("half-space-trees", "reference-autoencoder")
ROWS = in_a_row(MAX_WINDOW_COUNT)
CONTENTS = {"reference-autoencoder@1": ModelFolder().load("reference-autoencoder", "1"), "rows@1": ROWS, "rows@2": ROWS}
N_FEATURES = len(FEATURE_NAMES)
SECOND_NS = 10**9


def config(*models: str, windows: int = 16, shadows: tuple[str, ...] = ()) -> AssetConfiguration:
    named = [ModelReference(name=name, version="1") for name in models]
    named += [ModelReference(name=name, version="2", shadow=True) for name in shadows]
    point = MeasurementPoint(
        point_id="DE",
        location="DE",
        direction="radial_horizontal",
        channels=(Channel(channel_id="DE-a", quantity="acceleration", unit="g"),),
    )
    return AssetConfiguration(
        asset_id="P-101",
        site_id="s",
        name="Pump",
        asset_type="pump",
        points=(point,),
        rules=RuleSettings(baseline_windows=windows, raise_after=5),
        models=tuple(named),
    )


def contents(asset: AssetConfiguration) -> dict[str, bytes]:
    return {model.key: CONTENTS[model.key] for model in asset.models if model.key in CONTENTS}


def filled_scoring(asset: AssetConfiguration) -> int:
    """Return the most that the scoring's state takes on the way through more regimes than are known."""
    scoring = AssetScoring.build(asset, ("DE-a",), contents(asset), None)
    rng, may = np.random.default_rng(1), np.ones(1, dtype=np.bool_)
    course = [f"running {12000 + number} rpm, load {number / 10:.2f}" for number in range(MAX_REGIMES)]
    windows = asset.rules.baseline_windows
    visits = [(name, windows + 130 if number == 0 else windows + 40) for number, name in enumerate(course)]
    visits += [(f"running {20000 + number} rpm, load 1.25", windows - 1 if number < 2 else 1) for number in range(3)]
    visits += [(course[-1], MAX_WINDOW_COUNT)]
    most, at_ns = 0, 0
    for regime, count in visits:
        for _ in range(count):
            x = (10.0 + rng.standard_normal((1, N_FEATURES))).astype(np.float32)
            scoring.score(x, regime, may, at_ns)
            at_ns += SECOND_NS
        most = max(most, len(scoring.snapshot()))
    return most


def filled_limits(asset: AssetConfiguration) -> int:
    """Return the most that the alarm limits of the asset's only point take."""
    import msgspec

    limits, at_ns = AlarmLimits(asset, LimitsState()), 0
    rng, models = np.random.default_rng(2), {"baseline", *(model.name for model in asset.models)}
    for number in range(MAX_REGIMES + 3):
        for _ in range(45):
            scores = tuple(
                Score(model=model, version="1", value=float(rng.uniform(1, 3)), threshold=2.0, learning=False)
                for model in models
            )
            channel = ChannelAssessment(
                channel_id="DE-a", point_id="DE", features=(), zone=None, not_graded_because="", scores=scores
            )
            at_ns += SECOND_NS
            limits.judge("DE", f"running {12000 + number} rpm, load 1.25", [channel], at_ns, normal=True)
    return len(msgspec.msgpack.encode(limits.snapshot()))


@pytest.mark.parametrize(
    "asset",
    [
        config(),
        config(*DEFAULT),
        config(*DEFAULT, windows=10),
        config(*DEFAULT, windows=100),
        config(*DEFAULT, "rows"),
        config(*DEFAULT, "rows", shadows=("rows",)),
        config(*DEFAULT, *SCORERS, "rows"),
    ],
    ids=["baseline", "default", "short", "long", "rows", "two of rows", "all"],
)
def test_a_full_state_stays_within_what_is_foretold_and_near_it(asset: AssetConfiguration) -> None:
    foretold = most_bytes(asset, window_counts(contents(asset))) - REST_BYTES
    taken = filled_scoring(asset) + filled_limits(asset)
    assert taken <= foretold
    # a bound of no use would refuse what there is room for; an adaptive window takes millions of values to fill
    slack = SCORER_BYTES["adwin"] if any(model.name == "adwin" for model in asset.models) else 0
    short = 12 * 4 * N_FEATURES if asset.rules.baseline_windows == 10 else 0
    assert taken + slack + short >= 0.9 * foretold


@pytest.mark.parametrize("name", SCORERS)
def test_no_scorer_takes_more_than_it_says(name: str) -> None:
    scorer, rng = SCORERS[name](None), np.random.default_rng(3)
    largest = 0
    for number in range(400):
        scorer.take(rng.standard_normal(N_FEATURES), normal=True)
        largest = max(largest, len(scorer.snapshot())) if number % 20 == 3 else largest
    assert largest <= SCORER_BYTES[name]


def test_what_fits_is_taken_and_what_does_not_is_refused_with_value_and_bound() -> None:
    counts = {"rows@1": MAX_WINDOW_COUNT, "rows@2": MAX_WINDOW_COUNT}
    for fits in (config(*DEFAULT, "rows", shadows=("rows",)), *(config(*DEFAULT, name) for name in SCORERS)):
        check_state(fits, counts)
    too_many = config(*DEFAULT, *SCORERS)
    with pytest.raises(ConfigurationError) as refused:
        check_state(too_many, {})
    assert f"need up to {most_bytes(too_many, {})} bytes per channel, the limit is {LIMIT_BYTES}" in str(refused.value)
    assert "P-101: the scorers half-space-trees@1, reference-autoencoder@1, ewma@1" in str(refused.value)
    without = config(*DEFAULT, *(name for name in SCORERS if name != "t2-spe"))
    assert f"without t2-spe@1 {most_bytes(without, {})}" in str(refused.value)


def test_commands_and_the_stream_refuse_too_much() -> None:
    too_many = config("half-space-trees", *SCORERS, "rows")
    with pytest.raises(BadRecord, match=r"bad_activation: P-101: the scorers .* the limit is 16384"):
        check_configuration(too_many, Models(rows_1=ROWS))
    with pytest.raises(ConfigurationError, match="the limit is 16384: name fewer"):
        check_states([config(), too_many], Models(rows_1=ROWS))
    charts = ("ewma", "cusum", "page-hinkley")
    single = config("half-space-trees", *charts, "rows")
    check_states([single], ModelFolder())  # its file isn't here: counted as a model of single windows
    with pytest.raises(ConfigurationError, match="name fewer"):
        check_states([single], Models(rows_1=ROWS))
