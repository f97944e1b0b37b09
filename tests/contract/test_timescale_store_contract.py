"""What every form of the database must hold for `PartitionStore`."""

import asyncio
import dataclasses
import itertools
import math
from typing import Any

import psycopg
import pytest

from adapters.timescale import (
    CheckpointKeeper,
    Database,
    HistoryReader,
    PartitionStore,
    RefusalAccount,
    canonical_rows,
    canonical_transitions,
    oldest_kept,
    read_history,
)
from adapters.timescale.kept import KEPT
from adapters.timescale.rows import HISTORY, Canonical
from contracts import records as r
from contracts.errors import StaleOwner
from contracts.features import FEATURE_NAMES
from contracts.ports import (
    AlarmLimit,
    Checkpoint,
    CorrectedFeatures,
    Gap,
    HistoryRows,
    Ownership,
    Principal,
    StoredReading,
    WaveformSnapshot,
)

SECOND_NS = 1_000_000_000
DAY_NS = 86_400 * SECOND_NS
NOON_NS = 20_000 * DAY_NS + DAY_NS // 2 + 7
EVERYBODY = Principal("test", frozenset())
NOTHING = Checkpoint(-1, 0, {})


def evidence(**changes: Any) -> r.Evidence:
    plain = r.Evidence(name="BPFO", value=0.1, unit="dB", limit=1e20, frequency_hz=None, text="Außenring: 0.1 dB")
    return dataclasses.replace(plain, **changes)


def assessment(
    start_ns: int = NOON_NS, *, asset_id: str = "P-101", n_channels: int = 2, **changes: Any
) -> r.Assessment:
    channels = tuple(
        r.ChannelAssessment(
            channel_id=f"{asset_id}-{name}.acc",
            point_id=f"{asset_id}-{name}",
            features=tuple(None if i % 7 == 3 else float(i) / 8 for i in range(len(FEATURE_NAMES))),
            zone=None,
            not_graded_because="no machine group",
            scores=(
                r.Score(
                    model="hst", version="1", value=0.1, threshold=1 / 3, learning=False, explanation=(evidence(),)
                ),
                r.Score(model="onnx", version="2", value=None, threshold=None, learning=True),
            ),
            own_features={"tilt_deg": None, "band_ratio": 0.10000000149011612},
            not_decided=(r.NotDecided(name="BPFO", needed_s=1 / 3), r.NotDecided(name="FTF", needed_s=None)),
        )
        for name in ("NDE", "DE", "X", "Y")[:n_channels]
    )
    diagnosis = r.Diagnosis(
        point_id=f"{asset_id}-DE",
        channel_id=f"{asset_id}-DE.acc",
        fault="outer_race",
        confidence=0.7,
        evidence=(evidence(),),
        confirm="listen at the drive end",
        excludes=("unbalance",),
    )
    plain = r.Assessment(
        assessment_id=f"asm-{asset_id}-{start_ns}",
        asset_id=asset_id,
        site_id="demo",
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
        diagnoses=(diagnosis,),
        zone=r.Zone.B,
        code_hash="0f1e2d3c4b5a",
    )
    return dataclasses.replace(plain, **changes)


def condition(sequence: int = 1, **changes: Any) -> r.Condition:
    plain = r.Condition(
        condition_id=f"cnd-{sequence}",
        asset_id="P-101",
        site_id="demo",
        point_id="P-101-DE",
        rule="bearing_fault",
        state=r.ConditionState.RAISED,
        sequence=sequence,
        at_ns=NOON_NS,
        episode_started_at_ns=NOON_NS - 1,
        priority=r.Priority.HIGH,
        latching=False,
        zone=r.Zone.C,
        fault="outer_race",
        confidence=0.7,
        reason="because",
        evidence=(evidence(),),
        traceparent="00-1-2-3",
    )
    return dataclasses.replace(plain, **changes)


