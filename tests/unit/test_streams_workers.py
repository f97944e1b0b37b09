"""The stream's workers over in-memory ports: the order of the exactness protocol, retries, ownership, dead letters."""

import asyncio
import dataclasses
from collections.abc import Coroutine
from typing import Any

import pytest

from contracts import ports, topics
from contracts import records as r
from contracts.activations import activation_of
from contracts.codec import BundledSchemas, Codec
from contracts.errors import BadRecord, Reason
from processors.own_features import ENGINE_ALONE
from processors.pipeline import PartitionPipeline
from runtime.demo import demo_assets, demo_records
from streams import retry
from streams.alarms import AlarmWorker
from streams.conditions import SINK_AGE_S, ConditionWorker
from streams.dead_letters import DeadLetters, TooManyDeadLetters
from streams.message import LogMessage
from streams.outbox import OutboxRelay
from tests.stream_doubles import Journal, ManualClock, MemoryAccount, MemoryOutlet, MemoryQueue, MemoryStore

CODEC = Codec(BundledSchemas())
START_NS = 1_700_000_000_000_000_000
_, ASSETS = demo_assets()
PUMP = dataclasses.replace(ASSETS[0], models=())


class NoModels:
    def load(self, name: str, version: str, sha256: str | None = None) -> bytes:
        raise AssertionError("no model is configured")


def message(
    offset: int, record: r.Record | bytes, key: str | None = "P-101", topic: str = "measurements"
) -> LogMessage:
    value = record if isinstance(record, bytes) else CODEC.encode(topic, record)
    return LogMessage(topic, 0, offset, START_NS, key.encode() if key else None, value, (("h", b"1"),))


def reading(offset: int, sequence: int) -> LogMessage:
    value = r.Reading(
        channel_id="P-101-DE-H.temp", quantity="temperature", unit="degC", at_ns=START_NS + sequence, value=48.0
    )
    batch = r.ReadingBatch(asset_id="P-101", device_id="d", boot_id="b", sequence=sequence, readings=(value,))
    return message(offset, batch)


def condition(sequence: int, state: r.ConditionState = r.ConditionState.RAISED) -> r.Condition:
    return r.Condition(
        condition_id=f"con_{sequence}",
        asset_id="P-101",
        site_id="demo",
        point_id="P-101-DE-H",
        rule="bearing_fault",
        state=state,
        sequence=sequence,
        at_ns=START_NS + sequence,
        episode_started_at_ns=START_NS,
        priority=r.Priority.MEDIUM,
        latching=False,
        zone=r.Zone.A,
        fault="outer_race",
        confidence=0.9,
        reason="because",
        evidence=(),
    )


@dataclasses.dataclass
class MemoryLog:
    """One partition, and which ranges of it were read again."""

    messages: list[LogMessage] = dataclasses.field(default_factory=list)
    reads: list[tuple[int, int]] = dataclasses.field(default_factory=list)

    def between(self, _partition: int, first: int, end: int) -> list[LogMessage]:
        self.reads.append((first, end))
        return [message for message in self.messages if first <= message.offset < end]


def tick(offset: int) -> LogMessage:
    return message(offset, r.Tick(topic="conditions", partition=0, at_ns=START_NS, epoch=1), key="", topic="conditions")


@dataclasses.dataclass
class Parts:
    journal: Journal
    store: MemoryStore
    outlet: MemoryOutlet
    queue: MemoryQueue
    clock: ManualClock
    conditions: ConditionWorker
    alarms: AlarmWorker
    #: What lies on ``conditions``.
    log: MemoryLog
    committed: dict[int, int] = dataclasses.field(default_factory=dict)

    async def commit(self, offsets: dict[int, int]) -> None:
        self.journal.note("commit")
        self.committed.update(offsets)


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> Parts:
    monkeypatch.setattr(retry, "_LONGEST_S", 0.0)
    journal, clock = Journal(), ManualClock()
    store, outlet, queue = MemoryStore(journal), MemoryOutlet(journal), MemoryQueue(journal)
    letters = DeadLetters(outlet, MemoryAccount(clock), clock, limit_per_minute=5)
    log = MemoryLog()
    relay = OutboxRelay(store, outlet, queue, lambda transition: (transition.transition_id, b"{}"))  # type: ignore[arg-type]
    return Parts(
        journal,
        store,
        outlet,
        queue,
        clock,
        ConditionWorker(store, NoModels(), ENGINE_ALONE, CODEC, outlet, letters, clock, "me"),
        AlarmWorker(store, CODEC, outlet, letters, relay, clock, "me", log.between),
        log,
    )


