"""Records in a buffer file: a mark, the length, a number, a checksum and the payload.

Invariants: a frame that was torn or changed is never given out, and costs no more than itself: reading goes on at the
next mark whose frame is whole.
"""

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_MARK: Final = b"\xf1FL\x01"
_HEADER: Final = struct.Struct("<4sIQ16s")
_PREFIX: Final = struct.Struct("<IQ")
_DIGEST_BYTES: Final = 16
#: What a frame adds to its payload (bytes).
FRAME_BYTES: Final = _HEADER.size


@dataclass(frozen=True, slots=True)
class Entry:
    """A whole record; ``number`` grows with the order of arrival."""

    number: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes that are no frame, up to the next whole frame or the end."""

    raw: bytes


def frame(number: int, payload: bytes) -> bytes:
    """Return `payload` framed.

    Parameters
    ----------
    number : int
        The place in the order of arrival.
    payload : bytes
        What to keep.

    Returns
    -------
    framed : bytes

    Examples
    --------
    >>> [found for _, found in scan(frame(7, b"block"))]
    [Entry(number=7, payload=b'block')]
    """
    return _HEADER.pack(_MARK, len(payload), number, _digest(number, payload)) + payload


def scan(data: bytes, offset: int = 0) -> Iterator[tuple[int, Entry | Damage]]:
    """Yield what lies in `data` from `offset` on, each with the offset after it.

    Parameters
    ----------
    data : bytes
        Frames, one after another.
    offset : int
        Where the first begins.

    Yields
    ------
    after : int
        Where the next begins.
    found : Entry or Damage
        A record, or what takes its place.
    """
    while offset < len(data):
        found = _entry_at(data, offset)
        if found is None:
            after = _next_whole(data, offset + 1)
            yield after, Damage(data[offset:after])
        else:
            after = offset + FRAME_BYTES + len(found.payload)
            yield after, found
        offset = after


def _entry_at(data: bytes, offset: int) -> Entry | None:
    if len(data) - offset < FRAME_BYTES:
        return None
    mark, length, number, digest = _HEADER.unpack_from(data, offset)
    start = offset + FRAME_BYTES
    if mark != _MARK or length > len(data) - start:
        return None
    payload = data[start : start + length]
    return Entry(number, payload) if digest == _digest(number, payload) else None


def _next_whole(data: bytes, offset: int) -> int:
    while (offset := data.find(_MARK, offset)) >= 0:
        if _entry_at(data, offset) is not None:
            return offset
        offset += 1
    return len(data)


def _digest(number: int, payload: bytes) -> bytes:
    digest = hashlib.sha256(_PREFIX.pack(len(payload), number))
    digest.update(payload)
    return digest.digest()[:_DIGEST_BYTES]
