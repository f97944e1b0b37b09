"""Alarms go first: computation waits a moment while a condition or a command is under way.

Both share one event loop, and an alarm takes some dozens of turns of it, most of them spent waiting for the database.
If every turn had to wait for a stretch of computation, an alarm would take seconds while a backlog is worked off.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Precedence:
    """Who is under way, and a wait for it.

    Examples
    --------
    >>> async def story() -> list[str]:
    ...     precedence, order = Precedence(), []
    ...     async def alarm() -> None:
    ...         with precedence.taken():
    ...             for _ in range(3):
    ...                 await asyncio.sleep(0)
    ...             order.append("alarm")
    ...     going = asyncio.create_task(alarm())
    ...     await precedence.give_way(1.0)
    ...     await precedence.give_way(1.0)
    ...     order.append("computation")
    ...     await going
    ...     return order
    >>> asyncio.run(story())
    ['alarm', 'computation']
    """

    def __init__(self) -> None:
        self._under_way = 0
        self._idle = asyncio.Event()

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Have computation wait until the block ends."""
        self._under_way += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()

    async def give_way(self, longest_s: float) -> None:
        """Give the event loop a turn, and wait for what is under way.

        Parameters
        ----------
        longest_s : float
            The longest wait: as long as was computed leaves computation half of the time in a flood of alarms.
        """
        if not self._under_way:
            await asyncio.sleep(0)
            return
        with suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), longest_s)
