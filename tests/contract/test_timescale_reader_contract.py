"""What every form of the database must hold for `HistoryReader`: shapes, order, bounds and above all scope."""

import asyncio
import dataclasses
from typing import Any

import pytest

from adapters.timescale import AssetRegistry, Database, HistoryReader, PartitionStore
from contracts import records as r
from contracts.assets import AssetConfiguration, Site
from contracts.errors import NotFound
from contracts.features import FEATURE_NAMES
from contracts.ports import (
    AlarmLimit,
    Checkpoint,
    CorrectedFeatures,
    HistoryRows,
    Principal,
    StoredReading,
    WaveformSnapshot,
)

SECOND_NS = 1_000_000_000
NOON_NS = 1_800_000_000 * SECOND_NS + 7
FAR_NS = 2**62

EVERYBODY = Principal("all", frozenset())
NORTH = Principal("north", frozenset(), sites=frozenset({"north"}))
ONE_ASSET = Principal("one", frozenset(), assets=frozenset({"N-1"}))
BOTH_LIMITS = Principal("both", frozenset(), sites=frozenset({"south"}), assets=frozenset({"N-1", "S-1"}))
NOBODY = Principal("none", frozenset(), sites=frozenset(), assets=frozenset())

ASSETS = [
    AssetConfiguration(asset_id=asset_id, site_id=site_id, name=f"Pump {asset_id}", asset_type="pump")
    for asset_id, site_id in (("N-1", "north"), ("N-2", "north"), ("S-1", "south"))
]
#: An asset on the log that nobody registered: of no site.
UNREGISTERED = "U-1"


def assessment(asset_id: str, start_ns: int, **changes: Any) -> r.Assessment:
    evidence = r.Evidence(name="BPFO", value=12.5, unit="dB", limit=10.0, frequency_hz=107.4, text="over the floor")
    channels = tuple(
        r.ChannelAssessment(
            channel_id=f"{asset_id}-{name}.acc",
            point_id=f"{asset_id}-{name}",
            features=(0.10000000149011612, *(None for _ in FEATURE_NAMES[1:])),
            zone=r.Zone.B,
            not_graded_because=None,
            scores=(
                r.Score(model="onnx", version="2", value=None, threshold=None, learning=True),
                r.Score(model="hst", version="1", value=0.5, threshold=0.9, learning=False, explanation=(evidence,)),
            ),
            own_features={"band_ratio": 0.25, "tilt_deg": None},
            not_decided=(r.NotDecided(name="FTF", needed_s=2.875),),
        )
        for name in ("NDE", "DE")
    )
    diagnoses = tuple(
        r.Diagnosis(
            point_id="p", channel_id="c", fault=fault, confidence=confidence, evidence=(evidence,), confirm="look"
        )
        for fault, confidence in (("looseness", 0.2), ("outer_race", 0.8))
    )
    plain = r.Assessment(
        assessment_id=f"asm-{asset_id}-{start_ns}",
        asset_id=asset_id,
        site_id="as recorded",
        window_start_ns=start_ns,
        window_end_ns=start_ns + SECOND_NS,
        sampling_rate_hz=25_600.0,
        n_samples=25_600,
        partial=False,
        speed_rpm=1780.1,
        regime="r1",
        catalogue_version=1,
        code_version="1",
        configuration_version="c1",
        channels=channels,
        diagnoses=diagnoses,
        zone=r.Zone.B,
        code_hash="0f1e2d3c4b5a",
    )
    return dataclasses.replace(plain, **changes)


