"""From the collectors onto the disk: decoded, told apart from repetitions, written together, then acknowledged.

Invariants: whoever handed something over is acknowledged only after it is on the disk, in the order of arrival; while
the disk or the buffer takes nothing, nobody is acknowledged and the same records are tried again.
"""

import asyncio
import contextlib
import functools
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import structlog

from contracts import records as r
from contracts.errors import BadRecord, FaultlineError
from edge_forwarder.buffer import Buffer
from edge_forwarder.counters import Counters
from edge_forwarder.entries import Collected, from_payload, identity_of, stream_of, to_payload

_log = structlog.get_logger(__name__)

#: How much is written together at most.
_MAX_TOGETHER: Final = 64
#: How many records are remembered, to know a repetition by.
_REMEMBERED: Final = 16_384
_RETRY_S: Final = 0.5
_PART: Final = "buffer"
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Arrival:
    """Something that came in.

    ``collect`` decodes it (in a worker thread; ``Unavailable`` is tried again), and ``acknowledge`` tells its sender
    that it is kept.
    """

    collect: Callable[[], Collected]
    acknowledge: Callable[[], None]


@dataclass(frozen=True, slots=True)
class _Collected:
    """A record with how it is kept and known."""

    record: Collected
    payload: bytes
    identity: bytes


class Intake:
    """Takes arrivals and keeps them.

    Parameters
    ----------
    buffer : Buffer
        Where they are kept.
    counters : Counters
        Counted up; its ``problems`` say when nothing can be kept.
    on_kept : callable
        Told whenever there is more to send.
    retry_s : float
        How long to wait before the same records are tried again.
    """

    def __init__(
        self, buffer: Buffer, counters: Counters, on_kept: Callable[[], None], *, retry_s: float = _RETRY_S
    ) -> None:
        self._buffer, self._counters, self._on_kept, self._retry_s = buffer, counters, on_kept, retry_s
        self._waiting: asyncio.Queue[Arrival] = asyncio.Queue()
        self._recent: OrderedDict[bytes, None] = OrderedDict()
        for payload in buffer.tail():
            with contextlib.suppress(BadRecord):  # another version's: sent as a dead letter, never repeated
                self._remember(identity_of(from_payload(payload), payload))

    def put(self, arrival: Arrival) -> None:
        """Hand something over; the sender's window of unacknowledged messages bounds how much waits."""
        self._waiting.put_nowait(arrival)

    @property
    def idle(self) -> bool:
        """Whether nothing waits."""
        return self._waiting.empty()

    async def run(self) -> None:
        """Keep what comes, until cancelled."""
        while True:
            arrivals = [await self._waiting.get()]
            while len(arrivals) < _MAX_TOGETHER and not self._waiting.empty():
                arrivals.append(self._waiting.get_nowait())
            collected = await self._until_done(functools.partial(_collect, arrivals))
            new = self._new(collected)
            if new:
                kept = [(stream_of(one.record), one.payload) for one in new.values()]
                await self._until_done(functools.partial(self._buffer.append, kept))
                self._count(new)
                self._on_kept()
            for arrival in arrivals:
                arrival.acknowledge()

    def _new(self, collected: Sequence[_Collected]) -> dict[bytes, _Collected]:
        """Return what is no repetition, by identity."""
        new: dict[bytes, _Collected] = {}
        for one in collected:
            if one.identity in self._recent or one.identity in new:
                self._counters.repeated += 1
            else:
                new[one.identity] = one
        return new

    def _count(self, new: dict[bytes, _Collected]) -> None:
        for key, one in new.items():
            self._remember(key)
            if isinstance(one.record, r.DeadLetter):
                self._counters.refused += 1
                letter = one.record
                _log.warning("refused_message", topic=letter.topic, reason=letter.reason, detail=letter.detail)
            else:
                self._counters.kept += 1

    def _remember(self, identity: bytes) -> None:
        self._recent[identity] = None
        if len(self._recent) > _REMEMBERED:
            self._recent.popitem(last=False)

    async def _until_done(self, work: Callable[[], _T]) -> _T:
        """Run `work` in a thread until it succeeds; meanwhile the buffer is no place to send to."""
        while True:
            try:
                done = await asyncio.to_thread(work)
            except (OSError, FaultlineError) as error:
                if isinstance(error, FaultlineError) and not error.retriable:
                    raise
                if self._counters.problems.get(_PART) != str(error):
                    _log.error("keeping_failed", reason=str(error))
                self._counters.problems[_PART] = str(error)
                await asyncio.sleep(self._retry_s)
            else:
                if self._counters.problems.pop(_PART, None) is not None:
                    _log.info("keeping_resumed")
                return done


def _collect(arrivals: Sequence[Arrival]) -> list[_Collected]:
    collected = []
    for arrival in arrivals:
        record = arrival.collect()
        payload = to_payload(record)
        collected.append(_Collected(record, payload, identity_of(record, payload)))
    return collected
