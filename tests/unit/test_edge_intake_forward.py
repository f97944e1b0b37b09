"""The way from a collector to the log: nobody is acknowledged early, nothing is skipped, repetitions are known."""

import asyncio
import dataclasses
from pathlib import Path

import pytest

from contracts import records as r
from contracts.errors import Reason, Unavailable
from contracts.topics import DEAD_LETTERS, MEASUREMENTS
from edge_forwarder.buffer import Buffer, Limits, Stream
from edge_forwarder.counters import Counters
from edge_forwarder.edge import Edge
from edge_forwarder.entries import COLLECTOR_BOOT, Collected, GapRecorder, from_payload, refusal, to_payload
from edge_forwarder.forward import Forwarder
from edge_forwarder.intake import Arrival, Intake
from tests.edge_samples import FixedClock, ListOutlet, block, event, new_buffer, readings, running, until


class Sender:
    """Hands records over and notes which were acknowledged, in order."""

    def __init__(self, intake: Intake) -> None:
        self.intake = intake
        self.acknowledged: list[Collected] = []

    def send(self, *records: Collected) -> None:
        for record in records:
            self.intake.put(self._arrival(record))

    def _arrival(self, record: Collected) -> Arrival:
        return Arrival(lambda: record, lambda: self.acknowledged.append(record))


def buffered(buffer: Buffer) -> list[Collected]:
    return [from_payload(kept.payload) for kept in buffer.take(10**9)]


def test_acknowledged_means_on_disk_in_the_order_of_arrival(tmp_path: Path) -> None:
    sent: list[Collected] = [block(0), readings(0), event(0), block(1), readings(1)]

    async def go() -> None:
        intake = Intake(new_buffer(tmp_path), Counters(), lambda: None)
        sender = Sender(intake)
        async with running(intake.run()):
            sender.send(*sent)
            await until(lambda: len(sender.acknowledged) == len(sent))
        assert sender.acknowledged == sent

    asyncio.run(go())
    assert buffered(new_buffer(tmp_path)) == sent


def test_while_the_disk_is_full_nobody_is_acknowledged_and_then_everybody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = {"full": True}
    write = Buffer.append

    def append(self: Buffer, records: list[tuple[Stream, bytes]]) -> None:
        if disk["full"]:
            raise OSError(28, "No space left on device")
        write(self, records)

    monkeypatch.setattr(Buffer, "append", append)

    async def go() -> None:
        counters = Counters()
        intake = Intake(new_buffer(tmp_path), counters, lambda: None, retry_s=0.01)
        sender = Sender(intake)
        async with running(intake.run()):
            sender.send(block(0), block(1))
            await until(lambda: "No space left" in counters.problems.get("buffer", ""))
            assert sender.acknowledged == []
            disk["full"] = False
            await until(lambda: len(sender.acknowledged) == 2)
            assert counters.problems == {}
            assert counters.kept == 2

    asyncio.run(go())
    assert buffered(new_buffer(tmp_path)) == [block(0), block(1)]


def test_a_schema_that_cannot_be_had_now_is_waited_for(tmp_path: Path) -> None:
    answers = iter([Unavailable("schema registry", "away"), Unavailable("schema registry", "away"), None])

    def collect() -> Collected:
        error = next(answers)
        if error is not None:
            raise error
        return block(0)

    async def go() -> None:
        acknowledged = asyncio.Event()
        intake = Intake(new_buffer(tmp_path), Counters(), lambda: None, retry_s=0.01)
        async with running(intake.run()):
            intake.put(Arrival(collect, acknowledged.set))
            await asyncio.wait_for(acknowledged.wait(), 10)

    asyncio.run(go())
    assert buffered(new_buffer(tmp_path)) == [block(0)]


