"""MQTT messages: what is taken, and what is refused with which reason."""

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import records as r
from contracts.codec import MAX_VALUE_BYTES, BundledSchemas, Codec
from contracts.errors import BadRecord, ConfigurationError, Reason
from contracts.mqtt import MqttAddress, topic_for
from contracts.topics import MEASUREMENTS
from edge_forwarder.entries import COLLECTOR_BOOT, Collected, from_payload, refusal, to_payload
from edge_forwarder.payloads import Payloads
from tests.edge_samples import SITE, START_NS, block, event, readings

CODEC = Codec(BundledSchemas())
READING = {"channel": "P-1-DE-H.temp", "unit": "degC", "at": "2026-01-31T12:00:00.5Z", "value": 61.5}


def payloads() -> Payloads:
    return Payloads(SITE, CODEC, "1")


def avro(record: r.Measurement) -> bytes:
    return CODEC.encode(MEASUREMENTS, record)


@pytest.mark.parametrize("record", [block(1), readings(1), event(1)])
def test_avro_comes_back_as_it_was_sent(record: r.AcquisitionBlock | r.ReadingBatch | r.MachineEvent) -> None:
    assert payloads().decode(topic_for(SITE, record), avro(record)) == record


@pytest.mark.parametrize("many", [False, True])
def test_json_readings_get_a_device_a_boot_and_numbers(many: bool) -> None:
    decoder = payloads()
    payload = json.dumps([READING, {**READING, "at": START_NS, "quality": "uncertain"}] if many else READING).encode()
    for sequence in range(2):
        batch = decoder.decode(f"faultline/{SITE}/P-1/readings", payload)
        assert isinstance(batch, r.ReadingBatch)
        assert (batch.asset_id, batch.device_id, batch.sequence) == ("P-1", "mqtt-plant-7-P-1", sequence)
        assert batch.boot_id == f"{COLLECTOR_BOOT}1"
        first = batch.readings[0]
        assert first == r.Reading(
            channel_id="P-1-DE-H.temp",
            quantity="temperature",
            unit="degC",
            at_ns=1_769_860_800_500_000_000,
            value=61.5,
        )
        if many:
            assert (batch.readings[1].at_ns, batch.readings[1].quality) == (START_NS, r.Quality.UNCERTAIN)


def changed(**fields: Any) -> bytes:
    return json.dumps({**READING, **fields}).encode()


GOOD = f"faultline/{SITE}/P-1/readings"


