"""The alarms of one partition of ``conditions``: log records in, transitions out.

Live streams and recomputation share it, as they share ``PartitionPipeline``: it is a pure function of the records it
is given in log order.
"""

from dataclasses import dataclass

from contracts import ports, topics
from contracts import records as r
from contracts.codec import Codec
from contracts.errors import BadRecord, Reason
from processors.alarms import AlarmBook


@dataclass(frozen=True, slots=True)
class AlarmStep:
    """What one record led to: new states by asset, transitions, and why it was refused, if it was."""

    states: dict[str, bytes]
    transitions: list[r.AlarmTransition]
    refusal: BadRecord | None = None


class AlarmPartition:
    """The alarm books of all assets of one partition.

    Parameters
    ----------
    checkpoint : Checkpoint
        Where to go on; ``Checkpoint(-1, 0, {})`` at the beginning of the log.
    """

    def __init__(self, checkpoint: ports.Checkpoint) -> None:
        self.applied_offset = checkpoint.applied_offset
        self._books = {asset_id: AlarmBook.build(asset_id, state) for asset_id, state in checkpoint.states.items()}

    def feed(self, codec: Codec, offset: int, key: bytes | None, value: bytes | None) -> AlarmStep:
        """Apply the value at `offset`; one that was applied before changes nothing."""
        if offset <= self.applied_offset:
            return AlarmStep({}, [])
        self.applied_offset = offset
        try:
            touched, transitions = self._apply(_decode(codec, key, value))
        except BadRecord as refusal:
            return AlarmStep({}, [], refusal)
        return AlarmStep({asset_id: self._books[asset_id].snapshot() for asset_id in touched}, transitions)

    def _apply(self, record: r.ConditionRecord) -> tuple[list[str], list[r.AlarmTransition]]:
        if isinstance(record, r.Activation):
            return [], []
        if isinstance(record, r.Tick):
            return self._tick(record)
        book = self._books.get(record.asset_id)
        if book is None:
            book = self._books[record.asset_id] = AlarmBook.build(record.asset_id, None)
        return [record.asset_id], book.apply(record)

    def _tick(self, tick: r.Tick) -> tuple[list[str], list[r.AlarmTransition]]:
        """Visit only books with a timer that has run out, in the order of their ids."""
        due = [
            asset_id
            for asset_id in sorted(self._books)
            if (at_ns := self._books[asset_id].next_timer_ns) is not None and at_ns <= tick.at_ns
        ]
        return due, [transition for asset_id in due for transition in self._books[asset_id].apply(tick)]


def _decode(codec: Codec, key: bytes | None, value: bytes | None) -> r.ConditionRecord:
    record = codec.decode(value)
    if isinstance(record, r.Tick):
        return record
    if not isinstance(record, r.Condition | r.Command | r.Activation):
        raise BadRecord(Reason.UNKNOWN_SCHEMA, f"{type(record).__name__} doesn't belong on {topics.CONDITIONS}")
    if key != record.asset_id.encode():
        raise BadRecord(Reason.WRONG_KEY, f"key {key!r}, but the record is of {record.asset_id!r}")
    return record