def transition(sequence: int = 1, **changes: Any) -> r.AlarmTransition:
    asset_id = changes.get("asset_id", "P-101")
    plain = r.AlarmTransition(
        transition_id=f"trn-{asset_id}-{sequence}",
        alarm_id=f"alm-{asset_id}",
        asset_id=asset_id,
        site_id="demo",
        point_id=f"{asset_id}-DE",
        rule="bearing_fault",
        sequence=sequence,
        from_state=r.AlarmState.NORMAL,
        state=r.AlarmState.UNACKNOWLEDGED,
        cause="raised",
        at_ns=NOON_NS + sequence,
        started_at_ns=NOON_NS,
        priority=r.Priority.HIGH,
        zone=r.Zone.C,
        fault="outer_race",
        confidence=0.7,
        reason="because",
        evidence=(evidence(),),
        traceparent="00-1-2-3",
    )
    return dataclasses.replace(plain, **changes)


def everything() -> HistoryRows:
    reading = r.Reading(channel_id="P-101.temp", quantity="temperature", unit="degC", at_ns=NOON_NS, value=61.25)
    event = r.MachineEvent(
        asset_id="P-101",
        device_id="d",
        boot_id="b",
        sequence=3,
        at_ns=NOON_NS,
        kind="plc",
        code="E7",
        text="Öl niedrig",
    )
    waveform = WaveformSnapshot(
        channel_id="P-101-DE.acc",
        asset_id="P-101",
        start_ns=NOON_NS,
        sampling_rate_hz=25_600.0,
        unit="g",
        speed_rpm=None,
        samples=bytes(range(256)) * 4,
    )
    return HistoryRows(
        assessments=[assessment(NOON_NS + i * SECOND_NS) for i in range(3)],
        conditions=[condition()],
        readings=[StoredReading(asset_id="P-101", reading=reading)],
        events=[event],
        waveforms=[waveform],
        gaps=[
            Gap(asset_id="P-101", channel_group="acc", from_ns=1, to_ns=NOON_NS, cause=cause)
            for cause in ("lost", "late")
        ],
        alarm_limits=[
            AlarmLimit(
                asset_id="P-101",
                point_id="P-101-DE",
                model="baseline",
                regime="r1",
                at_ns=NOON_NS,
                windows=2**40,
                windows_needed=2**41,
                limit=1 / 3,
                expected_per_month=0.1,
            )
        ],
        corrections=[
            CorrectedFeatures(
                asset_id="P-101",
                window_start_ns=NOON_NS,
                window_end_ns=NOON_NS + SECOND_NS,
                partial=False,
                code_version="1",
                version=2,
                channels=assessment(NOON_NS).channels,
            )
        ],
    )


async def stored(database: Database, *tables: str, assets: list[str] | None = None) -> Canonical:
    names = tables or tuple(table.name for table in HISTORY)
    found: Canonical = {name: {} for name in names}
    async for name, key, values in read_history(database, names, assets):
        assert key not in found[name]
        found[name][key] = values
    return found


def test_first_claim_starts_from_nothing(migrated_url: str) -> None:
    async def scenario() -> None:
        async with Database(migrated_url) as database:
            claimed = await PartitionStore(database).claim("measurements", 3, "worker-1")
            assert claimed == (Ownership("measurements", 3, 1), Checkpoint(-1, 0, {}))

    asyncio.run(scenario())


def test_claim_gives_what_the_previous_owner_stored(migrated_url: str) -> None:
    async def scenario() -> None:
        async with Database(migrated_url) as database:
            store = PartitionStore(database)
            mine, _ = await store.claim("measurements", 0, "a")
            other, _ = await store.claim("measurements", 1, "a")
            await store.checkpoint(mine, Checkpoint(10, 7, {"P-101": bytes(range(256)), "P-102": b""}))
            await store.checkpoint(mine, Checkpoint(12, 9, {"P-101": b"newer"}))
            await store.checkpoint(other, Checkpoint(99, 99, {"P-103": b"elsewhere"}))
            owned, found = await store.claim("measurements", 0, "b")
            assert owned.epoch == 2
            assert found == Checkpoint(12, 9, {"P-101": b"newer", "P-102": b""})

    asyncio.run(scenario())


