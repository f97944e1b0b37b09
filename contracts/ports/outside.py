"""Time, models and Kafka, where a shell needs them."""

from collections.abc import Sequence
from typing import Protocol

from contracts import records as r


class Clock(Protocol):
    """Time, where a shell needs it."""

    def now_ns(self) -> int:
        """Return UTC nanoseconds."""

    def monotonic_s(self) -> float:
        """Return seconds that never go back."""


class ModelStore(Protocol):
    """Scoring models by name and version."""

    def load(self, name: str, version: str, sha256: str | None = None) -> bytes:
        """Return the model's bytes.

        Raises ``ConfigurationError`` where they are absent or differ from `sha256`, ``Unavailable`` where that can't
        be told now.
        """


class BlockSink(Protocol):
    """Where measurements go (a producer on ``measurements``)."""

    async def put(self, record: r.Measurement) -> None:
        """Hand over a record; waits while too much is under way."""

    async def flush(self) -> None:
        """Return once everything handed over is acknowledged; raise ``Unavailable`` otherwise."""


class Outlet(Protocol):
    """Where the stream's own records go.

    ``Unavailable`` from either method means that a record handed over earlier may be missing: what followed from it
    has to be produced again.
    """

    async def send(
        self,
        topic: str,
        key: str | None,
        record: r.Record,
        *,
        partition: int = -1,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> None:
        """Hand over a record; waits while too much is under way."""

    async def flush(self) -> None:
        """Return once everything handed over is acknowledged."""
