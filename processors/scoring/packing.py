"""Calibrations as bytes: a head and the largest values as short floats, one calibration after another.

Scores and alarm limits keep them with other heads; both are read and written here.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

_LARGEST: Final = float(np.finfo(np.float16).max)


@dataclass(frozen=True, slots=True)
class Packing:
    """The form of a packed calibration.

    Attributes
    ----------
    head : struct.Struct
        What it belongs to, how many values there were, how many are kept, and whatever else is said of it.
    floats : str
        NumPy's name of the kept values' type, little-endian.

    Examples
    --------
    >>> packing = Packing(struct.Struct("<BHBB"))
    >>> list(packing.unpacked(packing.packed(7, 900, [1.5, 2.0], 1)))
    [(7, 900, [1.5, 2.0], (1,))]
    """

    head: struct.Struct
    floats: str = "<f2"

    def packed(self, owner: int | bytes, count: int, largest: Sequence[float], *more: int) -> bytes:
        """Return a calibration as bytes."""
        return self.head.pack(owner, count, len(largest), *more) + np.array(largest, dtype=self.floats).tobytes()

    def unpacked(self, packed: bytes) -> Iterator[tuple[Any, int, list[float], tuple[int, ...]]]:
        """Yield owner, count, largest values and the rest of the head of calibrations in a row."""
        at, size = 0, np.dtype(self.floats).itemsize
        while at < len(packed):
            owner, count, kept, *more = self.head.unpack_from(packed, at)
            at += self.head.size
            largest = np.frombuffer(packed, dtype=self.floats, count=kept, offset=at).astype(np.float64).tolist()
            at += size * kept
            yield owner, count, largest, tuple(more)


def not_below(value: float) -> float:
    """Return the smallest float16 that isn't below a value; the largest where it lies above all.

    Examples
    --------
    >>> not_below(0.1), not_below(1e6)
    (0.10003662109375, 65504.0)
    """
    value = min(value, _LARGEST)
    near = np.float16(value)
    # compared as float64: against a float16 NumPy would round the value itself
    return float(near if float(near) >= value else np.nextafter(near, np.float16(np.inf)))
