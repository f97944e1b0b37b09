"""Randomness that is a function of what it is asked for, not of what was asked before.

Blocks draw from a counter-based generator keyed by (seed, stream, block); single events (the n-th impact) take a
hash of (seed, stream, n). Both give the same values in whatever order they are asked.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

_MASK = (1 << 64) - 1


def stream_key(seed: int, *names: str) -> int:
    """Return a 64-bit key for the random stream `names` under `seed`."""
    digest = hashlib.sha256("\x1f".join((str(seed), *names)).encode()).digest()
    return int.from_bytes(digest[:8], "little")


def block_normal(key: int, block: int, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Return standard normal values for one block of the stream `key`, shape `shape`, float32."""
    generator = np.random.Generator(np.random.Philox(key=np.array([key, block], dtype=np.uint64)))
    return generator.standard_normal(shape, dtype=np.float32)


def uniform(key: int, numbers: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return one value in [0, 1) for each of `numbers` in the stream `key`.

    The mixing function is SplitMix64 (Steele, Lea and Flood 2014).

    Examples
    --------
    >>> values = uniform(7, np.arange(10_000))
    >>> bool(abs(values.mean() - 0.5) < 0.01), bool(abs(values.std() - 12**-0.5) < 0.01)
    (True, True)
    """
    mixed = numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(key & _MASK)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53
