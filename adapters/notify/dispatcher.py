"""Webhooks out of the delivery queue: soon, again after a failure, and never one endpoint in another's way.

Invariants: at most one message is under way to an endpoint; a message is settled only after its attempt, so a crash in
between sends it again under the same id; while the database is away nothing is lost, only late. Messages may overtake
one that waits for its next attempt: ``data.sequence`` tells the order.
"""

import asyncio
import contextlib
import random
from typing import Final

import structlog

from adapters.notify.sender import Outcome, Verdict, WebhookSender
from contracts.errors import Unavailable
from contracts.ports import Clock, Delivery, DeliveryQueue, Endpoint

#: Seconds before attempt 1, 2, …; after the last one a message is dead (Standard Webhooks' schedule).
DELAYS_S: Final = (0.0, 5.0, 300.0, 1_800.0, 7_200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0, 86_400.0)
#: A delay is stretched by up to this share, so that endpoints that failed together don't return together.
_JITTER: Final = 0.2
_NS_PER_S: Final = 1e9
_LOG: Final = structlog.get_logger("notify")


def delay_s(attempt: int, retry_after_s: float, rng: random.Random) -> float | None:
    """Return how long to wait after a failed attempt.

    Parameters
    ----------
    attempt : int
        Number of the attempt that failed, from 1.
    retry_after_s : float
        The receiver's wish, 0 where it has none; honoured where it is longer.
    rng : random.Random
        Source of the jitter.

    Returns
    -------
    delay_s : float or None
        Seconds; None after the last attempt.
    """
    if attempt >= len(DELAYS_S):
        return None
    return max(DELAYS_S[max(attempt, 1)] * (1.0 + _JITTER * rng.random()), retry_after_s)


class Dispatcher:
    """Delivers what is due until it is cancelled.

    Parameters
    ----------
    queue : DeliveryQueue
        Deliveries and endpoints.
    sender : WebhookSender
        Makes one attempt.
    clock : Clock
        Time of the signatures.
    rng : random.Random
        Source of the jitter.
    concurrency : int
        Endpoints served at the same time.
    lease_s : float
        How long a taken delivery is ours; longer than an attempt.
    poll_s : float
        How often the queue is asked when nobody calls `wake`.
    """

    def __init__(
        self,
        queue: DeliveryQueue,
        sender: WebhookSender,
        clock: Clock,
        rng: random.Random,
        *,
        concurrency: int = 16,
        lease_s: float = 60.0,
        poll_s: float = 0.5,
    ) -> None:
        self._queue = queue
        self._sender = sender
        self._clock = clock
        self._rng = rng
        self._concurrency = concurrency
        self._lease_s = lease_s
        self._poll_s = poll_s
        self._busy: set[str] = set()
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Say that something was queued: the queue is asked at once."""
        self._woken.set()

    async def run(self) -> None:
        """Deliver for ever; on cancellation attempts under way are dropped, and made again later."""
        async with asyncio.TaskGroup() as group:
            while True:
                self._woken.clear()
                pause_s = self._poll_s
                try:
                    await self._start_due(group)
                except Unavailable as error:
                    _LOG.warning("deliveries_unavailable", detail=error.detail)
                    pause_s = max(error.retry_after_s, self._poll_s)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause_s):
                        await self._woken.wait()

    async def _start_due(self, group: asyncio.TaskGroup) -> None:
        """Start an attempt for each endpoint that has something due and nothing under way.

        One by one: a delivery is leased only when its attempt starts, so no lease runs out in a waiting line.
        """
        while len(self._busy) < self._concurrency:
            taken = await self._queue.take(1, self._lease_s, sorted(self._busy))
            if not taken:
                return
            for delivery in taken:
                self._busy.add(delivery.endpoint_id)
                group.create_task(self._deliver(delivery))

    async def _deliver(self, delivery: Delivery) -> None:
        try:
            endpoint = await self._endpoint(delivery.endpoint_id)
            if endpoint is None:
                await self._queue.give_up(delivery, "the endpoint is disabled or unknown")
            else:
                outcome = await self._sender.send(endpoint, delivery, self._clock.now_ns() / _NS_PER_S)
                await self._settle(delivery, outcome)
        except Unavailable as error:
            _LOG.warning("delivery_unsettled", message_id=delivery.message_id, detail=error.detail)
        finally:
            self._busy.discard(delivery.endpoint_id)
            self.wake()

    async def _endpoint(self, endpoint_id: str) -> Endpoint | None:
        known = await self._queue.endpoints()
        return next((one for one in known if one.endpoint_id == endpoint_id and one.enabled), None)

    async def _settle(self, delivery: Delivery, outcome: Outcome) -> None:
        if outcome.verdict is Verdict.DELIVERED:
            await self._queue.succeed(delivery, outcome.status)
            return
        log = _LOG.bind(
            endpoint_id=delivery.endpoint_id,
            message_id=delivery.message_id,
            attempt=delivery.attempt,
            detail=outcome.detail,
        )
        pause_s = delay_s(delivery.attempt, outcome.retry_after_s, self._rng)
        if outcome.verdict is Verdict.GONE:
            log.error("endpoint_disabled")
            await self._queue.give_up(delivery, outcome.detail, disable_endpoint=True)
        elif pause_s is None:
            log.error("delivery_dead")
            await self._queue.give_up(delivery, outcome.detail)
        else:
            log.warning("delivery_failed", next_attempt_s=round(pause_s, 1))
            await self._queue.retry(delivery, pause_s, outcome.detail)
