"""Models are refused by newer feature code wherever they meet it: the asset goes on, its last good model takes over."""

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from onnx import helper

from contracts import ports
from contracts import records as r
from contracts.activations import activation_of
from contracts.assets import AssetConfiguration, ModelReference, WindowSettings
from contracts.errors import ConfigurationError
from contracts.models import CATALOGUE_VERSION_KEY
from contracts.topics import MEASUREMENTS
from loadtests.plant import Load, Plant
from processors.configured import misfits
from processors.own_features import ENGINE_ALONE, FeatureCode
from processors.pipeline import PartitionPipeline
from tests.model_files import Models, in_a_row, model, scaled

START_NS = 1_700_000_000_000_000_000
SECOND_NS = 1_000_000_000
LOAD = Load(
    assets=1,
    channels=1,
    block_samples=1024,
    sampling_rate_hz=10_240.0,
    period_s=30.0,
    window=WindowSettings(length_s=0.2, hop_s=0.1),
)
OLD, NEW = FeatureCode("aaaaaaaaaaaa"), FeatureCode("bbbbbbbbbbbb")
WITH_OWN = FeatureCode("cccccccccccc", engine_hash=OLD.code_hash)
SAYS_NOTHING = model([helper.make_node("Mul", ["z", "half"], ["rebuilt"])], {"half": np.float32(0.5)})
MODELS = Models(
    ae_1=SAYS_NOTHING,
    ae_2=scaled(0.25, trained_for=OLD.code_hash),
    row_1=in_a_row(4, trained_for=OLD.code_hash),
    other_1=model([helper.make_node("Identity", ["z"], ["rebuilt"])], metadata={CATALOGUE_VERSION_KEY: "999"}),
)
LAST_GOOD = ModelReference(name="ae", version="1", shadow=True, stands_in_for="ae@2")
IN_USE, ROW = (ModelReference(name=name, version=version) for name, version in (("ae", "2"), ("row", "1")))
OTHER_CATALOGUE = ModelReference(name="other", version="1")


def configured(*models: ModelReference) -> AssetConfiguration:
    (config,) = LOAD.configurations()
    return dataclasses.replace(config, models=models)


def log(config: AssetConfiguration, seconds: int = 4) -> list[r.Measurement]:
    made: list[r.Measurement] = [activation_of(config, START_NS, "test")]
    for number, block in enumerate(Plant(LOAD, START_NS).blocks(float(seconds))):
        made.append(block)
        if number % 10 == 9:
            end_ns = START_NS + (number + 1) // 10 * SECOND_NS
            made.append(r.Tick(topic=MEASUREMENTS, partition=0, at_ns=end_ns, epoch=1))
    return made


def run(records: Sequence[r.Measurement], codes: dict[int, FeatureCode]) -> ports.HistoryRows:
    """Return the results; from each offset of `codes` on another worker, with that code, goes on from a snapshot."""
    pipeline = PartitionPipeline(MODELS, ports.Checkpoint(-1, 0, {}), codes[0])
    found = ports.HistoryRows()
    read: dict[int, tuple[bytes | None, r.Measurement]] = {}
    for offset, record in enumerate(records):
        if offset in codes and offset:
            checkpoint = pipeline.checkpoint()
            pipeline = PartitionPipeline(MODELS, checkpoint, codes[offset])
            for earlier in range(checkpoint.resume_offset, offset):
                pipeline.process(earlier, *read[earlier])
        read[offset] = (None if isinstance(record, r.Tick) else record.asset_id.encode(), record)
        pipeline.process(offset, *read[offset])
        results = pipeline.take()
        found.assessments.extend(results.assessments)
        found.conditions.extend(results.conditions)
        found.shadow_scores.extend(results.shadow_scores)
    return found


def scored_by(found: ports.HistoryRows) -> list[tuple[str, ...]]:
    """Return per window the models that have scored for real, beside the baseline."""
    return [
        tuple(f"{score.model}@{score.version}" for score in one.channels[0].scores[1:]) for one in found.assessments
    ]


def told(found: ports.HistoryRows) -> list[r.Condition]:
    return [condition for condition in found.conditions if condition.rule == "model_refused"]


def test_the_same_code_scores_and_says_nothing() -> None:
    for code in (OLD, WITH_OWN, ENGINE_ALONE):
        found = run(log(configured(IN_USE, LAST_GOOD)), {0: code})
        assert set(scored_by(found)) == {("ae@2",)}
        assert not told(found)


def test_a_worker_with_newer_code_refuses_what_is_in_production_and_the_last_good_one_goes_on() -> None:
    records = log(configured(IN_USE, LAST_GOOD, ROW))
    update, again, back = 15, 29, 40
    found = run(records, {0: OLD, update: NEW, again: NEW, back: OLD})
    models = scored_by(found)
    changes = [models[0], *(two for one, two in itertools.pairwise(models) if one != two)]
    assert changes == [("ae@2", "row@1"), ("ae@1",), ("ae@2", "row@1")]
    raised, cleared = told(found)
    assert (raised.state, cleared.state) == (r.ConditionState.RAISED, r.ConditionState.CLEARED)
    assert raised.at_ns == START_NS + 2 * SECOND_NS  # the first tick after the update
    assert "row@1" in raised.reason
    assert "was trained for feature code aaaaaaaaaaaa, bbbbbbbbbbbb is in use" in raised.reason


@pytest.mark.parametrize("restart_at", [1, 8, 12, 13, 30])
def test_a_recomputation_with_newer_code_keeps_the_asset_whatever_crashes(restart_at: int) -> None:
    records = log(configured(IN_USE, LAST_GOOD))
    found, again = run(records, {0: NEW}), run(records, {0: NEW, restart_at: NEW})
    assert (again.assessments, again.conditions) == (found.assessments, found.conditions)
    assert set(scored_by(found)) == {("ae@1",)}
    (raised,) = told(found)
    assert raised.at_ns == START_NS + SECOND_NS
    assert "ae@1 takes its place" in raised.reason
    assert len(found.assessments) == len(run(records, {0: OLD}).assessments)


def test_a_swap_to_a_model_of_other_code_is_refused_alone_and_told_at_once() -> None:
    before, after = configured(dataclasses.replace(LAST_GOOD, shadow=False)), configured(IN_USE, LAST_GOOD)
    records = log(before)
    records.insert(20, activation_of(after, START_NS + 7, "test"))
    found = run(records, {0: NEW})
    assert set(scored_by(found)) == {("ae@1",)}
    (raised,) = told(found)
    assert raised.at_ns == START_NS + 7
    assert {one.configuration_version for one in found.assessments} == {
        activation_of(config, 0, "").version for config in (before, after)
    }


def test_a_stated_hash_counts_where_the_file_says_nothing_and_another_catalogue_always() -> None:
    stated = [dataclasses.replace(LAST_GOOD, feature_hash=code.code_hash) for code in (OLD, NEW)]
    assert [list(misfits(configured(one), MODELS, NEW)) for one in stated] == [["ae@1"], []]
    lying = dataclasses.replace(IN_USE, feature_hash=NEW.code_hash)
    assert list(misfits(configured(lying), MODELS, NEW)) == ["ae@2"]
    assert set(scored_by(run(log(configured(OTHER_CATALOGUE)), {0: NEW}))) == {()}
    broken = Models(ae_2=b"not a model")
    with pytest.raises(ConfigurationError, match="ae@2 can't be loaded"):
        misfits(configured(IN_USE), broken, NEW)
