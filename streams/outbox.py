"""The outbox relay: from the database's outbox to the topic ``alarms`` and the webhook queue, in order.

At least once, under stable ids: a crash between the steps repeats them, and both the topic's subscribers and the
delivery queue know a transition by its id.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from contracts import ports, topics
from contracts import records as r
from contracts.cloudevents import cloudevent_headers
from streams.retry import until_available

_BATCH: Final = 100


class OutboxRelay:
    """Relay what alarm transactions have put into the outbox.

    Parameters
    ----------
    store : PartitionStore
        Holds the outbox.
    outlet : Outlet
        The way to ``alarms``.
    queue : DeliveryQueue
        Webhook deliveries.
    message : callable
        Makes the webhook's (message id, body) of a transition.
    """

    def __init__(
        self,
        store: ports.PartitionStore,
        outlet: ports.Outlet,
        queue: ports.DeliveryQueue,
        message: Callable[[r.AlarmTransition], tuple[str, bytes]],
    ) -> None:
        self._store = store
        self._outlet = outlet
        self._queue = queue
        self._message = message
        self._relaying = asyncio.Lock()

    async def relay(self, ownership: ports.Ownership) -> None:
        """Send every unsent transition of a partition, oldest first.

        Raises
        ------
        StaleOwner
            Another worker owns the partition now.
        Unavailable
            A record didn't reach Kafka; it stays unsent.
        """
        async with self._relaying:
            more = True
            while more:
                rows = await until_available(lambda: self._store.unsent(ownership, _BATCH))
                more = len(rows) == _BATCH  # whoever stores another one relays it
                if not rows:
                    break
                for row in rows:
                    await self._outlet.send(
                        topics.ALARMS,
                        row.transition.asset_id,
                        row.transition,
                        headers=cloudevent_headers(row.transition),
                    )
                await self._outlet.flush()
                messages = [self._message(row.transition) for row in rows]
                await until_available(lambda: self._queue.enqueue(messages))  # noqa: B023 -- awaited at once
                last = rows[-1].sequence
                await until_available(lambda: self._store.mark_sent(ownership, last))  # noqa: B023 -- awaited at once
