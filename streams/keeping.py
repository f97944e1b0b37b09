"""Checkpoints kept now and then, so that a log whose beginning has expired can still be recomputed (ADR 13)."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

import structlog

from contracts import ports
from contracts.errors import StaleOwner
from streams.retry import until_available

_log = structlog.get_logger(__name__)

#: How often it is looked whether a checkpoint is due to be kept.
KEEP_S: Final = 60.0


async def keep_checkpoints(
    keeper: ports.CheckpointKeeper, log_start: Callable[[int], int | None], ownerships: Iterable[ports.Ownership]
) -> None:
    """Keep the checkpoints of owned partitions, as far as they are due.

    Parameters
    ----------
    keeper : CheckpointKeeper
        Keeps them.
    log_start : callable
        Returns the offset of a partition's oldest record, ``None`` while the broker doesn't answer; may block.
    ownerships : iterable of Ownership
        Of one topic.
    """
    for ownership in ownerships:
        start = await asyncio.to_thread(log_start, ownership.partition)
        if start is None:
            continue
        try:
            await until_available(lambda: keeper.keep(ownership, start))  # noqa: B023 -- awaited at once
        except StaleOwner as error:  # the next checkpoint will notice, too
            _log.warning("lost_partition", topic=ownership.topic, partition=ownership.partition, error=str(error))
