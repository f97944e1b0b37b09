"""The forwarder's parts put together: collectors → intake → buffer → forwarder, started and stopped in order."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Final

from contracts.ports import Clock, Outlet
from edge_forwarder.buffer import Buffer
from edge_forwarder.counters import Counters
from edge_forwarder.forward import Forwarder
from edge_forwarder.intake import Arrival, Intake

#: How long a stop waits for the log to take what is under way.
_STOP_S: Final = 5.0

#: Collects while its context is open: (takes arrivals) → context.
Collector = Callable[[Callable[[Arrival], None]], AbstractAsyncContextManager[None]]


@dataclass(slots=True)
class Edge:
    """Everything between the collectors and the log.

    Parameters
    ----------
    buffer : Buffer
        Where records wait.
    outlet : Outlet
        Where they go.
    clock : Clock
        Dates what is refused.
    counters : Counters
        Shared with the collectors.
    """

    buffer: Buffer
    outlet: Outlet
    clock: Clock
    counters: Counters = field(default_factory=Counters)

    async def run(
        self, collectors: Sequence[Collector], stop: asyncio.Event, report: Callable[[dict[str, Any]], None]
    ) -> None:
        """Collect and forward until `stop`; then give the log a moment to take what is under way.

        Parameters
        ----------
        collectors : sequence of Collector
            What to collect from.
        stop : asyncio.Event
            Ends it.
        report : callable
            Told the status once a second.

        Raises
        ------
        BaseExceptionGroup
            With the error of a part that failed for good.
        """
        forwarder = Forwarder(self.buffer, self.outlet, self.clock, self.counters)
        intake = Intake(self.buffer, self.counters, forwarder.wake)
        async with asyncio.TaskGroup() as group:
            sending = group.create_task(forwarder.run())
            async with AsyncExitStack() as collecting:
                keeping = group.create_task(intake.run())
                for collector in collectors:
                    await collecting.enter_async_context(collector(intake.put))
                reporting = group.create_task(self._report(report))
                await stop.wait()
            keeping.cancel()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(forwarder.drained.wait(), _STOP_S)
            for task in (reporting, sending):
                task.cancel()

    def status(self) -> dict[str, Any]:
        """Return counts and whether records are taken, for people and supervisors."""
        return {
            "ready": self.counters.ready,
            "problems": dict(self.counters.problems),
            "kept": self.counters.kept,
            "repeated": self.counters.repeated,
            "refused": self.counters.refused,
            "forwarded": self.counters.forwarded,
            "lost_at_the_source": self.counters.collected_too_fast,
            "dropped": {stream.value: count for stream, count in self.buffer.dropped.items()},
            "damaged": self.buffer.damaged,
            "torn_bytes": self.buffer.torn_bytes,
            "unsent_bytes": self.buffer.unsent_bytes,
            "buffer_bytes": self.buffer.size,
        }

    async def _report(self, report: Callable[[dict[str, Any]], None]) -> None:
        while True:
            report(await asyncio.to_thread(self.status))
            await asyncio.sleep(1.0)