def test_concurrent_claims_get_different_epochs(migrated_url: str) -> None:
    async def scenario() -> None:
        async with Database(migrated_url) as one, Database(migrated_url) as two:
            stores = [PartitionStore(one), PartitionStore(two)]
            claims = await asyncio.gather(*(stores[i % 2].claim("conditions", 0, f"w{i}") for i in range(8)))
            assert sorted(owned.epoch for owned, _ in claims) == list(range(1, 9))

    asyncio.run(scenario())


def test_stale_owner_changes_nothing(migrated_url: str) -> None:
    async def scenario() -> None:
        async with Database(migrated_url) as database:
            store = PartitionStore(database)
            stale, _ = await store.claim("conditions", 0, "zombie")
            await store.apply_alarms(stale, Checkpoint(1, 1, {"P-101": b"old"}), [transition(1)])
            fresh, _ = await store.claim("conditions", 0, "heir")
            with pytest.raises(StaleOwner, match="epoch 1 is stale, the owner's is 2"):
                await store.checkpoint(stale, Checkpoint(5, 5, {"P-101": b"zombie"}))
            with pytest.raises(StaleOwner):
                await store.apply_alarms(stale, Checkpoint(5, 5, {"P-101": b"zombie"}), [transition(2)])
            with pytest.raises(StaleOwner):
                await store.mark_sent(stale, 1)
            with pytest.raises(StaleOwner):
                await store.unsent(stale, 10)
            with pytest.raises(StaleOwner):
                await store.checkpoint(Ownership("conditions", 7, 1), NOTHING)
            assert [row.sequence for row in await store.unsent(fresh, 10)] == [1]
            _, found = await store.claim("conditions", 0, "next")
            assert found == Checkpoint(1, 1, {"P-101": b"old"})
            assert len((await stored(database, "alarm_history"))["alarm_history"]) == 1

    asyncio.run(scenario())


def test_claim_waits_for_the_transaction_of_the_previous_owner(migrated_url: str) -> None:
    async def scenario() -> None:
        async with Database(migrated_url) as database:
            store = PartitionStore(database)
            await store.claim("conditions", 0, "a")
            async with await psycopg.AsyncConnection.connect(migrated_url) as previous:
                await previous.execute("SELECT FROM partition_owner FOR UPDATE")
                await previous.execute("INSERT INTO checkpoint VALUES ('conditions', 0, 41, 40)")
                heir = asyncio.create_task(store.claim("conditions", 0, "b"))
                await until_waiting(migrated_url, 1)
                assert not heir.done()
                await previous.commit()
            _, found = await heir
            assert found.applied_offset == 41

    asyncio.run(scenario())


async def until_waiting(url: str, n_waiting: int) -> None:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as watcher, asyncio.timeout(10):
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        # the event lies in another process, so there is nothing to await but the next look
        while await (await watcher.execute(query)).fetchone() != (n_waiting,):  # noqa: ASYNC110 -- as said above
            await asyncio.sleep(0.01)


def test_rows_come_back_bit_for_bit(migrated_url: str) -> None:
    extreme = [-0.0, 1e-45, 3.4028234663852886e38, math.inf, -math.inf, math.nan, 0.10000000149011612]
    awkward = assessment(
        NOON_NS + 5,
        speed_rpm=-0.0,
        regime='quote " tab \t newline \n backslash \\N',
        diagnoses=(),
        zone=None,
    )
    channel = dataclasses.replace(
        awkward.channels[0],
        features=tuple(extreme) + (None,) * (len(FEATURE_NAMES) - len(extreme)),
        scores=(
            r.Score(
                model="m",
                version="1",
                value=5e-324,
                threshold=math.nan,
                learning=False,
                explanation=(evidence(value=-0.0, limit=1.7976931348623157e308, text="a\\u0000b"),),
            ),
        ),
    )
    rows = everything()
    rows.assessments.append(dataclasses.replace(awkward, channels=(channel,)))

    async def scenario() -> None:
        async with Database(migrated_url) as database:
            await PartitionStore(database).append(rows)
            assert await stored(database) == canonical_rows(rows)

    asyncio.run(scenario())


