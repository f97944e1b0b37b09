"""Live changes as server-sent events (WHATWG HTML, section 9.2).

A stream is a cursor over the alarm history, not a queue: a slow reader falls behind without holding anything in memory,
and comes back with ``Last-Event-ID`` to where it was. Invariants: every transition within the caller's scope is sent
once per connection, in order, with its position as id; an asset's newest condition is sent at most once a second,
without an id; a stream ends after `lifetime_s`, so that who it belongs to is checked again.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from api.alarm_payloads import Transition
from api.asset_payloads import AssetSummary
from api.problems import SECURITY_HEADERS, Problem
from api.wire import encode, row_to
from contracts.errors import Unavailable
from contracts.ports import Clock, HistoryReader, Principal

MEDIA_TYPE: Final = "text/event-stream"
_BATCH: Final = 200
_RETRY_MS: Final = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSettings:
    """Bounds of the streams (seconds, and how many at a time)."""

    poll_s: float = 0.25
    assessment_s: float = 1.0
    heartbeat_s: float = 15.0
    lifetime_s: float = 600.0
    stuck_s: float = 30.0
    max_streams: int = 64


class Streams:
    """All open streams of a process; their polls of the database are shared.

    Parameters
    ----------
    reader : HistoryReader
    clock : Clock
    settings : StreamSettings
    """

    def __init__(self, reader: HistoryReader, clock: Clock, settings: StreamSettings | None = None) -> None:
        self._reader = reader
        self._clock = clock
        self._settings = settings or StreamSettings()
        self._shared: dict[Hashable, _Shared] = {}
        self._open = 0
        self._closing = False

    async def open(self, who: Principal, after: int | None, *, assessments: bool) -> "EventStream":
        """Return the stream of changes after position `after` (from now on, where it is ``None``).

        Raises
        ------
        Problem
            503 while too many streams are open.
        """
        if self._open >= self._settings.max_streams:
            detail = f"{self._open} streams are open, at most {self._settings.max_streams} allowed."
            raise Problem(503, detail, headers={"retry-after": "10"})
        newest = await self._reader.change_position()
        # A position that the history hasn't reached comes from another database: nothing would ever follow it.
        start = newest if after is None else min(after, newest)
        longest_s = self._settings.lifetime_s + self._settings.stuck_s
        return EventStream(self._events(who, start, assessments=assessments), self._counted, longest_s)

    def close(self) -> None:
        """Let every stream end at its next poll; the process is about to stop."""
        self._closing = True

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1

    async def _events(self, who: Principal, cursor: int, *, assessments: bool) -> AsyncIterator[bytes]:
        yield f"retry: {_RETRY_MS}\nid: {cursor}\n\n".encode()
        began = spoke = self._clock.monotonic_s()
        sent: dict[str, Any] = {}
        while not self._closing and self._clock.monotonic_s() - began < self._settings.lifetime_s:
            try:
                events, cursor = await self._transitions(who, cursor)
                if assessments:
                    events += await self._conditions(who, sent)
            except Unavailable as error:
                events = [f": the {error.part} doesn't answer now\n\n".encode()]
                await asyncio.sleep(error.retry_after_s)
            now = self._clock.monotonic_s()
            if not events and now - spoke >= self._settings.heartbeat_s:
                events = [b": still here\n\n"]
            if events:
                spoke = now
                yield b"".join(events)
            await asyncio.sleep(self._settings.poll_s)

    async def _transitions(self, who: Principal, cursor: int) -> tuple[list[bytes], int]:
        newest = await self._once("position", self._settings.poll_s, self._reader.change_position)
        if newest <= cursor:
            return [], cursor
        changes = await self._reader.changes(who, cursor, _BATCH)
        events = [
            event("alarm", row_to(Transition, msgspec.to_builtins(change)), identifier=position)
            for position, change in changes
        ]
        # A batch that isn't full holds all there was up to `newest`; the rest lies outside the caller's scope.
        reached = changes[-1][0] if changes else cursor
        return events, reached if len(changes) == _BATCH else max(reached, newest)

    async def _conditions(self, who: Principal, sent: dict[str, Any]) -> list[bytes]:
        scope = ("assets", who.sites, who.assets)
        rows = await self._once(scope, self._settings.assessment_s, lambda: self._reader.assets(who))
        moved = [row for row in rows if row["window_end_ns"] != sent.get(row["asset_id"])]
        sent.update((row["asset_id"], row["window_end_ns"]) for row in moved)
        return [event("assessment", row_to(AssetSummary, row)) for row in moved]

    async def _once(self, key: Hashable, hold_s: float, query: Callable[[], Awaitable[Any]]) -> Any:
        """Return the answer of `query`, asked for once in `hold_s` however many streams want it."""
        if key not in self._shared and len(self._shared) > self._settings.max_streams:
            del self._shared[next(iter(self._shared))]
        shared = self._shared.setdefault(key, _Shared())
        async with shared.lock:
            now = self._clock.monotonic_s()
            if shared.asked_s is None or now - shared.asked_s >= hold_s:
                shared.answer = await query()
                shared.asked_s = now
            return shared.answer


class _Shared:
    """One poll that streams share."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.asked_s: float | None = None
        self.answer: Any = None


class EventStream(StreamingResponse):
    """The response that carries a stream; a reader that takes nothing for too long is cut off."""

    def __init__(
        self, events: AsyncIterator[bytes], counted: Callable[[], AbstractContextManager[None]], longest_s: float
    ) -> None:
        super().__init__(events, headers=SECURITY_HEADERS | {"x-accel-buffering": "no"}, media_type=MEDIA_TYPE)
        self._counted = counted
        self._longest_s = longest_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream until either side ends it."""
        with suppress(TimeoutError), self._counted():
            async with asyncio.timeout(self._longest_s):
                await super().__call__(scope, receive, send)


def event(kind: str, payload: Any, *, identifier: int | None = None) -> bytes:
    r"""Return one event in the wire format; JSON holds no line break, so the data is one line.

    Examples
    --------
    >>> event("alarm", {"state": "normal"}, identifier=7)
    b'event: alarm\nid: 7\ndata: {"state":"normal"}\n\n'
    """
    number = b"" if identifier is None else b"id: %d\n" % identifier
    return b"event: %b\n%bdata: %b\n\n" % (kind.encode(), number, encode(payload))
