"""In-memory doubles of the streams' ports; one journal tells in which order they were called."""

import dataclasses
from collections.abc import Sequence

from contracts import ports
from contracts import records as r
from contracts.errors import StaleOwner, Unavailable


class ManualClock:
    """Time that a test sets."""

    def __init__(self) -> None:
        self.at_ns = 1_700_000_000_000_000_000

    def now_ns(self) -> int:
        return self.at_ns

    def monotonic_s(self) -> float:
        return self.at_ns / 1e9


@dataclasses.dataclass
class Journal:
    """What was called, in order."""

    calls: list[str] = dataclasses.field(default_factory=list)
    #: Calls that fail next, by name: how often.
    failing: dict[str, int] = dataclasses.field(default_factory=dict)

    def note(self, call: str) -> None:
        if self.failing.get(call, 0) > 0:
            self.failing[call] -= 1
            raise Unavailable("database", f"{call} fails", retry_after_s=0.0)
        self.calls.append(call)


@dataclasses.dataclass
class MemoryOutlet:
    """An outlet that keeps what it is given; what was flushed is acknowledged."""

    journal: Journal
    sent: list[tuple[str, str | None, r.Record]] = dataclasses.field(default_factory=list)
    headers: list[Sequence[tuple[str, bytes]]] = dataclasses.field(default_factory=list)

    async def send(
        self,
        topic: str,
        key: str | None,
        record: r.Record,
        *,
        partition: int = -1,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> None:
        self.sent.append((topic, key, record))
        self.headers.append(headers)

    async def flush(self) -> None:
        self.journal.note("flush")

    def on(self, topic: str) -> list[r.Record]:
        return [record for sent_to, _, record in self.sent if sent_to == topic]


@dataclasses.dataclass
class MemoryAccount:
    """An account of refusals within a minute of the clock, and what was asked for."""

    clock: ManualClock
    taken: list[tuple[int, int]] = dataclasses.field(default_factory=list)

    async def allow_refusals(self, records: int, limit: int) -> int:
        recent = sum(n for at_ns, n in self.taken if self.clock.at_ns - at_ns < 60_000_000_000)
        allowed = max(0, min(records, limit - recent))
        self.taken.append((self.clock.at_ns, allowed))
        return allowed


@dataclasses.dataclass
class MemoryStore:
    """A partition store with epochs, checkpoints, states, rows and an outbox."""

    journal: Journal
    epochs: dict[tuple[str, int], int] = dataclasses.field(default_factory=dict)
    checkpoints: dict[tuple[str, int], ports.Checkpoint] = dataclasses.field(default_factory=dict)
    rows: ports.HistoryRows = dataclasses.field(default_factory=ports.HistoryRows)
    transitions: list[r.AlarmTransition] = dataclasses.field(default_factory=list)
    outbox: list[ports.OutboxRow] = dataclasses.field(default_factory=list)

    async def claim(self, topic: str, partition: int, owner: str) -> tuple[ports.Ownership, ports.Checkpoint]:
        self.journal.note("claim")
        epoch = self.epochs[topic, partition] = self.epochs.get((topic, partition), 0) + 1
        checkpoint = self.checkpoints.get((topic, partition), ports.Checkpoint(-1, 0, {}))
        return ports.Ownership(topic, partition, epoch), checkpoint

    def _check(self, ownership: ports.Ownership) -> None:
        current = self.epochs[ownership.topic, ownership.partition]
        if current != ownership.epoch:
            raise StaleOwner(ownership.topic, ownership.partition, ownership.epoch, current)

    async def append(self, rows: ports.HistoryRows) -> None:
        self.journal.note("append")
        self.rows.assessments += rows.assessments
        self.rows.conditions += rows.conditions

    async def checkpoint(self, ownership: ports.Ownership, checkpoint: ports.Checkpoint) -> None:
        self._check(ownership)
        self.journal.note("checkpoint")
        self._keep(ownership, checkpoint)

    def _keep(self, ownership: ports.Ownership, checkpoint: ports.Checkpoint) -> None:
        place = (ownership.topic, ownership.partition)
        known = self.checkpoints.get(place, ports.Checkpoint(-1, 0, {}))
        states = {**known.states, **checkpoint.states}
        self.checkpoints[place] = ports.Checkpoint(checkpoint.applied_offset, checkpoint.resume_offset, states)

    async def apply_alarms(
        self, ownership: ports.Ownership, checkpoint: ports.Checkpoint, transitions: Sequence[r.AlarmTransition]
    ) -> None:
        self._check(ownership)
        self.journal.note("apply_alarms")
        self._keep(ownership, checkpoint)
        for transition in transitions:
            self.transitions.append(transition)
            self.outbox.append(ports.OutboxRow(len(self.transitions), transition))

    async def unsent(self, ownership: ports.Ownership, limit: int) -> list[ports.OutboxRow]:
        self._check(ownership)
        return self.outbox[:limit]

    async def mark_sent(self, ownership: ports.Ownership, sequence: int) -> None:
        self.journal.note("mark_sent")
        self.outbox = [row for row in self.outbox if row.sequence > sequence]


@dataclasses.dataclass
class MemoryQueue:
    """The enqueueing side of a delivery queue: a message is known by its id."""

    journal: Journal
    messages: dict[str, bytes] = dataclasses.field(default_factory=dict)

    async def enqueue(self, messages: Sequence[tuple[str, bytes]]) -> None:
        self.journal.note("enqueue")
        for message_id, body in messages:
            self.messages.setdefault(message_id, body)