def test_text_with_nul_is_stored_without_it(migrated_url: str) -> None:
    event = r.MachineEvent(
        asset_id="P-101", device_id="d\0", boot_id="b", sequence=1, at_ns=1, kind="plc", code="", text="a\0b"
    )
    rows = HistoryRows(events=[event], conditions=[condition(reason="\0", evidence=(evidence(text="x\0\\u0000"),))])

    async def scenario() -> None:
        async with Database(migrated_url) as database:
            await PartitionStore(database).append(rows)
            found = await stored(database)
            assert found == canonical_rows(rows)
            assert found["machine_event"] == {("P-101", "d\ufffd", "b", 1, 1): ("plc", "", "a\ufffdb")}

    asyncio.run(scenario())


def test_appending_again_changes_nothing(migrated_url: str) -> None:
    async def scenario() -> None:
        async with Database(migrated_url) as database:
            store = PartitionStore(database)
            await store.append(everything())
            await store.append(everything())
            await store.append(HistoryRows())
            assert await stored(database) == canonical_rows(everything())

    asyncio.run(scenario())


def test_first_row_under_a_key_counts(migrated_url: str) -> None:
    first, second = assessment(speed_rpm=1.0), assessment(speed_rpm=2.0)

    async def scenario() -> None:
        async with Database(migrated_url) as database:
            store = PartitionStore(database)
            await store.append(HistoryRows(assessments=[first, second]))
            await store.append(HistoryRows(assessments=[second]))
            assert await stored(database) == canonical_rows(HistoryRows(assessments=[first, second]))

    asyncio.run(scenario())


def test_concurrent_appends_of_the_same_rows_store_them_once(migrated_url: str) -> None:
    rows = HistoryRows(assessments=[assessment(NOON_NS + i * SECOND_NS) for i in range(200)])

    async def scenario() -> None:
        async with Database(migrated_url) as one, Database(migrated_url) as two:
            await asyncio.gather(*(PartitionStore(database).append(rows) for database in (one, two, one, two)))
            assert await stored(one) == canonical_rows(rows)

    asyncio.run(scenario())


def test_no_row_is_refused_for_its_time(migrated_url: str) -> None:
    far = [-(2**63), -5 * DAY_NS, -1, 0, 1, NOON_NS, 2**63 - 1 - SECOND_NS]
    spread = [NOON_NS + i * 3 * DAY_NS for i in range(100)]
    first = HistoryRows(assessments=[assessment(start, n_channels=1) for start in far])
    second = HistoryRows(assessments=[assessment(start, n_channels=1) for start in spread])
    third = HistoryRows(assessments=[assessment(start + 1, n_channels=1) for start in [*spread, *far[:-1]]])

    async def scenario() -> None:
        async with Database(migrated_url) as database:
            for rows in (first, second, third):
                await PartitionStore(database).append(rows)
            every = HistoryRows(assessments=first.assessments + second.assessments + third.assessments)
            assert await stored(database) == canonical_rows(every)

    asyncio.run(scenario())


def test_read_history_picks_assets(migrated_url: str) -> None:
    mine, other = assessment(asset_id="P-101"), assessment(asset_id="P-102")

    async def scenario() -> None:
        async with Database(migrated_url) as database:
            await PartitionStore(database).append(HistoryRows(assessments=[mine, other]))
            assert await stored(database, assets=["P-102"]) == canonical_rows(HistoryRows(assessments=[other]))

    asyncio.run(scenario())


def test_transitions_are_stored_once_with_gapless_outbox_sequences(migrated_url: str) -> None:
    steps = [transition(i) for i in range(1, 6)]

    async def scenario() -> None:
        async with Database(migrated_url) as database:
            store = PartitionStore(database)
            owned, _ = await store.claim("conditions", 0, "a")
            await store.apply_alarms(owned, Checkpoint(2, 2, {}), steps[:2])
            await store.apply_alarms(owned, Checkpoint(2, 2, {}), steps[:2])  # the answer to COMMIT was lost
            heir, _ = await store.claim("conditions", 0, "b")
            await store.apply_alarms(heir, Checkpoint(5, 5, {}), [steps[1], steps[2], steps[1], *steps[3:]])
            waiting = await store.unsent(heir, 100)
            assert [row.sequence for row in waiting] == [1, 2, 3, 4, 5]
            assert [row.transition for row in waiting] == steps
            assert (await stored(database, "alarm_history"))["alarm_history"] == canonical_transitions(steps)

    asyncio.run(scenario())


