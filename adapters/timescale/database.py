"""The connection pool, and the only place where psycopg's errors become ours.

Invariants: whatever can pass by itself (no connection, a lock or a deadlock, a full disk, a restart) is
``Unavailable``, so callers pause and try again; a password never shows in a message; no statement waits for ever.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Final, LiteralString

import psycopg
import psycopg_pool
from psycopg import conninfo, sql
from psycopg.rows import DictRow, TupleRow, dict_row

from contracts.errors import ConfigurationError, Unavailable

Connection = psycopg.AsyncConnection[TupleRow]

#: libpq settings that bound how long a dead peer goes unnoticed (seconds; milliseconds for the last).
_LIVENESS: Final[dict[str, str]] = {
    "connect_timeout": "5",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "25000",
}
#: How long a caller waits for a connection, and the pool tries to make one, before it is ``Unavailable`` (seconds).
#: Short, since the pool's own pauses grow: the callers' retries find a returned server sooner.
_WAIT_S: Final = 5.0
_RECONNECT_S: Final = 4.0


class Database:
    """A bounded pool of connections to one database; use it as an async context manager.

    Parameters
    ----------
    url : str
        ``postgresql://…`` or any libpq connection string.
    max_connections : int
        Upper bound of open connections.
    timeout_s : float
        Longest duration of one transaction.

    Raises
    ------
    ConfigurationError
        If `url` isn't a connection string.
    """

    def __init__(self, url: str, *, max_connections: int = 4, timeout_s: float = 30.0) -> None:
        self._settings = connection_settings(url)
        self._timeout_s = timeout_s
        self._pool = psycopg_pool.AsyncConnectionPool(
            conninfo.make_conninfo(**self._settings),
            min_size=1,
            max_size=max_connections,
            timeout=_WAIT_S,
            reconnect_timeout=_RECONNECT_S,
            open=False,
            name="faultline",
            check=psycopg_pool.AsyncConnectionPool.check_connection,
        )

    async def __aenter__(self) -> "Database":
        """Open the pool; connections are made in the background, so this doesn't fail while the server is away."""
        await self._pool.open(wait=False)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all connections."""
        await self._pool.close()

    @asynccontextmanager
    async def transaction(self, timeout_s: float | None = None) -> AsyncIterator[Connection]:
        """Lend a connection inside a transaction that commits at the end of the block.

        Parameters
        ----------
        timeout_s : float, optional
            Bound of the whole block; the pool's by default.

        Raises
        ------
        Unavailable
            If the database doesn't answer, or the transaction had to give way to another. After a lost connection it
            isn't known whether the transaction took effect.
        """
        try:
            async with (
                asyncio.timeout(timeout_s or self._timeout_s),
                self._pool.connection() as connection,
                connection.transaction(),
            ):
                yield connection
        except TimeoutError:
            raise Unavailable("database", f"no answer within {timeout_s or self._timeout_s:g} s") from None
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise self._unavailable(error) from None

    async def rows(self, query: LiteralString | sql.Composed, **parameters: Any) -> list[DictRow]:
        """Run one query in a transaction of its own and return its rows as mappings."""
        async with self.transaction() as connection, connection.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(query, parameters)
            return await cursor.fetchall()

    async def execute(self, query: LiteralString, **parameters: Any) -> None:
        """Run one statement in a transaction of its own."""
        async with self.transaction() as connection:
            await connection.execute(query, parameters)

    def _unavailable(self, error: psycopg.Error) -> Unavailable:
        return unavailable(error, self._settings)


def connection_settings(url: str) -> dict[str, Any]:
    """Return the libpq settings of `url`, completed by the bounds of liveness.

    Raises
    ------
    ConfigurationError
        If `url` can't be read. The message doesn't repeat it, since it may hold a password.

    Examples
    --------
    >>> connection_settings("postgresql://faultline@127.0.0.1:5432/faultline")["dbname"]
    'faultline'
    """
    try:
        given = conninfo.conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        raise ConfigurationError("the database URL can't be read; postgresql://user@host:port/name expected") from None
    return {"application_name": "faultline", **_LIVENESS, **given}


def unavailable(error: psycopg.Error, settings: dict[str, Any]) -> Unavailable:
    """Return `error` as ours, in one line and without the password."""
    detail = " ".join(f"{type(error).__name__}: {error}".split())
    password = settings.get("password")
    return Unavailable("database", detail.replace(password, "***") if password else detail)