@pytest.mark.parametrize(
    ("topic", "payload", "reason"),
    [
        ("faultline/other/P-1/readings", changed(), "bad_topic"),
        (f"faultline/{SITE}/+/readings", changed(), "bad_topic"),
        (f"faultline/{SITE}/#", changed(), "bad_topic"),
        (f"faultline/{SITE}/P-1\0/readings", changed(), "bad_topic"),
        (f"faultline/{SITE}//readings", changed(), "bad_topic"),
        (f"faultline/{SITE}/{'x' * 129}/readings", changed(), "bad_topic"),
        (f"faultline/{SITE}/P-1/commands", changed(), "bad_topic"),
        (f"faultline/{SITE}/P-1/readings/more", changed(), "bad_topic"),
        (f"spBv1.0/{SITE}/P-1/readings", changed(), "bad_topic"),
        (GOOD, b"", "bad_frame"),
        (GOOD, b"\x01not ours", "bad_frame"),
        (GOOD, b"\x00\x00\x00\x00\x63rest", "unknown_schema"),
        (GOOD, b"\x00\x00\x00\x00\x02\xff", "undecodable"),
        (GOOD, bytes(MAX_VALUE_BYTES + 1), "oversize"),
        (GOOD, b"[" + b" " * 300_000 + b"]", "oversize"),
        (GOOD, b"{", "undecodable"),
        (GOOD, b'{"channel": "\xff"}', "undecodable"),
        (GOOD, b"[" * 5_000, "undecodable"),
        (GOOD, changed(value=float("nan")), "undecodable"),
        (GOOD, changed(value="61.5"), "undecodable"),
        (GOOD, changed(extra=1), "undecodable"),
        (GOOD, changed(unit=""), "missing_unit"),
        (GOOD, changed(unit="degF"), "unknown_unit"),
        (GOOD, changed(channel=""), "bad_channels"),
        (GOOD, changed(at="2026-01-31T12:00:00"), "bad_time"),
        (GOOD, changed(at=0), "bad_time"),
        (GOOD, changed(at="2101-01-31T12:00:00Z"), "bad_time"),
        (GOOD, b"[]", "bad_length"),
        (GOOD, avro(block(0)), "undecodable"),
        (GOOD, avro(readings(0, asset_id="P-2")), "wrong_key"),
        (GOOD, avro(readings(0, boot_id=f"{COLLECTOR_BOOT}1")), "bad_sequence"),
        (f"faultline/{SITE}/P-1/blocks", changed(), "bad_frame"),
        (f"faultline/{SITE}/P-1/blocks", avro(dataclasses.replace(block(0), samples=b"")), "bad_length"),
        (
            f"faultline/{SITE}/P-1/events",
            avro(r.Tick(topic="measurements", partition=0, at_ns=1, epoch=1)),
            "undecodable",
        ),
    ],
)
def test_refused(topic: str, payload: bytes, reason: str) -> None:
    with pytest.raises(BadRecord) as refused:
        payloads().decode(topic, payload)
    assert refused.value.reason.value == reason


@given(st.text(max_size=60), st.binary(max_size=200))
def test_anything_else_is_refused_and_nothing_else_is_raised(topic: str, payload: bytes) -> None:
    for name in (topic, GOOD, f"faultline/{SITE}/P-1/blocks"):
        with pytest.raises(BadRecord):
            payloads().decode(name, payload)


@pytest.mark.parametrize("site", ["", "a/b", "a+", "#", "a\0"])
def test_a_site_that_is_no_level_of_a_topic_is_refused(site: str) -> None:
    with pytest.raises(BadRecord, match="bad_topic"):
        Payloads(site, CODEC, "1")


@pytest.mark.parametrize("record", [block(1), readings(1), event(1)])
def test_the_buffer_gives_back_what_it_was_given(record: Collected) -> None:
    assert from_payload(to_payload(record)) == record


def test_a_refusal_of_something_huge_tells_its_checksum_and_still_fits() -> None:
    reason = Reason.OVERSIZE
    letter = refusal("mqtt/x" * 1_000, reason, "too large", bytes(MAX_VALUE_BYTES + 1), START_NS)
    assert letter.value is None
    assert f"{MAX_VALUE_BYTES + 1} bytes with SHA-256 " in letter.detail
    assert from_payload(to_payload(letter)) == letter
    whole = refusal("mqtt/x" * 1_000, reason, "d" * 10_000, bytes(MAX_VALUE_BYTES - 16 * 1024), START_NS)
    assert whole.value is not None
    assert from_payload(to_payload(whole)) == whole


def test_a_broker_is_named_by_a_url_that_is_never_shown() -> None:
    address = MqttAddress.parse("mqtts://me:p%40ss@broker.example:8884?protocol=3.1.1")
    assert (address.host, address.port, address.tls, address.protocol) == ("broker.example", 8884, True, "3.1.1")
    assert (address.username, address.password) == ("me", "p@ss")
    assert "p@ss" not in repr(address)


@pytest.mark.parametrize(
    "url", ["http://broker", "mqtt://", "mqtt://host:port", "mqtt://me:secret@host?protocol=6", "broker:1883"]
)
def test_a_wrong_broker_url_is_refused_without_being_quoted(url: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        MqttAddress.parse(url)
    assert "secret" not in str(refused.value)
