"""The product as its users meet it: one command starts everything, a fault develops, and the alarm is everywhere.

One long run, told in order: the demo's alarm, its acknowledgement, poison, a killed worker, a clean stop; then the
recomputation, and a second start that goes on from there. A real recording has a run of its own.
"""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapters.kafka import LogRecord, read_log
from contracts import records as r
from contracts import topics
from tests.e2e.product import CODEC, DEADLINE_S, Product, own_folder, processes_of, run, running, wait_for

pytestmark = pytest.mark.services


@pytest.fixture
def folder() -> Iterator[Path]:
    with own_folder() as made:
        yield made


def check_alarm(product: Product) -> r.AlarmTransition:
    """The demo's alarm is on the topic, in the database, at the receiver and in the API, and says why."""

    def raised() -> list[tuple[LogRecord, r.AlarmTransition]]:
        return [pair for pair in product.alarms() if pair[1].state is r.AlarmState.UNACKNOWLEDGED]

    record, alarm = wait_for("an alarm on the topic", raised)[0]
    assert isinstance(alarm, r.AlarmTransition)
    assert (alarm.asset_id, alarm.fault, alarm.rule) == ("P-101", "outer_race", "bearing_fault")
    assert "BPFO" in alarm.reason
    assert "dB" in alarm.reason
    assert "zone" in alarm.reason
    headers = dict(record.headers)
    assert headers["ce_id"] == alarm.transition_id.encode()
    assert headers["ce_specversion"] == b"1.0"
    history = "SELECT alarm_id FROM alarm_history WHERE transition_id = %s"
    assert product.query(history, alarm.transition_id) == [(alarm.alarm_id,)]
    shown = wait_for("the alarm in the API", lambda: httpx.get(f"{product.api}/alarms/{alarm.alarm_id}")).json()
    assert shown["alarm_id"] == alarm.alarm_id
    assert "BPFO" in shown["reason"]
    return alarm


def check_webhook(product: Product, alarm: r.AlarmTransition) -> None:
    """The receiver has it, once, and only what is signed by the endpoint's secret is believed there."""
    ((url,),) = product.query("SELECT url FROM endpoint")

    def received() -> list[dict[str, Any]]:
        base = url.removesuffix("/alarms")
        everything = httpx.get(f"{base}/received").json()["received"]
        return [message for message in everything if message["id"] == alarm.transition_id]

    (message,) = wait_for("the alarm at the webhook receiver", received)
    assert message["message"]["data"]["alarm_id"] == alarm.alarm_id
    forged = {"webhook-id": "msg_forged", "webhook-timestamp": str(int(time.time())), "webhook-signature": "v1,AAAA"}
    assert httpx.post(url, headers=forged, content=b"{}").status_code == 401


def check_acknowledge(product: Product, alarm: r.AlarmTransition) -> None:
    """A technician's acknowledgement goes through the log and comes back as a transition."""
    answer = httpx.post(f"{product.api}/alarms/{alarm.alarm_id}/acknowledge", json={"note": "on my way"})
    assert answer.status_code == 202, answer.text

    def acknowledged() -> list[r.AlarmTransition]:
        states = {r.AlarmState.ACKNOWLEDGED}
        return [t for _, t in product.alarms() if t.alarm_id == alarm.alarm_id and t.state in states]

    transition = wait_for("the acknowledgement", acknowledged)[0]
    assert transition.cause == "acknowledged"
    assert transition.note == "on my way"
    assert transition.actor


def check_question(product: Product) -> None:
    """The assistant says why, from the live condition, and what to do, from the procedure, once it is indexed."""
    question = {"question": "Why is P-101 alarming and what do I do?"}

    def answered() -> Any:
        told = httpx.post(f"{product.api}/chat", json=question).json()
        sources = {citation["document"] for citation in told["citations"]}
        return told if sources == {"live condition of P-101", "demo/alarm-response.md"} else None

    told = wait_for("an answer from the live condition and the procedure", answered)
    assert told["abstained"] is False
    assert "BPFO" in told["answer"]
    assert "Acknowledge the alarm" in told["answer"]
    assert all(citation["quote"] in told["answer"] for citation in told["citations"])


