"""Fixtures that several kinds of test share: real local services, an empty database, a broker, real recordings.

Each pytest process has services of its own, in a folder of its own, so any number may run side by side. Where
``FAULTLINE_TEST_DATABASE_URL``, ``FAULTLINE_TEST_KAFKA_URL`` or ``FAULTLINE_TEST_OPENSEARCH_URL`` is set, that server
is used instead.
"""

import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from hypothesis import settings as hypothesis_settings
from psycopg import sql

from adapters.kafka import ensure_topics
from runtime.services.local import LocalServices, Urls
from runtime.services.places import outside_of
from runtime.settings import PROJECT, Settings

hypothesis_settings.register_profile("faultline", deadline=None, print_blob=True)
hypothesis_settings.load_profile("faultline")

_ELSEWHERE = "unused:1"
_SEARCH_START_S = 300.0  # with the jars still to be fetched
_FAST = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "max_connections": "60"}
_SERVICE_FIXTURES = {"local_services", "database_server", "database_url", "kafka_bootstrap", "search_server"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        names = set(getattr(item, "fixturenames", ()))
        if names & _SERVICE_FIXTURES:
            item.add_marker("services")
        if "data_folder" in names:
            item.add_marker("data")


@contextmanager
def _services(settings: Settings) -> Iterator[Urls]:
    folder = Path(tempfile.mkdtemp(prefix="faultline-test-"))
    folder.chmod(0o755)  # ours alone; PostgreSQL's user has to enter it
    try:
        with LocalServices(folder, settings, lambda _status: None, postgres_options=_FAST) as urls:
            yield urls
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(outside_of(folder), ignore_errors=True)


@pytest.fixture(scope="session")
def kafka_bootstrap() -> Iterator[str]:
    """Give the bootstrap servers of a broker for the session; tests share the product's topics, or name their own.

    The product's topics are made here, with the default number of partitions: whatever the order of the tests, none
    finds them with fewer.
    """
    if url := os.environ.get("FAULTLINE_TEST_KAFKA_URL"):
        ensure_topics(url, Settings().partitions)
        yield url
        return
    with _services(Settings(database_url=_ELSEWHERE, kafka_url=None)) as urls:
        ensure_topics(urls.kafka, Settings().partitions)
        yield urls.kafka


@pytest.fixture(scope="session")
def database_server() -> Iterator[str]:
    """Give the URL of a database server for the session, with the right to create databases."""
    if url := os.environ.get("FAULTLINE_TEST_DATABASE_URL"):
        yield url
        return
    with _services(Settings(database_url=None, kafka_url=_ELSEWHERE)) as urls:
        yield urls.database


@pytest.fixture(scope="session")
def search_server() -> Iterator[str]:
    """Give the URL of an OpenSearch for the session; each test names its own alias."""
    if url := os.environ.get("FAULTLINE_TEST_OPENSEARCH_URL"):
        yield url
        return
    folder = Path(tempfile.mkdtemp(prefix="faultline-test-"))
    settings = Settings(database_url=_ELSEWHERE, kafka_url=_ELSEWHERE, opensearch_url=None)
    services = LocalServices(folder, settings, lambda _status: None, search=True)
    try:
        with services:
            yield services.search_ready.result(_SEARCH_START_S)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def local_services(kafka_bootstrap: str, database_server: str) -> Urls:
    """Give the URLs of both services."""
    return Urls(kafka=kafka_bootstrap, database=database_server)


@pytest.fixture
def database_url(database_server: str) -> Iterator[str]:
    """Give the URL of a new, empty database; dropped afterwards."""
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(database_server, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield urlunsplit(urlsplit(database_server)._replace(path=f"/{name}"))
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def topic_name() -> Callable[[str], str]:
    """Give a function that makes a topic's name unique."""
    return lambda stem: f"{stem}-{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Give the folder of real recordings; the test is skipped where there is none."""
    folder = Path(os.environ.get("FAULTLINE_TEST_DATA", PROJECT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real recordings in {folder}: set FAULTLINE_TEST_DATA")
    return folder