def run(step: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(step)


def activated(offset: int = 0) -> LogMessage:
    return message(offset, activation_of(PUMP, START_NS, "test"))


class TestConditionWorker:
    def test_a_checkpoint_acknowledges_then_stores_then_saves_then_commits(self, parts: Parts) -> None:
        async def story() -> None:
            assert await parts.conditions.claim(0) == 0
            await parts.conditions.process([activated(), reading(1, 0)])
            parts.journal.calls.clear()
            await parts.conditions.checkpoint(parts.commit)

        run(story())
        assert parts.journal.calls == ["flush", "append", "checkpoint", "commit"]
        saved = parts.store.checkpoints["measurements", 0]
        assert (saved.applied_offset, saved.resume_offset) == (1, 2)
        assert set(saved.states) == {"P-101"}
        assert parts.committed == {0: 2}

    def test_a_new_owner_goes_on_from_the_checkpoint_and_does_nothing_twice(self, parts: Parts) -> None:
        async def story() -> int:
            await parts.conditions.claim(0)
            await parts.conditions.process([activated(), reading(1, 0)])
            await parts.conditions.checkpoint(parts.commit)
            parts.conditions.drop([0])
            offset: int = await parts.conditions.claim(0)
            await parts.conditions.process([reading(1, 0), reading(2, 1)])
            await parts.conditions.checkpoint(parts.commit)
            return offset

        assert run(story()) == 2
        assert parts.store.checkpoints["measurements", 0].applied_offset == 2

    @pytest.mark.parametrize("call", ["append", "checkpoint", "claim"])
    def test_an_absent_database_delays_and_loses_nothing(self, parts: Parts, call: str) -> None:
        parts.journal.failing[call] = 2

        async def story() -> None:
            await parts.conditions.claim(0)
            await parts.conditions.process([activated(), reading(1, 0)])
            await parts.conditions.checkpoint(parts.commit)

        run(story())
        assert parts.store.checkpoints["measurements", 0].applied_offset == 1
        assert parts.journal.failing[call] == 0

    def test_a_stale_owner_saves_nothing_and_commits_nothing(self, parts: Parts) -> None:
        async def story() -> None:
            await parts.conditions.claim(0)
            await parts.conditions.process([activated()])
            await parts.store.claim("measurements", 0, "somebody else")
            await parts.conditions.checkpoint(parts.commit)

        run(story())
        assert ("measurements", 0) not in parts.store.checkpoints
        assert parts.committed == {}
        assert parts.conditions.partitions == []

    def test_results_are_stored_once_they_are_old_enough(self, parts: Parts) -> None:
        async def story() -> tuple[int, int]:
            await parts.conditions.claim(0)
            await parts.conditions.process([activated(), reading(1, 0)])
            await parts.conditions.store_due_rows()
            young = parts.journal.calls.count("append")
            parts.clock.at_ns += int(SINK_AGE_S * 1e9) + 1
            await parts.conditions.store_due_rows()
            return young, parts.journal.calls.count("append")

        assert run(story()) == (0, 1)

    def test_poison_goes_to_the_dead_letters_whole_and_the_partition_goes_on(self, parts: Parts) -> None:
        async def story() -> None:
            await parts.conditions.claim(0)
            await parts.conditions.process([activated(), message(1, b"poison"), reading(2, 0)])

        run(story())
        (letter,) = parts.outlet.on(topics.DEAD_LETTERS)
        assert isinstance(letter, r.DeadLetter)
        assert (letter.partition, letter.offset, letter.reason) == (0, 1, "bad_frame")
        assert (letter.key, letter.value) == (b"P-101", b"poison")
        assert letter.headers == (r.Header(name="h", value=b"1"),)
        assert parts.store.epochs == {("measurements", 0): 1}

    @pytest.mark.parametrize("size", [1, 3, 1_000])
    def test_the_size_of_the_batches_changes_no_result(self, parts: Parts, size: int) -> None:
        async def story() -> None:
            await parts.conditions.claim(0)
            for first in range(0, len(log), size):
                await parts.conditions.process(log[first : first + size])
            await parts.conditions.checkpoint(parts.commit)

        records = [due.record for due in demo_records(boot_id="b", start_ns=START_NS, duration_s=3.2)]
        mine = [record for record in records if not isinstance(record, r.Tick) and record.asset_id == "P-101"]
        log = [activated(), *(message(offset, record) for offset, record in enumerate(mine, start=1))]
        run(story())
        whole = PartitionPipeline(NoModels(), ports.Checkpoint(-1, 0, {}))
        for one in log:
            assert whole.feed(CODEC, one.offset, one.key, one.value) is None
        expected = whole.take().assessments
        assert len(expected) == 3
        assert parts.store.rows.assessments == expected
        assert parts.outlet.on(topics.ASSESSMENTS) == expected

    def test_every_owned_partition_gets_a_tick(self, parts: Parts) -> None:
        async def story() -> None:
            await parts.conditions.claim(0)
            await parts.conditions.claim(3)
            await parts.conditions.tick()

        run(story())
        ticks = [record for record in parts.outlet.on(topics.MEASUREMENTS) if isinstance(record, r.Tick)]
        assert [(tick.partition, tick.epoch, tick.at_ns) for tick in ticks] == [(0, 1, START_NS), (3, 1, START_NS)]

    def test_records_of_partitions_that_are_not_owned_are_left_alone(self, parts: Parts) -> None:
        run(parts.conditions.process([message(0, b"poison")]))
        assert parts.outlet.sent == []


class TestAlarmWorker:
    def test_a_condition_becomes_a_transition_on_the_topic_and_in_the_queue(self, parts: Parts) -> None:
        run(parts.alarms.apply(message(0, condition(1), topic="conditions")))
        (transition,) = parts.store.transitions
        assert transition.state is r.AlarmState.UNACKNOWLEDGED
        assert parts.outlet.on(topics.ALARMS) == [transition]
        assert list(parts.queue.messages) == [transition.transition_id]
        assert parts.journal.calls == ["claim", "apply_alarms", "flush", "enqueue", "mark_sent"]
        assert ("ce_id", transition.transition_id.encode()) in parts.outlet.headers[-1]

    def test_a_record_delivered_twice_changes_nothing(self, parts: Parts) -> None:
        async def story() -> None:
            for _ in range(2):
                await parts.alarms.apply(message(0, condition(1), topic="conditions"))
            await parts.alarms.apply(message(1, condition(1), topic="conditions"))

        run(story())
        assert len(parts.store.transitions) == 1

    def test_a_restart_keeps_the_alarm_and_its_id(self, parts: Parts) -> None:
        async def story() -> None:
            await parts.alarms.apply(message(0, condition(1), topic="conditions"))
            await parts.alarms.keep([])
            await parts.alarms.apply(message(1, condition(2, r.ConditionState.CLEARED), topic="conditions"))

        run(story())
        raised, cleared = parts.store.transitions
        assert cleared.alarm_id == raised.alarm_id
        assert cleared.state is r.AlarmState.RETURNED_UNACKNOWLEDGED

    def test_what_a_crash_left_in_the_outbox_is_relayed_by_the_next_owner(self, parts: Parts) -> None:
        async def story() -> None:
            await parts.alarms.apply(message(0, condition(1), topic="conditions"))
            parts.store.outbox = [ports.OutboxRow(1, parts.store.transitions[0])]
            await parts.alarms.keep([])
            await parts.alarms.keep([0])

        run(story())
        first, again = parts.outlet.on(topics.ALARMS)
        assert first == again
        assert len(parts.queue.messages) == 1
        assert parts.store.outbox == []

    def test_a_stale_owner_writes_nothing(self, parts: Parts) -> None:
        async def story() -> None:
            await parts.alarms.keep([0])
            await parts.store.claim("conditions", 0, "somebody else")
            await parts.alarms.apply(message(0, condition(1), topic="conditions"))

        run(story())
        assert parts.store.transitions == []
        assert parts.outlet.on(topics.ALARMS) == []

    def test_a_record_that_was_taken_while_another_worker_had_claimed_is_applied_from_the_log(
        self, parts: Parts
    ) -> None:
        async def story() -> None:
            await parts.alarms.keep([0])
            await parts.store.claim("conditions", 0, "one that woke up")
            parts.log.messages = [message(0, condition(1), topic="conditions")]
            await parts.alarms.apply(parts.log.messages[0])
            await parts.alarms.apply(tick(1))

        run(story())
        assert [transition.state for transition in parts.store.transitions] == [r.AlarmState.UNACKNOWLEDGED]

    def test_records_that_are_not_delivered_are_read_from_the_log_in_order(self, parts: Parts) -> None:
        states = [r.ConditionState.RAISED, r.ConditionState.CLEARED] * 3
        parts.log.messages = [message(i, condition(i + 1, state), topic="conditions") for i, state in enumerate(states)]

        async def story() -> None:
            await parts.alarms.apply(parts.log.messages[1])
            await parts.alarms.apply(parts.log.messages[5])
            await parts.alarms.apply(parts.log.messages[3])

        run(story())
        assert [transition.at_ns for transition in parts.store.transitions] == [START_NS + i + 1 for i in range(6)]
        assert parts.log.reads == [(0, 1), (2, 5)]

    def test_what_retention_has_removed_is_passed(self, parts: Parts) -> None:
        async def story() -> None:
            await parts.alarms.apply(message(25_000, condition(1), topic="conditions"))

        run(story())
        assert len(parts.store.transitions) == 1
        assert parts.log.reads == [(0, 10_000), (10_000, 20_000), (20_000, 25_000)]

    def test_records_that_change_nothing_are_checkpointed_now_and_then(self, parts: Parts) -> None:
        async def story() -> None:
            for offset in range(150):
                await parts.alarms.apply(tick(offset))
                await parts.alarms.keep([0])

        run(story())
        assert parts.journal.calls.count("checkpoint") == 1
        assert parts.store.checkpoints[topics.CONDITIONS, 0].applied_offset == 99

    def test_a_record_that_was_interrupted_is_begun_again(self, parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
        parts.log.messages = [message(0, condition(1), topic="conditions")]

        async def cancelled(*_: object) -> None:
            raise asyncio.CancelledError

        async def story() -> None:
            await parts.alarms.keep([0])
            with monkeypatch.context() as patch:
                patch.setattr(parts.store, "apply_alarms", cancelled)
                with pytest.raises(asyncio.CancelledError):
                    await parts.alarms.apply(parts.log.messages[0])
            await parts.alarms.apply(tick(1))

        run(story())
        assert len(parts.store.transitions) == 1

    def test_a_record_under_another_assets_key_is_refused(self, parts: Parts) -> None:
        run(parts.alarms.apply(message(0, condition(1), key="P-999", topic="conditions")))
        (letter,) = parts.outlet.on(topics.DEAD_LETTERS)
        assert isinstance(letter, r.DeadLetter)
        assert letter.reason == "wrong_key"


class TestDeadLetters:
    REFUSAL = BadRecord(Reason.NOT_FINITE, "NaN at sample 3")

    def test_more_than_the_limit_in_a_minute_ends_the_worker(self, parts: Parts) -> None:
        letters = DeadLetters(parts.outlet, MemoryAccount(parts.clock), parts.clock, limit_per_minute=2)

        async def story() -> None:
            for offset in range(2):
                await letters.put(message(offset, b"x"), self.REFUSAL)
            with pytest.raises(TooManyDeadLetters, match="at most 2; the last: not_finite"):
                await letters.put(message(2, b"x"), self.REFUSAL)
            parts.clock.at_ns += 61_000_000_000
            await letters.put(message(3, b"x"), self.REFUSAL)

        run(story())
        assert len(parts.outlet.on(topics.DEAD_LETTERS)) == 3

    @pytest.mark.parametrize("workers", [2, 3])
    def test_several_workers_together_refuse_no_more_than_the_limit(self, parts: Parts, workers: int) -> None:
        account = MemoryAccount(parts.clock)
        fleet = [DeadLetters(parts.outlet, account, parts.clock, limit_per_minute=1_000) for _ in range(workers)]

        async def flood() -> None:
            standing = set(range(workers))
            for offset in range(2_000):
                number = offset % workers
                if number in standing:
                    try:
                        await fleet[number].put(message(offset, b"x"), self.REFUSAL)
                    except TooManyDeadLetters:
                        standing.remove(number)
            assert not standing

        run(flood())
        assert len(parts.outlet.on(topics.DEAD_LETTERS)) == 1_000

    def test_a_few_refusals_take_no_large_allowance(self, parts: Parts) -> None:
        account = MemoryAccount(parts.clock)
        letters = DeadLetters(parts.outlet, account, parts.clock)

        async def story() -> None:
            for offset in range(3):
                await letters.put(message(offset, b"x"), self.REFUSAL)
                parts.clock.at_ns += 61_000_000_000

        run(story())
        assert [records for _, records in account.taken] == [1, 1, 1]

    def test_what_is_beyond_the_limit_is_met_again_by_the_next_worker(self, parts: Parts) -> None:
        async def story() -> None:
            await parts.conditions.claim(0)
            with pytest.raises(TooManyDeadLetters):
                await parts.conditions.process([message(offset, b"x") for offset in range(9)])

        run(story())
        assert len(parts.outlet.on(topics.DEAD_LETTERS)) == 5
        assert parts.store.checkpoints[topics.MEASUREMENTS, 0].applied_offset == 4
