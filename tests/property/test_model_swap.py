"""Models are swapped while the stream runs: no window is lost, nothing else changes, a restart gives the same bits."""

import dataclasses
import functools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.timescale import canonical_rows
from contracts import ports
from contracts import records as r
from contracts.activations import activation_of
from contracts.assets import AssetConfiguration, ModelReference, WindowSettings
from contracts.codec import BundledSchemas, Codec
from contracts.topics import MEASUREMENTS
from loadtests.plant import Load, Plant
from processors.pipeline import PartitionPipeline
from tests.model_files import Models, failing_beyond, scaled

CODEC = Codec(BundledSchemas())
START_NS = 1_700_000_000_000_000_000
LOAD = Load(
    assets=1,
    channels=2,
    block_samples=1024,
    sampling_rate_hz=10_240.0,
    period_s=14.0,
    window=WindowSettings(length_s=0.2, hop_s=0.1),
    fault_from_s=12.6,
    fault_until_s=13.0,
)
MODELS = Models(ae_1=scaled(0.5), ae_2=scaled(0.25), ae_3=failing_beyond("kurtosis", 8.0))
FOREST = ModelReference(name="half-space-trees", version="1")
OLD, NEW, BAD = (ModelReference(name="ae", version=version) for version in "123")

Tables = dict[str, dict[tuple[object, ...], tuple[object, ...]]]


def configured(*models: ModelReference) -> AssetConfiguration:
    (config,) = LOAD.configurations()
    return dataclasses.replace(config, models=(FOREST, *models))


def shadow(model: ModelReference, stands_in_for: str | None = None) -> ModelReference:
    return dataclasses.replace(model, shadow=True, stands_in_for=stands_in_for)


@functools.cache
def blocks() -> tuple[r.AcquisitionBlock, ...]:
    return tuple(Plant(LOAD, START_NS).blocks(LOAD.period_s))


def log_of(first: AssetConfiguration, swaps: dict[int, AssetConfiguration]) -> list[r.Measurement]:
    """Return the log; a configuration of `swaps` comes before the block of that number."""
    log: list[r.Measurement] = [activation_of(first, START_NS, "test")]
    for number, block in enumerate(blocks()):
        if number in swaps:
            log.append(activation_of(swaps[number], START_NS + number, "test"))
        log.append(block)
        if number % 10 == 9:
            end_ns = block.start_ns + 100_000_000
            log.append(r.Tick(topic=MEASUREMENTS, partition=0, at_ns=end_ns, epoch=1))
    return log


def run(log: list[r.Measurement], restart_at: int | None = None) -> Tables:
    """Return all rows; with `restart_at` the worker dies there, and another goes on from a checkpoint before."""
    pipeline = PartitionPipeline(MODELS, ports.Checkpoint(-1, 0, {}))
    tables: Tables = {}
    checkpoint = None
    offset = 0
    while offset < len(log):
        record = log[offset]
        key = None if isinstance(record, r.Tick) else record.asset_id.encode()
        refusal = pipeline.feed(CODEC, offset, key, CODEC.encode(MEASUREMENTS, record))
        assert refusal is None, refusal
        for table, rows in canonical_rows(pipeline.take()).items():
            known = tables.setdefault(table, {})
            for row, values in rows.items():
                assert known.setdefault(row, values) == values, f"{table} {row} came out differently"
        if restart_at is not None and offset == max(0, restart_at - 7):
            checkpoint = pipeline.checkpoint()
        if restart_at == offset and checkpoint is not None:
            restart_at, pipeline, offset = None, PartitionPipeline(MODELS, checkpoint), checkpoint.resume_offset
            continue
        offset += 1
    return tables


def of_model(rows: dict[tuple[object, ...], tuple[object, ...]], *names: str) -> dict[object, object]:
    return {row: values for row, values in rows.items() if f"{row[2]}@{row[3]}" in names}


@functools.cache
def never_swapped() -> Tables:
    return run(log_of(configured(OLD, shadow(NEW)), {}))


def test_a_model_in_shadow_is_stored_and_heard_by_nobody() -> None:
    tables, alone = never_swapped(), run(log_of(configured(OLD), {}))
    windows = len(tables["assessment"])
    assert windows > 130
    assert len(of_model(tables["shadow_score"], "ae@2")) == len(tables["shadow_score"]) == 2 * windows
    assert tables["score"] == alone["score"]
    assert tables["condition"] == alone["condition"]
    assert not alone["shadow_score"]
    thresholds = [values[2] for values in tables["shadow_score"].values()]
    assert thresholds.count(None) < len(thresholds)  # it has been calibrated in shadow


