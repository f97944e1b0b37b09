"""How many records may be refused, and which refused ones have been put back on their topic.

Invariants: within any minute of the database's clock no more are allowed than the limit, whoever asks; a mark is
committed only after its caller's block has ended well, and two callers never hold the same one, so a record is put back
once; only a crash between the log's acknowledgement and the commit lets it be put back again.
"""

import datetime as dt
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from adapters.timescale.database import Database

#: Where a refused record lay: topic, partition, offset.
Place = tuple[str, int, int]

_MARK: Final = """
    INSERT INTO dead_letter_replay (topic, partition, log_offset, replayed_by) VALUES (%s, %s, %s, %s)
    ON CONFLICT DO NOTHING
"""
#: Requests wait for each other, so that two can't take the same room.
_ONE_AT_A_TIME: Final = "SELECT pg_advisory_xact_lock(hashtext('refusal_allowance'), 0)"
#: Nor do rows count that a clock set back has left in the future.
_FORGET: Final = """
    DELETE FROM refusal_allowance
    WHERE taken_at <= clock_timestamp() - interval '1 minute' OR taken_at > clock_timestamp()
"""
_ALLOW: Final = """
    INSERT INTO refusal_allowance (taken_at, records)
    SELECT clock_timestamp(), room FROM (
        SELECT least(%s, %s - coalesce(sum(records), 0)) AS room FROM refusal_allowance
    ) AS account WHERE room > 0
    RETURNING records
"""


class RefusalAccount:
    """`contracts.ports.RefusalAccount` in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def allow_refusals(self, records: int, limit: int) -> int:
        """Allow so many refusals, as far as `limit` a minute leaves room; return how many, 0 where there is none."""
        async with self._database.transaction() as connection:
            await connection.execute(_ONE_AT_A_TIME)
            await connection.execute(_FORGET)
            row = await (await connection.execute(_ALLOW, (records, limit))).fetchone()
        return int(row[0]) if row else 0


class DeadLetterMarks:
    """The marks in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def replayed(self) -> dict[Place, dt.datetime]:
        """Return when each record that was put back was."""
        rows = await self._database.rows("SELECT topic, partition, log_offset, replayed_at FROM dead_letter_replay")
        return {(row["topic"], row["partition"], row["log_offset"]): row["replayed_at"] for row in rows}

    @asynccontextmanager
    async def once(self, place: Place, actor: str) -> AsyncIterator[bool]:
        """Give whether the record at `place` is still to be put back; mark it when the block ends without an error.

        Parameters
        ----------
        place : tuple of str, int, int
            Topic, partition and offset of the refused record.
        actor : str
            Who puts it back.

        Yields
        ------
        bool
            False where somebody has put it back already.

        Raises
        ------
        Unavailable
            If the database doesn't answer, or somebody else holds the mark for too long.
        """
        async with self._database.transaction() as connection:
            cursor = await connection.execute(_MARK, (*place, actor))
            yield cursor.rowcount == 1
