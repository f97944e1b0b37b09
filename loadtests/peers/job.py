"""What the programs share besides the kernels: their orders, the state of a channel, the record they write.

The state is an exponentially weighted mean and variance of the rms; a record's ``z`` is the deviation of its rms from
the state before it.
"""

import json
import math
import sys
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np

from loadtests.peers.frames import FRAME, rows_of
from loadtests.peers.kernels import Kernels

#: Frames taken together at most, and seconds between two checkpoints, of every program.
BATCH: Final = 256
CHECKPOINT_S: Final = 2.0
#: Of the programs that let records wait for each other, ms.
LINGER_MS: Final = 5
_WEIGHT: Final = 0.05
_LEARNING: Final = 10

#: Frames seen, mean and variance of their rms.
State = tuple[int, float, float]
#: Asset, channel, time and features of a frame.
Features = tuple[int, int, int, list[float]]

encode: Final = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Orders:
    """What a program is to do; given as one JSON argument.

    Parameters
    ----------
    bootstrap : str
        The broker.
    source, sink : str
        Topics.
    group : str
        Consumer group, and prefix of whatever the program names.
    folder : str
        Where it may keep state.
    """

    bootstrap: str
    source: str
    sink: str
    group: str
    folder: str

    @classmethod
    def given(cls) -> "Orders":
        """Return the orders on the command line."""
        return cls(**json.loads(sys.argv[1]))


class SmallJob:
    """Scores frames, one or many; in one thread."""

    def __init__(self) -> None:
        self._kernels = Kernels()

    def features(self, values: Sequence[bytes]) -> list[Features]:
        """Return asset, channel, time and features of many frames."""
        records, words = rows_of(values)
        rows = self._kernels.of_many(words, records["sampling_rate_hz"])
        return list(
            zip(
                records["asset"].tolist(),
                records["channel"].tolist(),
                records["at_ns"].tolist(),
                rows.tolist(),
                strict=True,
            )
        )

    def score_one(self, value: bytes, state: State | None) -> tuple[bytes, State]:
        """Return a frame's record and the channel's new state."""
        frame = np.frombuffer(value, FRAME)[0]
        rate_hz = float(frame["sampling_rate_hz"])
        features = self._kernels.of_one(frame["samples"], rate_hz)
        state, z = advance(state, features[0])
        return encode(record((int(frame["asset"]), int(frame["channel"]), int(frame["at_ns"]), features), z)), state

    def score(self, values: Sequence[bytes], states: MutableMapping[int, State]) -> tuple[list[int], list[bytes]]:
        """Return channel and record of each frame; `states` by channel are brought up to date."""
        channels, records = [], []
        for frame in self.features(values):
            channel = frame[1]
            states[channel], z = advance(states.get(channel), frame[3][0])
            channels.append(channel)
            records.append(encode(record(frame, z)))
        return channels, records


def advance(state: State | None, rms: float) -> tuple[State, float]:
    """Return the state after one more rms, and by how many deviations it differs from the state before.

    Parameters
    ----------
    state : tuple of (int, float, float), optional
        Of the channel; none before its first frame.
    rms : float
        Of the frame.

    Examples
    --------
    >>> advance(None, 1.0)
    ((1, 1.0, 0.0), 0.0)
    """
    if state is None:
        return (1, rms, 0.0), 0.0
    seen, mean, variance = state
    difference = rms - mean
    z = difference / math.sqrt(variance + 1e-12) if seen > _LEARNING else 0.0
    mean += _WEIGHT * difference
    return (seen + 1, mean, (1.0 - _WEIGHT) * (variance + _WEIGHT * difference * difference)), z


def record(frame: Features, z: float) -> Mapping[str, Any]:
    """Return the record of a scored frame."""
    asset, channel, at_ns, f = frame
    return {
        "asset": asset,
        "channel": channel,
        "at_ns": at_ns,
        "rms": f[0],
        "peak": f[1],
        "crest": f[2],
        "kurtosis": f[3],
        "dominant_hz": f[4],
        "bands": f[5:],
        "z": z,
    }
