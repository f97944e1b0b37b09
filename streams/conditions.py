"""The condition worker: batches of measurements in, assessments and conditions out, exactly.

It owns a ``PartitionPipeline`` per partition and keeps the checkpoint order of the exactness protocol: producer
acknowledged, results stored, state and offsets in one transaction, then Kafka's commit.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

import structlog

from contracts import ports, topics
from contracts import records as r
from contracts.codec import Codec
from contracts.errors import BadRecord, Reason, StaleOwner
from processors.own_features import FeatureCode
from processors.pipeline import PartitionPipeline
from streams.cost import Costed
from streams.dead_letters import DeadLetters, TooManyDeadLetters
from streams.lane import no_commit
from streams.message import LogMessage
from streams.precedence import Precedence
from streams.retry import until_available

_log = structlog.get_logger(__name__)

#: Results wait at most this long, and at most so many, before they are stored.
SINK_AGE_S: Final = 0.2
SINK_ROWS: Final = 1_000
#: Beyond so many waiting results processing pauses until the database has taken them.
SINK_LIMIT: Final = 5_000
#: A checkpoint at least every so often, at most a twentieth of the time spent on them.
CHECKPOINT_S: Final = 2.0
CHECKPOINT_SHARE: Final = 0.05
#: The event loop is given a turn after so long a stretch of computation. A turn costs microseconds.
_STRETCH_S: Final = 0.002


@dataclass(slots=True)
class _Owned:
    """A partition that this worker owns."""

    ownership: ports.Ownership
    pipeline: PartitionPipeline
    unsaved: dict[str, bytes] = field(default_factory=dict)


class ConditionWorker:
    """Process the partitions of ``measurements`` that this worker owns.

    Parameters
    ----------
    store : PartitionStore
        Ownership, checkpoints and results.
    models : ModelStore
        Scoring models.
    code : FeatureCode
        Hash of the feature code, and the user's own features.
    codec : Codec
        Decodes measurements.
    outlet : Outlet
        Where assessments, conditions and ticks go.
    dead_letters : DeadLetters
        Where refused records go.
    clock : Clock
        Time of ticks.
    owner : str
        The name of this worker.
    precedence : Precedence
        What goes first.
    """

    def __init__(
        self,
        store: ports.PartitionStore,
        models: ports.ModelStore,
        code: FeatureCode,
        codec: Codec,
        outlet: ports.Outlet,
        dead_letters: DeadLetters,
        clock: ports.Clock,
        owner: str,
        precedence: Precedence | None = None,
    ) -> None:
        self._store = store
        self._models = models
        self._code = code
        self._codec = codec
        self._outlet = outlet
        self._dead_letters = dead_letters
        self._clock = clock
        self._owner = owner
        self._precedence = precedence or Precedence()
        self._owned: dict[int, _Owned] = {}
        self._rows = ports.HistoryRows()
        self._rows_since_s = 0.0
        self._turn = asyncio.Lock()
        self._storing = asyncio.Lock()
        self._checkpointing = asyncio.Lock()

    @property
    def partitions(self) -> list[int]:
        """The partitions owned now."""
        return sorted(self._owned)

    def applied(self) -> dict[int, int]:
        """Return the last processed offset of every owned partition."""
        return {partition: owned.pipeline.applied_offset for partition, owned in list(self._owned.items())}

    def ownerships(self) -> list[ports.Ownership]:
        """Return what this worker owns now."""
        return [owned.ownership for owned in self._owned.values()]

    async def claim(self, partition: int) -> int:
        """Take a partition; return the offset to read from. Tries until the database answers."""
        began_s = self._clock.monotonic_s()
        ownership, checkpoint = await until_available(
            lambda: self._store.claim(topics.MEASUREMENTS, partition, self._owner)
        )
        pipeline = await until_available(lambda: self._resumed(checkpoint))
        self._owned[partition] = _Owned(ownership, pipeline)
        _log.info(
            "claimed_partition",
            topic=topics.MEASUREMENTS,
            partition=partition,
            epoch=ownership.epoch,
            resume_offset=checkpoint.resume_offset,
            applied_offset=checkpoint.applied_offset,
            assets=len(checkpoint.states),
            took_s=round(self._clock.monotonic_s() - began_s, 3),
        )
        return checkpoint.resume_offset

    async def _resumed(self, checkpoint: ports.Checkpoint) -> PartitionPipeline:
        return PartitionPipeline(self._models, checkpoint, self._code)

    def drop(self, partitions: Iterable[int]) -> None:
        """Forget partitions without a checkpoint: another worker has them."""
        for partition in partitions:
            self._owned.pop(partition, None)

    # --- processing ---------------------------------------------------------------------------------------------------

    async def process(self, batch: list[LogMessage]) -> None:
        """Process a batch in log order.

        Raises
        ------
        Unavailable
            A record didn't reach Kafka: the worker has to begin again at its last checkpoint.
        TooManyDeadLetters
            More records are refused than the limit allows; what was processed before is checkpointed.
        """
        try:
            async with self._turn:
                await self._process(batch)
        except TooManyDeadLetters:
            await self.checkpoint(no_commit)
            raise
        while len(self._rows) >= SINK_LIMIT:
            await self.store_rows()

    async def _process(self, batch: list[LogMessage]) -> None:
        stretch_s = self._clock.monotonic_s()
        for message in batch:
            owned = self._owned.get(message.partition)
            if owned is None:
                continue
            refusal = owned.pipeline.feed(self._codec, message.offset, message.key, message.value)
            if refusal is not None:
                await self._refuse(owned, message, refusal)
            if len(owned.pipeline.results):
                await self._publish(owned.pipeline.take())
            computed_s = self._clock.monotonic_s() - stretch_s
            if computed_s > _STRETCH_S:
                await self._precedence.give_way(computed_s)
                stretch_s = self._clock.monotonic_s()

    async def _refuse(self, owned: _Owned, message: LogMessage, refusal: BadRecord) -> None:
        try:
            await self._dead_letters.put(message, refusal)
        except TooManyDeadLetters:
            # it isn't a dead letter, so whoever goes on has to meet it again
            if refusal.reason is Reason.INTERNAL:
                self.drop([message.partition])  # it may have changed the state halfway
            else:
                owned.pipeline.applied_offset = message.offset - 1
            raise

    async def _publish(self, results: ports.HistoryRows) -> None:
        for assessment in results.assessments:
            await self._outlet.send(topics.ASSESSMENTS, assessment.asset_id, assessment)
        for condition in results.conditions:
            await self._outlet.send(topics.CONDITIONS, condition.asset_id, condition)
        if not len(self._rows):
            self._rows_since_s = self._clock.monotonic_s()
        self._rows.extend(results)

    async def tick(self) -> None:
        """Append one tick to every owned partition."""
        now_ns = self._clock.now_ns()
        for partition, owned in list(self._owned.items()):
            tick = r.Tick(topic=topics.MEASUREMENTS, partition=partition, at_ns=now_ns, epoch=owned.ownership.epoch)
            await self._outlet.send(topics.MEASUREMENTS, None, tick, partition=partition)

    # --- storing ------------------------------------------------------------------------------------------------------

    async def store_due_rows(self) -> None:
        """Store waiting results once they are many or old enough."""
        waiting = len(self._rows)
        old = waiting and self._clock.monotonic_s() - self._rows_since_s >= SINK_AGE_S
        if waiting >= SINK_ROWS or old:
            await self.store_rows()

    async def store_rows(self) -> None:
        """Store every waiting result; tries until the database takes them."""
        async with self._storing:
            rows, self._rows = self._rows, ports.HistoryRows()
            if len(rows):
                await until_available(lambda: self._store.append(rows))

    async def checkpoint(self, commit: Callable[[dict[int, int]], Awaitable[None]]) -> float:
        """Make everything processed so far durable; return the seconds to wait until the next checkpoint.

        Parameters
        ----------
        commit : callable
            Commits the resume offset of each partition to Kafka.
        """
        async with self._checkpointing:
            async with self._turn:
                began_s = self._clock.monotonic_s()
                taken = {partition: (owned, owned.pipeline.checkpoint()) for partition, owned in self._owned.items()}
                busy_s = self._clock.monotonic_s() - began_s
                for owned, checkpoint in taken.values():
                    owned.unsaved.update(checkpoint.states)
                await self._outlet.flush()
            await self.store_rows()
            resume: dict[int, int] = {}
            for partition, (owned, checkpoint) in taken.items():
                saving = Costed(self._save(partition, owned, checkpoint))
                if await saving:
                    resume[partition] = checkpoint.resume_offset
                busy_s += saving.cpu_s
            await commit(resume)
            return max(CHECKPOINT_S, busy_s / CHECKPOINT_SHARE)

    async def _save(self, partition: int, owned: _Owned, checkpoint: ports.Checkpoint) -> bool:
        """Store one partition's checkpoint; return whether it is still ours."""
        if self._owned.get(partition) is not owned:
            return False
        full = ports.Checkpoint(checkpoint.applied_offset, checkpoint.resume_offset, dict(owned.unsaved))
        try:
            await until_available(lambda: self._store.checkpoint(owned.ownership, full))
        except StaleOwner as error:
            _log.warning("lost_partition", topic=topics.MEASUREMENTS, partition=partition, error=str(error))
            self.drop([partition])
            return False
        owned.unsaved.clear()
        return True
