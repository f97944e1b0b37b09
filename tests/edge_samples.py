"""What devices at the edge send, and doubles of what stands around the forwarder; shared by its tests."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from contracts import records as r
from contracts.errors import Unavailable
from edge_forwarder.buffer import Buffer, Limits
from edge_forwarder.entries import GapRecorder

START_NS = 1_700_000_000_000_000_000
SITE = "plant-7"


def block(sequence: int, *, asset_id: str = "P-1", boot_id: str = "b1", n_samples: int = 256) -> r.AcquisitionBlock:
    samples = np.random.default_rng(sequence).standard_normal(n_samples).astype("<f4")
    return r.AcquisitionBlock(
        asset_id=asset_id,
        device_id=f"daq-{asset_id}",
        boot_id=boot_id,
        sequence=sequence,
        start_ns=START_NS + sequence * 10_000_000,
        sampling_rate_hz=25_600.0,
        n_samples=n_samples,
        channels=(r.BlockChannel(channel_id=f"{asset_id}-DE-H.acc", quantity="acceleration", unit="g"),),
        samples=samples.tobytes(),
    )


def readings(sequence: int, *, asset_id: str = "P-1", boot_id: str = "b1") -> r.ReadingBatch:
    reading = r.Reading(
        channel_id=f"{asset_id}-DE-H.temp",
        quantity="temperature",
        unit="degC",
        at_ns=START_NS + sequence * 1_000_000,
        value=60.0 + sequence % 7,
    )
    return r.ReadingBatch(
        asset_id=asset_id, device_id=f"plc-{asset_id}", boot_id=boot_id, sequence=sequence, readings=(reading,)
    )


def event(sequence: int, *, asset_id: str = "P-1", boot_id: str = "b1") -> r.MachineEvent:
    return r.MachineEvent(
        asset_id=asset_id,
        device_id=f"panel-{asset_id}",
        boot_id=boot_id,
        sequence=sequence,
        at_ns=START_NS + sequence * 1_000_000,
        kind="plc_alarm",
        code="E1",
        text="door open",
    )


def new_buffer(folder: Path, limits: Limits | None = None) -> Buffer:
    return Buffer(folder, limits or Limits(), GapRecorder(f"forwarder-{SITE}"))


class FixedClock:
    """Stands still."""

    def now_ns(self) -> int:
        return START_NS

    def monotonic_s(self) -> float:
        return 0.0


class ListOutlet:
    """Keeps what it gets; each ``flush`` asks `fails` whether the log is away."""

    def __init__(self, fails: Callable[[], bool] = lambda: False) -> None:
        self.fails = fails
        self.pending: list[tuple[str, str | None, r.Record]] = []
        self.acknowledged: list[tuple[str, str | None, r.Record]] = []

    async def send(
        self,
        topic: str,
        key: str | None,
        record: r.Record,
        *,
        partition: int = -1,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> None:
        self.pending.append((topic, key, record))

    async def flush(self) -> None:
        if self.fails():
            self.pending.clear()
            raise Unavailable("Kafka", "away")
        self.acknowledged += self.pending
        self.pending.clear()


async def until(condition: Callable[[], object], deadline_s: float = 30.0) -> None:
    """Return once `condition` holds; raise ``TimeoutError`` after the deadline."""
    async with asyncio.timeout(deadline_s):
        while not condition():  # noqa: ASYNC110 -- the condition is looked at, nothing announces it
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def running(*work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run coroutines while the context is open; their errors come out of it."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one) for one in work]
        yield
        for task in tasks:
            task.cancel()
