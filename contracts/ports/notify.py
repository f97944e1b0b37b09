"""Deliveries to subscribers, each until it is acknowledged."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A webhook endpoint; ``secrets`` (``whsec_…``) holds two during a rotation."""

    endpoint_id: str
    url: str
    secrets: tuple[str, ...] = dataclasses.field(repr=False)
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message that one endpoint should receive; ``message_id`` is the same on every ``attempt`` (1, 2, …)."""

    delivery_id: int
    endpoint_id: str
    message_id: str
    body: bytes
    attempt: int


class DeliveryQueue(Protocol):
    """Webhook deliveries in the database; survives any crash."""

    async def put_endpoint(self, endpoint: Endpoint) -> None:
        """Create or replace an endpoint."""

    async def endpoints(self) -> list[Endpoint]:
        """Return all endpoints."""

    async def enqueue(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Queue (message id, body) for every enabled endpoint; a known (message, endpoint) pair is left alone."""

    async def take(self, limit: int, lease_s: float, busy: Sequence[str] = ()) -> list[Delivery]:
        """Lease due deliveries of endpoints that aren't `busy`; each counts as an attempt, from 1.

        A lease that isn't settled in time is handed out again.
        """

    async def succeed(self, delivery: Delivery, status: int) -> None:
        """Settle a delivery."""

    async def retry(self, delivery: Delivery, after_s: float, detail: str) -> None:
        """Put a delivery back, due in `after_s`."""

    async def give_up(self, delivery: Delivery, detail: str, *, disable_endpoint: bool = False) -> None:
        """Move a delivery to the dead letters; on 410 the endpoint is disabled too."""