def test_relayed_rows_are_no_longer_unsent(migrated_url: str) -> None:
    async def scenario() -> None:
        async with Database(migrated_url) as database:
            store = PartitionStore(database)
            owned, _ = await store.claim("conditions", 0, "a")
            await store.apply_alarms(owned, NOTHING, [transition(i) for i in range(1, 6)])
            assert [row.sequence for row in await store.unsent(owned, 2)] == [1, 2]
            await store.mark_sent(owned, 2)
            await store.mark_sent(owned, 1)
            assert [row.sequence for row in await store.unsent(owned, 10)] == [3, 4, 5]
            await store.mark_sent(owned, 5)
            assert await store.unsent(owned, 10) == []
            await store.apply_alarms(owned, NOTHING, [transition(6)])
            assert [row.sequence for row in await store.unsent(owned, 10)] == [6]

    asyncio.run(scenario())


def test_evidence_that_is_no_number_does_not_block_the_outbox(migrated_url: str) -> None:
    odd = transition(1, evidence=(evidence(value=math.inf, limit=math.nan),), note="a\0b")

    async def scenario() -> None:
        async with Database(migrated_url) as database:
            store = PartitionStore(database)
            owned, _ = await store.claim("conditions", 0, "a")
            await store.apply_alarms(owned, NOTHING, [odd])
            [row] = await store.unsent(owned, 10)
            assert math.isnan(row.transition.evidence[0].value)
            assert row.transition.evidence[0].limit is None
            assert row.transition.note == "a\ufffdb"

    asyncio.run(scenario())


def test_changes_are_seen_in_commit_order_and_none_is_missed(migrated_url: str) -> None:
    n_partitions, n_steps = 3, 25

    async def produce(store: PartitionStore, partition: int) -> None:
        owned, _ = await store.claim("conditions", partition, "w")
        for i in range(1, n_steps + 1):
            step = transition(i, asset_id=f"P-{partition}")
            await store.apply_alarms(owned, Checkpoint(i, i, {f"P-{partition}": b"s"}), [step])

    async def scenario() -> None:
        async with Database(migrated_url, max_connections=n_partitions + 1) as database, asyncio.timeout(30):
            reader, store = HistoryReader(database), PartitionStore(database)
            work = asyncio.gather(*(produce(store, partition) for partition in range(n_partitions)))
            seen: list[tuple[int, r.AlarmTransition]] = []
            while len(seen) < n_partitions * n_steps:
                seen += await reader.changes(EVERYBODY, seen[-1][0] if seen else 0, 7)
            await work
            positions = [position for position, _ in seen]
            assert positions == sorted(set(positions))
            assert await reader.change_position() == positions[-1]
            for partition in range(n_partitions):
                steps = [step.sequence for _, step in seen if step.asset_id == f"P-{partition}"]
                assert steps == list(range(1, n_steps + 1))

    asyncio.run(scenario())


def test_transition_waits_for_one_that_has_its_position_but_no_commit_yet(migrated_url: str) -> None:
    async def scenario() -> None:
        async with Database(migrated_url) as database:
            store, reader = PartitionStore(database), HistoryReader(database)
            owners = [(await store.claim("conditions", partition, "w"))[0] for partition in (0, 1)]
            await store.apply_alarms(owners[0], NOTHING, [transition(1, asset_id="P-0")])
            seen = await reader.change_position()
            async with await psycopg.AsyncConnection.connect(migrated_url) as hindrance:
                await hindrance.execute("SELECT FROM alarm FOR UPDATE")
                slow = asyncio.create_task(store.apply_alarms(owners[0], NOTHING, [transition(2, asset_id="P-0")]))
                await until_waiting(migrated_url, 1)
                quick = asyncio.create_task(store.apply_alarms(owners[1], NOTHING, [transition(1, asset_id="P-1")]))
                await until_waiting(migrated_url, 2)
                assert await reader.changes(EVERYBODY, seen, 10) == []
                await hindrance.rollback()
            await asyncio.gather(slow, quick)
            changes = await reader.changes(EVERYBODY, seen, 10)
            assert [step.asset_id for _, step in changes] == ["P-0", "P-1"]

    asyncio.run(scenario())


