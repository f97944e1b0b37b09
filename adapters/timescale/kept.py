"""Checkpoints that are kept with their states: where a recomputation begins once the log's beginning has expired.

Invariants: a kept checkpoint is a copy of the stored one, made under the owner-row's lock, so that offsets and states
belong together; at most ``KEPT`` are kept for a partition, spread evenly over what the log still holds.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from adapters.timescale.database import Database
from adapters.timescale.partitions import lock_owner
from contracts.ports import Checkpoint, Ownership

#: So many for each partition: the oldest that is on the log leaves out about a thirtieth of it.
KEPT: Final = 32
#: Not more often than this.
_EVERY: Final = dt.timedelta(minutes=10)

_FORGET: Final = "DELETE FROM kept_checkpoint WHERE topic = %s AND partition = %s AND resume_offset < %s"
_KEEP: Final = """
    INSERT INTO kept_checkpoint (topic, partition, applied_offset, resume_offset, stored_at)
    SELECT topic, partition, applied_offset, resume_offset, stored_at FROM checkpoint AS now
    WHERE topic = %s AND partition = %s AND resume_offset >= %s AND NOT EXISTS (
        SELECT FROM kept_checkpoint AS kept WHERE (kept.topic, kept.partition) = (now.topic, now.partition)
        AND (kept.stored_at > now.stored_at - %s OR kept.applied_offset = now.applied_offset)
    )
"""
#: Of too many the one goes that lies nearest to the one before it; the newest too, before its states are copied.
_THIN_OUT: Final = """
    DELETE FROM kept_checkpoint WHERE (topic, partition, applied_offset) IN (
        SELECT topic, partition, applied_offset FROM (
            SELECT *, applied_offset - lag(applied_offset) OVER (ORDER BY applied_offset) AS distance,
                count(*) OVER () AS kept
            FROM kept_checkpoint WHERE topic = %s AND partition = %s
        ) AS row WHERE kept > %s ORDER BY distance NULLS LAST, applied_offset LIMIT 1
    )
"""
_COPY_STATES: Final = """
    INSERT INTO kept_state (topic, partition, applied_offset, asset_id, state)
    SELECT topic, partition, applied_offset, asset_id, state
    FROM checkpoint JOIN kept_checkpoint USING (topic, partition, applied_offset)
        JOIN asset_state USING (topic, partition)
    WHERE topic = %s AND partition = %s
    ON CONFLICT DO NOTHING
"""
_OLDEST: Final = """
    SELECT applied_offset, resume_offset, stored_at FROM kept_checkpoint
    WHERE topic = %s AND partition = %s AND resume_offset >= %s ORDER BY applied_offset LIMIT 1
"""
_STATES: Final = """
    SELECT asset_id, state FROM kept_state WHERE topic = %s AND partition = %s AND applied_offset = %s
"""


@dataclass(frozen=True, slots=True)
class KeptCheckpoint:
    """A checkpoint with its states, and when it was stored by the database's clock."""

    checkpoint: Checkpoint
    stored_at: dt.datetime


class CheckpointKeeper:
    """`contracts.ports.CheckpointKeeper` in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, ownership: Ownership, log_start: int) -> None:
        """Keep the stored checkpoint if the last one is old enough; forget those that begin before `log_start`."""
        place = (ownership.topic, ownership.partition)
        async with self._database.transaction() as connection:
            await lock_owner(connection, ownership)
            await connection.execute(_FORGET, (*place, log_start))
            if (await connection.execute(_KEEP, (*place, log_start, _EVERY))).rowcount:
                await connection.execute(_THIN_OUT, (*place, KEPT))
                await connection.execute(_COPY_STATES, place)


async def oldest_kept(
    database: Database, log_starts: Mapping[tuple[str, int], int]
) -> dict[tuple[str, int], KeptCheckpoint]:
    """Return the oldest kept checkpoint of each partition whose records are still on the log, all in one view.

    Parameters
    ----------
    database : Database
        Where they are kept.
    log_starts : mapping of (str, int) to int
        Offset of the oldest record by topic and partition.

    Returns
    -------
    kept : dict of (str, int) to KeptCheckpoint
        Without the partitions that have none.
    """
    found: dict[tuple[str, int], KeptCheckpoint] = {}
    async with database.transaction() as connection:
        await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        for place, log_start in log_starts.items():
            row = await (await connection.execute(_OLDEST, (*place, log_start))).fetchone()
            if row is not None:
                applied, resume, stored_at = row
                states = await (await connection.execute(_STATES, (*place, applied))).fetchall()
                checkpoint = Checkpoint(applied, resume, {asset_id: bytes(state) for asset_id, state in states})
                found[place] = KeptCheckpoint(checkpoint, stored_at)
    return found
