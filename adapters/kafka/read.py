"""A topic read from its beginning to its end as of now: the log as input of recomputation and inspection."""

import contextlib
import itertools
import time
from collections.abc import Collection, Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, cast

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Consumer, KafkaError, KafkaException, Message, TopicPartition

from adapters.kafka.client import LOGGER, POLL_S, client_settings
from contracts.errors import Unavailable

_BATCH: Final = 256
_NS_PER_MS: Final = 1_000_000
_PASSING: Final = frozenset({KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE})


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRecord:
    """One record as it lies on a topic; ``timestamp_ns`` is the producer's, 0 where it has none."""

    partition: int
    offset: int
    timestamp_ns: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


def read_log(
    bootstrap: str,
    topic: str,
    start: Mapping[int, int] | None = None,
    *,
    partitions: Collection[int] | None = None,
    timeout_s: float = 30.0,
) -> Generator[LogRecord, None, None]:
    """Return what lies on a topic now, each partition in order.

    Parameters
    ----------
    bootstrap : str
        ``host:port``, comma-separated.
    topic : str
        The topic to read.
    start : mapping of int to int, optional
        First offset by partition; elsewhere, and below the oldest kept record, the oldest is the first.
    partitions : collection of int, optional
        Only these; all by default.
    timeout_s : float
        How long the broker may stay silent.

    Returns
    -------
    records : iterator of LogRecord
        Everything up to the end of each partition at the time of the call.

    Raises
    ------
    Unavailable
        If the topic doesn't exist, or the broker is silent for `timeout_s`.
    """
    settings = client_settings(
        bootstrap, group_id="faultline-read-log", enable_auto_commit=False, enable_partition_eof=True
    )
    consumer = Consumer({**settings, "auto.offset.reset": "earliest"}, logger=LOGGER)
    deadline_s = time.monotonic() + timeout_s
    while True:
        try:
            ends = _assign(consumer, topic, start or {}, partitions, timeout_s)
        except KafkaException as error:
            # a broker that has just started names partitions before it leads them
            if time.monotonic() < deadline_s and error.args[0].code() in _PASSING:
                time.sleep(POLL_S)
                continue
            consumer.close()
            raise Unavailable("Kafka", f"{topic}: {error.args[0]}") from None
        return _read(consumer, topic, ends, timeout_s)


def read_range(bootstrap: str, topic: str, partition: int, first: int, end: int) -> list[LogRecord]:
    """Return the records of a partition from the offset `first` up to `end`, as far as the log has them.

    Raises
    ------
    Unavailable
        If the topic doesn't exist, or the broker doesn't answer.
    """
    with contextlib.closing(read_log(bootstrap, topic, {partition: first}, partitions=[partition])) as log:
        return list(itertools.takewhile(lambda record: record.offset < end, log))


def log_starts(bootstrap: str, topic: str, timeout_s: float = 30.0) -> dict[int, int]:
    """Return the offset of the oldest record of each partition: 0 until retention has removed any.

    Parameters
    ----------
    bootstrap : str
        ``host:port``, comma-separated.
    topic : str
        Which.
    timeout_s : float
        Bound of each request.

    Raises
    ------
    Unavailable
        If the topic doesn't exist, or the broker doesn't answer.
    """
    consumer = Consumer(client_settings(bootstrap, group_id="faultline-read-log"), logger=LOGGER)
    try:
        found = consumer.list_topics(topic, timeout=timeout_s).topics[topic]
        if found.error is not None:
            raise KafkaException(found.error)
        places = (TopicPartition(topic, partition) for partition in found.partitions)
        return {at.partition: consumer.get_watermark_offsets(at, timeout=timeout_s)[0] for at in places}
    except KafkaException as error:
        raise Unavailable("Kafka", f"{topic}: {error.args[0]}") from None
    finally:
        consumer.close()


def _assign(
    consumer: Consumer, topic: str, start: Mapping[int, int], only: Collection[int] | None, timeout_s: float
) -> dict[int, int]:
    found = consumer.list_topics(topic, timeout=timeout_s).topics[topic]
    if found.error is not None:
        raise KafkaException(found.error)
    ends: dict[int, int] = {}
    places: list[TopicPartition] = []
    for partition in found.partitions:
        if only is not None and partition not in only:
            continue
        low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=timeout_s)
        first = max(start.get(partition, low), low)
        if first < high:
            ends[partition] = high
            places.append(TopicPartition(topic, partition, first))
    consumer.assign(places)
    return ends


def _read(consumer: Consumer, topic: str, ends: dict[int, int], timeout_s: float) -> Generator[LogRecord, None, None]:
    silent_s = 0.0
    try:
        while ends:
            messages = consumer.consume(_BATCH, timeout=POLL_S)
            silent_s = 0.0 if messages else silent_s + POLL_S
            if silent_s >= timeout_s:
                raise Unavailable("Kafka", f"{topic}: silent for {timeout_s:g} s, partitions {sorted(ends)} unread")
            for message in messages:
                yield from _take(message, topic, ends)
    finally:
        consumer.close()


def _take(message: Message, topic: str, ends: dict[int, int]) -> Iterator[LogRecord]:
    partition, offset, error = message.partition(), message.offset(), message.error()
    at_end = error is not None and error.code() == KafkaError._PARTITION_EOF  # noqa: SLF001 -- the client's public name
    if error is not None and not at_end:
        raise Unavailable("Kafka", f"{topic}: {error}")
    if partition is None or offset is None or partition not in ends:
        return
    if not at_end and offset < ends[partition]:
        kind, timestamp_ms = message.timestamp()
        yield LogRecord(
            partition=partition,
            offset=offset,
            timestamp_ns=0 if kind == TIMESTAMP_NOT_AVAILABLE else timestamp_ms * _NS_PER_MS,
            key=_raw(message.key()),
            value=_raw(message.value()),
            headers=tuple(cast("list[tuple[str, bytes | None]]", message.headers() or [])),
        )
    # the last place may hold a transaction marker instead of a record, hence the end-of-partition event too
    if at_end or offset >= ends[partition] - 1:
        del ends[partition]


def _raw(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value
