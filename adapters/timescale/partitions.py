"""Who owns a partition, where it stands, and the alarms it raised: the exactness protocol's side of the database.

Invariants: a transaction that bears state locks the owner's row first and checks its epoch, so a worker that lost its
partition changes nothing; a transition enters the history once, and its outbox row with it; outbox sequences have no
gaps, since they are given out under that same lock. A call repeated because its answer was lost changes nothing.
"""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any, Final, LiteralString

from psycopg.rows import dict_row

from adapters.timescale.database import Connection, Database
from adapters.timescale.rows import transition_of, transition_row
from adapters.timescale.sink import HistorySink
from contracts import records as r
from contracts.errors import StaleOwner
from contracts.ports import Checkpoint, HistoryRows, OutboxRow, Ownership

_CLAIM: Final = """
    INSERT INTO partition_owner (topic, partition, epoch, owner) VALUES (%s, %s, 1, %s)
    ON CONFLICT (topic, partition) DO UPDATE
    SET epoch = partition_owner.epoch + 1, owner = excluded.owner, claimed_at = now()
    RETURNING epoch
"""
_PUT_CHECKPOINT: Final = """
    INSERT INTO checkpoint (topic, partition, applied_offset, resume_offset) VALUES (%s, %s, %s, %s)
    ON CONFLICT (topic, partition) DO UPDATE
    SET applied_offset = excluded.applied_offset, resume_offset = excluded.resume_offset, stored_at = now()
"""
#: States come as one value and are cut here: an array of bytes costs the worker several times as much.
_PUT_STATES: Final = """
    INSERT INTO asset_state (topic, partition, asset_id, state)
    SELECT %s, %s, asset_id, substring(%b::bytea FROM 1 + until - size FOR size)
    FROM unnest(%s::text[], %s::int[], %s::int[]) AS given (asset_id, size, until)
    ON CONFLICT (topic, partition, asset_id) DO UPDATE SET state = excluded.state, stored_at = now()
"""
#: Positions grow in commit order only if those who take one wait for each other's commit.
_ONE_AT_A_TIME: Final = "SELECT pg_advisory_xact_lock(hashtext('alarm_history'), 0)"

_ADD_TRANSITION: Final = """
    INSERT INTO alarm_history (transition_id, alarm_id, asset_id, site_id, point_id, rule, sequence, from_state, state,
        cause, at_ns, started_at_ns, priority, zone, fault, confidence, reason, evidence, actor, note, traceparent)
    VALUES (%(transition_id)s, %(alarm_id)s, %(asset_id)s, %(site_id)s, %(point_id)s, %(rule)s, %(sequence)s,
        %(from_state)s, %(state)s, %(cause)s, %(at_ns)s, %(started_at_ns)s, %(priority)s, %(zone)s, %(fault)s,
        %(confidence)s, %(reason)s, %(evidence)s::jsonb, %(actor)s, %(note)s, %(traceparent)s)
    ON CONFLICT (transition_id) DO NOTHING
"""
_PUT_ALARM: Final = """
    INSERT INTO alarm (alarm_id, asset_id, site_id, point_id, rule, sequence, state, cause, changed_at_ns,
        started_at_ns, priority, zone, fault, confidence, reason, evidence, actor, note, acknowledged_by,
        acknowledged_at_ns)
    VALUES (%(alarm_id)s, %(asset_id)s, %(site_id)s, %(point_id)s, %(rule)s, %(sequence)s, %(state)s, %(cause)s,
        %(at_ns)s, %(started_at_ns)s, %(priority)s, %(zone)s, %(fault)s, %(confidence)s, %(reason)s,
        %(evidence)s::jsonb, %(actor)s, %(note)s, %(acknowledged_by)s, %(acknowledged_at_ns)s)
    ON CONFLICT (alarm_id) DO UPDATE SET
        sequence = excluded.sequence, state = excluded.state, cause = excluded.cause,
        changed_at_ns = excluded.changed_at_ns, priority = excluded.priority, zone = excluded.zone,
        fault = excluded.fault, confidence = excluded.confidence, reason = excluded.reason,
        evidence = excluded.evidence, actor = excluded.actor, note = excluded.note,
        acknowledged_by = CASE WHEN %(awaits)s THEN NULL
            ELSE coalesce(excluded.acknowledged_by, alarm.acknowledged_by) END,
        acknowledged_at_ns = CASE WHEN %(awaits)s THEN NULL
            ELSE coalesce(excluded.acknowledged_at_ns, alarm.acknowledged_at_ns) END
"""
_UNSENT: Final = """
    SELECT outbox.sequence AS outbox_sequence, alarm_history.*
    FROM outbox JOIN alarm_history USING (transition_id)
    WHERE outbox.topic = %s AND outbox.partition = %s AND outbox.sequence > %s
    ORDER BY outbox.sequence LIMIT %s
"""

_AWAITING: Final = frozenset(
    {r.AlarmState.UNACKNOWLEDGED, r.AlarmState.RETURNED_UNACKNOWLEDGED, r.AlarmState.LATCHED_UNACKNOWLEDGED}
)
_ASIDE: Final = frozenset({r.AlarmState.SHELVED, r.AlarmState.SUPPRESSED, r.AlarmState.OUT_OF_SERVICE})


