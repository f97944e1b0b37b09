"""The past again: equal to history without a variant, and with one different where the variant says so."""

import dataclasses
import functools
from pathlib import Path
from typing import Any

import pytest

from adapters.asset_files import read_rules
from adapters.kafka import LogRecord
from adapters.models import ModelFolder
from adapters.timescale import canonical_rows, canonical_transitions
from contracts import ports
from contracts import records as r
from contracts.activations import activation_of
from contracts.assets import ModelReference, WindowSettings
from contracts.codec import BundledSchemas, Codec
from contracts.errors import ConfigurationError
from contracts.topics import CONDITIONS, MEASUREMENTS
from loadtests.plant import Load, Plant
from processors import CODE_VERSION
from processors.alarm_partition import AlarmPartition
from processors.own_features import ENGINE_ALONE, FeatureCode
from processors.pipeline import PartitionPipeline
from runtime.episodes import (
    Change,
    Difference,
    Episode,
    alarm_episodes,
    compare_series,
    condition_episodes,
    differences,
)
from runtime.past import Past, Recomputation, Survey, Table, Variant
from tests.model_files import put, scaled

CODEC = Codec(BundledSchemas())
MODELS = ModelFolder()
START_NS = 1_700_000_000_000_000_000
SECOND = 1_000_000_000
DURATION_S = 16.0
LOAD = Load(
    assets=2,
    channels=1,
    block_samples=4096,
    sampling_rate_hz=20_480.0,
    period_s=16.0,
    window=WindowSettings(length_s=0.4, hop_s=0.4),
    fault_from_s=6.0,
    fault_until_s=10.0,
)
ASSET, OTHER = (config.asset_id for config in LOAD.configurations())
SPAN = (START_NS + 1 * SECOND, START_NS + 15 * SECOND)


def entry(offset: int, key: str | None, topic: str, record: r.Record) -> LogRecord:
    value, raw = CODEC.encode(topic, record), None if key is None else key.encode()
    return LogRecord(partition=0, offset=offset, timestamp_ns=0, key=raw, value=value, headers=())


@functools.cache
def measurements() -> tuple[LogRecord, ...]:
    """Return a partition with two machines, ticks, a record that is refused, and one that isn't a record."""
    made: list[tuple[str | None, r.Record]] = []
    for config in LOAD.configurations():
        quick = dataclasses.replace(config.rules, baseline_windows=5)
        config = dataclasses.replace(config, models=config.models[:1], rules=quick)  # noqa: PLW2901 -- the one in force
        made.append((config.asset_id, activation_of(config, START_NS, "test")))
    tick_ns = START_NS
    for block in Plant(LOAD, START_NS).blocks(DURATION_S):
        made.append((block.asset_id, block))
        if block.start_ns - tick_ns >= SECOND:
            tick_ns = block.start_ns
            made.append((None, r.Tick(topic=MEASUREMENTS, partition=0, at_ns=tick_ns, epoch=1)))
    made.insert(9, (ASSET, dataclasses.replace(Plant(LOAD, START_NS).block(0, 2), sequence=-1)))
    log = [entry(offset, key, MEASUREMENTS, record) for offset, (key, record) in enumerate(made)]
    return (*log, dataclasses.replace(log[-1], offset=len(log), key=None, value=b"\x01poison"))


