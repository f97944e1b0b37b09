"""Topics made before use: a consumer of a missing topic idles without a word."""

from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from adapters.kafka.client import FRAME_BYTES, LOGGER, client_settings
from contracts.codec import MAX_VALUE_BYTES
from contracts.errors import ConfigurationError, Unavailable
from contracts.topics import DEAD_LETTERS, TOPICS


def wait_for_broker(bootstrap: str, timeout_s: float) -> None:
    """Return once a broker answers.

    Parameters
    ----------
    bootstrap : str
        ``host:port``, comma-separated.
    timeout_s : float
        How long to wait.

    Raises
    ------
    Unavailable
        If none answered in time.
    """
    admin = AdminClient(client_settings(bootstrap), logger=LOGGER)
    try:
        admin.list_topics(timeout=timeout_s)
    except KafkaException as error:
        raise Unavailable("Kafka", f"{bootstrap} didn't answer in {timeout_s:g} s: {error.args[0]}") from None


def ensure_topics(bootstrap: str, partitions: int, *, replication: int = 1, timeout_s: float = 30.0) -> None:
    """Create every topic of ``contracts.topics`` that doesn't exist yet.

    Parameters
    ----------
    bootstrap : str
        ``host:port``, comma-separated.
    partitions : int
        Partitions of each topic, at least 1.
    replication : int
        Copies of each partition; 1 for a single broker.
    timeout_s : float
        Bound of each request.

    Raises
    ------
    ConfigurationError
        If a topic exists with fewer partitions, which would move assets to other partitions when mended.
    Unavailable
        If the broker doesn't answer or refuses.
    """
    if partitions < 1:
        raise ConfigurationError(f"topics need at least 1 partition, not {partitions}")
    admin = AdminClient(client_settings(bootstrap), logger=LOGGER)
    try:
        existing = admin.list_topics(timeout=timeout_s).topics
        wanted = [_new_topic(name, partitions, replication) for name in TOPICS if name not in existing]
        for creation in admin.create_topics(wanted, request_timeout=timeout_s).values() if wanted else ():
            _settle_creation(creation)
    except KafkaException as error:
        raise Unavailable("Kafka", f"topics on {bootstrap}: {error.args[0]}") from None
    for name in TOPICS:
        if name in existing and len(existing[name].partitions) < partitions:
            raise ConfigurationError(
                f"topic {name} has {len(existing[name].partitions)} partitions, {partitions} are configured; more "
                "partitions would move assets: set the number to the topic's, or start with an empty log"
            )


def _new_topic(name: str, partitions: int, replication: int) -> NewTopic:
    room = MAX_VALUE_BYTES + FRAME_BYTES
    config = {
        "cleanup.policy": "delete",
        "retention.ms": str(TOPICS[name].retention_s * 1000),
        # a dead letter holds a whole refused record
        "max.message.bytes": str(room + FRAME_BYTES if name == DEAD_LETTERS else room),
        "message.timestamp.type": "CreateTime",
    }
    return NewTopic(name, num_partitions=partitions, replication_factor=replication, config=config)


def _settle_creation(creation: Any) -> None:
    try:
        creation.result()
    except KafkaException as error:
        # somebody else was quicker: the topic is there, which is what was asked for
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise
