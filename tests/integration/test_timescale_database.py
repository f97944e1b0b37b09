"""Migrations against a real server, and what a caller sees of a server that goes away."""

import asyncio
import contextlib
import pathlib
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import psycopg
import pytest

from adapters.timescale import Database, HistoryReader, migrate
from contracts.errors import ConfigurationError, Unavailable
from contracts.features import FEATURE_NAMES


def test_migrations_are_applied_once(database_url: str) -> None:
    first = asyncio.run(migrate(database_url))
    assert first == sorted(first)
    assert len(first) > 1
    assert asyncio.run(migrate(database_url)) == []


def test_processes_that_start_at_once_share_the_work(database_url: str) -> None:
    async def scenario() -> list[list[str]]:
        return await asyncio.gather(*(migrate(database_url) for _ in range(4)))

    assert sorted(map(bool, asyncio.run(scenario()))) == [False, False, False, True]


def test_changed_migration_is_named(database_url: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / "0001_a.sql").write_text("CREATE TABLE a (id int)")
    (tmp_path / "0002_b.sql").write_text("CREATE TABLE b (id int)")
    assert asyncio.run(migrate(database_url, tmp_path)) == ["0001_a.sql", "0002_b.sql"]
    (tmp_path / "0003_c.sql").write_text("CREATE TABLE c (id int)")
    (tmp_path / "0002_b.sql").write_text("CREATE TABLE b (id bigint)")
    with pytest.raises(ConfigurationError, match=r"0002_b\.sql has changed"):
        asyncio.run(migrate(database_url, tmp_path))
    (tmp_path / "0002_b.sql").unlink()
    with pytest.raises(ConfigurationError, match=r"0002_b\.sql, which this version lacks"):
        asyncio.run(migrate(database_url, tmp_path))
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT to_regclass('c')").fetchone() == (None,)


def test_failing_migration_leaves_nothing_behind(database_url: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / "0001_a.sql").write_text("CREATE TABLE a (id int)")
    (tmp_path / "0002_b.sql").write_text("CREATE TABLE b (id int); SELECT 1 / 0")
    with pytest.raises(psycopg.errors.DivisionByZero):
        asyncio.run(migrate(database_url, tmp_path))
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT to_regclass('a'), to_regclass('b')").fetchone() == ("a", None)
    (tmp_path / "0002_b.sql").write_text("CREATE TABLE b (id int)")
    assert asyncio.run(migrate(database_url, tmp_path)) == ["0002_b.sql"]


def test_feature_table_has_the_columns_of_the_catalogue(database_url: str) -> None:
    asyncio.run(migrate(database_url))
    with psycopg.connect(database_url) as connection:
        columns = connection.execute(
            "SELECT column_name FROM information_schema.columns"
            " WHERE table_name = 'feature' AND data_type = 'real' ORDER BY ordinal_position"
        ).fetchall()
    assert [name for (name,) in columns] == list(FEATURE_NAMES)


def test_days_have_partitions_made_ahead(database_url: str) -> None:
    day_ns = 86_400 * 10**9
    asyncio.run(migrate(database_url))
    with psycopg.connect(database_url, autocommit=True) as connection:
        if connection.execute("SELECT 1 FROM pg_extension WHERE extname = 'timescaledb'").fetchone():
            pytest.skip("the server has TimescaleDB, which makes its own chunks")
        connection.execute(
            "INSERT INTO reading VALUES ('c', %s, 'a', 'temperature', 'degC', 1, 'good')", (day_ns * 2 + 5,)
        )
        connection.execute("SELECT faultline_ensure_days('reading', ARRAY[0, 1, 2, 106751, -1, 0])")
        connection.execute("SELECT faultline_ensure_days('reading', ARRAY[1])")
        parts = connection.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'reading'::regclass ORDER BY 1"
        ).fetchall()
        kept = connection.execute("SELECT count(*) FROM reading_rest").fetchone()
    assert [name for (name,) in parts] == [
        "reading_19691231",
        "reading_19700101",
        "reading_19700102",
        "reading_rest",  # it keeps the third day, whose first row came before its partition
    ]
    assert kept == (1,)


class Wire:
    """A TCP relay to the server that can be cut and mended."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname, parts.port)
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.port = 0

    async def mend(self) -> None:
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        if self._server is not None:
            self._server.close()
            for writer in self._writers:
                writer.transport.abort()
            await self._server.wait_closed()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection(*self._target)
        self._writers |= {writer, there_writer}
        await asyncio.gather(self._pump(reader, there_writer), self._pump(there_reader, writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()


@contextlib.asynccontextmanager
async def wired(url: str) -> AsyncIterator[tuple[Wire, str]]:
    wire = Wire(url)
    await wire.mend()
    try:
        parts = urlsplit(url)
        secret = parts.password or "open-sesame"
        yield wire, parts._replace(netloc=f"{parts.username}:{secret}@127.0.0.1:{wire.port}").geturl()
    finally:
        await wire.cut()


def test_server_that_goes_and_comes_back(database_url: str) -> None:
    async def scenario() -> None:
        async with wired(database_url) as (wire, url), Database(url) as database:
            reader = HistoryReader(database)
            await reader.ready()
            await wire.cut()
            with pytest.raises(Unavailable, match="database is unavailable") as caught:
                await reader.ready()
            assert (urlsplit(url).password or "") not in str(caught.value)
            await wire.mend()
            async with asyncio.timeout(30):
                while True:
                    with contextlib.suppress(Unavailable):
                        await reader.ready()
                        return

    asyncio.run(scenario())


def test_statement_that_takes_too_long_is_unavailable(database_url: str) -> None:
    async def scenario() -> None:
        async with Database(database_url, max_connections=1) as database:
            with pytest.raises(Unavailable, match=r"no answer within 0\.2 s"):
                async with database.transaction(0.2) as connection:
                    await connection.execute("SELECT pg_sleep(60)")
            await HistoryReader(database).ready()

    asyncio.run(scenario())


def test_lock_conflicts_are_worth_another_try(database_url: str) -> None:
    async def scenario() -> None:
        async with Database(database_url) as database:
            await database.execute("CREATE TABLE t AS SELECT 1 AS id")
            async with database.transaction() as holder:
                await holder.execute("SELECT FROM t FOR UPDATE")
                with pytest.raises(Unavailable, match="LockNotAvailable"):
                    await database.execute("SELECT FROM t FOR UPDATE NOWAIT")

    asyncio.run(scenario())


def test_nobody_listens_there() -> None:
    with pytest.raises(Unavailable, match="database is unavailable") as caught:
        asyncio.run(migrate("postgresql://me:open-sesame@127.0.0.1:1/nowhere"))
    assert "open-sesame" not in str(caught.value)


@pytest.mark.parametrize("url", ["postgresql://me:open-sesame%zz@h/x", "host=x open-sesame"])
def test_unreadable_url_is_not_repeated(url: str) -> None:
    with pytest.raises(ConfigurationError, match="can't be read") as caught:
        Database(url)
    assert "open-sesame" not in str(caught.value)
    assert caught.value.__suppress_context__
