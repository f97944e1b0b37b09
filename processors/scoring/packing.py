"""Calibrations as bytes: a head of integers and the largest values as short floats, one calibration after another.

Scores and alarm limits keep them with other heads and floats; both are read and written here.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Packing:
    """The form of a packed calibration.

    Attributes
    ----------
    head : struct.Struct
        Place among some names, how many values there were, how many are kept, and whatever else belongs to it.
    floats : str
        NumPy's name of the kept values' type, little-endian.

    Examples
    --------
    >>> packing = Packing(struct.Struct("<BHBB"), "<f2")
    >>> list(packing.unpacked(packing.packed(7, 900, [1.5, 2.0], 1)))
    [(7, 900, [1.5, 2.0], (1,))]
    """

    head: struct.Struct
    floats: str

    def packed(self, place: int, count: int, largest: Sequence[float], *more: int) -> bytes:
        """Return a calibration as bytes."""
        return self.head.pack(place, count, len(largest), *more) + np.array(largest, dtype=self.floats).tobytes()

    def unpacked(self, packed: bytes) -> Iterator[tuple[int, int, list[float], tuple[int, ...]]]:
        """Yield place, count, largest values and the rest of the head of calibrations in a row."""
        at, size = 0, np.dtype(self.floats).itemsize
        while at < len(packed):
            place, count, kept, *more = self.head.unpack_from(packed, at)
            at += self.head.size
            largest = np.frombuffer(packed, dtype=self.floats, count=kept, offset=at).astype(np.float64).tolist()
            at += size * kept
            yield place, count, largest, tuple(more)
