"""Refused records go to the dead-letter topic, whole, and never without a limit.

Past the limit the worker stops: a fleet whose records are all refused has a fault that a person must see, and the log
keeps the records until it is mended. The limit is that of all workers together, restarts included: a worker takes
allowances out of one account in the database.
"""

from typing import Final

import structlog

from contracts import ports, topics
from contracts import records as r
from contracts.errors import BadRecord, FaultlineError
from streams.message import LogMessage
from streams.retry import until_available

_log = structlog.get_logger(__name__)

#: So many records may be refused in a minute, by all workers together; the next one stops its worker.
LIMIT_PER_MINUTE: Final = 6_000
#: An allowance is for one record at first, and twice as many each time it is used up within its minute, up to this.
_LARGEST_ALLOWANCE: Final = 128
_MINUTE_S: Final = 60.0


class TooManyDeadLetters(FaultlineError):
    """More records are refused than a limit allows; the worker stops rather than discard a fleet."""


class DeadLetters:
    """The way to the dead-letter topic.

    Parameters
    ----------
    outlet : Outlet
        Where dead letters go.
    account : RefusalAccount
        What all workers together may refuse.
    clock : Clock
        Measures how long an allowance lasts.
    limit_per_minute : int
        How many may be refused in a minute.
    """

    def __init__(
        self,
        outlet: ports.Outlet,
        account: ports.RefusalAccount,
        clock: ports.Clock,
        limit_per_minute: int = LIMIT_PER_MINUTE,
    ) -> None:
        self._outlet = outlet
        self._account = account
        self._clock = clock
        self._limit = limit_per_minute
        self._left = 0
        self._size = 1
        self._ends_s = 0.0

    async def put(self, message: LogMessage, refusal: BadRecord) -> None:
        """Send a refused record to the dead-letter topic.

        Raises
        ------
        TooManyDeadLetters
            More than the limit within a minute.
        """
        if not self._left or self._clock.monotonic_s() >= self._ends_s:
            await self._take_allowance()
        if not self._left:
            raise TooManyDeadLetters(
                f"more than {self._limit} records refused within a minute by all workers, at most {self._limit};"
                f" the last: {refusal}"
            )
        self._left -= 1
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

    async def _take_allowance(self) -> None:
        now_s = self._clock.monotonic_s()
        self._size = min(2 * self._size, _LARGEST_ALLOWANCE) if now_s < self._ends_s else 1
        self._left = await until_available(lambda: self._account.allow_refusals(self._size, self._limit))
        self._ends_s = now_s + _MINUTE_S
