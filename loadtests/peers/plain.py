"""The ceiling: a loop over a confluent-kafka consumer, whole batches through the kernels, a producer.

Its state goes to a compacted topic before the offsets are committed; it has neither a restart nor failures in mind.
"""

import signal
import time

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from loadtests.peers import frames
from loadtests.peers.job import BATCH, CHECKPOINT_S, LINGER_MS, Orders, SmallJob, State, encode

_POLL_S = 0.1


def main() -> None:
    """Run until SIGTERM."""
    orders = Orders.given()
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: stopped.append(number))
    changelog = f"{orders.group}-state"
    admin = AdminClient({"bootstrap.servers": orders.bootstrap})
    admin.create_topics([NewTopic(changelog, frames.PARTITIONS, 1, config={"cleanup.policy": "compact"})])[
        changelog
    ].result()
    producer = Producer(
        {
            "bootstrap.servers": orders.bootstrap,
            "linger.ms": LINGER_MS,
            "acks": "all",
            "queue.buffering.max.messages": 200_000,
        }
    )
    consumer = Consumer(
        {
            "bootstrap.servers": orders.bootstrap,
            "group.id": orders.group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "fetch.wait.max.ms": 20,
            "fetch.queue.backoff.ms": 20,
        }
    )
    consumer.subscribe([orders.source])
    _loop(orders, SmallJob(), consumer, producer, stopped)
    producer.flush()
    consumer.close()


def _loop(orders: Orders, job: SmallJob, consumer: Consumer, producer: Producer, stopped: list[int]) -> None:
    states: dict[int, State] = {}
    changed: dict[int, int] = {}
    positions: dict[int, int] = {}
    last_s = time.monotonic()
    while not stopped:
        first = consumer.poll(_POLL_S)
        messages = [] if first is None else [first, *consumer.consume(BATCH - 1, 0)]
        messages = [message for message in messages if message.error() is None]
        if messages:
            channels, records = job.score([message.value() or b"" for message in messages], states)
            for message, channel, record in zip(messages, channels, records, strict=True):
                producer.produce(orders.sink, record, message.key())
                changed[channel] = partition = message.partition() or 0
                positions[partition] = (message.offset() or 0) + 1
            producer.poll(0)
        if positions and time.monotonic() - last_s >= CHECKPOINT_S:
            for channel, partition in changed.items():
                producer.produce(f"{orders.group}-state", encode(states[channel]), b"%d" % channel, partition=partition)
            producer.flush()
            consumer.commit(
                offsets=[TopicPartition(orders.source, p, offset) for p, offset in positions.items()],
                asynchronous=False,
            )
            changed.clear()
            positions.clear()
            last_s = time.monotonic()


if __name__ == "__main__":
    main()
