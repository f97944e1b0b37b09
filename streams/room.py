"""How much a lane reads at a time, and how far ahead of its processing: what bounds its memory."""

from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Final

from streams.message import LogMessage

#: Records in one batch, and about how many bytes: what is worked on should stay in the caches.
BATCH_RECORDS: Final = 256
BATCH_BYTES: Final = 1024 * 1024


@dataclass(slots=True)
class BatchSize:
    """How many records a batch may hold, from the size of those before.

    Examples
    --------
    >>> size = BatchSize()
    >>> size.learn([LogMessage("measurements", 0, 0, 0, None, bytes(65_536))])
    >>> size.records
    16
    """

    records: int = BATCH_RECORDS

    def learn(self, batch: list[LogMessage]) -> None:
        """Take the mean size of `batch` for that of the next."""
        bytes_each = sum(len(message.value or b"") for message in batch) // max(len(batch), 1)
        self.records = max(1, min(BATCH_RECORDS, BATCH_BYTES // max(bytes_each, 1)))


class Room:
    """Room for so many batches between being read and being processed; shared by two threads.

    Parameters
    ----------
    batches : int
        How many.

    Examples
    --------
    >>> room = Room(1)
    >>> room.take(0.0)
    True
    >>> room.hand_on()
    >>> room.take(0.0)
    False
    >>> room.give()
    >>> room.take(0.0)
    True
    """

    def __init__(self, batches: int) -> None:
        self._free: SimpleQueue[None] = SimpleQueue()
        self._batches = batches
        #: Taken by the reader for a batch that it has yet to hand on.
        self._held = 0
        for _ in range(batches):
            self._free.put(None)

    def take(self, timeout_s: float) -> bool:
        """Take room for one batch; return whether there was any in time."""
        if self._held:
            return True
        try:
            self._free.get(timeout=timeout_s)
        except Empty:
            return False
        self._held = 1
        return True

    def hand_on(self) -> None:
        """Say that a batch was read into the room taken last: it's free again once ``give`` is called."""
        self._held = 0

    def give(self) -> None:
        """Give back the room of a batch that is processed."""
        self._free.put(None)

    def drain(self) -> None:
        """Return once every batch that was handed on is processed; called by the reader."""
        others = self._batches - self._held
        for _ in range(others):
            self._free.get()
        for _ in range(others):
            self._free.put(None)