def repeated_pairs() -> list[tuple[Collected, Collected, bool]]:
    ours = dataclasses.replace(readings(3), boot_id=f"{COLLECTOR_BOOT}1", sequence=0)
    letter = refusal("mqtt/x", Reason.BAD_TOPIC, "why", b"value", 1)
    return [
        (block(3), block(3), True),
        (event(3), event(3), True),
        (block(3), block(4), False),
        (block(3), block(3, boot_id="b2"), False),
        (block(3), dataclasses.replace(block(4), sequence=3), False),  # a number given twice is no repetition
        (ours, dataclasses.replace(ours, boot_id=f"{COLLECTOR_BOOT}2", sequence=9), True),
        (readings(3), dataclasses.replace(readings(3), sequence=4), False),
        (letter, dataclasses.replace(letter, timestamp_ns=2), True),
        (letter, dataclasses.replace(letter, value=b"other"), False),
    ]


@pytest.mark.parametrize(("first", "second", "same"), repeated_pairs())
@pytest.mark.parametrize("restarted", [False, True])
def test_a_repetition_is_acknowledged_and_kept_once(
    tmp_path: Path, first: Collected, second: Collected, same: bool, restarted: bool
) -> None:
    async def go(*records: Collected) -> int:
        buffer, counters = new_buffer(tmp_path), Counters()
        intake = Intake(buffer, counters, lambda: None)
        sender = Sender(intake)
        async with running(intake.run()):
            sender.send(*records)
            await until(lambda: len(sender.acknowledged) == len(records))
        buffer.close()
        return counters.repeated

    if restarted:
        asyncio.run(go(first))
        repeated = asyncio.run(go(second))
    else:
        repeated = asyncio.run(go(first, second))
    assert repeated == same
    assert len(buffered(new_buffer(tmp_path))) == (1 if same else 2)


def test_the_log_gets_everything_oldest_first_and_again_what_it_did_not_acknowledge(tmp_path: Path) -> None:
    sent: list[Collected] = [block(0), readings(0), event(0), refusal("mqtt/x", Reason.BAD_TOPIC, "why", b"?", 1)]
    buffer, outages = new_buffer(tmp_path), iter([True, True])
    outlet = ListOutlet(lambda: next(outages, False))
    for record in sent:
        buffer.append([(Stream.RECORDS, to_payload(record))])

    async def go() -> Counters:
        counters = Counters()
        forwarder = Forwarder(buffer, outlet, FixedClock(), counters, retry_s=0.01)
        async with running(forwarder.run()):
            await asyncio.wait_for(forwarder.drained.wait(), 10)
            buffer.append([(Stream.RECORDS, to_payload(event(1)))])
            forwarder.wake()
            await asyncio.wait_for(forwarder.drained.wait(), 10)
        return counters

    assert asyncio.run(go()).forwarded == 5
    assert [record for _, _, record in outlet.acknowledged] == [*sent, event(1)]
    assert [(topic, key) for topic, key, _ in outlet.acknowledged[2:4]] == [
        (MEASUREMENTS, "P-1"),
        (DEAD_LETTERS, "mqtt/x"),
    ]
    assert new_buffer(tmp_path).take(10**9) == []


def test_the_place_is_stored_only_after_the_log_has_acknowledged(tmp_path: Path) -> None:
    buffer = new_buffer(tmp_path)
    buffer.append([(Stream.RECORDS, to_payload(event(0)))])

    async def go() -> None:
        tries = 0

        def fails() -> bool:
            nonlocal tries
            tries += 1
            return True

        forwarder = Forwarder(buffer, ListOutlet(fails), FixedClock(), Counters(), retry_s=0.01)
        async with running(forwarder.run()):
            await until(lambda: tries > 2)

    asyncio.run(go())
    assert buffered(new_buffer(tmp_path)) == [event(0)]


