"""Poison, a flood of it, and an orderly stop, against real services and two real workers."""

import itertools
import json
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psycopg
import pytest
from confluent_kafka import Producer

from adapters.kafka import read_log
from contracts import records as r
from contracts import topics
from contracts.errors import BadRecord
from runtime.services.identity import wait_until
from runtime.services.places import outside_of
from streams.dead_letters import LIMIT_PER_MINUTE
from tests.faults.ledger.load import SITE, assets, sendings
from tests.faults.ledger.rig import WORKERS, Rig

pytestmark = pytest.mark.services

KEY = b"L-01"
SEED = 20_816
#: The partition goes on within so long. It takes a second or two, most of which is the pause between checkpoints, by
#: which it is seen; a machine with other work gets more.
POISONED_S = 15.0
GRACEFUL_S = 20.0


@pytest.fixture
def rig() -> Iterator[Rig]:
    folder = Path(tempfile.mkdtemp(prefix="faultline-ends-"))
    folder.chmod(0o755)  # ours alone; PostgreSQL's user has to enter it
    rig = Rig(folder, lambda _line: None)
    try:
        rig.start(SITE, assets(1))
        assert wait_until(lambda: owners(rig) == len(WORKERS), 60.0, 0.1), "the workers don't share the partitions"
        yield rig
    finally:
        rig.stop()
        shutil.rmtree(outside_of(folder), ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)


def send(rig: Rig, values: list[bytes]) -> tuple[int, int]:
    """Send values under the asset's key; return the partition and the last offset."""
    return max(send_all(rig, values))


def send_all(rig: Rig, values: list[bytes], keys: Sequence[bytes | None] = (KEY,)) -> set[tuple[int, int]]:
    """Send values under the given keys in turn; return where they lie."""
    places: list[tuple[int, int]] = []
    producer = Producer(
        {
            "bootstrap.servers": rig.urls.kafka,
            "enable.idempotence": True,
            "partitioner": "murmur2_random",
            "sticky.partitioning.linger.ms": 0,
        }
    )
    for value, key in zip(values, itertools.cycle(keys), strict=False):
        producer.produce(
            topics.MEASUREMENTS,
            value,
            key,
            on_delivery=lambda _error, sent: places.append((sent.partition() or 0, sent.offset() or 0)),
        )
        producer.poll(0)
    producer.flush(30)
    assert len(places) == len(values)
    return set(places)


def owners(rig: Rig) -> int:
    """Return how many workers own partitions of the measurements."""
    with psycopg.connect(rig.urls.database) as connection:
        row = connection.execute(
            "SELECT count(DISTINCT owner) FROM partition_owner WHERE topic = %s", (topics.MEASUREMENTS,)
        ).fetchone()
    return row[0] if row else 0


def applied(rig: Rig, partition: int) -> int:
    with psycopg.connect(rig.urls.database) as connection:
        row = connection.execute(
            "SELECT applied_offset FROM checkpoint WHERE topic = %s AND partition = %s",
            (topics.MEASUREMENTS, partition),
        ).fetchone()
    return row[0] if row else -1


def good_blocks(rig: Rig, seconds: float) -> list[bytes]:
    load = sendings(rig.codec, 1, seconds, SEED, time.time_ns() - round(seconds * 1e9))
    return [sending.value for sending in load if sending.identity is not None]


def poison(rig: Rig, count: int) -> list[bytes]:
    """Return random bytes, and records of which a required field is missing, so that the body ends too early."""
    whole = good_blocks(rig, 1.0)[0]
    return [whole[: -1 - i % 40] if i % 2 else b"poison %d" % i for i in range(count)]


def refused(rig: Rig) -> dict[tuple[int, int], r.DeadLetter]:
    """Return dead letters by the place they name."""
    found: dict[tuple[int, int], r.DeadLetter] = {}
    for entry in read_log(rig.urls.kafka, topics.DEAD_LETTERS):
        try:
            letter = rig.codec.decode(entry.value)
        except BadRecord:
            continue
        if isinstance(letter, r.DeadLetter) and letter.topic == topics.MEASUREMENTS:
            found.setdefault((letter.partition, letter.offset), letter)
    return found


