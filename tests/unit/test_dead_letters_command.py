"""Refused records listed once, chosen, shown byte for byte, and put back once."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Iterator

import pytest

from contracts import records as r
from contracts.codec import BundledSchemas, Codec
from contracts.errors import Unavailable
from contracts.topics import CONDITIONS, DEAD_LETTERS, MEASUREMENTS
from runtime.dead_letters import HEADER, Place, Refused, Selection, content, hex_lines, put_back, refused_records

CODEC = Codec(BundledSchemas())
EVENT = r.MachineEvent(
    asset_id="P-1", device_id="plc", boot_id="b", sequence=7, at_ns=5, kind="plc_alarm", code="E1", text="hot"
)


def letter(offset: int = 3, **changes: object) -> r.DeadLetter:
    made = r.DeadLetter(
        topic=MEASUREMENTS,
        partition=0,
        offset=offset,
        timestamp_ns=1_700_000_000_000_000_000,
        reason="unknown_asset",
        detail="'P-1' has no activation",
        key=b"P-1",
        value=CODEC.encode(MEASUREMENTS, EVENT),
        headers=(r.Header(name="trace", value=b"\xff\x00"), r.Header(name="empty", value=None)),
    )
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


@dataclasses.dataclass
class Entry:
    value: bytes | None
    timestamp_ns: int


def log_of(*letters: r.DeadLetter) -> list[Entry]:
    return [Entry(CODEC.encode(DEAD_LETTERS, one), 1_000 + at) for at, one in enumerate(letters)]


def names(log: list[Entry], **wanted: object) -> list[str]:
    return [one.name for one in refused_records(log, CODEC, Selection(**wanted))]  # type: ignore[arg-type]


@dataclasses.dataclass
class Marked:
    """Marks as a transaction keeps them: only when the block ends well."""

    places: set[Place] = dataclasses.field(default_factory=set)

    @contextlib.asynccontextmanager
    async def once(self, place: Place, actor: str) -> AsyncIterator[bool]:
        assert actor == "tester"
        due = place not in self.places
        yield due
        self.places.add(place)


@dataclasses.dataclass
class Log:
    """Takes what is put back; the first attempts may fail."""

    failures: int = 0
    taken: list[tuple[r.DeadLetter, list[tuple[str, bytes]]]] = dataclasses.field(default_factory=list)

    async def put_back(self, letter: r.DeadLetter, headers: list[tuple[str, bytes]]) -> None:
        if self.failures:
            self.failures -= 1
            raise Unavailable("Kafka", "away")
        self.taken.append((letter, headers))


def run(chosen: Iterator[Refused], marks: Marked, log: Log) -> list[tuple[str, bool]]:
    async def work() -> list[tuple[str, bool]]:
        return [(one.name, now) async for one, now in put_back(chosen, marks, log, "tester")]

    return asyncio.run(work())


def test_a_record_that_was_refused_twice_after_a_crash_is_listed_once() -> None:
    log = log_of(letter(3), letter(4), letter(3), letter(3, partition=1))
    assert names(log) == ["measurements/0/3", "measurements/0/4", "measurements/1/3"]


def test_what_never_was_on_the_log_is_known_by_source_and_time_and_cannot_be_put_back() -> None:
    edge = letter(-1, topic="plant/p1/vibration", partition=-1, timestamp_ns=42)
    later = dataclasses.replace(edge, timestamp_ns=43)
    found = list(refused_records(log_of(edge, later, edge), CODEC, Selection()))
    assert [one.name for one in found] == ["plant/p1/vibration@42", "plant/p1/vibration@43"]
    assert not any(one.returnable for one in found)


def test_foreign_content_on_the_topic_is_passed_over() -> None:
    strangers = [Entry(None, 1), Entry(b"\x00\x00\x00\x00\x63", 2), Entry(CODEC.encode(MEASUREMENTS, EVENT), 3)]
    assert names([*strangers, *log_of(letter(9))]) == ["measurements/0/9"]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"reason": "bad_time"}, [1]),
        ({"topic": CONDITIONS}, [2]),
        ({"key": "P-2"}, [3]),
        ({"names": frozenset({"measurements/0/1", "measurements/0/99"})}, [1]),
        ({"since_ns": 1_001, "until_ns": 1_003}, [1, 2]),
        ({"reason": "unknown_asset", "key": "P-1"}, [0, 2]),
    ],
)
def test_records_are_chosen_by_reason_topic_key_place_and_time(wanted: dict[str, object], expected: list[int]) -> None:
    log = log_of(letter(0), letter(1, reason="bad_time"), letter(2, topic=CONDITIONS), letter(3, key=b"P-2"))
    assert [int(name.rpartition("/")[2]) for name in names(log, **wanted)] == expected


def test_a_record_is_put_back_as_it_was_with_one_header_more_and_once() -> None:
    marks, log = Marked(), Log()
    for expected in (True, False):
        again = refused_records(log_of(letter(3)), CODEC, Selection())
        assert run(again, marks, log) == [("measurements/0/3", expected)]
    assert log.taken == [(letter(3), [(HEADER, b"measurements/0/3")])]


def test_what_the_log_did_not_take_is_still_due() -> None:
    marks, log = Marked(), Log(failures=1)
    with pytest.raises(Unavailable):
        run(refused_records(log_of(letter(3)), CODEC, Selection()), marks, log)
    assert not marks.places
    assert run(refused_records(log_of(letter(3)), CODEC, Selection()), marks, log) == [("measurements/0/3", True)]


def test_bytes_headers_and_decoded_fields_are_shown() -> None:
    shown = content(Refused(letter(3), 1), CODEC, 4)
    assert shown["value_hex"] == "00000000"
    assert shown["decoded"]["type"] == "MachineEvent"
    assert shown["decoded"]["text"] == "hot"
    assert shown["headers"] == [{"name": "trace", "value": "0xff00"}, {"name": "empty", "value": None}]


@pytest.mark.parametrize("value", [None, b"", b"\x01junk", b"\x00\x00\x00\x00\x63junk"])
def test_what_cannot_be_decoded_says_why(value: bytes | None) -> None:
    shown = content(Refused(letter(3, value=value), 1), CODEC, 256)
    assert shown["decoded"] is None
    assert shown["undecodable"]
    assert shown["value_hex"] == (None if value is None else value.hex())


def test_long_samples_are_shortened_in_the_decoded_view() -> None:
    block = r.AcquisitionBlock(
        asset_id="P-1",
        device_id="d",
        boot_id="b",
        sequence=1,
        start_ns=1,
        sampling_rate_hz=1_000.0,
        n_samples=64,
        channels=(r.BlockChannel(channel_id="c", quantity="acceleration", unit="g"),),
        samples=bytes(256),
    )
    shown = content(Refused(letter(3, value=CODEC.encode(MEASUREMENTS, block)), 1), CODEC, 0)
    assert shown["decoded"]["samples"].startswith("256 bytes, 0000")


def test_hex_lines_cover_every_byte() -> None:
    value = bytes(range(40))
    lines = list(hex_lines(value))
    assert [line[:8] for line in lines] == ["00000000", "00000010", "00000020"]
    assert bytes.fromhex("".join(line[10:57] for line in lines)) == value
