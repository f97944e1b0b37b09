"""The buffer on disk: three streams, one order of arrival, a bound on each, and the place up to which all is sent.

Waveforms drop their oldest unsent segment when they are full, and leave gap records; readings and events block;
refusals drop their oldest and are counted. Invariants: after ``append`` the records survive any crash; ``take`` gives
them out in the order of arrival over all streams; a record is given out again after a restart unless ``advance`` has
passed it; nothing is dropped without a gap record on disk first.
"""

import contextlib
import hashlib
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from contracts.errors import ConfigurationError, FaultlineError
from edge_forwarder.framing import FRAME_BYTES, Damage
from edge_forwarder.stream_log import StreamLog, sync_folder

_POSITION: Final = "position"
#: A stream needs room for the segments being sent and written, and one between them that can be dropped.
_LEAST_SEGMENTS: Final = 5


class Stream(StrEnum):
    """What records have in common when there is no more room."""

    WAVEFORMS = "waveforms"
    RECORDS = "records"
    REFUSALS = "refusals"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of the buffer in bytes; each stream needs five segments at least."""

    segment_bytes: int = 8 * 1024 * 1024
    waveforms_bytes: int = 1024 * 1024 * 1024
    records_bytes: int = 256 * 1024 * 1024
    refusals_bytes: int = 64 * 1024 * 1024

    def of(self, stream: Stream) -> int:
        """Return the bound of a stream."""
        return {
            Stream.WAVEFORMS: self.waveforms_bytes,
            Stream.RECORDS: self.records_bytes,
            Stream.REFUSALS: self.refusals_bytes,
        }[stream]


@dataclass(frozen=True, slots=True)
class Kept:
    """What is to be sent next; ``damaged`` payloads are what the disk made of a record."""

    number: int
    stream: Stream
    payload: bytes
    damaged: bool = False


class BufferFull(FaultlineError):
    """A stream that must not lose anything has no room; it has again once something was sent."""

    retriable = True

    def __init__(self, stream: Stream, size: int, limit: int) -> None:
        super().__init__(f"buffer of {stream.value} is full: {size} of {limit} bytes")


#: Makes gap records of what a dropped segment held: (name of the segment, payloads) → payloads for ``RECORDS``.
GapRecords = Callable[[str, Sequence[bytes]], Sequence[bytes]]


class Buffer:
    """Records between the collectors and the log; safe for threads.

    Parameters
    ----------
    folder : Path
        Where it lies; one process at a time.
    limits : Limits
        How large it may become.
    gap_records : callable
        Makes gap records of what was dropped.

    Raises
    ------
    ConfigurationError
        If a bound is below five segments.
    OSError
        If the folder can't be read or written.
    """

    def __init__(self, folder: Path, limits: Limits, gap_records: GapRecords) -> None:
        for stream in Stream:
            if limits.of(stream) < _LEAST_SEGMENTS * limits.segment_bytes:
                raise ConfigurationError(
                    f"buffer of {stream.value}: {limits.of(stream)} bytes, at least {_LEAST_SEGMENTS} segments of "
                    f"{limits.segment_bytes} needed"
                )
        self._folder, self._limits, self._gap_records = folder, limits, gap_records
        self._lock = threading.Lock()
        self._logs = {stream: StreamLog(folder / stream.value, limits.segment_bytes) for stream in Stream}
        self._position = self._read_position()
        self._next = max(self._position, *(log.last_number() + 1 for log in self._logs.values()))
        self._last_taken = self._position - 1
        for log in self._logs.values():
            log.skip_to(self._position)
        #: Records of each stream that were dropped for want of room.
        self.dropped = dict.fromkeys(Stream, 0)
        #: Bytes of a record that was being written when the machine went down; nobody was told it was kept.
        self.torn_bytes = sum(log.torn_bytes for log in self._logs.values())
        #: Records that the disk changed.
        self.damaged = 0

    def close(self) -> None:
        """Give up the files."""
        with self._lock:
            for log in self._logs.values():
                log.close()

    def append(self, records: Sequence[tuple[Stream, bytes]]) -> None:
        """Keep records, all or none; return once they are on the disk.

        Parameters
        ----------
        records : sequence of (Stream, bytes)
            In the order of arrival.

        Raises
        ------
        BufferFull
            If a stream that blocks has no room.
        OSError
            If the disk doesn't take them.
        """
        with self._lock:
            self._settle_drops()
            grouped = {stream: [payload for s, payload in records if s is stream] for stream in Stream}
            for stream, payloads in grouped.items():
                self._make_room(stream, sum(FRAME_BYTES + len(payload) for payload in payloads))
            self._write(records)

    def take(self, max_bytes: int) -> list[Kept]:
        """Return what comes next in the order of arrival, at least one record where there is any.

        Parameters
        ----------
        max_bytes : int
            How much at most, unless the first record alone is larger.

        Returns
        -------
        kept : list of Kept
            Given out once; again only after a restart.

        Raises
        ------
        OSError
            If the disk can't be read.
        """
        taken: list[Kept] = []
        n_bytes = 0
        with self._lock:
            while (kept := self._oldest()) is not None:
                n_bytes += len(kept.payload)
                if taken and n_bytes > max_bytes:
                    break
                self._logs[kept.stream].pop()
                self._last_taken = max(self._last_taken, kept.number)
                self.damaged += kept.damaged
                taken.append(kept)
        return taken

    def advance(self) -> None:
        """Store that everything taken so far is sent; make room.

        Raises
        ------
        OSError
            If the place can't be stored: what was sent since will be sent again after a restart.
        """
        with self._lock:
            position = self._last_taken + 1
            self._write_position(position)
            self._position = position
            for log in self._logs.values():
                log.release(position)

    def tail(self) -> list[bytes]:
        """Return the newest payloads of all streams, to know repetitions by."""
        with self._lock:
            return [payload for log in self._logs.values() for payload in log.tail()]

    @property
    def unsent_bytes(self) -> int:
        """Bytes that haven't been taken."""
        with self._lock:
            return sum(log.unread_bytes for log in self._logs.values())

    @property
    def size(self) -> int:
        """Bytes on disk."""
        with self._lock:
            return sum(log.size for log in self._logs.values())

    # --- room ---------------------------------------------------------------------------------------------------------

    def _make_room(self, stream: Stream, n_bytes: int) -> None:
        log, limit = self._logs[stream], self._limits.of(stream)
        while n_bytes and log.size + n_bytes > limit:
            if stream is Stream.RECORDS or not log.drop():
                raise BufferFull(stream, log.size, limit)
            self._settle_drops()

    def _settle_drops(self) -> None:
        """Write the gap records of dropped segments, then remove these."""
        for stream, log in self._logs.items():
            while (dropped := log.dropped()) is not None:
                name, payloads = dropped
                if stream is Stream.WAVEFORMS:
                    gaps = [(Stream.RECORDS, gap) for gap in self._gap_records(name, payloads)]
                    self._check_reserve(gaps)
                    self._write(gaps)
                self.dropped[stream] += len(payloads)
                log.settle()

    def _check_reserve(self, gaps: Sequence[tuple[Stream, bytes]]) -> None:
        """Let gap records use one segment more than other records may."""
        log, limit = self._logs[Stream.RECORDS], self._limits.records_bytes + self._limits.segment_bytes
        if log.size + sum(FRAME_BYTES + len(gap) for _, gap in gaps) > limit:
            raise BufferFull(Stream.RECORDS, log.size, limit)

    # --- files --------------------------------------------------------------------------------------------------------

    def _write(self, records: Sequence[tuple[Stream, bytes]]) -> None:
        """Write records and let them count; on failure forget all of them."""
        touched: dict[StreamLog, int] = {}
        try:
            for place, (stream, payload) in enumerate(records):
                log = self._logs[stream]
                if log not in touched:
                    touched[log] = 0
                    log.prepare(self._next)
                touched[log] += log.write(self._next + place, payload)
            for log in touched:
                log.sync()
        except OSError:
            for log in touched:
                log.roll_back()
            raise
        for log, n_bytes in touched.items():
            log.commit(n_bytes)
        self._next += len(records)

    def _oldest(self) -> Kept | None:
        oldest: Kept | None = None
        for stream, log in self._logs.items():
            found = log.peek()
            if isinstance(found, Damage):
                # its number is unknown; it is sent as soon as it is met
                return Kept(self._last_taken, stream, found.raw, damaged=True)
            if found is not None and (oldest is None or found.number < oldest.number):
                oldest = Kept(found.number, stream, found.payload)
        return oldest

    def _read_position(self) -> int:
        with contextlib.suppress(OSError, ValueError):
            number, _, digest = (self._folder / _POSITION).read_text(encoding="ascii").partition(" ")
            if digest == _digest(number):
                return int(number)
        return 0  # then everything kept is sent again, which whoever reads the log knows by its identity

    def _write_position(self, position: int) -> None:
        new = self._folder / f"{_POSITION}.new"
        with new.open("w", encoding="ascii") as file:
            file.write(f"{position} {_digest(str(position))}")
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._folder / _POSITION)
        sync_folder(self._folder)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
