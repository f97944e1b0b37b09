"""Refused records go to the dead-letter topic, whole, and never without a limit.

Past the limit the worker stops: a fleet whose records are all refused has a fault that a person must see, and the log
keeps the records until it is mended.
"""

from collections import deque
from typing import Final

import structlog

from contracts import ports, topics
from contracts import records as r
from contracts.errors import BadRecord, FaultlineError
from streams.message import LogMessage

_log = structlog.get_logger(__name__)

#: Refused records per minute at which the worker stops.
LIMIT_PER_MINUTE: Final = 6_000
_MINUTE_S: Final = 60.0


class TooManyDeadLetters(FaultlineError):
    """More records are refused than a limit allows; the worker stops rather than discard a fleet."""


class DeadLetters:
    """The way to the dead-letter topic.

    Parameters
    ----------
    outlet : Outlet
        Where dead letters go.
    clock : Clock
        Measures the minute.
    limit_per_minute : int
        How many may be refused in a minute.
    """

    def __init__(self, outlet: ports.Outlet, clock: ports.Clock, limit_per_minute: int = LIMIT_PER_MINUTE) -> None:
        self._outlet = outlet
        self._clock = clock
        self._limit = limit_per_minute
        self._recent_s: deque[float] = deque()

    async def put(self, message: LogMessage, refusal: BadRecord) -> None:
        """Send a refused record to the dead-letter topic.

        Raises
        ------
        TooManyDeadLetters
            More than the limit within a minute.
        """
        now_s = self._clock.monotonic_s()
        while self._recent_s and now_s - self._recent_s[0] > _MINUTE_S:
            self._recent_s.popleft()
        self._recent_s.append(now_s)
        if len(self._recent_s) > self._limit:
            raise TooManyDeadLetters(
                f"{len(self._recent_s)} records refused within a minute, at most {self._limit}; the last: {refusal}"
            )
        _log.warning(
            "refused_record",
            topic=message.topic,
            partition=message.partition,
            offset=message.offset,
            reason=refusal.reason.value,
            detail=refusal.detail,
        )
        letter = r.DeadLetter(
            topic=message.topic,
            partition=message.partition,
            offset=message.offset,
            timestamp_ns=message.timestamp_ns,
            reason=refusal.reason.value,
            detail=refusal.detail,
            key=message.key,
            value=message.value,
            headers=tuple(r.Header(name=name, value=value) for name, value in message.headers),
        )
        key = f"{message.topic}/{message.partition}"
        await self._outlet.send(topics.DEAD_LETTERS, key, letter)