def test_refusals_are_allowed_up_to_the_limit_whoever_asks(migrated_url: str) -> None:
    async def scenario() -> None:
        async with Database(migrated_url) as one, Database(migrated_url) as two:
            accounts = [RefusalAccount(one), RefusalAccount(two)]
            allowed = await asyncio.gather(*(accounts[i % 2].allow_refusals(64, 1_000) for i in range(20)))
            assert sorted(allowed) == [0] * 4 + [1_000 - 15 * 64] + [64] * 15
            aged = "UPDATE refusal_allowance SET taken_at = taken_at - interval '30 seconds'"
            await one.execute(aged)
            assert await accounts[0].allow_refusals(1, 1_000) == 0
            await one.execute(aged)
            assert await accounts[1].allow_refusals(64, 1_000) == 64

    asyncio.run(scenario())


def test_a_clock_set_back_does_not_stop_refusals_for_good(migrated_url: str) -> None:
    async def scenario() -> None:
        async with Database(migrated_url) as database:
            account = RefusalAccount(database)
            assert await account.allow_refusals(10, 10) == 10
            await database.execute("UPDATE refusal_allowance SET taken_at = taken_at + interval '1 hour'")
            assert await account.allow_refusals(10, 10) == 10

    asyncio.run(scenario())


async def keep_many(database: Database, count: int, log_start: int = 0) -> Ownership:
    """Take and keep `count` checkpoints, eleven minutes apart."""
    store, keeper = PartitionStore(database), CheckpointKeeper(database)
    mine, _ = await store.claim("measurements", 0, "a")
    for number in range(count):
        offset = 100 * number
        await store.checkpoint(mine, Checkpoint(offset, offset - 5, {"P-101": b"%d" % offset, f"P-{number}": b"new"}))
        await keeper.keep(mine, log_start)
        await keeper.keep(mine, log_start)  # not again so soon
        await database.execute("UPDATE kept_checkpoint SET stored_at = stored_at - interval '11 minutes'")
    return mine


def test_kept_checkpoints_are_bounded_spread_out_and_whole(migrated_url: str) -> None:
    async def scenario() -> None:
        async with Database(migrated_url) as database:
            await keep_many(database, 3 * KEPT, log_start=95)
            rows = await database.rows("SELECT applied_offset, resume_offset FROM kept_checkpoint ORDER BY 1")
            offsets = [row["applied_offset"] for row in rows]
            assert len(offsets) == KEPT
            assert offsets[0] == 100, "what begins before the log is kept, or the oldest that doesn't isn't"
            assert max(b - a for a, b in itertools.pairwise(offsets)) <= 400
            found = await oldest_kept(database, {("measurements", 0): 1_000, ("measurements", 1): 0})
            (kept,) = found.values()
            applied = min(offset for offset in offsets if offset - 5 >= 1_000)
            assert (kept.checkpoint.applied_offset, kept.checkpoint.resume_offset) == (applied, applied - 5)
            assert kept.checkpoint.states["P-101"] == b"%d" % applied
            assert len(kept.checkpoint.states) == 2 + applied // 100

    asyncio.run(scenario())


def test_kept_checkpoints_go_with_the_log(migrated_url: str) -> None:
    async def scenario() -> None:
        async with Database(migrated_url) as database:
            mine = await keep_many(database, 10)
            await CheckpointKeeper(database).keep(mine, 700)
            kept = await database.rows("SELECT applied_offset FROM kept_checkpoint ORDER BY 1")
            assert [row["applied_offset"] for row in kept] == [800, 900]
            states = await database.rows("SELECT DISTINCT applied_offset FROM kept_state ORDER BY 1")
            assert states == kept
            await PartitionStore(database).claim("measurements", 0, "heir")
            with pytest.raises(StaleOwner):
                await CheckpointKeeper(database).keep(mine, 0)

    asyncio.run(scenario())