def history(asset_id: str) -> HistoryRows:
    starts = [NOON_NS + i * SECOND_NS for i in range(5)]
    condition = r.Condition(
        condition_id="",
        asset_id=asset_id,
        site_id="as recorded",
        point_id="p",
        rule="bearing_fault",
        state=r.ConditionState.RAISED,
        sequence=0,
        at_ns=NOON_NS,
        episode_started_at_ns=NOON_NS,
        priority=r.Priority.HIGH,
        latching=False,
        zone=None,
        fault=None,
        confidence=None,
        reason="because",
        evidence=(),
    )
    return HistoryRows(
        assessments=[assessment(asset_id, start) for start in starts],
        conditions=[
            dataclasses.replace(condition, condition_id=f"{asset_id}-{i}", sequence=i, at_ns=NOON_NS + i)
            for i in range(3)
        ],
        readings=[
            StoredReading(
                asset_id=asset_id,
                reading=r.Reading(
                    channel_id=f"{asset_id}-DE.acc", quantity="temperature", unit="degC", at_ns=start, value=float(i)
                ),
            )
            for i, start in enumerate(starts)
        ],
        waveforms=[
            WaveformSnapshot(
                channel_id=f"{asset_id}-DE.acc",
                asset_id=asset_id,
                start_ns=start,
                sampling_rate_hz=25_600.0,
                unit="g",
                speed_rpm=None,
                samples=bytes([i]) * 8,
            )
            for i, start in enumerate(starts)
        ],
    )


def step(asset_id: str, sequence: int, state: r.AlarmState, before: r.AlarmState, **changes: Any) -> r.AlarmTransition:
    plain = r.AlarmTransition(
        transition_id=f"trn-{asset_id}-{sequence}",
        alarm_id=f"alm-{asset_id}",
        asset_id=asset_id,
        site_id="as recorded",
        point_id="p",
        rule="bearing_fault",
        sequence=sequence,
        from_state=before,
        state=state,
        cause="because",
        at_ns=NOON_NS + sequence,
        started_at_ns=NOON_NS,
        priority=r.Priority.MEDIUM,
        zone=r.Zone.C,
        fault="outer_race",
        confidence=0.5,
        reason="BPFO 12.5 dB over the floor",
        evidence=(),
    )
    return dataclasses.replace(plain, **changes)


async def fill(database: Database) -> HistoryReader:
    sites = [Site(site_id="north", name="North"), Site(site_id="south", name="South")]
    await AssetRegistry(database).import_assets(sites, ASSETS, [], "test")
    store = PartitionStore(database)
    owned, _ = await store.claim("conditions", 0, "test")
    for asset_id in ("N-1", "S-1", UNREGISTERED):
        await store.append(history(asset_id))
        raised = step(asset_id, 1, r.AlarmState.UNACKNOWLEDGED, r.AlarmState.NORMAL)
        await store.apply_alarms(owned, Checkpoint(0, 0, {}), [raised])
    return HistoryReader(database)


@pytest.mark.parametrize(
    ("who", "visible"),
    [
        (EVERYBODY, {"N-1", "S-1", UNREGISTERED}),
        (NORTH, {"N-1"}),
        (ONE_ASSET, {"N-1"}),
        (BOTH_LIMITS, {"S-1"}),
        (NOBODY, set()),
    ],
    ids=lambda value: value.subject if isinstance(value, Principal) else "",
)
def test_what_lies_outside_the_scope_does_not_exist(migrated_url: str, who: Principal, visible: set[str]) -> None:
    async def seen_of(reader: HistoryReader, asset_id: str) -> list[bool]:
        async def found(one: Any) -> bool:
            try:
                return bool(await one)
            except NotFound:
                return False

        channel = (f"{asset_id}-DE.acc",)
        span = (0, FAR_NS, 10)
        return [
            await found(reader.latest_assessment(who, asset_id)),
            await found(reader.features(who, *channel, FEATURE_NAMES, *span)),
            await found(reader.scores(who, *channel, *span)),
            await found(reader.readings(who, *channel, *span)),
            await found(reader.waveforms(who, *channel, *span)),
            await found(reader.conditions(who, asset_id, 10)),
            await found(reader.alarms(who, asset_id=asset_id)),
            await found(reader.alarm(who, f"alm-{asset_id}")),
            await found(reader.alarm_history(who, f"alm-{asset_id}")),
        ]

    async def scenario() -> None:
        async with Database(migrated_url) as database:
            reader = await fill(database)
            for asset_id in ("N-1", "S-1", UNREGISTERED):
                assert set(await seen_of(reader, asset_id)) == {asset_id in visible}, asset_id
            assert {row["asset_id"] for row in await reader.alarms(who)} == visible
            assert {change.asset_id for _, change in await reader.changes(who, 0, 10)} == visible
            listed = {row["asset_id"] for row in await reader.assets(who)}
            assert listed - {"N-2"} == visible - {UNREGISTERED}
            for config in ASSETS:
                if config.asset_id in listed:
                    assert (await reader.asset(who, config.asset_id))["name"] == config.name
                else:
                    with pytest.raises(NotFound, match=config.asset_id):
                        await reader.asset(who, config.asset_id)

    asyncio.run(scenario())


