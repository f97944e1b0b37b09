"""Webhook endpoints and the queue of messages for them.

Invariants: a message is queued for an endpoint once, however often it is offered; a delivery is with one worker at a
time, until its lease ends; only the newest lease may put a delivery back or give it up. Due times are the database's,
so workers' clocks needn't agree.
"""

from collections.abc import Sequence
from typing import Final

from adapters.timescale.database import Database
from contracts.ports import Delivery, Endpoint

_PUT_ENDPOINT: Final = """
    INSERT INTO endpoint (endpoint_id, url, secrets, enabled)
    VALUES (%(endpoint_id)s, %(url)s, %(secrets)s, %(enabled)s)
    ON CONFLICT (endpoint_id) DO UPDATE
    SET url = excluded.url, secrets = excluded.secrets, enabled = excluded.enabled, changed_at = now()
"""
_ENQUEUE: Final = """
    INSERT INTO delivery (endpoint_id, message_id, body)
    SELECT endpoint_id, message_id, body
    FROM unnest(%s::text[], %s::bytea[]) WITH ORDINALITY AS given (message_id, body, place)
    CROSS JOIN (SELECT endpoint_id FROM endpoint WHERE enabled) AS enabled
    ORDER BY place, endpoint_id
    ON CONFLICT (endpoint_id, message_id) DO NOTHING
"""
#: Each endpoint gets its share of what is taken, so that a long queue for one doesn't hold up the others.
_TAKE: Final = """
    WITH share AS (
        SELECT endpoint_id, ceil(%(limit)s::numeric / greatest(count(*) OVER (), 1))::bigint AS most
        FROM endpoint WHERE enabled AND endpoint_id <> ALL(%(busy)s::text[])
    ), due AS (
        SELECT next.delivery_id, next.due_at FROM share CROSS JOIN LATERAL (
            SELECT delivery_id, due_at FROM delivery
            WHERE delivery.endpoint_id = share.endpoint_id AND state = 'due' AND due_at <= now()
            ORDER BY due_at, delivery_id LIMIT share.most FOR UPDATE SKIP LOCKED
        ) AS next
        ORDER BY next.due_at, next.delivery_id LIMIT %(limit)s
    )
    UPDATE delivery SET attempt = attempt + 1, due_at = now() + %(lease_s)s * interval '1 second'
    FROM due WHERE delivery.delivery_id = due.delivery_id
    RETURNING due.due_at AS was_due_at, delivery.delivery_id, endpoint_id, message_id, body, attempt
"""
_SUCCEED: Final = """
    UPDATE delivery SET state = 'delivered', settled_at = now(), status = %(status)s, detail = NULL
    WHERE delivery_id = %(delivery_id)s AND state = 'due'
"""
_RETRY: Final = """
    UPDATE delivery SET due_at = now() + %(after_s)s * interval '1 second', detail = %(detail)s
    WHERE delivery_id = %(delivery_id)s AND state = 'due' AND attempt = %(attempt)s
"""
_GIVE_UP: Final = """
    WITH endpoints AS (
        UPDATE endpoint SET enabled = false, changed_at = now()
        WHERE endpoint_id = %(endpoint_id)s AND %(disable_endpoint)s
    )
    UPDATE delivery SET state = 'dead', settled_at = now(), detail = %(detail)s
    WHERE delivery_id = %(delivery_id)s AND state = 'due' AND attempt = %(attempt)s
"""


class DeliveryQueue:
    """`contracts.ports.DeliveryQueue` in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put_endpoint(self, endpoint: Endpoint) -> None:
        """Create or replace an endpoint."""
        await self._database.execute(
            _PUT_ENDPOINT,
            endpoint_id=endpoint.endpoint_id,
            url=endpoint.url,
            secrets=list(endpoint.secrets),
            enabled=endpoint.enabled,
        )

    async def endpoints(self) -> list[Endpoint]:
        """Return all endpoints, ordered by id."""
        rows = await self._database.rows("SELECT endpoint_id, url, secrets, enabled FROM endpoint ORDER BY endpoint_id")
        return [Endpoint(row["endpoint_id"], row["url"], tuple(row["secrets"]), row["enabled"]) for row in rows]

    async def enqueue(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Queue (message id, body) for every enabled endpoint; a known (message, endpoint) pair is left alone."""
        ids, bodies = [message_id for message_id, _ in messages], [body for _, body in messages]
        async with self._database.transaction() as connection:
            await connection.execute(_ENQUEUE, (ids, bodies), binary=True)

    async def take(self, limit: int, lease_s: float, busy: Sequence[str] = ()) -> list[Delivery]:
        """Lease at most `limit` due deliveries, longest due first, each endpoint that isn't `busy` its share.

        A lease that isn't settled in time is handed out again.
        """
        rows = await self._database.rows(_TAKE, limit=limit, lease_s=lease_s, busy=list(busy))
        rows.sort(key=lambda row: (row["was_due_at"], row["delivery_id"]))
        return [
            Delivery(row["delivery_id"], row["endpoint_id"], row["message_id"], bytes(row["body"]), row["attempt"])
            for row in rows
        ]

    async def succeed(self, delivery: Delivery, status: int) -> None:
        """Settle a delivery."""
        await self._database.execute(_SUCCEED, delivery_id=delivery.delivery_id, status=status)

    async def retry(self, delivery: Delivery, after_s: float, detail: str) -> None:
        """Put a delivery back, due in `after_s`."""
        await self._database.execute(
            _RETRY, delivery_id=delivery.delivery_id, attempt=delivery.attempt, after_s=after_s, detail=detail
        )

    async def give_up(self, delivery: Delivery, detail: str, *, disable_endpoint: bool = False) -> None:
        """Move a delivery to the dead letters; on 410 the endpoint is disabled too."""
        await self._database.execute(
            _GIVE_UP,
            delivery_id=delivery.delivery_id,
            endpoint_id=delivery.endpoint_id,
            attempt=delivery.attempt,
            detail=detail,
            disable_endpoint=disable_endpoint,
        )
