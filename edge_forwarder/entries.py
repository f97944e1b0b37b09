"""Records as the buffer keeps them: Avro under the bundled schema ids, so that reading them back needs no registry."""

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from contracts import records as r
from contracts.codec import MAX_VALUE_BYTES, BundledSchemas, Codec
from contracts.errors import BadRecord, Reason
from contracts.topics import DEAD_LETTERS, MEASUREMENTS
from edge_forwarder.buffer import Stream

#: What a collector makes: something measured, or what it refuses.
Collected = r.AcquisitionBlock | r.ReadingBatch | r.MachineEvent | r.DeadLetter

#: Leaves room for the rest of a dead letter in the largest value.
_MAX_REFUSED_BYTES: Final = MAX_VALUE_BYTES - 16 * 1024
_MAX_NAME_CHARACTERS: Final = 512
#: Boot ids that a collector gives begin like this.
COLLECTOR_BOOT: Final = "collector-"
_CODEC: Final = Codec(BundledSchemas())


def stream_of(record: Collected) -> Stream:
    """Return the stream in which `record` is kept."""
    if isinstance(record, r.AcquisitionBlock):
        return Stream.WAVEFORMS
    return Stream.REFUSALS if isinstance(record, r.DeadLetter) else Stream.RECORDS


def topic_of(record: Collected) -> str:
    """Return the Kafka topic to which `record` goes."""
    return DEAD_LETTERS if isinstance(record, r.DeadLetter) else MEASUREMENTS


def to_payload(record: Collected) -> bytes:
    """Return `record` as the buffer keeps it."""
    return _CODEC.encode(topic_of(record), record)


def from_payload(payload: bytes) -> Collected:
    """Return the record in `payload`.

    Raises
    ------
    BadRecord
        If another version wrote what this one doesn't know.
    """
    record = _CODEC.decode(payload)
    if not isinstance(record, Collected):
        raise TypeError(f"{type(record).__name__} was never put into the buffer")
    return record


def identity_of(record: Collected, payload: bytes) -> bytes:
    """Return what a repeated message has in common with its first copy, and with nothing else.

    The content belongs to it: a record under a number that was used before is no repetition, and is judged downstream.
    What only our side gave a record (a number, the time of a refusal) doesn't belong to it.

    Parameters
    ----------
    record : Collected
        What came.
    payload : bytes
        The same, encoded.

    Returns
    -------
    identity : bytes
    """
    if isinstance(record, r.DeadLetter):
        payload = to_payload(dataclasses.replace(record, timestamp_ns=0))
    elif record.boot_id.startswith(COLLECTOR_BOOT):
        payload = to_payload(dataclasses.replace(record, boot_id="", sequence=0))
    return hashlib.sha256(payload).digest()


def refusal(source: str, reason: Reason, detail: str, value: bytes, at_ns: int) -> r.DeadLetter:
    """Return the dead letter for something that a collector refuses.

    Parameters
    ----------
    source : str
        Where it came from, e.g. an MQTT topic.
    reason : Reason
        Why it is refused.
    detail : str
        The offending value and the bound it broke.
    value : bytes
        What came; left out, with its checksum in the detail, where it is larger than a dead letter may be.
    at_ns : int
        When it came, UTC nanoseconds.

    Returns
    -------
    letter : DeadLetter
        Without partition and offset (-1): it never was on the log.
    """
    kept: bytes | None = value
    if len(value) > _MAX_REFUSED_BYTES:
        kept = None
        detail = f"{detail}; {len(value)} bytes with SHA-256 {hashlib.sha256(value).hexdigest()} left out"
    return r.DeadLetter(
        topic=source[:_MAX_NAME_CHARACTERS],
        partition=-1,
        offset=-1,
        timestamp_ns=at_ns,
        reason=reason.value,
        detail=detail[: 4 * _MAX_NAME_CHARACTERS],
        key=None,
        value=kept,
    )


@dataclass(slots=True)
class _Lost:
    """The blocks of one device that a dropped segment held."""

    blocks: list[r.AcquisitionBlock] = field(default_factory=list)

    def event(self, device_id: str, boot_id: str, sequence: int) -> r.MachineEvent:
        first, last = self.blocks[0], self.blocks[-1]
        end_ns = last.start_ns + round(last.n_samples * 1e9 / last.sampling_rate_hz)
        return r.MachineEvent(
            asset_id=first.asset_id,
            device_id=device_id,
            boot_id=boot_id,
            sequence=sequence,
            at_ns=first.start_ns,
            kind="gap",
            code="buffer_full",
            text=(
                f"{len(self.blocks)} blocks of {first.device_id} (boot {first.boot_id}, sequence {first.sequence} to "
                f"{last.sequence}, {first.start_ns} to {end_ns} ns) dropped: the edge buffer was full"
            ),
        )


class GapRecorder:
    """Makes gap records of dropped waveforms.

    The same segment gives the same records under the same identity, however often a crash makes it be told.

    Parameters
    ----------
    device_id : str
        The forwarder's.
    """

    def __init__(self, device_id: str) -> None:
        self._device_id = device_id

    def __call__(self, segment: str, payloads: Sequence[bytes]) -> list[bytes]:
        """Return one gap record for each device and boot with blocks in `payloads`."""
        lost: dict[tuple[str, str, str], _Lost] = {}
        for payload in payloads:
            try:
                record = from_payload(payload)
            except BadRecord:  # another version's: counted with the rest, but nobody knows whose it was
                continue
            if isinstance(record, r.AcquisitionBlock):
                lost.setdefault((record.asset_id, record.device_id, record.boot_id), _Lost()).blocks.append(record)
        return [
            to_payload(one.event(self._device_id, f"dropped-{segment}", sequence))
            for sequence, one in enumerate(lost.values())
        ]
