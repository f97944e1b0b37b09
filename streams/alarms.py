"""The alarm worker: conditions and commands in, alarm transitions out, each in one transaction.

Alarm state, history, outbox and the offset commit together, so a record that Faust delivers twice is recognised by its
offset. Faust acknowledges a record only after ``apply`` has returned.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

import structlog

from contracts import ports, topics
from contracts import records as r
from contracts.codec import Codec
from contracts.errors import StaleOwner
from processors.alarm_partition import AlarmPartition
from streams.dead_letters import DeadLetters
from streams.message import LogMessage
from streams.outbox import OutboxRelay
from streams.retry import until_available

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Owned:
    ownership: ports.Ownership
    alarms: AlarmPartition


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
    ) -> None:
        self._store = store
        self._codec = codec
        self._outlet = outlet
        self._dead_letters = dead_letters
        self._outbox = relay
        self._clock = clock
        self._owner = owner
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
            await self._relay(partition, owned)

    async def _own(self, partition: int) -> _Owned:
        async with self._claiming:
            owned = self._owned.get(partition)
            if owned is None:
                ownership, checkpoint = await until_available(
                    lambda: self._store.claim(topics.CONDITIONS, partition, self._owner)
                )
                owned = self._owned[partition] = _Owned(ownership, AlarmPartition(checkpoint))
                _log.info(
                    "claimed_partition",
                    topic=topics.CONDITIONS,
                    partition=partition,
                    epoch=ownership.epoch,
                    applied_offset=checkpoint.applied_offset,
                )
            return owned

    async def apply(self, message: LogMessage) -> None:
        """Apply one record; return once its transitions are stored."""
        owned = await self._own(message.partition)
        step = owned.alarms.feed(self._codec, message.offset, message.key, message.value)
        if step.refusal is not None:
            await self._dead_letters.put(message, step.refusal)
        if not step.states:
            return
        checkpoint = ports.Checkpoint(message.offset, message.offset + 1, step.states)
        try:
            await until_available(lambda: self._store.apply_alarms(owned.ownership, checkpoint, step.transitions))
        except StaleOwner as error:
            self._lose(message.partition, error)
            return
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
            await self._relay(message.partition, owned)

    async def _relay(self, partition: int, owned: _Owned) -> None:
        try:
            await self._outbox.relay(owned.ownership)
        except StaleOwner as error:
            self._lose(partition, error)

    def _lose(self, partition: int, error: StaleOwner) -> None:
        """Forget a partition that another worker has claimed; it goes on from what is stored."""
        _log.warning("lost_partition", topic=topics.CONDITIONS, partition=partition, error=str(error))
        self._owned.pop(partition, None)