def test_assets_come_with_their_newest_condition(migrated_url: str) -> None:
    async def scenario() -> None:
        async with Database(migrated_url) as database:
            reader = await fill(database)
            await PartitionStore(database).append(
                HistoryRows(assessments=[assessment("N-1", NOON_NS - SECOND_NS, zone=r.Zone.D)])  # late, so not newest
            )
            first, second, _ = await reader.assets(EVERYBODY)
            assert first == {
                "asset_id": "N-1",
                "site_id": "north",
                "name": "Pump N-1",
                "asset_type": "pump",
                "window_start_ns": NOON_NS + 4 * SECOND_NS,
                "window_end_ns": NOON_NS + 5 * SECOND_NS,
                "zone": "B",
                "fault": "outer_race",
                "speed_rpm": 1780.1,
                "regime": "r1",
                "standing_alarms": 1,
                "highest_priority": "medium",
            }
            assert second["zone"] is second["fault"] is second["highest_priority"] is None
            assert second["standing_alarms"] == 0

    asyncio.run(scenario())


def test_latest_assessment_has_the_shape_of_the_record(migrated_url: str) -> None:
    async def scenario() -> None:
        async with Database(migrated_url) as database:
            reader = await fill(database)
            found = await reader.latest_assessment(EVERYBODY, "N-1")
            assert found["window_start_ns"] == NOON_NS + 4 * SECOND_NS
            assert [diagnosis["fault"] for diagnosis in found["diagnoses"]] == ["looseness", "outer_race"]
            assert [channel["channel_id"] for channel in found["channels"]] == ["N-1-NDE.acc", "N-1-DE.acc"]
            channel = found["channels"][0]
            assert list(channel["features"]) == list(FEATURE_NAMES)
            assert channel["features"]["rms_g"] == pytest.approx(0.1)
            assert channel["features"]["bias_g"] is None
            assert channel["own_features"] == {"band_ratio": 0.25, "tilt_deg": None}
            assert channel["not_decided"] == [{"name": "FTF", "needed_s": 2.875}]
            assert found["code_hash"] == "0f1e2d3c4b5a"
            assert [(d["confirm"], d["excludes"]) for d in found["diagnoses"]] == [("look", [])] * 2
            assert [score["model"] for score in channel["scores"]] == ["hst", "onnx"]
            assert channel["scores"][0]["explanation"][0]["frequency_hz"] == 107.4
            with pytest.raises(NotFound, match="N-2"):
                await reader.latest_assessment(EVERYBODY, "N-2")

    asyncio.run(scenario())


def test_series_are_half_open_oldest_first_and_keep_the_newest(migrated_url: str) -> None:
    starts = [NOON_NS + i * SECOND_NS for i in range(5)]

    async def scenario() -> None:
        async with Database(migrated_url) as database:
            reader = await fill(database)
            channel = "N-1-DE.acc"
            features = await reader.features(EVERYBODY, channel, ["rms_g", "bpfo_db"], starts[0], starts[4], 10)
            assert [row["window_start_ns"] for row in features] == starts[:4]
            kept = {"window_start_ns", "window_end_ns", "version", "partial", "zone", "own_features"}
            assert set(features[0]) == kept | {"rms_g", "bpfo_db"}
            assert features[0]["own_features"] == {"band_ratio": 0.25, "tilt_deg": None}
            features = await reader.features(EVERYBODY, channel, ["rms_g"], 0, FAR_NS, 2)
            assert [row["window_start_ns"] for row in features] == starts[3:]
            scores = await reader.scores(EVERYBODY, channel, starts[1], starts[2], 10)
            assert {(row["window_start_ns"], row["model"], row["version"]) for row in scores} == {
                (starts[1], "hst", "1"),
                (starts[1], "onnx", "2"),
            }
            readings = await reader.readings(EVERYBODY, channel, 0, FAR_NS, 3)
            assert [row["value"] for row in readings] == [2.0, 3.0, 4.0]
            waveforms = await reader.waveforms(EVERYBODY, channel, 0, FAR_NS, 2)
            assert waveforms == history("N-1").waveforms[:2:-1]
            conditions = await reader.conditions(EVERYBODY, "N-1", 2)
            assert [row["sequence"] for row in conditions] == [2, 1]
            with pytest.raises(ValueError, match="stored_at"):
                await reader.features(EVERYBODY, channel, ["rms_g", "stored_at"], 0, FAR_NS, 2)

    asyncio.run(scenario())