@functools.cache
def history() -> tuple[ports.HistoryRows, tuple[LogRecord, ...], Table]:
    """Return the live results, the log of conditions that they led to, and the alarm transitions."""
    pipeline, alarms = (
        PartitionPipeline(MODELS, ports.Checkpoint(-1, 0, {})),
        AlarmPartition(ports.Checkpoint(-1, 0, {})),
    )
    log: list[LogRecord] = []
    transitions: list[r.AlarmTransition] = []

    def append(key: str | None, record: r.Record) -> None:
        log.append(entry(len(log), key, CONDITIONS, record))
        transitions.extend(alarms.feed(CODEC, log[-1].offset, log[-1].key, log[-1].value).transitions)

    rows = ports.HistoryRows()
    for one in measurements():
        pipeline.feed(CODEC, one.offset, one.key, one.value)
        taken = pipeline.take()
        rows.assessments += taken.assessments
        rows.conditions += taken.conditions
        for condition in taken.conditions:
            append(condition.asset_id, condition)
            if condition.state is r.ConditionState.RAISED and condition.asset_id == ASSET:
                append(ASSET, acknowledgement(transitions[-1].alarm_id, condition.at_ns + SECOND // 2))
        if one.key is None:
            append(None, r.Tick(topic=CONDITIONS, partition=0, at_ns=START_NS, epoch=1))
    mine = [transition for transition in transitions if transition.asset_id == ASSET]
    return rows, tuple(log), canonical_transitions(mine)


def acknowledgement(alarm_id: str, at_ns: int) -> r.Command:
    return r.Command(
        command_id=f"ack-{at_ns}",
        asset_id=ASSET,
        alarm_id=alarm_id,
        action=r.CommandAction.ACKNOWLEDGE,
        actor="operator",
        at_ns=at_ns,
    )


def stored(asset_id: str) -> dict[str, Table]:
    rows = history()[0]
    mine = ports.HistoryRows(
        assessments=[a for a in rows.assessments if a.asset_id == asset_id and SPAN[0] <= a.window_start_ns < SPAN[1]],
        conditions=[condition for condition in rows.conditions if condition.asset_id == asset_id],
    )
    return canonical_rows(mine)


def recompute(variant: Variant, log: tuple[LogRecord, ...] | None = None, **more: Any) -> Past:
    work = Recomputation(CODEC, MODELS, ENGINE_ALONE, ASSET, SPAN, variant, lambda: None)
    work.measurements(log or measurements(), more.get("config"))
    work.alarms(lambda: history()[1])
    return work.past


def differing(past: Past) -> dict[str, list[Difference]]:
    tables = stored(ASSET)
    return {
        "condition": differences(
            "condition", condition_episodes(tables["condition"]), condition_episodes(past.conditions), SPAN
        ),
        "alarm": differences("alarm", alarm_episodes(history()[2]), alarm_episodes(past.transitions), SPAN),
    }


def of_rule(found: list[Difference], rule: str) -> list[Difference]:
    return [one for one in found if one.episode.rule == rule]


def test_history_has_a_bearing_fault_that_was_acknowledged() -> None:
    (episode,) = [one for one in condition_episodes(stored(ASSET)["condition"]) if one.rule == "bearing_fault"]
    assert START_NS + 6 * SECOND < episode.from_ns < START_NS + 9 * SECOND
    assert episode.to_ns is not None
    assert "acknowledged" in {values for row in history()[2].values() for values in row}


def test_without_a_variant_the_past_is_history_bit_for_bit() -> None:
    past, tables = recompute(Variant()), stored(ASSET)
    assert past.series == {name: tables[name] for name in ("feature", "score")}
    assert past.conditions == tables["condition"]
    assert past.transitions == history()[2]
    assert past.windows == len(tables["feature"]) > 30
    assert dict(past.refused) == {"bad_sequence": 1}
    assert differing(past) == {"condition": [], "alarm": []}


@pytest.mark.parametrize(("raise_after", "change", "windows"), [(1, Change.EARLIER, -2), (6, Change.LATER, 3)])
def test_more_or_less_patience_moves_the_alarm(raise_after: int, change: Change, windows: int) -> None:
    found = differing(recompute(Variant({"raise_after": raise_after})))
    for kind in ("condition", "alarm"):
        (moved,) = of_rule(found[kind], "bearing_fault")
        assert moved.change is change
        assert moved.shift_s == pytest.approx(0.4 * windows, abs=1e-6)


def test_a_rule_that_is_never_met_removes_the_alarm() -> None:
    found = differing(recompute(Variant({"fault_line_db": 90.0})))
    for kind in ("condition", "alarm"):
        (gone,) = of_rule(found[kind], "bearing_fault")
        assert (gone.change, gone.recomputed) == (Change.REMOVED, None)
        assert gone.as_json()["history"]["reason"]


def test_more_rules_add_alarms() -> None:
    found = differing(recompute(Variant({"false_alarms_per_month": 1e7, "raise_after": 2, "baseline_windows": 4})))
    added = [one for one in found["alarm"] if one.change is Change.ADDED]
    assert {one.episode.rule for one in added} == {"anomaly"}


def test_another_model_scores_beside_or_instead() -> None:
    autoencoder = ModelReference(name="reference-autoencoder", version="1")
    past = recompute(Variant(models=(autoencoder,)))
    counts = compare_series("score", stored(ASSET)["score"], past.series["score"], CODE_VERSION)
    assert counts["score reference-autoencoder 1"]["added"] == past.windows
    assert counts["score baseline 1"] == {"compared": past.windows, "different": 0, "removed": 0, "added": 0}
    config = LOAD.configurations()[0]
    newer = ModelReference(name="half-space-trees", version="2")
    assert Variant(models=(newer,)).of(config).models == (newer, autoencoder)


def test_a_model_that_is_missing_is_an_error_and_not_a_difference() -> None:
    with pytest.raises(ConfigurationError, match=f"tried on {ASSET}"):
        recompute(Variant(models=(ModelReference(name="no-such-model", version="1"),)))


def test_a_model_for_other_feature_code_cannot_be_tried(tmp_path: Path) -> None:
    put(tmp_path, "ae", "2", scaled(0.5, trained_for="aaaaaaaaaaaa"))
    variant = Variant(models=(ModelReference(name="ae", version="2"),))
    code = FeatureCode("bbbbbbbbbbbb")
    work = Recomputation(CODEC, ModelFolder(tmp_path), code, ASSET, SPAN, variant, lambda: None)
    with pytest.raises(ConfigurationError, match=f"tried on {ASSET}: model ae@2 was trained for feature code aaaa"):
        work.measurements(measurements(), None)


def test_the_survey_names_what_the_log_holds() -> None:
    survey = Survey.of(measurements(), CODEC, ASSET)
    assert (survey.first_ns, survey.from_beginning, survey.configured) == (START_NS, True, True)
    assert survey.last_ns == START_NS + round(DURATION_S * SECOND)
    assert Survey.of(measurements(), CODEC, "nobody").first_ns is None


def test_a_log_that_has_lost_its_beginning_is_worked_with_from_the_registered_configuration() -> None:
    rest = measurements()[12:]
    survey = Survey.of(rest, CODEC, ASSET)
    assert not survey.from_beginning
    assert not survey.configured
    assert not recompute(Variant(), rest).windows
    config = dataclasses.replace(LOAD.configurations()[0], models=())
    past = recompute(Variant(), rest, config=config)
    assert past.windows > 30
    assert not past.refused


def episode(from_s: int, to_s: int | None, **changes: Any) -> Episode:
    made = Episode(
        point_id="p", rule="r", fault=None, priority="low", reason="because", from_ns=from_s * SECOND, to_ns=None
    )
    return dataclasses.replace(made, to_ns=None if to_s is None else to_s * SECOND, **changes)


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        ([episode(3, 5)], [episode(3, 5)], []),
        ([], [episode(3, 5)], [("added", None)]),
        ([episode(3, None)], [], [("removed", None)]),
        ([episode(3, 5)], [episode(4, 5)], [("later", 1.0)]),
        ([episode(3, 5)], [episode(2, 9)], [("earlier", -1.0)]),
        ([episode(3, 5)], [episode(3, 4)], [("ends_earlier", -1.0)]),
        ([episode(3, 5)], [episode(3, None)], [("ends_later", None)]),
        ([episode(3, None)], [episode(3, 5)], [("ends_earlier", None)]),
        ([episode(3, 5)], [episode(3, 5, reason="other")], [("described_otherwise", None)]),
        ([episode(3, 5)], [episode(3, 5, point_id="q")], [("removed", None), ("added", None)]),
        ([episode(2, 3)], [episode(5, 6)], [("removed", None), ("added", None)]),
        ([episode(12, 15)], [episode(9, 15)], [("earlier", -3.0)]),  # moved into the span from beyond it
        ([episode(12, 15)], [], []),
        ([episode(0, None)], [], [("removed", None)]),  # stands since before the span
    ],
)
def test_episodes_are_matched_by_point_rule_and_overlap(
    before: list[Episode], now: list[Episode], expected: list[tuple[str, float | None]]
) -> None:
    found = differences("alarm", before, now, (1 * SECOND, 10 * SECOND))
    assert sorted((one.change.value, one.shift_s) for one in found) == sorted(expected)


def test_the_version_of_this_code_counts_where_a_window_was_computed_by_several() -> None:
    old, new = ("c", 1, "0", "A"), ("c", 1, "1", "A")
    both = compare_series("feature", {old: (1,), new: (2,)}, {new: (2,)}, "1")
    assert both["feature"] == {"compared": 1, "different": 0, "removed": 0, "added": 0}
    assert compare_series("feature", {old: (1,)}, {new: (2,)}, "1")["feature"]["different"] == 1


@pytest.mark.parametrize(
    "text", ["raise_after: 2\nfault_line_db: 8.5\n", "rules:\n  raise_after: 2\n  fault_line_db: 8.5\n"]
)
def test_rules_are_read_as_they_stand_below_an_asset(text: str, tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(text, encoding="utf-8")
    assert read_rules(file) == {"raise_after": 2, "fault_line_db": 8.5}


@pytest.mark.parametrize(
    ("text", "message"), [("raise_after: 0\n", "1 to"), ("raise_afer: 2\n", "unknown key"), ("- 1\n", "mapping")]
)
def test_wrong_rules_are_refused_with_their_place(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=message):
        read_rules(file)
