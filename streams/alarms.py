"""The alarm worker: conditions and commands in, alarm transitions out, each in one transaction.

Alarm state, history, outbox and the offset commit together, so a record that Faust delivers twice is recognised by its
offset. What Faust doesn't deliver is recognised by the gap before the next record, and read from the log: which records
are applied depends on the checkpoint alone, not on Faust's commits.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

from contracts import ports, topics
from contracts import records as r
from contracts.codec import Codec
from contracts.errors import StaleOwner
from processors.alarm_partition import AlarmPartition
from streams.dead_letters import DeadLetters
from streams.message import LogMessage
from streams.outbox import OutboxRelay
from streams.precedence import Precedence
from streams.retry import until_available

_log = structlog.get_logger(__name__)

#: Records that are read again at a time.
_CATCH_UP_RECORDS: Final = 10_000
#: So many records that changed nothing are checkpointed together.
_UNSAVED_RECORDS: Final = 100


@dataclass(slots=True)
class _Owned:
    ownership: ports.Ownership
    alarms: AlarmPartition
    #: What the stored checkpoint has applied.
    saved_offset: int
    #: Held while a record is applied: between records what is applied is stored.
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    #: Whether there may be unsent transitions; an owner before this one may have left some.
    unsent: bool = True


class AlarmWorker:
    """Keep the alarms of the ``conditions`` partitions that this worker owns.

    Parameters
    ----------
    store : PartitionStore
        Ownership and alarm transactions.
    codec : Codec
        Decodes conditions and commands.
    outlet : Outlet
        Where ticks go.
    dead_letters : DeadLetters
        Where refused records go.
    relay : OutboxRelay
        Takes new transitions on to subscribers.
    clock : Clock
        Time of ticks.
    owner : str
        The name of this worker.
    missed : callable
        Returns the records of a partition of ``conditions`` from one offset up to another, as far as the log has them;
        may block.
    precedence : Precedence
        Taken while a record is applied.
    """

    def __init__(
        self,
        store: ports.PartitionStore,
        codec: Codec,
        outlet: ports.Outlet,
        dead_letters: DeadLetters,
        relay: OutboxRelay,
        clock: ports.Clock,
        owner: str,
        missed: Callable[[int, int, int], Sequence[LogMessage]],
        precedence: Precedence | None = None,
    ) -> None:
        self._store = store
        self._codec = codec
        self._outlet = outlet
        self._dead_letters = dead_letters
        self._outbox = relay
        self._clock = clock
        self._owner = owner
        self._missed = missed
        self._precedence = precedence or Precedence()
        self._owned: dict[int, _Owned] = {}
        self._claiming = asyncio.Lock()

    def applied(self) -> dict[int, int]:
        """Return the last applied offset of every owned partition."""
        return {partition: owned.alarms.applied_offset for partition, owned in list(self._owned.items())}

    def ownerships(self) -> list[ports.Ownership]:
        """Return what this worker owns now."""
        return [owned.ownership for owned in self._owned.values()]

    async def keep(self, assigned: Iterable[int]) -> None:
        """Claim what is newly assigned, drop what is no longer, and append a tick to each partition."""
        wanted = set(assigned)
        for partition in [p for p in self._owned if p not in wanted]:
            del self._owned[partition]
        now_ns = self._clock.now_ns()
        for partition in sorted(wanted):
            owned = await self._own(partition)
            tick = r.Tick(topic=topics.CONDITIONS, partition=partition, at_ns=now_ns, epoch=owned.ownership.epoch)
            await self._outlet.send(topics.CONDITIONS, None, tick, partition=partition)
            try:
                if owned.unsent:
                    await self._relay(owned)
                await self._save(partition, owned)
            except StaleOwner as error:
                self._lose(partition, owned, error)

    async def _own(self, partition: int) -> _Owned:
        async with self._claiming:
            owned = self._owned.get(partition)
            if owned is None:
                ownership, checkpoint = await until_available(
                    lambda: self._store.claim(topics.CONDITIONS, partition, self._owner)
                )
                alarms = AlarmPartition(checkpoint)
                owned = self._owned[partition] = _Owned(ownership, alarms, checkpoint.applied_offset)
                _log.info(
                    "claimed_partition",
                    topic=topics.CONDITIONS,
                    partition=partition,
                    epoch=ownership.epoch,
                    applied_offset=checkpoint.applied_offset,
                )
            return owned

    async def apply(self, message: LogMessage) -> None:
        """Apply one record, and before it those that weren't delivered; return once its transitions are stored."""
        with self._precedence.taken():
            await self._apply_in_order(message)

    async def _apply_in_order(self, message: LogMessage) -> None:
        partition = message.partition
        while True:
            owned = await self._own(partition)
            async with owned.lock:
                if self._owned.get(partition) is not owned:
                    continue
                try:
                    await self._catch_up(owned, message)
                    await self._apply(owned, message)
                except StaleOwner as error:
                    self._lose(partition, owned, error)
                except BaseException:
                    self._owned.pop(partition, None)  # what was fed may not be stored: the checkpoint knows
                    raise
                return

    async def _catch_up(self, owned: _Owned, message: LogMessage) -> None:
        """Apply what lies between the last applied record and this one.

        Faust commits what an agent has taken, and a worker that wakes up stale may have claimed a partition in between:
        a record that was taken then is delivered to nobody any more. The log still has it.
        """
        while (first := owned.alarms.applied_offset + 1) < message.offset:
            end = min(first + _CATCH_UP_RECORDS, message.offset)
            for missed in await until_available(lambda: asyncio.to_thread(self._missed, message.partition, first, end)):  # noqa: B023 -- awaited at once
                await self._apply(owned, missed)
            owned.alarms.applied_offset = end - 1  # also where retention has left nothing

    async def _apply(self, owned: _Owned, message: LogMessage) -> None:
        step = owned.alarms.feed(self._codec, message.offset, message.key, message.value)
        if step.refusal is not None:
            await self._dead_letters.put(message, step.refusal)
        if not step.states:
            return
        checkpoint = ports.Checkpoint(message.offset, message.offset + 1, step.states)
        await until_available(lambda: self._store.apply_alarms(owned.ownership, checkpoint, step.transitions))
        owned.saved_offset = message.offset
        for transition in step.transitions:
            _log.info(
                "changed_alarm",
                alarm_id=transition.alarm_id,
                asset_id=transition.asset_id,
                point_id=transition.point_id,
                rule=transition.rule,
                state=transition.state.value,
                cause=transition.cause,
                reason=transition.reason,
            )
        if step.transitions:
            owned.unsent = True
            await self._relay(owned)

    async def _save(self, partition: int, owned: _Owned) -> None:
        """Checkpoint records that changed nothing, so that a new owner needn't read them all."""
        async with owned.lock:
            offset = owned.alarms.applied_offset
            if self._owned.get(partition) is owned and offset - owned.saved_offset >= _UNSAVED_RECORDS:
                checkpoint = ports.Checkpoint(offset, offset + 1, {})
                await until_available(lambda: self._store.checkpoint(owned.ownership, checkpoint))
                owned.saved_offset = offset

    async def _relay(self, owned: _Owned) -> None:
        owned.unsent = False  # before the wait: what is stored meanwhile sets it again
        await self._outbox.relay(owned.ownership)

    def _lose(self, partition: int, owned: _Owned, error: StaleOwner) -> None:
        """Forget a partition that another worker has claimed; whoever goes on does so from what is stored."""
        _log.warning("lost_partition", topic=topics.CONDITIONS, partition=partition, error=str(error))
        if self._owned.get(partition) is owned:
            del self._owned[partition]
