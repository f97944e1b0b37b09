"""What every form of the database must hold for training: which windows it gives, and why some aren't learnt from."""

import asyncio
import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from adapters.timescale import Database, PartitionStore
from contracts import records as r
from contracts.errors import ConfigurationError, NotFound
from contracts.features import CATALOGUE_VERSION, FEATURE_INDEX, FEATURE_NAMES
from contracts.ports import HistoryRows
from pipelines.training.history import read_history
from pipelines.training.table import HEALTHY, PARTIAL, STANDING_STILL, SUSPECTED, UNKNOWN, FeatureTable
from processors.regime import STOPPED
from tests.training_samples import CODE, SECOND_NS

NOON_NS = 1_800_000_000 * SECOND_NS
FAULT = r.Diagnosis(point_id="P-DE", channel_id="P-DE.acc", fault="outer_race", confidence=0.8, evidence=())


def assessment(number: int, asset_id: str = "P", **changes: Any) -> r.Assessment:
    start_ns = NOON_NS + number * SECOND_NS
    channels = tuple(
        r.ChannelAssessment(
            channel_id=f"{asset_id}-{point}.acc",
            point_id=f"{asset_id}-{point}",
            features=(float(number), *(None for _ in FEATURE_NAMES[1:])),
            zone=None,
            not_graded_because=None,
            scores=(),
        )
        for point in ("DE", "NDE")
    )
    plain = r.Assessment(
        assessment_id=f"asm-{asset_id}-{number}",
        asset_id=asset_id,
        site_id="s",
        window_start_ns=start_ns,
        window_end_ns=start_ns + SECOND_NS,
        sampling_rate_hz=25_600.0,
        n_samples=25_600,
        partial=False,
        speed_rpm=1500.0,
        regime="speed 1.0, load any",
        catalogue_version=CATALOGUE_VERSION,
        code_version="1",
        configuration_version="c",
        channels=channels,
        diagnoses=(),
        zone=None,
        code_hash=CODE,
    )
    return dataclasses.replace(plain, **changes)


def condition(state: r.ConditionState, at: int, since: int, point_id: str = "P-DE") -> r.Condition:
    return r.Condition(
        condition_id=f"c-{state}-{at}-{point_id}",
        asset_id="P",
        site_id="s",
        point_id=point_id,
        rule="vibration_zone",
        state=state,
        sequence=at,
        at_ns=NOON_NS + at * SECOND_NS,
        episode_started_at_ns=NOON_NS + since * SECOND_NS,
        priority=r.Priority.LOW,
        latching=False,
        zone=None,
        fault=None,
        confidence=None,
        reason="a test",
        evidence=(),
    )


def read(
    url: str, rows: HistoryRows, assets: Sequence[str] = ("P",), points: Sequence[str] | None = None, seconds: int = 100
) -> FeatureTable:
    async def run() -> FeatureTable:
        async with Database(url) as database:
            await PartitionStore(database).append(rows)
            return await read_history(database, assets, points, NOON_NS, NOON_NS + seconds * SECOND_NS, CODE)

    return asyncio.run(run())


def test_windows_come_in_order_with_what_is_known_of_them(migrated_url: str) -> None:
    raised, cleared = r.ConditionState.RAISED, r.ConditionState.CLEARED
    rows = HistoryRows(
        assessments=[
            *(assessment(number) for number in range(20)),
            assessment(20, partial=True),
            assessment(21, regime=STOPPED),
            assessment(22, diagnoses=(FAULT,)),
            assessment(0, asset_id="Q"),
        ],
        conditions=[
            condition(raised, 8, since=6),
            condition(raised, 9, since=6),  # worse, in the same episode
            condition(cleared, 12, since=6),
            condition(raised, 18, since=18, point_id="P-NDE"),  # and stands
        ],
    )
    table = read(migrated_url, rows)
    assert (table.machines, table.code_hash, len(table)) == (["P"], CODE, 46)
    reasons = {channel: table.excluded[table.channel == channel].tolist() for channel in ("P-DE.acc", "P-NDE.acc")}
    # a window that ends when the episode begins belongs to it: it is the first that was abnormal
    assert reasons["P-DE.acc"] == [*[""] * 5, *[SUSPECTED] * 7, *[""] * 8, PARTIAL, STANDING_STILL, SUSPECTED]
    assert reasons["P-NDE.acc"] == [*[""] * 17, *[SUSPECTED] * 3, PARTIAL, STANDING_STILL, SUSPECTED]
    assert table.values[table.channel == "P-DE.acc", 0].tolist() == [float(number) for number in range(23)]
    assert np.isnan(table.values[:, FEATURE_INDEX["kurtosis"]]).all()
    assert (table.state == np.where(table.learnable, HEALTHY, UNKNOWN)).all()


def test_points_and_spans_are_chosen_and_what_is_absent_is_said(migrated_url: str) -> None:
    rows = HistoryRows(assessments=[assessment(number, asset) for number in range(5) for asset in ("P", "Q")])
    assert len(read(migrated_url, rows, points=("P-DE",), seconds=3)) == 3
    assert read(migrated_url, HistoryRows(), assets=("P", "Q")).machines == ["P", "Q"]
    with pytest.raises(NotFound, match="no window of R"):
        read(migrated_url, HistoryRows(), assets=("P", "R"))


def test_features_of_other_code_are_refused(migrated_url: str) -> None:
    rows = HistoryRows(assessments=[assessment(0, code_hash="ffffffffffff"), assessment(1)])
    with pytest.raises(
        ConfigurationError, match=f"2 of 4 windows are features of other code.*ffffffffffff; this is {CODE}"
    ):
        read(migrated_url, rows)


def test_an_episode_that_was_raised_after_the_span_counts_too(migrated_url: str) -> None:
    rows = HistoryRows(
        assessments=[assessment(number) for number in range(5)],
        conditions=[condition(r.ConditionState.RAISED, 9, since=4)],
    )
    table = read(migrated_url, rows, points=("P-DE",), seconds=5)
    assert table.excluded.tolist() == ["", "", "", SUSPECTED, SUSPECTED]


def test_the_newest_computation_of_a_window_counts(migrated_url: str) -> None:
    first = assessment(3)
    again = dataclasses.replace(
        first,
        code_version="2",
        channels=tuple(dataclasses.replace(one, features=(7.0, *one.features[1:])) for one in first.channels),
    )
    read(migrated_url, HistoryRows(assessments=[first]))
    table = read(migrated_url, HistoryRows(assessments=[again]))
    assert table.values[:, 0].tolist() == [7.0, 7.0]


def test_a_span_begins_where_the_stream_learnt_anew(migrated_url: str) -> None:
    def scored(number: int, regime: str, *, learning: bool) -> r.Assessment:
        value, threshold = (None, None) if learning else (1.0, 3.5)
        score = r.Score(model="baseline", version="1", value=value, threshold=threshold, learning=learning)
        made = assessment(number, regime=regime)
        return dataclasses.replace(made, channels=tuple(dataclasses.replace(c, scores=(score,)) for c in made.channels))

    slow, fast = "speed 1.0, load any", "speed 2.0, load any"
    course = [
        (slow, True), (slow, False), (fast, True), (fast, False), (slow, False),
        (fast, True), (slow, True), (fast, False), (slow, False),  # all regimes were re-opened at once
        (fast, True),
    ]  # fmt: skip
    rows = [scored(number, regime, learning=learning) for number, (regime, learning) in enumerate(course)]
    table = read(migrated_url, HistoryRows(assessments=rows), points=("P-DE",))
    assert table.span.tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 1, 2]