def test_corrected_window_replaces_the_first_in_answers(migrated_url: str) -> None:
    judged = dataclasses.replace(assessment("N-1", NOON_NS), partial=True)
    whole = assessment("N-1", NOON_NS + SECOND_NS)
    channels = tuple(dataclasses.replace(channel, scores=()) for channel in judged.channels)
    corrected = CorrectedFeatures(
        asset_id="N-1",
        window_start_ns=NOON_NS,
        window_end_ns=judged.window_end_ns,
        partial=False,
        code_version=judged.code_version,
        version=2,
        channels=channels,
    )

    async def scenario() -> None:
        async with Database(migrated_url) as database:
            store, reader = PartitionStore(database), HistoryReader(database)
            for _ in range(2):  # stored again, as after a crash
                await store.append(HistoryRows(assessments=[judged, whole], corrections=[corrected]))
            series = (EVERYBODY, "N-1-DE.acc", ["rms_g"], 0, FAR_NS, 10)
            newest = await reader.features(*series)
            assert [(row["version"], row["partial"]) for row in newest] == [(2, False), (1, False)]
            in_time = await reader.features(*series, version=1)
            assert [(row["version"], row["partial"]) for row in in_time] == [(1, True), (1, False)]
            assert len(await reader.scores(EVERYBODY, "N-1-DE.acc", 0, FAR_NS, 10)) == 4
            assert (await reader.latest_assessment(EVERYBODY, "N-1"))["window_start_ns"] == whole.window_start_ns

    asyncio.run(scenario())


def test_alarm_follows_its_transitions(migrated_url: str) -> None:
    state = r.AlarmState
    steps = [
        step("N-1", 2, state.ACKNOWLEDGED, state.UNACKNOWLEDGED, actor="kim", note="seen"),
        step("N-1", 3, state.SHELVED, state.ACKNOWLEDGED, actor="lee"),
        step("N-1", 4, state.ACKNOWLEDGED, state.SHELVED),
        step("N-1", 5, state.NORMAL, state.ACKNOWLEDGED),
    ]

    async def scenario() -> None:
        async with Database(migrated_url) as database:
            reader = await fill(database)
            store = PartitionStore(database)
            owned, _ = await store.claim("conditions", 0, "test")
            raised = await reader.alarm(EVERYBODY, "alm-N-1")
            assert (raised["state"], raised["acknowledged_by"]) == ("unacknowledged", None)
            await store.apply_alarms(owned, Checkpoint(1, 1, {}), steps[:3])
            acknowledged = await reader.alarm(EVERYBODY, "alm-N-1")
            assert acknowledged["state"] == "acknowledged"
            assert (acknowledged["acknowledged_by"], acknowledged["acknowledged_at_ns"]) == ("kim", NOON_NS + 2)
            assert len(await reader.alarms(EVERYBODY, standing=True)) == 3
            await store.apply_alarms(owned, Checkpoint(1, 1, {}), steps[3:])
            assert {row["asset_id"] for row in await reader.alarms(EVERYBODY, standing=True)} == {"S-1", UNREGISTERED}
            [normal] = await reader.alarms(EVERYBODY, standing=False)
            assert (normal["alarm_id"], normal["changed_at_ns"]) == ("alm-N-1", NOON_NS + 5)
            assert (await reader.alarms(EVERYBODY, limit=1))[0]["alarm_id"] == "alm-N-1"
            again = step("N-1", 6, state.UNACKNOWLEDGED, state.RETURNED_UNACKNOWLEDGED)
            await store.apply_alarms(owned, Checkpoint(1, 1, {}), [again])
            assert (await reader.alarm(EVERYBODY, "alm-N-1"))["acknowledged_by"] is None
            whole = await reader.alarm_history(EVERYBODY, "alm-N-1")
            assert [row["sequence"] for row in whole] == [1, 2, 3, 4, 5, 6]

    asyncio.run(scenario())


