"""A lane inside a Faust app: the service that reads, the agent that processes, and the channel between them.

Agents never let an exception out of their bodies (Faust would lose the records under way): what can't go on ends the
process, and the next one starts from the checkpoint.
"""

import asyncio
import os
from collections.abc import AsyncIterable, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import faust
import structlog
from mode.utils.queues import ThrowableQueue

from contracts.errors import FaultlineError
from streams.lane import BatchWorker, Lane
from streams.message import LogMessage
from streams.room import Room
from streams.watchdog import Watchdog

_log = structlog.get_logger(__name__)

#: Batches between a lane and the end of their processing: one is worked on, one is ready.
_BATCHES: Final = 2
#: How long a stop waits for its checkpoint, where the database is away.
_STOP_S: Final = 10.0


async def at_once() -> None:
    """Prepare nothing."""


class Batches(faust.Channel[Any]):
    """The channel between lane and agent; it keeps what it holds.

    Faust empties the queues of its channels whenever its own consumer group has been rebalanced, and cancels whoever
    waits to put something in. The lane has a group of its own: its batches would be lost, and records with them.
    """

    @property
    def queue(self) -> ThrowableQueue[Any]:
        """The queue of this channel."""
        if self._queue is None:
            self._queue = ThrowableQueue(
                maxsize=self.maxsize or 0, flow_control=self.app.flow_control, clear_on_resume=False
            )
        return self._queue

    def put_now(self, batch: list[LogMessage]) -> bool:
        """Put a batch where the agent finds it, the queue of its own clone; return whether there is an agent."""
        for clone in self._subscribers:
            clone.queue.put_nowait(batch)
        return bool(self._subscribers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """A topic that enters by a lane.

    Parameters
    ----------
    agent : str
        Name of the agent.
    kafka_url, topic, group : str
        What the lane reads, and as which consumer group.
    worker : BatchWorker
        What processes it.
    watch : callable
        Starts the watchdog, once the lane begins to join.
    steps : tuple of (callable, float)
        What else is to be kept going, each with the seconds between two calls.
    prepare : callable
        Awaited before the lane joins its group.
    joined : callable
        Called whenever the lane has been given partitions, none among them, and they are claimed.
    """

    agent: str
    kafka_url: str
    topic: str
    group: str
    worker: BatchWorker
    watch: Callable[[], Watchdog]
    steps: tuple[tuple[Callable[[], Awaitable[None]], float], ...] = ()
    prepare: Callable[[], Awaitable[None]] = at_once
    joined: Callable[[], None] = lambda: None


def add_lane(app: faust.App, feed: Feed) -> None:
    """Add a feed's agent, and the service that reads for it, to `app`."""
    batches = Batches(app, maxsize=_BATCHES)
    room = Room(_BATCHES)

    def put(batch: list[LogMessage]) -> None:
        if not batches.put_now(batch):
            _log.critical("ended_worker", error="the lane has read before its agent was there")
            end()

    @app.agent(batches, name=feed.agent)
    async def process(stream: AsyncIterable[list[LogMessage]]) -> None:
        async for batch in stream:
            await or_end(feed.worker.process(batch))
            room.give()

    @app.service
    class LaneService(faust.Service):
        """Feeds the agent; keeps checkpoints and further steps going."""

        async def on_start(self) -> None:
            self.lane = Lane(feed.kafka_url, feed.topic, feed.group, feed.worker, put, room, feed.joined)
            self.watchdog: Watchdog | None = None
            for step, pause_s in feed.steps:
                self.add_future(self.repeat(step, pause_s))

        async def on_stop(self) -> None:
            if self.watchdog is not None:
                self.watchdog.end()
            try:
                async with asyncio.timeout(_STOP_S):
                    await self.lane.stop()
            except TimeoutError:
                _log.critical("stopped_without_checkpoint", waited_s=_STOP_S, then="read again from the last one")
                end()

        async def repeat(self, step: Callable[[], Awaitable[None]], pause_s: float) -> None:
            while not self.should_stop:
                await or_end(step())
                await self.sleep(pause_s)

        @faust.Service.task
        async def read(self) -> None:
            await or_end(feed.prepare())
            self.watchdog = feed.watch()
            await or_end(self.lane.run())

        @faust.Service.task
        async def checkpoint(self) -> None:
            while not self.should_stop:
                pause_s = await or_end(feed.worker.checkpoint(self.lane.commit))
                await self.sleep(pause_s)


async def or_end(step: Any) -> Any:  # noqa: RET503 -- end never returns
    """Await `step`; an error that nobody can handle ends the process, to begin again at the checkpoint."""
    try:
        return await step
    except asyncio.CancelledError:
        raise
    except FaultlineError as error:
        _log.critical("ended_worker", error=str(error))
    except Exception:  # noqa: BLE001 -- whatever it is, nothing may be processed past it
        _log.critical("ended_worker", exc_info=True)
    end()


def end() -> NoReturn:
    """End the process at once: nothing may be processed past what failed, and a supervisor starts it again."""
    os._exit(1)
