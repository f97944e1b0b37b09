"""Stored rows in canonical form, to be compared with recomputed records.

Why: the yardstick for every fault is that the history equals a recomputation of the same log.
"""

import datetime as dt
from collections.abc import AsyncIterator, Collection, Mapping
from typing import Final

from psycopg import sql

from adapters.timescale.database import Database
from adapters.timescale.rows import TABLES, Row, Table, canonicaliser

_BATCH: Final = 2000
_LONGEST_S: Final = 3600.0
_NEVER: Final = dt.datetime.min.replace(tzinfo=dt.UTC)


async def read_history(
    database: Database,
    tables: Collection[str],
    asset_ids: Collection[str] | None = None,
    span_ns: tuple[int, int] | None = None,
) -> AsyncIterator[tuple[str, Row, Row]]:
    """Yield (table, key, values) of every stored row, in one consistent view of the database.

    Parameters
    ----------
    database : Database
        Where from.
    tables : collection of str
        Names out of `rows.TABLES`: those of `rows.HISTORY`, and ``alarm_history``, whose key is (asset, sequence).
    asset_ids : collection of str, optional
        Only these assets' rows.
    span_ns : tuple of int, int, optional
        Of time series only rows from the first time on and before the second; other tables are read whole.

    Yields
    ------
    tuple of str, tuple, tuple
        Ordered by key within a table, in the form of `canonical_rows` and `canonical_transitions`.

    Raises
    ------
    KeyError
        If a table isn't one of those.
    Unavailable
        If the database doesn't answer.
    """
    never = dict.fromkeys(tables, _NEVER)
    async for table, key, values, _ in read_history_since(database, never, asset_ids, span_ns):
        yield table, key, values


async def read_history_since(
    database: Database,
    tables: Mapping[str, dt.datetime],
    asset_ids: Collection[str] | None = None,
    span_ns: tuple[int, int] | None = None,
) -> AsyncIterator[tuple[str, Row, Row, bool]]:
    """Yield what `read_history` does, each row with whether it was stored after a time by the database's clock.

    Parameters
    ----------
    database : Database
        Where from.
    tables : mapping of str to datetime
        Names of tables, each with its time.
    asset_ids : collection of str, optional
        Only these assets' rows.
    span_ns : tuple of int, int, optional
        As for `read_history`.

    Yields
    ------
    tuple of str, tuple, tuple, bool
        Table, key, values, and whether the row was stored after the table's time.

    Raises
    ------
    KeyError
        If a table isn't one of those.
    Unavailable
        If the database doesn't answer.
    """
    chosen = [TABLES[name] for name in tables]
    wanted = None if asset_ids is None else list(asset_ids)
    async with database.transaction(_LONGEST_S) as connection:
        await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        for table in chosen:
            shape = canonicaliser(table)
            query = sql.SQL(
                "SELECT stored_at > %s, {} FROM {} WHERE (%s::text[] IS NULL OR asset_id = ANY(%s)) {} ORDER BY {}"
            ).format(
                sql.SQL(", ").join(map(sql.Identifier, table.columns)),
                sql.Identifier(table.name),
                _within(table, span_ns),
                sql.SQL(", ").join(map(sql.Identifier, table.key)),
            )
            async with connection.cursor(name=f"history_{table.name}", binary=True) as cursor:
                cursor.itersize = _BATCH
                await cursor.execute(query, (tables[table.name], wanted, wanted))
                async for is_later, *row in cursor:
                    yield (table.name, *shape(row), is_later)


def _within(table: Table, span_ns: tuple[int, int] | None) -> sql.Composable:
    if table.time_column is None or span_ns is None:
        return sql.SQL("")
    bounds = map(sql.Literal, span_ns)
    return sql.SQL("AND {0} >= {1} AND {0} < {2}").format(sql.Identifier(table.time_column), *bounds)


async def applied_offsets(database: Database) -> dict[tuple[str, int], int]:
    """Return the last offset whose results are stored, by (topic, partition)."""
    rows = await database.rows("SELECT topic, partition, applied_offset FROM checkpoint")
    return {(row["topic"], row["partition"]): row["applied_offset"] for row in rows}


async def partition_of(database: Database, topic: str, asset_id: str) -> int | None:
    """Return the partition of `topic` on which the asset has a state, ``None`` where it has none yet."""
    rows = await database.rows(
        "SELECT partition FROM asset_state WHERE topic = %(topic)s AND asset_id = %(asset_id)s",
        topic=topic,
        asset_id=asset_id,
    )
    return rows[0]["partition"] if rows else None
