"""The database in each form the product meets: native partitions, TimescaleDB's Apache edition, its full licence."""

import asyncio
from typing import Literal, LiteralString

import psycopg
import pytest
from psycopg import sql

from adapters.timescale import migrate

Level = Literal["native", "apache", "timescale"]

_OFFERED = """
    SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'timescaledb')
        AND current_setting('timescaledb.disable_load', true) IS NOT NULL
"""
_SETTINGS: dict[Level, tuple[LiteralString, str]] = {
    "native": ("timescaledb.disable_load", "on"),
    "apache": ("timescaledb.license", "apache"),
    "timescale": ("timescaledb.license", "timescale"),
}


@pytest.fixture(params=["native", "apache", "timescale"])
def level(request: pytest.FixtureRequest) -> Level:
    """Name the form of the database."""
    chosen: Level = request.param
    return chosen


@pytest.fixture(scope="session")
def offers_timescaledb(database_server: str) -> bool:
    """Say whether the server could have TimescaleDB."""
    with psycopg.connect(database_server) as connection:
        return connection.execute(_OFFERED).fetchone() == (True,)


@pytest.fixture
def migrated_url(request: pytest.FixtureRequest, offers_timescaledb: bool, level: Level) -> str:
    """Give the URL of a database in that form, with the schema and no rows."""
    if level != "native" and not offers_timescaledb:
        pytest.skip("the server offers no TimescaleDB: set FAULTLINE_TEST_DATABASE_URL to one that does")
    url: str = request.getfixturevalue("database_url")
    if offers_timescaledb:
        name, value = _SETTINGS[level]
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(
                sql.SQL("ALTER DATABASE {} SET {} = {}").format(
                    sql.Identifier(connection.info.dbname), sql.SQL(name), sql.Literal(value)
                )
            )
    asyncio.run(migrate(url))
    return url
