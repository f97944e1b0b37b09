"""Bring the schema up to date: numbered SQL files, forward only.

Invariants: a file is applied once, in a transaction of its own, in the order of the names; what was applied must not
change afterwards; processes that start at once wait for each other.
"""

import hashlib
import pathlib
from typing import Final

import psycopg

from adapters.timescale.database import Connection, connection_settings, unavailable
from contracts.errors import ConfigurationError

FOLDER: Final = pathlib.Path(__file__).resolve().parent / "migrations"

#: Any constant will do, as long as it never changes: the lock is what two starting processes meet at.
_LOCK: Final = 0x6661756C
_TABLE: Final = """
    CREATE TABLE IF NOT EXISTS schema_migration (
        name text PRIMARY KEY,
        sha256 text NOT NULL,
        applied_at timestamptz NOT NULL DEFAULT now()
    )
"""


async def migrate(database_url: str, folder: pathlib.Path = FOLDER) -> list[str]:
    """Apply the migrations that are missing.

    Parameters
    ----------
    database_url : str
        Where to.
    folder : pathlib.Path
        Where the ``*.sql`` files lie.

    Returns
    -------
    applied : list of str
        Names of the files applied now, in order.

    Raises
    ------
    ConfigurationError
        If a file that was applied has changed since, or isn't among the files: the database is newer than this version.
    Unavailable
        If the database doesn't answer.
    """
    settings = connection_settings(database_url)
    files = _files(folder)
    try:
        async with await psycopg.AsyncConnection.connect(**settings, autocommit=True) as connection:
            await connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
            await connection.execute(_TABLE)
            return await _apply(connection, files)
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        raise unavailable(error, settings) from None


def _files(folder: pathlib.Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.sql"))}


async def _apply(connection: Connection, files: dict[str, bytes]) -> list[str]:
    cursor = await connection.execute("SELECT name, sha256 FROM schema_migration")
    known: dict[str, str] = dict(await cursor.fetchall())
    for name, sha256 in known.items():
        if name not in files:
            raise ConfigurationError(
                f"the database has migration {name}, which this version lacks: use a newer version"
            )
        if hashlib.sha256(files[name]).hexdigest() != sha256:
            raise ConfigurationError(
                f"migration {name} has changed since it was applied: restore it and add a new file"
            )
    missing = [name for name in files if name not in known]
    for name in missing:
        async with connection.transaction():
            await connection.execute(files[name])
            await connection.execute(
                "INSERT INTO schema_migration (name, sha256) VALUES (%s, %s)",
                (name, hashlib.sha256(files[name]).hexdigest()),
            )
    return missing
