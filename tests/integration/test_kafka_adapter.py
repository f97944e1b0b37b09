"""The Kafka adapter against a real broker."""

import asyncio
import dataclasses
import socket
import uuid

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource

from adapters.kafka import KafkaCommandLog, KafkaSink, KafkaWriter, ensure_topics, read_log, wait_for_broker
from contracts import records as r
from contracts.codec import MAX_VALUE_BYTES, BundledSchemas, Codec
from contracts.errors import ConfigurationError, Unavailable
from contracts.topics import CONDITIONS, MEASUREMENTS, TOPICS

pytestmark = pytest.mark.services

CODEC = Codec(BundledSchemas())


def event(asset_id: str, sequence: int) -> r.MachineEvent:
    return r.MachineEvent(
        asset_id=asset_id,
        device_id="plc-1",
        boot_id="b1",
        sequence=sequence,
        at_ns=1_700_000_000_000_000_000 + sequence,
        kind="plc_alarm",
        code="E1",
        text="",
    )


@pytest.fixture
def bootstrap(kafka_bootstrap: str) -> str:
    wait_for_broker(kafka_bootstrap, 30)
    ensure_topics(kafka_bootstrap, 1)
    return kafka_bootstrap


@pytest.fixture
def closed_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def test_topics_exist_with_their_settings_and_a_second_call_changes_nothing(bootstrap: str) -> None:
    ensure_topics(bootstrap, 1)
    admin = AdminClient({"bootstrap.servers": bootstrap})
    resources = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in TOPICS]
    configs = {resource.name: future.result() for resource, future in admin.describe_configs(resources).items()}
    for name, spec in TOPICS.items():
        assert configs[name]["retention.ms"].value == str(spec.retention_s * 1000)
        assert int(configs[name]["max.message.bytes"].value) > MAX_VALUE_BYTES


def test_fewer_partitions_than_configured_is_an_error(bootstrap: str) -> None:
    with pytest.raises(ConfigurationError, match=r"has \d+ partitions, 999 are configured"):
        ensure_topics(bootstrap, 999)


@pytest.mark.parametrize("partitions", [0, -1])
def test_no_partitions_is_an_error(bootstrap: str, partitions: int) -> None:
    with pytest.raises(ConfigurationError, match="at least 1"):
        ensure_topics(bootstrap, partitions)


def test_what_was_put_is_read_back_in_order_per_asset(bootstrap: str) -> None:
    run = uuid.uuid4().hex

    async def put() -> None:
        sink = KafkaSink(bootstrap, CODEC)
        for sequence in range(200):
            for asset in ("a", "b", "c"):
                await sink.put(event(f"{asset}-{run}", sequence))
        await sink.flush()

    asyncio.run(put())
    read = list(read_log(bootstrap, MEASUREMENTS, timeout_s=20))
    for asset in ("a", "b", "c"):
        key = f"{asset}-{run}".encode()
        mine = [entry for entry in read if entry.key == key]
        assert [CODEC.decode(entry.value) for entry in mine] == [event(key.decode(), n) for n in range(200)]
        assert len({entry.partition for entry in mine}) == 1
        assert all(entry.timestamp_ns > 1_600_000_000_000_000_000 for entry in mine)
    for partition in {entry.partition for entry in read}:
        offsets = [entry.offset for entry in read if entry.partition == partition]
        assert offsets == sorted(set(offsets))


def test_reading_starts_at_the_given_offsets_and_ends_where_the_log_ended(bootstrap: str) -> None:
    async def put(asset_id: str) -> None:
        sink = KafkaSink(bootstrap, CODEC)
        for sequence in range(10):
            await sink.put(event(asset_id, sequence))
        await sink.flush()

    asset_id = uuid.uuid4().hex
    asyncio.run(put(asset_id))
    everything = [e for e in read_log(bootstrap, MEASUREMENTS, timeout_s=20) if e.key == asset_id.encode()]
    start = {everything[0].partition: everything[4].offset}
    reading = read_log(bootstrap, MEASUREMENTS, start, timeout_s=20)
    asyncio.run(put(asset_id))  # after the call: not part of what it returns
    rest = [entry for entry in reading if entry.key == asset_id.encode()]
    assert rest == everything[4:]
    past_the_end = {everything[0].partition: everything[-1].offset + 1_000_000}
    assert asset_id.encode() not in [e.key for e in read_log(bootstrap, MEASUREMENTS, past_the_end, timeout_s=20)]


def test_headers_null_values_and_foreign_bytes_come_back_as_they_lie(bootstrap: str) -> None:
    key = uuid.uuid4().bytes
    producer = Producer({"bootstrap.servers": bootstrap})
    producer.produce(MEASUREMENTS, None, key, headers=[("a", b"\xff"), ("b", None), ("a", b"2")])
    producer.produce(MEASUREMENTS, b"\x00not avro", key)
    assert producer.flush(10) == 0
    null, junk = [entry for entry in read_log(bootstrap, MEASUREMENTS, timeout_s=20) if entry.key == key]
    assert null.value is None
    assert null.headers == (("a", b"\xff"), ("b", None), ("a", b"2"))
    assert junk.value == b"\x00not avro"
    assert junk.headers == ()


