"""States in few bytes: integers as the Avro array of their differences, and numbers that stand for names.

States are full of times and offsets that follow each other closely: in this form one takes 1 to 5 bytes, up to 9 in
MessagePack's.
"""

import functools
import hashlib
import io
from collections.abc import Iterable
from itertools import accumulate, pairwise
from typing import Final, cast

import fastavro

_LONGS: Final = fastavro.parse_schema({"type": "array", "items": "long"})


def packed(values: Iterable[int]) -> bytes:
    """Return integers as bytes.

    Parameters
    ----------
    values : iterable of int
        Each within 63 bits, and so the difference of neighbours.

    Examples
    --------
    >>> len(packed([1_700_000_000_000_000_000, 1_700_000_001_000_000_000, 1_700_000_002_000_000_000]))
    21
    """
    out = io.BytesIO()
    fastavro.schemaless_writer(out, _LONGS, [after - before for before, after in pairwise((0, *values))])
    return out.getvalue()


def unpacked(values: bytes) -> list[int]:
    """Return the integers that `packed` wrote.

    Examples
    --------
    >>> unpacked(packed([7, 9, 8]))
    [7, 9, 8]
    """
    differences = fastavro.schemaless_reader(io.BytesIO(values), _LONGS, None)
    return list(accumulate(cast("list[int]", differences)))


@functools.lru_cache(maxsize=4096)
def digest(name: str) -> bytes:
    """Return six bytes that stand for a name: of a thousand names two are alike once in 5·10⁸ times.

    Examples
    --------
    >>> digest("running 1776 rpm, load 0.80").hex()
    '08a37577f87e'
    """
    return hashlib.blake2b(name.encode(), digest_size=6).digest()
