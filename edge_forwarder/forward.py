"""From the disk to the log: oldest first, and the place is stored only once the log has acknowledged.

Invariants: a record stays on disk until the log has it; what was under way when the process died is sent again, under
the same (device, boot, sequence); while the log is away nothing is skipped.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Final

import structlog

from contracts import records as r
from contracts.errors import BadRecord, Reason, Unavailable
from contracts.ports import Clock, Outlet
from edge_forwarder.buffer import Buffer, Kept
from edge_forwarder.counters import Counters
from edge_forwarder.entries import Collected, from_payload, refusal, topic_of

_log = structlog.get_logger(__name__)

_BATCH_BYTES: Final = 4 * 1024 * 1024
_RETRY_S: Final = 1.0


class Forwarder:
    """Sends what the buffer keeps.

    Parameters
    ----------
    buffer : Buffer
        What to send.
    outlet : Outlet
        Where to.
    clock : Clock
        Dates the dead letters of damaged records.
    counters : Counters
        Counted up.
    retry_s : float
        How long to wait before a batch is sent again.
    """

    def __init__(
        self, buffer: Buffer, outlet: Outlet, clock: Clock, counters: Counters, *, retry_s: float = _RETRY_S
    ) -> None:
        self._buffer, self._outlet, self._clock, self._counters = buffer, outlet, clock, counters
        self._retry_s = retry_s
        self._more = asyncio.Event()
        #: Set while everything that was kept is sent.
        self.drained = asyncio.Event()

    def wake(self) -> None:
        """Say that there is more to send."""
        self.drained.clear()
        self._more.set()

    async def run(self) -> None:
        """Send what is there and what comes, until cancelled."""
        while True:
            self._more.clear()
            batch = await asyncio.to_thread(self._buffer.take, _BATCH_BYTES)
            if batch:
                await self._deliver([self._record(kept) for kept in batch])
            elif not self._more.is_set():
                self.drained.set()
                await self._more.wait()

    async def _deliver(self, records: Sequence[Collected]) -> None:
        sent = await self._sent(records)
        while not sent:
            await asyncio.sleep(self._retry_s)
            sent = await self._sent(records)
        self._counters.forwarded += len(records)
        with contextlib.suppress(OSError):  # a full disk, say: at worst the batch is sent again after a restart
            await asyncio.to_thread(self._buffer.advance)

    async def _sent(self, records: Sequence[Collected]) -> bool:
        """Send a batch; return whether the log has all of it."""
        try:
            for record in records:
                await self._outlet.send(topic_of(record), _key_of(record), record)
            await self._outlet.flush()
        except Unavailable as error:
            _log.warning("sending_failed", reason=str(error), records=len(records))
            return False
        return True

    def _record(self, kept: Kept) -> Collected:
        """Return what to send for what was kept: the record, or a dead letter for what the disk made of it."""
        reason, detail = Reason.DAMAGED, f"{len(kept.payload)} bytes on disk fit no checksum"
        if not kept.damaged:
            try:
                return from_payload(kept.payload)
            except BadRecord as error:
                reason, detail = error.reason, error.detail
        _log.error("damaged_record", stream=kept.stream.value, detail=detail)
        return refusal(f"buffer/{kept.stream.value}", reason, detail, kept.payload, self._clock.now_ns())


def _key_of(record: Collected) -> str:
    return record.topic if isinstance(record, r.DeadLetter) else record.asset_id