def test_a_block_as_large_as_allowed_goes_through(bootstrap: str) -> None:
    asset_id = uuid.uuid4().hex
    block = r.AcquisitionBlock(
        asset_id=asset_id,
        device_id="d",
        boot_id="b",
        sequence=1,
        start_ns=1,
        sampling_rate_hz=1.0,
        n_samples=1,
        channels=(),
        samples=b"\x00" * (MAX_VALUE_BYTES - 200),
    )

    async def put() -> None:
        sink = KafkaSink(bootstrap, CODEC)
        await sink.put(block)
        await sink.flush()

    asyncio.run(put())
    found = [entry for entry in read_log(bootstrap, MEASUREMENTS, timeout_s=20) if entry.key == asset_id.encode()]
    assert [CODEC.decode(entry.value) for entry in found] == [block]


def test_a_tick_goes_to_its_topic_and_partition_without_a_key(bootstrap: str) -> None:
    tick = r.Tick(topic=CONDITIONS, partition=0, at_ns=uuid.uuid4().int % 2**62, epoch=1)

    async def put() -> None:
        sink = KafkaSink(bootstrap, CODEC)
        await sink.put(tick)
        await sink.flush()

    asyncio.run(put())
    (entry,) = [e for e in read_log(bootstrap, CONDITIONS, timeout_s=20) if CODEC.decode(e.value) == tick]
    assert (entry.partition, entry.key) == (0, None)


def test_concurrent_commands_are_all_on_the_log(bootstrap: str) -> None:
    command = r.Command(
        command_id="", asset_id="P-1", alarm_id="a", action=r.CommandAction.ACKNOWLEDGE, actor="op", at_ns=1
    )
    wanted = [dataclasses.replace(command, command_id=uuid.uuid4().hex) for _ in range(20)]

    async def append() -> None:
        log = KafkaCommandLog(bootstrap, CODEC)
        await asyncio.gather(*(log.append(one) for one in wanted))

    asyncio.run(append())
    found = [CODEC.decode(entry.value) for entry in read_log(bootstrap, CONDITIONS, timeout_s=20)]
    assert all(one in found for one in wanted)


def test_nothing_waits_for_ever_while_the_broker_is_away(closed_port: str) -> None:
    async def put() -> None:
        sink = KafkaSink(closed_port, CODEC, delivery_timeout_s=0.5)
        await sink.put(event("P-1", 1))
        with pytest.raises(Unavailable, match="measurements"):
            await sink.flush()
        await sink.flush()  # the failure was reported; nothing is under way any more
        command = r.Command(
            command_id="c", asset_id="P-1", alarm_id="a", action=r.CommandAction.RESET, actor="op", at_ns=1
        )
        with pytest.raises(Unavailable, match="conditions"):
            await KafkaCommandLog(closed_port, CODEC, timeout_s=0.5).append(command)

    asyncio.run(asyncio.wait_for(put(), 20))
    with pytest.raises(Unavailable):
        wait_for_broker(closed_port, 0.5)
    with pytest.raises(Unavailable):
        ensure_topics(closed_port, 1, timeout_s=0.5)
    with pytest.raises(Unavailable):
        read_log(closed_port, MEASUREMENTS, timeout_s=0.5)


def test_a_failed_delivery_is_raised_by_the_next_put(closed_port: str) -> None:
    async def put() -> None:
        sink = KafkaSink(closed_port, CODEC, delivery_timeout_s=0.3, max_messages=2)
        await sink.put(event("P-1", 0))
        await sink.put(event("P-1", 1))
        await sink.put(event("P-1", 2))  # waits for room, which comes when the first have failed
        with pytest.raises(Unavailable):
            await sink.put(event("P-1", 3))

    asyncio.run(asyncio.wait_for(put(), 20))


def test_many_values_wait_for_room_and_a_failure_among_them_is_raised(closed_port: str) -> None:
    async def put() -> None:
        writer = KafkaWriter(closed_port, delivery_timeout_s=0.3, max_messages=2)
        # the third waits for room, which comes when the first have failed
        await writer.send_all(MEASUREMENTS, [(b"P-1", bytes([number])) for number in range(3)])
        with pytest.raises(Unavailable):
            await writer.send_all(MEASUREMENTS, [(b"P-1", b"3")])

    asyncio.run(asyncio.wait_for(put(), 20))


def test_an_unknown_topic_is_unavailable(bootstrap: str) -> None:
    with pytest.raises(Unavailable):
        read_log(bootstrap, f"no-such-{uuid.uuid4().hex}", timeout_s=5)
