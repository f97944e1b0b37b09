"""Refused records: found on their topic, told apart, shown, and put back once their cause is mended.

Invariants: a refused record is known by where it lay, so one that a crash has refused twice is listed once; bytes are
shown and put back as they came; whatever was put back carries a header that names the place.
"""

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Final, Protocol

import msgspec

from api.times import Instant
from contracts import records as r
from contracts import topics
from contracts.codec import Codec
from contracts.errors import BadRecord

#: Header of a record that was put back: where the refused one lay.
HEADER: Final = "faultline-dead-letter"

Place = tuple[str, int, int]
#: What records can be put back on: what else is refused never was on the log.
_OURS: Final = frozenset({topics.MEASUREMENTS, topics.CONDITIONS})
_SHOWN_SAMPLES: Final = 32


@dataclass(frozen=True, slots=True)
class Refused:
    """One refused record; ``refused_at_ns`` is when the dead letter was written."""

    letter: r.DeadLetter
    refused_at_ns: int

    @property
    def place(self) -> Place:
        """Where the record lay."""
        return self.letter.topic, self.letter.partition, self.letter.offset

    @property
    def name(self) -> str:
        """Return the place as text: ``topic/partition/offset``, or ``source@time`` of what never was on the log."""
        letter = self.letter
        if letter.offset < 0:
            return f"{letter.topic}@{letter.timestamp_ns}"
        return f"{letter.topic}/{letter.partition}/{letter.offset}"

    @property
    def returnable(self) -> bool:
        """Whether the record lay on a topic of ours, and so can be put back."""
        return self.letter.topic in _OURS and self.letter.offset >= 0

    @property
    def key(self) -> str:
        """The key as text: for measurements and conditions the asset's id."""
        return (self.letter.key or b"").decode("utf-8", "replace")

    def summary(self) -> dict[str, Any]:
        """Return everything but the record's content."""
        letter = self.letter
        return {
            "place": self.name,
            "reason": letter.reason,
            "detail": letter.detail,
            "key": None if letter.key is None else self.key,
            "refused_at": str(Instant(self.refused_at_ns)),
            "written_at": str(Instant(letter.timestamp_ns)),
            "value_bytes": len(letter.value or b""),
            "returnable": self.returnable,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which refused records are meant; ``None`` and an empty set mean all."""

    names: frozenset[str] = frozenset()
    reason: str | None = None
    topic: str | None = None
    key: str | None = None
    since_ns: int | None = None
    until_ns: int | None = None

    def takes(self, refused: Refused) -> bool:
        """Return whether `refused` is meant."""
        return (
            (not self.names or refused.name in self.names)
            and self.reason in {None, refused.letter.reason}
            and self.topic in {None, refused.letter.topic}
            and self.key in {None, refused.key}
            and (self.since_ns is None or refused.refused_at_ns >= self.since_ns)
            and (self.until_ns is None or refused.refused_at_ns < self.until_ns)
        )


class LogRecord(Protocol):
    """What a dead letter is read from."""

    @property
    def timestamp_ns(self) -> int:
        """When it was written."""

    @property
    def value(self) -> bytes | None:
        """The encoded dead letter."""


class Marks(Protocol):
    """Remembers what was put back."""

    def once(self, place: Place, actor: str) -> AbstractAsyncContextManager[bool]:
        """Give whether it is still to be put back; mark it when the block ends well."""


class Returns(Protocol):
    """Puts refused records back on the log."""

    async def put_back(self, letter: r.DeadLetter, headers: list[tuple[str, bytes]]) -> None:
        """Return once the log has acknowledged the record."""


def refused_records(log: Iterable[LogRecord], codec: Codec, selection: Selection) -> Iterator[Refused]:
    """Return the selected refused records, each once.

    Parameters
    ----------
    log : iterable of LogRecord
        The topic ``dead-letters``.
    codec : Codec
        Decodes it.
    selection : Selection
        Which are meant.

    Yields
    ------
    Refused
        In the order of the log; what isn't a dead letter is passed over.
    """
    known: set[str] = set()
    for entry in log:
        try:
            letter = codec.decode(entry.value)
        except BadRecord:
            continue
        if not isinstance(letter, r.DeadLetter):
            continue
        refused = Refused(letter, entry.timestamp_ns)
        if refused.name not in known and selection.takes(refused):
            known.add(refused.name)
            yield refused


async def put_back(
    chosen: Iterable[Refused], marks: Marks, log: Returns, actor: str
) -> AsyncIterator[tuple[Refused, bool]]:
    """Put refused records back on their topic, in the order given.

    Parameters
    ----------
    chosen : iterable of Refused
        Returnable ones.
    marks : Marks
        Knows what was put back before.
    log : Returns
        The way back.
    actor : str
        Who asks for it.

    Yields
    ------
    refused, now : Refused, bool
        Whether it was put back now; False where it had been before.
    """
    for refused in chosen:
        async with marks.once(refused.place, actor) as due:
            if due:
                await log.put_back(refused.letter, [(HEADER, refused.name.encode())])
        yield refused, due


def content(refused: Refused, codec: Codec, limit: int) -> dict[str, Any]:
    """Return headers and value of a refused record: its bytes, and what they decode to.

    Parameters
    ----------
    refused : Refused
        The record.
    codec : Codec
        Decodes what can be decoded.
    limit : int
        How many bytes of the value are given.

    Returns
    -------
    content : dict
        ``headers``, ``value_hex`` (up to `limit` bytes), and ``decoded`` or, where it can't be, ``undecodable``.
    """
    value = refused.letter.value
    found: dict[str, Any] = {
        "headers": [{"name": h.name, "value": _readable(h.value)} for h in refused.letter.headers],
        "value_hex": None if value is None else value[:limit].hex(),
        "decoded": None,
        "undecodable": None,
    }
    try:
        record = codec.decode(value)
    except BadRecord as error:
        return {**found, "undecodable": str(error)}
    fields: dict[str, Any] = msgspec.to_builtins(record, builtin_types=(bytes,))
    return {**found, "decoded": {"type": type(record).__name__, **{n: _brief(v) for n, v in fields.items()}}}


def hex_lines(value: bytes) -> Iterator[str]:
    """Return `value` as lines of offset, sixteen bytes and their characters.

    Examples
    --------
    >>> next(hex_lines(b"pump 7"))
    '00000000  70 75 6d 70 20 37                                |pump 7|'
    """
    for start in range(0, len(value), 16):
        line = value[start : start + 16]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in line)
        yield f"{start:08x}  {line.hex(' '):<47}  |{text}|"


def _brief(value: Any) -> Any:
    if isinstance(value, bytes) and len(value) > _SHOWN_SAMPLES:
        return f"{len(value)} bytes, {value[:_SHOWN_SAMPLES].hex()}…"
    return value.hex() if isinstance(value, bytes) else value


def _readable(value: bytes | None) -> str | None:
    if value is None:
        return None
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return f"0x{value.hex()}"
    return text if text.isprintable() else f"0x{value.hex()}"