def check_poison(product: Product) -> None:
    """Random bytes on the log become dead letters with their place, and the stream goes on."""
    from confluent_kafka import Producer

    before = len(product.query("SELECT 1 FROM assessment"))
    producer = Producer({"bootstrap.servers": product.urls["kafka"]})
    for value in (b"not avro", b"\x00\x00\x00\x00\x01garbage", b""):
        producer.produce(topics.MEASUREMENTS, value, b"P-101")
    assert producer.flush(30.0) == 0

    def letters() -> list[r.Record]:
        found = [CODEC.decode(record.value) for record in read_log(product.urls["kafka"], topics.DEAD_LETTERS)]
        return found if len(found) >= 3 else []

    for letter in wait_for("three dead letters", letters):
        assert isinstance(letter, r.DeadLetter)
        assert letter.topic == topics.MEASUREMENTS
        assert letter.reason in {"bad_frame", "undecodable"}
        assert letter.offset >= 0
    wait_for("assessments after the poison", lambda: len(product.query("SELECT 1 FROM assessment")) > before)


def check_killed_worker(product: Product) -> None:
    """A worker killed in the middle is replaced and goes on."""
    victim = product.pid("worker")
    os.kill(victim, signal.SIGKILL)
    newest = "SELECT max(window_end_ns) FROM assessment WHERE asset_id = 'P-102'"
    at_kill = product.query(newest)[0][0]
    wait_for("a new worker", lambda: product.pid("worker") != victim)
    wait_for("assessments by the new worker", lambda: product.query(newest)[0][0] > at_kill + 3_000_000_000)


def check_recomputation(folder: Path) -> dict[str, Any]:
    """The stored history is what the log says, to the last bit."""
    outcome = run(folder, "recompute", "--from-log", "--json")
    told: dict[str, Any] = json.loads(outcome.stdout.splitlines()[-1])
    assert told["different"] == 0, json.dumps(told, indent=1)
    assert outcome.returncode == 0, outcome.stderr
    assert told["compared"] > 100
    return told


def test_a_fault_develops_and_everybody_learns_of_it(folder: Path) -> None:
    with running(folder) as product:
        alarm = check_alarm(product)
        check_webhook(product, alarm)
        check_acknowledge(product, alarm)
        check_question(product)
        check_poison(product)
        check_killed_worker(product)
        assert not product.query("SELECT 1 FROM alarm WHERE asset_id = 'P-102'"), "the healthy pump raised an alarm"
    assert product.process.returncode == 0, product.output()
    assert not processes_of(folder), "processes were left behind"
    refused = check_recomputation(folder)["refused"]
    assert refused["undecodable"] + refused["bad_frame"] == 3
    check_second_start(folder)


def check_second_start(folder: Path) -> None:
    """The next start goes on from where the first one was."""
    outcome = run(folder, "up", "--until-alarm", "--timeout", str(int(DEADLINE_S)), "--json")
    assert outcome.returncode == 0, outcome.stderr
    told = json.loads(outcome.stdout.splitlines()[-1])
    assert told["alarm"]["asset"] == "P-101"
    assert told["alarm"]["fault"] == "outer_race"
    assert set(told["seen"]) == {"kafka", "database", "webhook", "api"}
    assert set(told["latency_ms"]) == {"sample_to_assessment", "sample_to_alarm", "alarm_to_webhook"}
    assert told["startup_s"] > 0
    assert not processes_of(folder), "processes were left behind"
    check_recomputation(folder)


def test_a_real_recording_is_diagnosed_as_what_it_is(folder: Path, data_folder: Path) -> None:
    """A bearing with a 0.007 inch outer-race fault, played through the running product."""
    record = data_folder / "cwru" / "131_de12k_outer_007_at6_load1.npz"
    with running(folder) as product:
        played = run(folder, "play", str(record), "--format", "cwru", "--speed", "4", "--asset", "CWRU-131")
        assert played.returncode == 0, played.stderr

        def raised() -> list[tuple[Any, ...]]:
            return product.query(
                "SELECT point_id, fault FROM condition"
                " WHERE asset_id = %s AND rule = 'bearing_fault' AND state = 'raised'",
                "CWRU-131",
            )

        faults = {fault for _, fault in wait_for("the recording's condition", raised)}
        assert faults == {"outer_race"}
    check_recomputation(folder)


def test_a_missing_stage_is_named(folder: Path) -> None:
    outcome = run(folder, "up", "--until-alarm", "--timeout", "1", "--json")
    assert outcome.returncode == 1
    assert json.loads(outcome.stdout.splitlines()[-1])["missing"] == ["alarm"]
