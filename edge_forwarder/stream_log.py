"""One stream on disk: an append-only row of segment files, each named by the first number it may hold.

Invariants: what ``append`` returned for is on the disk, and only that is read; a failed append leaves nothing behind
that is read; a file from an earlier run is never written again; whole segments are removed, never parts.
"""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge_forwarder.framing import Damage, Entry, frame, scan

_SUFFIX: Final = ".segment"
_DROPPED: Final = ".dropped"


@dataclass(slots=True)
class _Segment:
    """A file and how many of its bytes count."""

    path: Path
    first: int
    size: int


class StreamLog:
    """Append, read in order, release from the front.

    Not safe for threads: ``Buffer`` guards it.

    Parameters
    ----------
    folder : Path
        Holds the segments; made where absent.
    segment_bytes : int
        A segment that has reached this size is followed by a new one.

    Raises
    ------
    OSError
        If the folder can't be read or written.
    """

    def __init__(self, folder: Path, segment_bytes: int) -> None:
        self._folder = folder
        self._segment_bytes = segment_bytes
        folder.mkdir(parents=True, exist_ok=True)
        self._segments = [
            _Segment(path, int(path.stem), path.stat().st_size) for path in sorted(folder.glob(f"*{_SUFFIX}"))
        ]
        self._dropped = sorted(folder.glob(f"*{_DROPPED}"))
        self._active: int | None = None
        self._reading, self._offset, self._chunk, self._chunk_at = 0, 0, b"", 0
        #: Bytes that were cut from the end: a record the machine went down with, acknowledged to nobody.
        self.torn_bytes = self._cut_torn_tail()

    def close(self) -> None:
        """Give up the file that is being written."""
        if self._active is not None:
            os.close(self._active)
            self._active = None

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(segment.size for segment in self._segments)

    @property
    def unread_bytes(self) -> int:
        """Bytes that ``peek`` has yet to come to."""
        return sum(segment.size for segment in self._segments[self._reading :]) - self._offset

    def last_number(self) -> int:
        """Return a number that no kept record exceeds, -1 for an empty stream."""
        if not self._segments:
            return -1
        numbers = [found.number for found in self._found(self._segments[-1].path) if isinstance(found, Entry)]
        return max([self._segments[-1].first - 1, *numbers])

    def tail(self) -> list[bytes]:
        """Return the payloads of the newest two segments, oldest first."""
        return [
            found.payload
            for segment in self._segments[-2:]
            for found in self._found(segment.path)
            if isinstance(found, Entry)
        ]

    # --- writing ------------------------------------------------------------------------------------------------------

    def prepare(self, first: int) -> None:
        """Make sure that a segment with room is open.

        Parameters
        ----------
        first : int
            The number that the next record may have at least; names the segment, should it be a new one.

        Raises
        ------
        OSError
            If a new segment can't be made.
        """
        if self._active is None or self._segments[-1].size >= self._segment_bytes:
            self._begin(first)

    def write(self, number: int, payload: bytes) -> int:
        """Write a record without letting it count; return how many bytes ``commit`` has to add.

        Raises
        ------
        OSError
            If it can't be written whole; call ``roll_back``.
        """
        data = frame(number, payload)
        view = memoryview(data)
        while view:
            view = view[os.write(self._handle(), view) :]
        return len(data)

    def sync(self) -> None:
        """Bring what was written to the disk; raise ``OSError`` where that fails."""
        os.fsync(self._handle())

    def commit(self, n_bytes: int) -> None:
        """Let what was written and synced count."""
        self._segments[-1].size += n_bytes

    def roll_back(self) -> None:
        """Forget what was written and doesn't count; the next record begins a new segment.

        After a failed sync nobody knows what a file holds, so it is never written again.
        """
        if self._active is None:
            return
        with contextlib.suppress(OSError):  # what stays is unread until a restart, and then at most a repetition
            os.ftruncate(self._active, self._segments[-1].size)
        self.close()

    def _begin(self, first: int) -> None:
        self.close()
        path = self._folder / f"{first:020d}{_SUFFIX}"
        self._active = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
        if not (self._segments and self._segments[-1].path == path):  # else it is what a failed append left, empty
            self._segments.append(_Segment(path, first, 0))
        sync_folder(self._folder)

    def _handle(self) -> int:
        if self._active is None:
            raise OSError(f"{self._folder}: nothing is being written")
        return self._active

    # --- reading ------------------------------------------------------------------------------------------------------

    def skip_to(self, number: int) -> None:
        """Go on reading after the last record below `number`; damage that lies there comes again."""
        while self._reading + 1 < len(self._segments) and self._segments[self._reading + 1].first <= number:
            self._reading += 1
        if self._reading < len(self._segments):
            data = self._segments[self._reading].path.read_bytes()
            passed = [after for after, found in scan(data) if isinstance(found, Entry) and found.number < number]
            self._offset = passed[-1] if passed else 0

    def peek(self) -> Entry | Damage | None:
        """Return what comes next, None where everything has been read."""
        step = self._step()
        return None if step is None else step[1]

    def pop(self) -> None:
        """Go on after what ``peek`` returned."""
        step = self._step()
        if step is not None:
            self._offset += step[0] - self._chunk_at
            self._chunk_at = step[0]

    def _step(self) -> tuple[int, Entry | Damage] | None:
        while self._chunk_at >= len(self._chunk):
            if self._reading >= len(self._segments):
                return None
            segment = self._segments[self._reading]
            if self._offset < segment.size:
                with segment.path.open("rb") as file:
                    file.seek(self._offset)
                    self._chunk, self._chunk_at = file.read(segment.size - self._offset), 0
                if not self._chunk:
                    raise OSError(f"{segment.path} is shorter than {segment.size} bytes")
            elif self._reading + 1 < len(self._segments):
                self._reading, self._offset = self._reading + 1, 0
            else:
                return None
        return next(scan(self._chunk, self._chunk_at))

    # --- making room --------------------------------------------------------------------------------------------------

    def release(self, number: int) -> None:
        """Remove segments that hold nothing from `number` on; the newest two stay, to know repetitions by."""
        while len(self._segments) > 2 and self._reading > 0 and self._segments[1].first <= number:
            self._segments.pop(0).path.unlink(missing_ok=True)
            self._reading -= 1

    def drop(self) -> bool:
        """Set the oldest segment aside that isn't being read or written; return whether there was one.

        It counts as dropped, also after a crash, until ``settle`` has removed it.
        """
        place = self._reading + 1
        if place >= len(self._segments) - 1:
            return False
        segment = self._segments[place]
        aside = segment.path.with_suffix(_DROPPED)
        segment.path.rename(aside)
        sync_folder(self._folder)
        del self._segments[place]
        self._dropped.append(aside)
        return True

    def dropped(self) -> tuple[str, list[bytes]] | None:
        """Return the name and the payloads of the oldest segment that was set aside, None where there is none."""
        if not self._dropped:
            return None
        path = self._dropped[0]
        return path.stem, [found.payload for found in self._found(path) if isinstance(found, Entry)]

    def settle(self) -> None:
        """Remove the oldest segment that was set aside."""
        self._dropped.pop(0).unlink(missing_ok=True)

    # --- files --------------------------------------------------------------------------------------------------------

    def _cut_torn_tail(self) -> int:
        if not self._segments:
            return 0
        segment = self._segments[-1]
        data = segment.path.read_bytes()
        whole = 0
        for after, found in scan(data):
            if isinstance(found, Entry):
                whole = after
        if whole < len(data):
            with segment.path.open("r+b") as file:
                file.truncate(whole)
                os.fsync(file.fileno())
            segment.size = whole
        return len(data) - whole

    @staticmethod
    def _found(path: Path) -> list[Entry | Damage]:
        return [found for _, found in scan(path.read_bytes())]


def sync_folder(folder: Path) -> None:
    """Bring the names in `folder` to the disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
