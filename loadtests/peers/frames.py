"""Frames as they lie on the topic: a header of 32 bytes, then 2,048 samples, float32, little-endian.

The key is the channel's number in decimal digits; a channel lies on partition ``channel % PARTITIONS``.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

SAMPLES: Final = 2048
CHANNELS: Final = 200
PARTITIONS: Final = 4
SAMPLING_RATE_HZ: Final = 12_800.0
#: Samples of a frame begin after so many words of its row.
HEADER_WORDS: Final = 8
FRAME: Final = np.dtype(
    [
        ("asset", "<u4"),
        ("channel", "<u4"),
        ("at_ns", "<i8"),
        ("sampling_rate_hz", "<f4"),
        ("n_samples", "<u4"),
        ("reserved", "V8"),
        ("samples", "<f4", (SAMPLES,)),
    ]
)
_SEED: Final = 20_816
_VARIANTS: Final = 8
_CHANNELS_OF_ASSET: Final = 8


def rows_of(values: Sequence[bytes]) -> tuple[NDArray[np.void], NDArray[np.float32]]:
    """Return frames as records and as rows of words, after one copy.

    Parameters
    ----------
    values : sequence of bytes
        Frames.

    Returns
    -------
    records : ndarray, shape (n,), FRAME
        Headers and samples.
    words : ndarray, shape (n, HEADER_WORDS + SAMPLES), float32
        Whole rows, C-contiguous, which lets kernels be vectorised over them.
    """
    joined = b"".join(values)
    return np.frombuffer(joined, FRAME), np.frombuffer(joined, "<f4").reshape(len(values), -1)


class FrameSource:
    """Makes frames: a shaft's harmonics and noise, impulses at every tenth channel, always the same.

    Examples
    --------
    >>> partition, key, value = FrameSource().frame(201, at_ns=5)
    >>> partition, key, len(value)
    (1, b'1', 8224)
    """

    def __init__(self) -> None:
        rng = np.random.default_rng(_SEED)
        seconds = np.arange(SAMPLES) / SAMPLING_RATE_HZ
        self._samples = np.empty((CHANNELS, _VARIANTS, SAMPLES), np.float32)
        for channel in range(CHANNELS):
            shaft = 2.0 * np.pi * (20.0 + 0.2 * channel) * seconds
            for variant in range(_VARIANTS):
                signal = 0.3 + 0.5 * np.sin(shaft + rng.uniform(0.0, 2.0 * np.pi)) + 0.2 * np.sin(3.0 * shaft)
                signal += 0.1 * rng.standard_normal(SAMPLES)
                if channel % 10 == 0:
                    signal[rng.integers(0, 157) :: 157] += rng.uniform(1.0, 3.0)
                self._samples[channel, variant] = signal

    def frame(self, number: int, at_ns: int) -> tuple[int, bytes, bytes]:
        """Return partition, key and value of frame `number`; the channels take turns.

        Parameters
        ----------
        number : int
            From 0.
        at_ns : int
            Its time, UTC nanoseconds.
        """
        turn, channel = divmod(number, CHANNELS)
        one = np.zeros(1, FRAME)
        one["asset"], one["channel"], one["at_ns"] = channel // _CHANNELS_OF_ASSET, channel, at_ns
        one["sampling_rate_hz"], one["n_samples"] = SAMPLING_RATE_HZ, SAMPLES
        one["samples"] = self._samples[channel, (turn * 5 + channel) % _VARIANTS]
        return channel % PARTITIONS, b"%d" % channel, one.tobytes()

    def frames(self, count: int) -> Iterator[tuple[int, bytes, bytes]]:
        """Yield `count` frames; frame ``i`` has the time ``i``, by which it is known again."""
        for number in range(count):
            yield self.frame(number, number)
