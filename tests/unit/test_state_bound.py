"""How large a channel's state can get: filled to the brim it stays within what is foretold, and too much is refused."""

import random

import msgspec
import numpy as np
import pytest

from adapters.models import ModelFolder
from contracts.activations import activation_of
from contracts.assets import AssetConfiguration, Channel, MeasurementPoint, ModelReference, RuleSettings, WindowSettings
from contracts.errors import BadRecord, ConfigurationError
from contracts.features import FEATURE_NAMES
from contracts.ports import Checkpoint
from contracts.records import AcquisitionBlock, BlockChannel, ChannelAssessment, Score, Zone
from loadtests.plant import Load, Plant
from processors.bands import BandChoices, Choice
from processors.conditions.alarm_limits import AlarmLimits
from processors.conditions.findings import BEARING_FAULTS, RULES
from processors.conditions.gate import Gate
from processors.conditions.sustained_ratios import LimitsState
from processors.configured import check_configuration, window_counts
from processors.cutting import GroupWindow
from processors.operation import Operation
from processors.pipeline import PartitionPipeline
from processors.regime import SETTLED_WINDOWS
from processors.rule_table import FAULTS
from processors.scoring import AssetScoring
from processors.scoring.baseline import MAX_REGIMES
from processors.scoring.challengers import SCORER_BYTES, SCORERS
from processors.scoring.succession import MAX_WINDOW_COUNT
from processors.state_bound import (
    BANDS_BYTES,
    GATE_BYTES,
    LIMIT_BYTES,
    REGIMES_BYTES,
    ROW_BYTES,
    SPEEDS_BYTES,
    check_state,
    group_bytes,
    learnt_bytes,
    most_bytes,
    own_bytes,
)
from processors.window import SampleWindows
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
    foretold = learnt_bytes(asset, window_counts(contents(asset)))
    taken = filled_scoring(asset) + filled_limits(asset)
    assert taken <= foretold
    # a bound of no use would refuse what there is room for; an adaptive window takes millions of values to fill
    slack = SCORER_BYTES["adwin"] if any(model.name == "adwin" for model in asset.models) else 0
    short = 12 * 4 * N_FEATURES if asset.rules.baseline_windows == 10 else 0
    assert taken + slack + short >= 0.9 * foretold


class Gateway:
    """Blocks of a quarter of a second, windows of a second at every half: all that goes wrong on their way."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.windows = SampleWindows(WindowSettings(hop_s=0.5, lateness_s=600.0), 1, 1000.0)
        self.samples = np.zeros((1, 250), dtype=np.float32)
        self.offset = 40_000_000
        self.largest = 0

    def send(self, place: int, boot: int) -> None:
        """Send the block of a quarter of a second; its clock trembles, and others' records lie between."""
        self.offset += self.chance.randrange(1, 100_000)
        block = AcquisitionBlock(
            asset_id="P-101",
            device_id="an edge gateway with a long name",
            boot_id=f"7d1f6a52-{boot}",
            sequence=place,
            start_ns=1_700_000_000 * SECOND_NS + place * SECOND_NS // 4 + self.chance.randrange(1_000_000),
            sampling_rate_hz=1000.0,
            n_samples=250,
            channels=(BlockChannel(channel_id="DE-a", quantity="acceleration", unit="g"),),
            samples=self.samples.tobytes(),
        )
        for _ in self.windows.push(self.offset, block, self.samples):
            pass
        self.largest = max(self.largest, len(msgspec.msgpack.encode(self.windows.snapshot())))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("restarts_every", [10_000, 400, 40])
def test_windows_that_wait_stay_within_what_is_foretold(seed: int, restarts_every: int) -> None:
    gateway = Gateway(seed)
    for place in range(0, 1_600, 4):  # a block of four is lost, others come in disorder, some much later
        lost = gateway.chance.randrange(4)
        places = [place + other for other in range(4) if other != lost]
        gateway.chance.shuffle(places)
        for one in [*places, *([place - 80 + lost] if place % 36 == 0 else [])]:
            gateway.send(one, one // restarts_every)
    foretold = group_bytes() - BANDS_BYTES - ROW_BYTES
    assert gateway.largest <= foretold
    assert gateway.largest >= 0.4 * foretold or restarts_every < 400


def test_speeds_regimes_bands_and_conditions_stay_within_what_is_foretold() -> None:
    operation, bands, chance = Operation(), BandChoices(), random.Random(5)
    settled = [level for level in range(MAX_REGIMES) for _ in range(SETTLED_WINDOWS + 2)]
    for number, level in enumerate([*settled, *range(40, 40 + MAX_REGIMES)]):
        at_ns = 1_700_000_000 * SECOND_NS + number * SECOND_NS + chance.randrange(SECOND_NS)
        operation.read(at_ns, 9_000.0 + chance.random())
        rpm = 300.0 * 1.1**level + chance.random()
        window = GroupWindow(at_ns, at_ns + 1, np.zeros((1, 1), dtype=np.float32), rpm, 0.5, partial=False, number=1)
        _, regime = operation.of(window, None, "DE-a")
        choice = Choice.of(at_ns, at_ns - number % 5 * SECOND_NS, f"{regime}{number}", partial=bool(number % 2))
        bands.in_time(choice, lambda: np.array([[1234.5, 6789.1]]), 0)
    kept = operation.snapshot(), bands.snapshot()
    speeds, regimes, choices = (len(msgspec.msgpack.encode(one)) for one in (kept[0], kept[0].regimes, kept[1]))
    assert speeds - regimes <= SPEEDS_BYTES
    assert regimes <= REGIMES_BYTES + ROW_BYTES + len("DE-a")
    assert choices <= BANDS_BYTES
    assert len(kept[0].regimes.known) == 2 * MAX_REGIMES
    gate = Gate(90_000, Zone.D, 2**62, True, Zone.D, longest_fault(), 90_000, 90_000, Zone.D, longest_fault())
    gates = dict.fromkeys(RULES, gate)
    assert len(msgspec.msgpack.encode(gates)) <= len(RULES) * GATE_BYTES


def longest_fault() -> str:
    return max((*FAULTS, *BEARING_FAULTS), key=len)


@pytest.mark.parametrize("channels", [1, 2])
def test_a_whole_state_stays_within_what_is_foretold(channels: int) -> None:
    load = Load(
        assets=1,
        channels=channels,
        block_samples=512,
        sampling_rate_hz=2048.0,
        window=WindowSettings(hop_s=0.5, lateness_s=600.0),
    )
    (asset,), plant = load.configurations(), Plant(load, 1_700_000_000 * SECOND_NS)
    pipeline = PartitionPipeline(ModelFolder(), Checkpoint(-1, 0, {}))
    pipeline.process(0, b"L-0000", activation_of(asset, 1, "test"))
    for number in range(160):
        if number % 4 != 3 or number < 100:
            pipeline.process(number + 1, b"L-0000", plant.block(0, number))
    state = pipeline.checkpoint().states["L-0000"]
    _, _, _, conditions, groups, *_ = msgspec.msgpack.decode(state)
    learnt = sum(len(group[4]) for group in groups) + len(
        msgspec.msgpack.encode(msgspec.msgpack.decode(conditions[1:])[2])
    )
    assert learnt <= channels * learnt_bytes(asset, {})
    assert len(state) - learnt <= channels * own_bytes(asset)


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
