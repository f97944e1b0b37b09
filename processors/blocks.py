"""Blocks of samples on their way into windows: where each lies in the log and in time, and its samples.

A snapshot holds the offsets of blocks alone; whatever else is known of one is on the log, and `refill` puts it back.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from contracts.records import AcquisitionBlock
from processors.few_bytes import digest, packed, unpacked

Samples = NDArray[np.float32]

#: A block may start this share of its length beside the expected time and still follow on (the device's clock drifts).
_JITTER: Final = 0.25


class Part(msgspec.Struct, frozen=True):
    """One block's place in the log and in time; ``boot`` stands for the device and its boot (``digest``)."""

    offset: int
    start_ns: int
    n_samples: int
    sequence: int
    boot: bytes
    speed_rpm: float | None
    load_ratio: float | None

    @classmethod
    def of(cls, offset: int, block: AcquisitionBlock) -> "Part":
        """Return the place of the block that lies at `offset`."""
        boot = digest(f"{block.device_id}/{block.boot_id}")
        return cls(offset, block.start_ns, block.n_samples, block.sequence, boot, block.speed_rpm, block.load_ratio)


@dataclass(slots=True)
class Buffered:
    """A block with its samples (channels × samples); none until a recovery has read the block again.

    ``after`` says why there is a hole before it (``lost``, ``restart``, ``idle``); none where it follows on.
    """

    part: Part
    samples: Samples | None
    after: str | None = None


def slack_ns(part: Part, sampling_rate_hz: float) -> float:
    """Return how far a block may start beside the expected time and still follow on, ns."""
    return _JITTER * part.n_samples * 1e9 / sampling_rate_hz


# --- recovery ---------------------------------------------------------------------------------------------------------


def offsets_of(blocks: Iterable[Buffered]) -> bytes:
    """Return where blocks lie in the log, in few bytes."""
    return packed(block.part.offset for block in blocks)


def awaited(offsets: bytes, from_ns: int = 0) -> list[Buffered]:
    """Return the blocks of `offsets_of`, to be read again; none of them is older than `from_ns`."""
    return [Buffered(Part(offset, from_ns, 0, -1, b"", None, None), None) for offset in unpacked(offsets)]


def refill(blocks: Sequence[Buffered], part: Part, samples: Samples) -> None:
    """Put back the block that lies where `part` says, wherever it is needed."""
    for buffered in blocks:
        if buffered.part.offset == part.offset:
            buffered.part, buffered.samples = part, samples