def test_alarm_record_counts_episodes_and_what_became_of_them(migrated_url: str) -> None:
    state = r.AlarmState
    limits = [
        AlarmLimit(
            asset_id="N-1",
            point_id="p",
            model="baseline",
            regime=regime,
            at_ns=NOON_NS + n,
            windows=n,
            windows_needed=500,
            limit=2.5 if n == 500 else None,
            expected_per_month=0.5 if n == 500 else 0.0,
        )
        for regime, n in (("r1", 1), ("r1", 500), ("r0", 7))
    ]
    event = r.MachineEvent(
        asset_id="N-1",
        device_id="d",
        boot_id="b",
        sequence=1,
        at_ns=NOON_NS + 50,
        kind="maintenance",
        code="bearing_replaced",
        text="",
    )
    false = {"actor": "kim", "note": "False alarm: forklift"}
    episodes = [
        step("N-1", 2, state.ACKNOWLEDGED, state.UNACKNOWLEDGED, **false),
        step("N-1", 3, state.UNACKNOWLEDGED, state.NORMAL, alarm_id="alm-late", started_at_ns=NOON_NS + 60),
        step("N-1", 4, state.UNACKNOWLEDGED, state.NORMAL, alarm_id="alm-mended", rule="anomaly"),
        step("N-1", 5, state.UNACKNOWLEDGED, state.NORMAL, alarm_id="alm-old", started_at_ns=NOON_NS - 1),
    ]

    async def scenario() -> None:
        async with Database(migrated_url) as database:
            reader = await fill(database)
            store = PartitionStore(database)
            owned, _ = await store.claim("conditions", 0, "test")
            await store.append(HistoryRows(alarm_limits=limits, events=[event]))
            await store.apply_alarms(owned, Checkpoint(1, 1, {}), episodes)
            found = await reader.alarm_record(EVERYBODY, "N-1", NOON_NS)
            assert (found["observed_from_ns"], found["observed_to_ns"]) == (NOON_NS, NOON_NS + 5 * SECOND_NS)
            assert found["regime"] == "r1"
            assert [tuple(row.values()) for row in found["rules"]] == [("anomaly", 1, 0, 1), ("bearing_fault", 2, 1, 0)]
            assert [(row["regime"], row["windows"], row["alarm_limit"]) for row in found["limits"]] == [
                ("r0", 7, None),
                ("r1", 500, 2.5),
            ]
            hidden = await reader.alarm_record(NOBODY, "N-1", NOON_NS)
            assert hidden == {
                "observed_from_ns": None,
                "observed_to_ns": None,
                "regime": None,
                "rules": [],
                "limits": [],
            }

    asyncio.run(scenario())


def test_hourly_features(migrated_url: str) -> None:
    async def scenario() -> None:
        async with Database(migrated_url) as database:
            reader = await fill(database)
            span = (NOON_NS - 3600 * SECOND_NS, FAR_NS)
            (hour,) = await reader.hourly_velocity(EVERYBODY, "N-1-DE.acc", *span)
            assert hour == {"hour_start_ns": 1_800_000_000 * SECOND_NS, "velocity_rms_mm_s_avg": None}
            assert await reader.hourly_velocity(NOBODY, "N-1-DE.acc", *span) == []
            rows = await database.rows(
                "SELECT hour_start_ns, windows, rms_g_max FROM feature_hourly WHERE channel_id = 'N-1-DE.acc'"
            )
            assert [tuple(row.values()) for row in rows] == [
                (1_800_000_000 * SECOND_NS, 5, pytest.approx(0.1)),
            ]

    asyncio.run(scenario())
