"""The session's services answer, and each test has a database of its own."""

from collections.abc import Callable

import psycopg
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.e2e.product import wait_for


def test_database_is_empty_and_ours(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        tables = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
        assert tables == (0,)
        connection.execute("CREATE TABLE left_behind ()")


def test_next_database_is_empty_again(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT to_regclass('left_behind')").fetchone() == (None,)


def test_broker_makes_topics_on_purpose_only(kafka_bootstrap: str, topic_name: Callable[[str], str]) -> None:
    admin = AdminClient({"bootstrap.servers": kafka_bootstrap})
    name = topic_name("runtime")
    admin.create_topics([NewTopic(name, num_partitions=3, replication_factor=1)])[name].result(10)
    # the answer to the creation may come before the broker tells everybody of the topic
    wait_for("the topic", lambda: len(admin.list_topics(name, timeout=5).topics[name].partitions) == 3)
    missing = topic_name("missing")
    assert admin.list_topics(missing, timeout=5).topics[missing].error is not None
