"""The MQTT collector and the publishing side against a real Mosquitto."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from paho.mqtt.client import Client, MQTTMessageInfo
from paho.mqtt.enums import CallbackAPIVersion

from adapters.mqtt import MqttSink
from contracts import records as r
from contracts.codec import BundledSchemas, Codec
from contracts.errors import Unavailable
from contracts.mqtt import MqttAddress
from edge_forwarder.collectors.mqtt import MqttCollector
from edge_forwarder.counters import Counters
from edge_forwarder.entries import Collected
from edge_forwarder.intake import Arrival
from edge_forwarder.payloads import Payloads
from tests.edge_processes import mosquitto
from tests.edge_samples import SITE, START_NS, FixedClock, block, event, readings, until

pytestmark = pytest.mark.services

CODEC = Codec(BundledSchemas())


@pytest.fixture(scope="module")
def mqtt_url() -> Iterator[str]:
    with mosquitto() as url:
        yield url


class Inbox:
    """What a collector handed over; acknowledged at once, or when asked."""

    def __init__(self, *, acknowledges: bool = True) -> None:
        self.arrivals: list[Arrival] = []
        self.records: list[Collected] = []
        self._acknowledges = acknowledges

    def put(self, arrival: Arrival) -> None:
        self.arrivals.append(arrival)
        self.records.append(arrival.collect())
        if self._acknowledges:
            arrival.acknowledge()


@contextlib.asynccontextmanager
async def collecting(url: str, site: str, into: Inbox) -> AsyncIterator[Counters]:
    counters = Counters()
    address = MqttAddress.parse(url)
    collector = MqttCollector(address, site, Payloads(site, CODEC, "1"), into.put, FixedClock(), counters)
    assert not counters.ready
    async with collector.running():
        await until(lambda: counters.ready)
        yield counters


@contextlib.contextmanager
def publishing(url: str) -> Iterator[Client]:
    """Give a bare client, for what no device of ours would send."""
    address = MqttAddress.parse(url)
    client = Client(CallbackAPIVersion.VERSION2)
    client.connect(address.host, address.port)
    client.loop_start()
    yield client
    client.disconnect()
    client.loop_stop()


def acknowledged(info: MQTTMessageInfo) -> None:
    info.wait_for_publish(10.0)


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_what_a_device_publishes_arrives_in_order(mqtt_url: str, protocol: str) -> None:
    site, url = f"{SITE}-{protocol}", f"{mqtt_url}?protocol={protocol}"
    sent: list[r.Measurement] = [event(0)]
    for sequence in range(60):
        sent += [block(sequence), readings(sequence)]

    async def go() -> list[Collected]:
        into = Inbox()
        async with collecting(url, site, into):
            with MqttSink(url, site, CODEC) as sink:
                for record in sent:
                    await sink.put(record)
                await sink.flush()
            await until(lambda: len(into.records) == len(sent))
        return into.records

    assert asyncio.run(go()) == sent


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_what_was_not_acknowledged_comes_again_and_what_was_does_not(mqtt_url: str, protocol: str) -> None:
    site, url = f"{SITE}-again-{protocol}", f"{mqtt_url}?protocol={protocol}"

    async def go() -> None:
        first = Inbox(acknowledges=False)
        async with collecting(url, site, first):
            with MqttSink(url, site, CODEC) as sink:
                for sequence in range(4):
                    await sink.put(event(sequence))
                await sink.flush()
            await until(lambda: len(first.records) == 4)
            first.arrivals[0].acknowledge()
            first.arrivals[1].acknowledge()
        second = Inbox()
        async with collecting(url, site, second):
            with MqttSink(url, site, CODEC) as sink:
                await sink.put(event(4))
                await sink.flush()
            await until(lambda: len(second.records) >= 3)
        assert second.records == [event(2), event(3), event(4)]

    asyncio.run(go())


def test_the_broker_keeps_what_comes_while_nobody_collects(mqtt_url: str) -> None:
    site = f"{SITE}-away"

    async def go() -> None:
        async with collecting(mqtt_url, site, Inbox()):
            pass  # the session exists from here on
        with MqttSink(mqtt_url, site, CODEC) as sink:
            for sequence in range(1_500):  # more than Mosquitto's own bound of 1000
                await sink.put(event(sequence))
            await sink.flush()
        into = Inbox()
        async with collecting(mqtt_url, site, into):
            await until(lambda: len(into.records) == 1_500)
        assert into.records == [event(sequence) for sequence in range(1_500)]

    asyncio.run(go())


def test_bad_messages_become_dead_letters_and_the_rest_goes_on(mqtt_url: str) -> None:
    site = f"{SITE}-bad"
    good = f"faultline/{site}/P-1/events"
    with publishing(mqtt_url) as device:
        acknowledged(device.publish(good, CODEC.encode("measurements", event(7)), qos=1, retain=True))

    async def go() -> list[Collected]:
        into = Inbox()
        async with collecting(mqtt_url, site, into):
            with publishing(mqtt_url) as device:
                for topic, payload in (
                    (f"faultline/{site}/P-1/nonsense", b"x"),
                    (good, b"\x01junk"),
                    (good, bytes(4 * 1024 * 1024 + 1)),
                    (f"faultline/{SITE}-elsewhere/P-1/events", b"not collected here"),
                    (good, CODEC.encode("measurements", event(8))),
                ):
                    acknowledged(device.publish(topic, payload, qos=1))
            await until(lambda: len(into.records) == 5)
        return into.records

    *letters, last = asyncio.run(go())
    assert last == event(8)
    assert all(isinstance(letter, r.DeadLetter) for letter in letters)
    told = [(one.topic, one.reason, one.timestamp_ns) for one in letters if isinstance(one, r.DeadLetter)]
    assert told == [
        (f"mqtt/{good}", "retained", START_NS),
        (f"mqtt/faultline/{site}/P-1/nonsense", "bad_topic", START_NS),
        (f"mqtt/{good}", "bad_frame", START_NS),
        (f"mqtt/{good}", "oversize", START_NS),
    ]


def test_a_message_too_large_for_anybody_ends_at_the_broker(mqtt_url: str) -> None:
    gone = threading.Event()
    with publishing(mqtt_url) as device:
        device.on_disconnect = lambda *_told: gone.set()
        info = device.publish(f"faultline/{SITE}/P-1/blocks", bytes(9 * 1024 * 1024), qos=1)
        assert gone.wait(20.0)
        assert not info.is_published()


def test_a_lost_connection_shows_and_mends_itself() -> None:
    async def go() -> None:
        into = Inbox()
        with mosquitto() as url:
            async with collecting(url, SITE, into) as counters:
                with publishing(url) as usurper:
                    takeover = Client(CallbackAPIVersion.VERSION2, client_id=f"faultline-forwarder-{SITE}")
                    takeover.connect(MqttAddress.parse(url).host, MqttAddress.parse(url).port)
                    takeover.loop_start()
                    await until(lambda: not counters.ready)
                    assert "connection lost" in counters.problems["mqtt"]
                    takeover.disconnect()
                    takeover.loop_stop()
                    await until(lambda: counters.ready)
                    acknowledged(
                        usurper.publish(f"faultline/{SITE}/P-1/events", CODEC.encode("measurements", event(0)), qos=1)
                    )
                await until(lambda: into.records == [event(0)])

    asyncio.run(go())


def test_a_device_is_told_when_no_broker_answers() -> None:
    async def go() -> None:
        with MqttSink("mqtt://127.0.0.1:1", SITE, CODEC, timeout_s=0.3) as sink:
            with pytest.raises(Unavailable, match="not connected, 0 messages unacknowledged"):
                await sink.put(event(0))
            await sink.flush()  # it was never published

    asyncio.run(go())


def test_a_device_publishes_measurements_only() -> None:
    tick: Any = r.Tick(topic="measurements", partition=0, at_ns=1, epoch=1)

    async def go() -> None:
        with MqttSink("mqtt://127.0.0.1:1", SITE, CODEC) as sink, pytest.raises(TypeError, match="Tick"):
            await sink.put(tick)

    asyncio.run(go())


def test_a_device_repeats_in_order_what_a_lost_connection_took(mqtt_url: str) -> None:
    site = f"{SITE}-cut"

    async def go() -> list[Collected]:
        into = Inbox()
        async with collecting(mqtt_url, site, into):
            with MqttSink(mqtt_url, site, CODEC) as sink:
                for sequence in range(300):
                    await sink.put(event(sequence))
                    if sequence % 60 == 30:
                        connection: Any = sink._client.socket()
                        assert connection is not None
                        connection.shutdown(socket.SHUT_RDWR)
                await sink.flush()
            await until(lambda: event(299) in into.records)
        return into.records

    sequences = [one.sequence for one in asyncio.run(go()) if isinstance(one, r.MachineEvent)]
    first = list(dict.fromkeys(sequences))
    assert first == list(range(300))