def test_what_the_disk_changed_becomes_a_dead_letter(tmp_path: Path) -> None:
    buffer = new_buffer(tmp_path)
    for sequence in range(3):
        buffer.append([(Stream.RECORDS, to_payload(event(sequence)))])
    buffer.close()
    (segment,) = tmp_path.glob("records/*.segment")
    content = bytearray(segment.read_bytes())
    content[len(content) // 2] ^= 1
    segment.write_bytes(content)
    outlet = ListOutlet()

    async def go() -> None:
        forwarder = Forwarder(new_buffer(tmp_path), outlet, FixedClock(), Counters())
        async with running(forwarder.run()):
            await asyncio.wait_for(forwarder.drained.wait(), 10)

    asyncio.run(go())
    first, letter, last = [record for _, _, record in outlet.acknowledged]
    assert [first, last] == [event(0), event(2)]
    assert isinstance(letter, r.DeadLetter)
    assert (letter.topic, letter.reason) == ("buffer/records", "damaged")
    assert letter.value is not None
    assert letter.value in content


def test_a_record_of_another_version_stops_nothing(tmp_path: Path) -> None:
    buffer, outlet = new_buffer(tmp_path), ListOutlet()
    buffer.append([(Stream.WAVEFORMS, b"\x00\x00\x00\x00\x63of tomorrow")])
    buffer.append([(Stream.WAVEFORMS, to_payload(block(0)))])

    async def go() -> None:
        forwarder = Forwarder(new_buffer(tmp_path), outlet, FixedClock(), Counters())
        intake = Intake(buffer, Counters(), forwarder.wake)
        async with running(forwarder.run(), intake.run()):
            await asyncio.wait_for(forwarder.drained.wait(), 10)

    asyncio.run(go())
    letter, record = [record for _, _, record in outlet.acknowledged]
    assert record == block(0)
    assert isinstance(letter, r.DeadLetter)
    assert letter.reason == "unknown_schema"
    assert GapRecorder("x")("1", [b"\x00\x00\x00\x00\x63of tomorrow"]) == []


def test_gap_records_name_what_was_dropped_and_are_the_same_each_time() -> None:
    dropped = [to_payload(block(n, asset_id=asset)) for n in (4, 5, 6) for asset in ("P-1", "P-2")]
    recorder = GapRecorder("forwarder-x")
    told = recorder("0007", dropped)
    assert told == recorder("0007", dropped)
    events = [from_payload(payload) for payload in told]
    assert [(e.asset_id, e.kind, e.sequence) for e in events if isinstance(e, r.MachineEvent)] == [
        ("P-1", "gap", 0),
        ("P-2", "gap", 1),
    ]
    first = events[0]
    assert isinstance(first, r.MachineEvent)
    assert first.at_ns == block(4).start_ns
    assert "3 blocks of daq-P-1 (boot b1, sequence 4 to 6" in first.text


def test_dropped_waveforms_reach_the_log_as_gap_events(tmp_path: Path) -> None:
    size = len(to_payload(block(0)))
    limits = Limits(segment_bytes=3 * size, waveforms_bytes=16 * size, records_bytes=10**6, refusals_bytes=10**6)
    buffer = new_buffer(tmp_path, limits)
    for sequence in range(60):
        buffer.append([(Stream.WAVEFORMS, to_payload(block(sequence)))])
    records = buffered(buffer)
    kept = [one.sequence for one in records if isinstance(one, r.AcquisitionBlock)]
    told = [one.text for one in records if isinstance(one, r.MachineEvent)]
    assert len(kept) + sum(int(text.split()[0]) for text in told) == 60
    assert kept == sorted(kept)
    assert kept[-1] == 59


def test_a_stop_sends_what_was_collected_first(tmp_path: Path) -> None:
    outlet, buffer = ListOutlet(), new_buffer(tmp_path)
    told: list[dict[str, object]] = []

    async def go() -> None:
        edge, stop = Edge(buffer, outlet, FixedClock()), asyncio.Event()
        acknowledged = asyncio.Event()

        async def collect() -> None:
            await asyncio.wait_for(acknowledged.wait(), 10)
            stop.set()

        class Collector:
            def __init__(self, put: object) -> None:
                self.put = put

            async def __aenter__(self) -> None:
                self.put(Arrival(lambda: block(0), acknowledged.set))  # type: ignore[operator]

            async def __aexit__(self, *_error: object) -> None:
                return None

        async with asyncio.TaskGroup() as group:
            group.create_task(collect())
            group.create_task(edge.run([Collector], stop, told.append))

    asyncio.run(go())
    assert [record for _, _, record in outlet.acknowledged] == [block(0)]
    assert told
    assert told[0]["ready"] is True
