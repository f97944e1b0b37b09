"""Kafka through librdkafka: topics made before use, records in under back-pressure, a log read to its end.

Invariants: a record is reported as acknowledged only once all in-sync replicas have it, an asset's records keep their
order (one key, idempotent producer, the Java client's partitioner), and no call waits without a bound.
"""

from adapters.kafka.producer import KafkaWriter
from adapters.kafka.read import LogRecord, log_starts, read_log, read_range
from adapters.kafka.topics import ensure_topics, wait_for_broker
from adapters.kafka.write import KafkaCommandLog, KafkaReturn, KafkaSink

__all__ = [
    "KafkaCommandLog",
    "KafkaReturn",
    "KafkaSink",
    "KafkaWriter",
    "LogRecord",
    "ensure_topics",
    "log_starts",
    "read_log",
    "read_range",
    "wait_for_broker",
]