@settings(max_examples=8, suppress_health_check=[HealthCheck.too_slow])
@given(number=st.integers(1, 124), swap_back=st.integers(1, 12))
def test_a_swap_loses_no_window_and_changes_no_other_score(number: int, swap_back: int) -> None:
    swapped = configured(NEW, shadow(OLD, NEW.key))
    log = log_of(configured(OLD, shadow(NEW)), {number: swapped, number + swap_back: configured(OLD, shadow(NEW))})
    tables, before = run(log, restart_at=number + 3), never_swapped()
    assert tables == run(log)
    assert tables["feature"] == before["feature"]
    assert tables["gap"] == before["gap"]
    others = ("baseline@1", "half-space-trees@1")
    assert of_model(tables["score"], *others) == of_model(before["score"], *others)
    for model in (OLD, NEW):  # each has scored every window once, for real or in shadow, and gone on being calibrated
        for_real, in_shadow = (of_model(tables[table], model.key) for table in ("score", "shadow_score"))
        assert not for_real.keys() & in_shadow.keys()
        both = of_model(before["score"], model.key) | of_model(before["shadow_score"], model.key)
        assert for_real | in_shadow == both
        assert for_real
    versions = {values[9] for values in tables["assessment"].values()}
    assert len(versions) == 2


def test_another_budget_of_false_alarms_cuts_no_window_and_learns_nothing_anew() -> None:
    config = configured(OLD, shadow(NEW))
    rules = dataclasses.replace(config.rules, false_alarms_per_month=7.0)
    tables, before = run(log_of(config, {60: dataclasses.replace(config, rules=rules)})), never_swapped()
    assert tables["feature"] == before["feature"]
    assert tables["score"] == before["score"]
    assert tables["gap"] == before["gap"]


def test_a_model_that_fails_is_refused_at_that_window_and_the_last_good_one_goes_on() -> None:
    log = log_of(configured(BAD, shadow(OLD, BAD.key), shadow(NEW)), {})
    tables, good = run(log), run(log_of(configured(OLD), {}))
    (condition,) = [values for values in tables["condition"].values() if values[3] == "model_refused"]
    named = dict(
        zip(("asset_id", "site_id", "point_id", "rule", "state", "sequence", "at_ns"), condition[:7], strict=True)
    )
    assert (named["point_id"], named["state"]) == (LOAD.configurations()[0].asset_id, "raised")
    assert "ae@3" in condition
    reason = next(text for text in condition if isinstance(text, str) and text.startswith("Model refused"))
    assert "ae@3 gave no finite score" in reason
    assert "ae@1 takes its place" in reason

    failed_ns = named["at_ns"]
    ends = {row: values[0] for row, values in tables["score"].items()}
    assert {values for row, values in ends.items() if row[3] == "3"}
    assert all(end < failed_ns for row, end in ends.items() if row[3] == "3")  # type: ignore[operator]
    heirs = {row for row, end in ends.items() if row[3] == "1" and row[2] == "ae"}
    assert heirs == {row for row, values in good["score"].items() if row[2] == "ae" and values[0] >= failed_ns}  # type: ignore[operator]
    for row in heirs:
        assert tables["score"][row] == good["score"][row]
    assert tables["feature"] == good["feature"]
    others = ("baseline@1", "half-space-trees@1")
    assert of_model(tables["score"], *others) == of_model(good["score"], *others)


@pytest.mark.parametrize("restart_at", [128, 138, 145, 153])
def test_a_refusal_survives_a_restart(restart_at: int) -> None:
    log = log_of(configured(BAD, shadow(OLD, BAD.key)), {})
    assert run(log, restart_at) == run(log)


def test_a_refusal_ends_once_the_model_is_taken_away() -> None:
    log = log_of(configured(BAD, shadow(OLD, BAD.key)), {136: configured(OLD)})
    states = [values[4] for values in run(log)["condition"].values() if values[3] == "model_refused"]
    assert states == ["raised", "cleared"]
    still = log_of(configured(BAD, shadow(OLD, BAD.key)), {136: configured(BAD, shadow(OLD, BAD.key), shadow(NEW))})
    tables = run(still)
    assert [values[4] for values in tables["condition"].values() if values[3] == "model_refused"] == ["raised"]
    assert of_model(tables["shadow_score"], "ae@2")


def test_a_challenger_that_fails_leaves_the_champion_alone() -> None:
    tables, good = run(log_of(configured(OLD, shadow(BAD)), {})), run(log_of(configured(OLD), {}))
    assert tables["score"] == good["score"]
    assert [values[3] for values in tables["condition"].values()].count("model_refused") == 1
    windows = len(tables["assessment"])
    assert 0 < len(of_model(tables["shadow_score"], "ae@3")) < 2 * windows