def assessments(rig: Rig) -> list[str]:
    """Return the ids on the topic of subscribers, repetitions too."""
    decoded = [rig.codec.decode(entry.value) for entry in read_log(rig.urls.kafka, topics.ASSESSMENTS)]
    return [one.assessment_id for one in decoded if isinstance(one, r.Assessment)]


def test_poison_is_kept_and_the_partition_goes_on(rig: Rig) -> None:
    bad = poison(rig, 100)
    send(rig, bad)
    partition, last = send(rig, good_blocks(rig, 4.0))
    assert wait_until(lambda: applied(rig, partition) >= last, POISONED_S, 0.05), "the partition stands still"
    letters = refused(rig)
    assert sorted(letter.value or b"" for letter in letters.values()) == sorted(bad)
    assert {letter.reason for letter in letters.values()} == {"bad_frame", "undecodable"}
    assert not rig.restarts


def test_a_flood_of_poison_ends_the_workers_with_their_reason_and_skips_no_record(rig: Rig) -> None:
    sent = send_all(rig, poison(rig, LIMIT_PER_MINUTE + 500), keys=[None])
    last = {partition: max(offset for p, offset in sent if p == partition) for partition, _ in sent}
    assert len(last) > 1, "one worker gets it all"
    assert wait_until(lambda: sum(rig.restarts.values()) > 1, 120.0, 0.05), "no worker ended"
    assert len(refused(rig)) <= LIMIT_PER_MINUTE, "the workers together have refused more than the limit"
    assert any(applied(rig, partition) < end for partition, end in last.items()), "records beyond the limit are passed"
    logs = "".join((rig.services.folder.logs / f"{name}.log").read_text() for name in WORKERS)
    assert re.search(rf"at most {LIMIT_PER_MINUTE}; the last: (undecodable|bad_frame)", logs), logs[-3000:]
    a_minute_passes(rig)
    done = lambda: all(applied(rig, partition) >= end for partition, end in last.items())  # noqa: E731
    assert wait_until(done, 120.0, 0.2), "the next worker doesn't go on"
    assert refused(rig).keys() >= sent


def a_minute_passes(rig: Rig) -> None:
    """Have the account of refusals forget what it has allowed."""
    with psycopg.connect(rig.urls.database) as connection:
        connection.execute("UPDATE refusal_allowance SET taken_at = taken_at - interval '1 minute'")


def test_an_orderly_stop_is_quick_and_nothing_is_processed_again(rig: Rig) -> None:
    partition, last = send(rig, good_blocks(rig, 20.0))
    assert wait_until(lambda: len(assessments(rig)) >= 10, 60.0, 0.5)
    assert max(rig.stop_workers()) <= GRACEFUL_S
    before = applied(rig, partition)
    assert before >= last
    for name in WORKERS:
        rig.services.supervisor.start(rig.worker(name).spec).await_ready()
    partition, last = send(rig, good_blocks(rig, 4.0))
    assert wait_until(lambda: applied(rig, partition) >= last, 60.0, 0.2)
    made = assessments(rig)
    assert len(made) == len(set(made)), "an assessment was made twice"
    for name in WORKERS:
        log = rig.worker(name).spec.log_file.read_text(encoding="utf-8").splitlines()
        assert all(json.loads(line)["event"] for line in log), "a log shipper takes one object a line"


def test_a_stop_without_a_database_is_no_longer_and_what_follows_goes_on_from_the_checkpoint(rig: Rig) -> None:
    partition, last = send(rig, good_blocks(rig, 4.0))
    assert wait_until(lambda: applied(rig, partition) >= last, 60.0, 0.2)
    rig.service("postgres").stop()
    _, last = send(rig, good_blocks(rig, 4.0))
    logs = [rig.worker(name).spec.log_file for name in WORKERS]
    assert wait_until(lambda: all("awaited_part" in log.read_text() for log in logs), 60.0, 0.2)
    assert max(rig.stop_workers()) <= GRACEFUL_S
    assert any("stopped_without_checkpoint" in log.read_text() for log in logs)
    rig.restart_service("postgres")
    for name in WORKERS:
        rig.services.supervisor.start(rig.worker(name).spec).await_ready()
    assert wait_until(lambda: applied(rig, partition) >= last, 60.0, 0.2), "what wasn't stored isn't read again"
