"""Storing history: COPY into a staging table, then one INSERT that leaves known keys alone.

Invariants: one call is one transaction; the same rows a second time change nothing; no row is refused for its time.
"""

from collections.abc import Sequence
from typing import Final

from psycopg import sql

from adapters.timescale.database import Connection, Database
from adapters.timescale.rows import HISTORY, Row, Table, flatten
from contracts.ports import HistoryRows

_DAY_NS: Final = 86_400_000_000_000
#: More new days than this in one call lie in the default partition: a wild clock must not make thousands of tables.
_MOST_NEW_DAYS: Final = 31

_LATEST: Final = """
    INSERT INTO asset_latest (asset_id, window_start_ns, code_version)
    SELECT DISTINCT ON (asset_id) asset_id, window_start_ns, code_version FROM stage_assessment
    ORDER BY asset_id, window_start_ns DESC, code_version
    ON CONFLICT (asset_id) DO UPDATE
    SET window_start_ns = excluded.window_start_ns, code_version = excluded.code_version
    WHERE asset_latest.window_start_ns < excluded.window_start_ns
"""


class HistorySink:
    """Writes `HistoryRows`; remembers which days have their partition."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._days: dict[str, set[int]] = {table.name: set() for table in HISTORY}
        self._statements = {table.name: _statements(table) for table in HISTORY}

    async def append(self, rows: HistoryRows) -> None:
        """Store `rows` in one transaction; raise ``Unavailable`` where that can't be done now."""
        flat = flatten(rows)
        batches = [(table, flat[table.name]) for table in HISTORY if flat[table.name]]
        if not batches:
            return
        for table, batch in batches:
            await self._ensure_days(table, batch)
        async with self._database.transaction() as connection:
            for table, batch in batches:
                await self._store(connection, table, batch)
            if rows.assessments:
                await connection.execute(_LATEST)

    async def _store(self, connection: Connection, table: Table, rows: Sequence[Row]) -> None:
        create, copy, insert = self._statements[table.name]
        await connection.execute(create)
        cursor = connection.cursor()
        async with cursor.copy(copy) as sink:
            sink.set_types([_staged(kind) for kind in table.types])
            for row in rows:
                await sink.write_row(row)
        await connection.execute(insert)

    async def _ensure_days(self, table: Table, rows: Sequence[Row]) -> None:
        if table.time_column is None:
            return
        column = table.columns.index(table.time_column)
        days = {row[column] // _DAY_NS for row in rows}
        if days <= self._days[table.name]:
            return
        days.add(max(days) + 1)  # the next day is ready before its first row comes
        missing = sorted(days - self._days[table.name], reverse=True)
        await self._database.execute(
            "SELECT faultline_ensure_days(%(series)s, %(days)s)", series=table.name, days=missing[:_MOST_NEW_DAYS]
        )
        self._days[table.name] |= days


def _statements(table: Table) -> tuple[bytes, bytes, bytes]:
    stage = sql.Identifier(f"stage_{table.name}")
    names = [sql.Identifier(name) for name in table.columns]
    staged = [sql.SQL(_staged(kind)) for kind in table.types]
    create = sql.SQL("CREATE TEMP TABLE IF NOT EXISTS {} ({}) ON COMMIT DELETE ROWS").format(
        stage, sql.SQL(", ").join(sql.SQL("{} {}").format(n, t) for n, t in zip(names, staged, strict=True))
    )
    copy = sql.SQL("COPY {} FROM STDIN (FORMAT binary)").format(stage)
    insert = sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {} ON CONFLICT DO NOTHING").format(
        sql.Identifier(table.name),
        sql.SQL(", ").join(names),
        sql.SQL(", ").join(
            sql.SQL("{}::{}").format(n, sql.SQL(kind)) for n, kind in zip(names, table.types, strict=True)
        ),
        stage,
    )
    return create.as_bytes(), copy.as_bytes(), insert.as_bytes()


def _staged(kind: str) -> str:
    # JSON is staged as the text it is: psycopg would encode it a second time.
    return "text" if kind == "jsonb" else kind
