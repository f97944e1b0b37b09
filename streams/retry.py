"""Waiting for a part that is away: the log keeps what can't be stored yet, so waiting loses nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import structlog

from contracts.errors import Unavailable

_log = structlog.get_logger(__name__)
T = TypeVar("T")
#: One entry for each wait under way.
_waiting: set[object] = set()

#: The pause doubles up to this many seconds.
_LONGEST_S: Final = 5.0


async def until_available(attempt: Callable[[], Awaitable[T]]) -> T:
    """Return what `attempt` returns; try again, with growing pauses, while a part is unavailable.

    Parameters
    ----------
    attempt : callable
        Starts one try; it must be safe to repeat, because an answer may have been lost.
    """
    factor = 1.0
    token = object()
    try:
        while True:
            try:
                return await attempt()
            except Unavailable as error:
                _waiting.add(token)
                pause_s = min(error.retry_after_s * factor, _LONGEST_S)
                _log.warning("awaited_part", part=error.part, error=error.detail, pause_s=pause_s)
                await asyncio.sleep(pause_s)
                factor *= 2
    finally:
        _waiting.discard(token)


def is_waiting() -> bool:
    """Return whether anything here waits for a part that is away."""
    return bool(_waiting)