class PartitionStore:
    """`contracts.ports.PartitionStore` in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sink = HistorySink(database)

    async def claim(self, topic: str, partition: int, owner: str) -> tuple[Ownership, Checkpoint]:
        """Take the partition: raise its epoch and return the checkpoint to start from."""
        place = (topic, partition)
        async with self._database.transaction() as connection:
            # The row lock taken here waits for the previous owner's transaction, whose results are then seen below.
            [epoch] = await _one(connection, _CLAIM, (*place, owner)) or [0]
            applied, resume = await _one(
                connection,
                "SELECT applied_offset, resume_offset FROM checkpoint WHERE topic = %s AND partition = %s",
                place,
            ) or (-1, 0)
            cursor = await connection.execute(
                "SELECT asset_id, state FROM asset_state WHERE topic = %s AND partition = %s", place
            )
            states = {asset_id: bytes(state) for asset_id, state in await cursor.fetchall()}
        return Ownership(topic, partition, epoch), Checkpoint(applied, resume, states)

    async def append(self, rows: HistoryRows) -> None:
        """Store results, idempotently, in one transaction."""
        await self._sink.append(rows)

    async def checkpoint(self, ownership: Ownership, checkpoint: Checkpoint) -> None:
        """Store offsets and the given (changed) states in one transaction that checks the epoch."""
        async with self._database.transaction() as connection:
            await lock_owner(connection, ownership)
            await _put_checkpoint(connection, ownership, checkpoint)

    async def apply_alarms(
        self, ownership: Ownership, checkpoint: Checkpoint, transitions: Sequence[r.AlarmTransition]
    ) -> None:
        """Store alarm states, history, outbox rows and the checkpoint in one transaction that checks the epoch."""
        async with self._database.transaction() as connection:
            sequence, _ = await lock_owner(connection, ownership)
            await _put_checkpoint(connection, ownership, checkpoint)
            if transitions:
                await _add_transitions(connection, ownership, sequence, transitions)

    async def unsent(self, ownership: Ownership, limit: int) -> list[OutboxRow]:
        """Return the partition's oldest outbox rows that no acknowledged relay has covered."""
        place = (ownership.topic, ownership.partition)
        async with self._database.transaction() as connection:
            _, relayed = await lock_owner(connection, ownership)
            async with connection.cursor(row_factory=dict_row) as cursor:
                await cursor.execute(_UNSENT, (*place, relayed, limit))
                return [OutboxRow(row["outbox_sequence"], transition_of(row)) async for row in cursor]

    async def mark_sent(self, ownership: Ownership, sequence: int) -> None:
        """Record that all outbox rows of the partition up to `sequence` are on the topic."""
        async with self._database.transaction() as connection:
            await lock_owner(connection, ownership)
            await connection.execute(
                "UPDATE partition_owner SET relayed_sequence = least(%s, outbox_sequence)"
                " WHERE topic = %s AND partition = %s AND relayed_sequence < %s",
                (sequence, ownership.topic, ownership.partition, sequence),
            )


async def _one(connection: Connection, query: LiteralString, parameters: Sequence[Any]) -> tuple[Any, ...] | None:
    return await (await connection.execute(query, parameters)).fetchone()


async def lock_owner(connection: Connection, ownership: Ownership) -> tuple[int, int]:
    """Lock the owner's row; return the last outbox sequence given out and the last one relayed."""
    row = await _one(
        connection,
        "SELECT epoch, outbox_sequence, relayed_sequence FROM partition_owner"
        " WHERE topic = %s AND partition = %s FOR UPDATE",
        (ownership.topic, ownership.partition),
    )
    epoch, given, relayed = row or (0, 0, 0)
    if epoch != ownership.epoch:
        raise StaleOwner(ownership.topic, ownership.partition, ownership.epoch, epoch)
    return given, relayed


async def _put_checkpoint(connection: Connection, ownership: Ownership, checkpoint: Checkpoint) -> None:
    place = (ownership.topic, ownership.partition)
    await connection.execute(_PUT_CHECKPOINT, (*place, checkpoint.applied_offset, checkpoint.resume_offset))
    if checkpoint.states:
        sizes = [len(state) for state in checkpoint.states.values()]
        states = b"".join(checkpoint.states.values()), list(checkpoint.states), sizes, list(accumulate(sizes))
        await connection.execute(_PUT_STATES, (*place, *states))


async def _add_transitions(
    connection: Connection, ownership: Ownership, sequence: int, transitions: Sequence[r.AlarmTransition]
) -> None:
    place = (ownership.topic, ownership.partition)
    await connection.execute(_ONE_AT_A_TIME)
    last = sequence
    for transition in transitions:
        row = transition_row(transition)
        if (await connection.execute(_ADD_TRANSITION, row)).rowcount == 0:
            continue
        await connection.execute(_PUT_ALARM, row | _acknowledgement(transition))
        last += 1
        await connection.execute(
            "INSERT INTO outbox (topic, partition, sequence, transition_id) VALUES (%s, %s, %s, %s)",
            (*place, last, transition.transition_id),
        )
    if last > sequence:
        await connection.execute(
            "UPDATE partition_owner SET outbox_sequence = %s WHERE topic = %s AND partition = %s", (last, *place)
        )


def _acknowledgement(transition: r.AlarmTransition) -> dict[str, Any]:
    """Return who acknowledged by this transition, if it is that, and whether it awaits an acknowledgement anew."""
    awaits = transition.state in _AWAITING
    acknowledges = (
        transition.actor is not None and transition.from_state in _AWAITING and not awaits
    ) and transition.state not in _ASIDE
    return {
        "awaits": awaits,
        "acknowledged_by": transition.actor if acknowledges else None,
        "acknowledged_at_ns": transition.at_ns if acknowledges else None,
    }
