"""The account afterwards: what was acknowledged, what lies on the log, what is stored, what a recomputation says."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import psycopg

from adapters.kafka import read_log
from adapters.models import ModelFolder
from adapters.timescale import Database
from contracts import records as r
from contracts import topics
from contracts.codec import Codec
from contracts.errors import BadRecord
from processors.own_features import ENGINE_ALONE
from runtime.comparison import compare_with_log
from runtime.services.local import Urls
from tests.faults.ledger.rig import Ledger, digest

_POLL_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Account:
    """The outcome; all three counts must be 0."""

    lost: int
    doubled: int
    different: int
    details: dict[str, Any]


def await_drained(urls: Urls, codec: Codec, ledger: Ledger, timeout_s: float) -> float:
    """Wait until the workers have applied everything sent; return how long that took, s.

    Raises
    ------
    TimeoutError
        They haven't within `timeout_s`; the message says where they are.
    """
    began_s = time.monotonic()
    wanted = {(topics.MEASUREMENTS, partition): offset for partition, offset in ledger.last_offsets.items()}
    _await_offsets(urls.database, wanted, began_s + timeout_s)
    _await_offsets(urls.database, _last_conditions(urls.kafka, codec), began_s + timeout_s)
    _await_outbox(urls.database, began_s + timeout_s)
    return time.monotonic() - began_s


def _await_offsets(database_url: str, wanted: dict[tuple[str, int], int], deadline_s: float) -> None:
    while True:
        with psycopg.connect(database_url) as connection:
            rows = connection.execute("SELECT topic, partition, applied_offset FROM checkpoint").fetchall()
        applied = {(topic, partition): offset for topic, partition, offset in rows}
        behind = {place: (applied.get(place, -1), offset) for place, offset in wanted.items()}
        behind = {place: (at, offset) for place, (at, offset) in behind.items() if at < offset}
        if not behind:
            return
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"not drained: (applied, wanted) by partition {behind}")
        time.sleep(_POLL_S)


def _await_outbox(database_url: str, deadline_s: float) -> None:
    query = "SELECT coalesce(sum(outbox_sequence - relayed_sequence), 0) FROM partition_owner"
    while True:
        with psycopg.connect(database_url) as connection:
            ((waiting,),) = connection.execute(query).fetchall()
        if not waiting:
            return
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"outbox: {waiting} transitions not relayed")
        time.sleep(_POLL_S)


def _last_conditions(kafka_url: str, codec: Codec) -> dict[tuple[str, int], int]:
    last: dict[tuple[str, int], int] = {}
    for record in read_log(kafka_url, topics.CONDITIONS):
        if isinstance(_decoded(codec, record.value), r.Condition):
            last[topics.CONDITIONS, record.partition] = record.offset
    return last


def _decoded(codec: Codec, value: bytes | None) -> r.Record | None:
    try:
        return codec.decode(value)
    except BadRecord:
        return None


async def settle(urls: Urls, codec: Codec, ledger: Ledger, progress: Callable[[str, int], None]) -> Account:
    """Compare ledger, log, history and recomputation."""
    on_log: Counter[tuple[str, str, str, int]] = Counter()
    wrong = 0
    refused = 0
    for record in read_log(urls.kafka, topics.MEASUREMENTS):
        found = _decoded(codec, record.value)
        if isinstance(found, r.AcquisitionBlock | r.ReadingBatch):
            identity = (found.asset_id, found.device_id, found.boot_id, found.sequence)
            on_log[identity] += 1
            wrong += ledger.digests.get(identity) != digest(record.value)
        refused += found is None
    async with Database(urls.database) as database:
        comparison = await compare_with_log(database, urls.kafka, codec, ModelFolder(), ENGINE_ALONE, progress)
        stored = await database.rows("SELECT asset_id, count(*) AS n FROM reading GROUP BY asset_id")
    never_stored = sum(1 for identity in ledger.acknowledged if on_log[identity] < ledger.acknowledged[identity])
    readings = sum(1 for identity in ledger.acknowledged if identity[1].endswith("-slow"))
    lost_readings = readings - sum(row["n"] for row in stored)
    twice_on_log = sum(max(n - ledger.acknowledged[identity], 0) for identity, n in on_log.items())
    letters, alarms = _dead_letters(urls.kafka, codec), _alarm_records(urls.kafka, codec)
    lost = never_stored + max(lost_readings, 0) + wrong + len(comparison.missing) + max(refused - letters, 0)
    doubled = twice_on_log + max(-lost_readings, 0) + alarms["contradicting"]
    details = {
        "sent": ledger.sent,
        "acknowledged": sum(ledger.acknowledged.values()),
        "poison": ledger.poison,
        "dead_letters": letters,
        "alarms": alarms,
        "recomputation": comparison.as_json(),
    }
    return Account(lost, doubled, comparison.different + comparison.pending, details)


def _dead_letters(kafka_url: str, codec: Codec) -> int:
    """Return how many different records the dead letters name (a crash may name one twice)."""
    places = set()
    for record in read_log(kafka_url, topics.DEAD_LETTERS):
        letter = _decoded(codec, record.value)
        if isinstance(letter, r.DeadLetter):
            places.add((letter.topic, letter.partition, letter.offset))
    return len(places)


def _alarm_records(kafka_url: str, codec: Codec) -> dict[str, int]:
    """Count transitions on ``alarms``; the same id must always carry the same content."""
    seen: dict[str, r.Record] = {}
    records = contradicting = 0
    for record in read_log(kafka_url, topics.ALARMS):
        found = _decoded(codec, record.value)
        if isinstance(found, r.AlarmTransition):
            records += 1
            contradicting += seen.setdefault(found.transition_id, found) != found
    return {"records": records, "transitions": len(seen), "contradicting": contradicting}
