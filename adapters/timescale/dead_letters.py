"""Which refused records have been put back on their topic.

Invariant: a mark is committed only after its caller's block has ended well, and two callers never hold the same one, so
a record is put back once; only a crash between the log's acknowledgement and the commit lets it be put back again.
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
