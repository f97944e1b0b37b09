"""The load on a real broker: a backlog written ahead, signal sent when its time has come, and what comes out.

The generator is a device, not part of the product: it sends at once unless told otherwise, and it must cost little
beside the worker that is measured. Every wait has a deadline.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.admin._resource import ResourceType

from contracts import records as r
from contracts.codec import Codec
from contracts.errors import Unavailable
from contracts.topics import ALARMS, ASSESSMENTS, MEASUREMENTS
from loadtests.plant import Plant

_POLL_S: Final = 0.05
_FLUSH_S: Final = 60.0
_METADATA_S: Final = 10.0


class LoadGenerator:
    """Writes blocks to the log.

    Parameters
    ----------
    kafka_url : str
        Bootstrap servers.
    codec : Codec
        Encodes blocks.
    linger_ms : int
        How long a block may wait for others; many small ones are too many requests each by itself.
    """

    def __init__(self, kafka_url: str, codec: Codec, linger_ms: int = 0) -> None:
        self._codec = codec
        self._failed: list[KafkaError] = []
        #: Blocks sent so far.
        self.sent = 0
        self._producer = Producer(
            {
                "bootstrap.servers": kafka_url,
                "acks": "all",
                "enable.idempotence": True,
                "partitioner": "murmur2_random",
                "linger.ms": linger_ms,
                "queue.buffering.max.kbytes": 65_536,
                "message.max.bytes": 8 * 1024 * 1024,
            }
        )

    def fill(self, blocks: Iterable[r.AcquisitionBlock], progress: Callable[[int], None] = lambda _: None) -> int:
        """Write blocks as fast as the broker takes them; return how many, all acknowledged.

        Parameters
        ----------
        blocks : iterable of AcquisitionBlock
            In the order of time.
        progress : callable
            Told the number of blocks, now and then.

        Raises
        ------
        Unavailable
            If the broker doesn't take them.
        """
        count = 0
        for block in blocks:
            self._put(block)
            count += 1
            if count % 512 == 0:
                progress(count)
        self._flush()
        return count

    def pace(self, blocks: Iterable[r.AcquisitionBlock]) -> float:
        """Send each block when its last sample has been measured; return by how much the worst one was late, s.

        Parameters
        ----------
        blocks : iterable of AcquisitionBlock
            In the order of their ends.

        Raises
        ------
        Unavailable
            If the broker doesn't take them.
        """
        late_s = 0.0
        for block in blocks:
            due_ns = measured_at_ns(block)
            wait_s = (due_ns - time.time_ns()) / 1e9
            if wait_s > 0.0:
                self._producer.poll(0)
                time.sleep(wait_s)
            late_s = max(late_s, (time.time_ns() - due_ns) / 1e9)
            self._put(block)
        self._flush()
        return late_s

    def _put(self, block: r.AcquisitionBlock) -> None:
        value, key = self._codec.encode(MEASUREMENTS, block), block.asset_id.encode()
        deadline_s = time.monotonic() + _FLUSH_S
        while True:
            try:
                self._producer.produce(MEASUREMENTS, value, key, on_delivery=self._settle)
            except BufferError:
                if time.monotonic() > deadline_s:
                    raise Unavailable("Kafka", f"no room for a block in {_FLUSH_S:g} s") from None
                self._producer.poll(_POLL_S)
            else:
                self._producer.poll(0)
                self.sent += 1
                return

    def _settle(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            self._failed.append(error)

    def _flush(self) -> None:
        if self._producer.flush(_FLUSH_S) or self._failed:
            detail = self._failed[0] if self._failed else f"not acknowledged in {_FLUSH_S:g} s"
            raise Unavailable("Kafka", f"{MEASUREMENTS}: {detail}")


def keep_everything(kafka_url: str) -> None:
    """Have a broker keep the measurements whatever their size: a load is larger than what a laptop's broker keeps."""
    unlimited = ConfigEntry("retention.bytes", "-1", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, MEASUREMENTS, incremental_configs=[unlimited])
    admin = AdminClient({"bootstrap.servers": kafka_url})  # must outlive its answers
    for change in admin.incremental_alter_configs([resource]).values():
        change.result(_METADATA_S)


def measured_at_ns(block: r.AcquisitionBlock) -> int:
    """Return when the last sample of a block has been measured, UTC ns."""
    return block.start_ns + round(block.n_samples / block.sampling_rate_hz * 1e9)


@dataclass(frozen=True, slots=True)
class Arrival:
    """A record as it arrived at a subscriber (UTC ns), still encoded."""

    topic: str
    key: bytes
    value: bytes
    at_ns: int


class Subscriber:
    """A thread that notes what arrives on ``assessments`` and ``alarms`` from now on; decoding is left for later.

    Parameters
    ----------
    kafka_url : str
        Bootstrap servers.
    on_assessment : callable
        Called in the thread after each assessment with the number of assessments so far.
    """

    def __init__(self, kafka_url: str, on_assessment: Callable[[int], None] = lambda _: None) -> None:
        self._on_assessment = on_assessment
        self._arrived: list[Arrival] = []
        self._stop = threading.Event()
        self._consumer = Consumer(
            {
                "bootstrap.servers": kafka_url,
                "group.id": "faultline-bench",
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 10,
            }
        )
        self._consumer.assign(_ends(self._consumer))
        self._thread = threading.Thread(target=self._run, name="bench-subscriber", daemon=True)
        self._thread.start()

    def __enter__(self) -> "Subscriber":
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._consumer.close()

    def arrived(self) -> list[Arrival]:
        """Return what has arrived so far."""
        return list(self._arrived)

    def _run(self) -> None:
        assessments = 0
        while not self._stop.is_set():
            message = self._consumer.poll(_POLL_S)
            if message is None or message.error() is not None:
                continue
            at_ns = time.time_ns()
            topic, key, value = message.topic(), message.key(), message.value()
            if topic is None or not isinstance(value, bytes):
                continue
            self._arrived.append(Arrival(topic, key if isinstance(key, bytes) else b"", value, at_ns))
            if topic == ASSESSMENTS:
                assessments += 1
                self._on_assessment(assessments)


def _ends(consumer: Consumer) -> list[TopicPartition]:
    places = []
    for topic in (ASSESSMENTS, ALARMS):
        for partition in consumer.list_topics(topic, timeout=_METADATA_S).topics[topic].partitions:
            _, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=_METADATA_S)
            places.append(TopicPartition(topic, partition, high))
    return places


def latencies_ms(arrivals: Iterable[Arrival], codec: Codec, plant: Plant) -> Mapping[str, list[float]]:
    """Return how long after its last sample each assessment and each alarm transition of a plant arrived, ms.

    A window is known once the block with its last sample is whole: latency counts from there.

    Parameters
    ----------
    arrivals : iterable of Arrival
        What arrived.
    codec : Codec
        Decodes it.
    plant : Plant
        Whose assets count.

    Returns
    -------
    latencies : mapping of str to list of float
        ``assessments`` and ``alarms``.
    """
    found: dict[str, list[float]] = {ASSESSMENTS: [], ALARMS: []}
    for arrival in arrivals:
        record: Any = codec.decode(arrival.value)
        if not record.asset_id.startswith(f"{plant.load.prefix}-"):
            continue
        window_end_ns = record.window_end_ns if isinstance(record, r.Assessment) else record.at_ns
        found[arrival.topic].append((arrival.at_ns - plant.closing_ns(record.asset_id, window_end_ns)) / 1e6)
    return found
