"""Which windows of a channel follow one another in a row: the one rule, for the stream and for training.

A row goes on from window to window while each is known (its regime is learnt, and some feature is defined), the regime
stays the same, and no pause lies between them. It begins anew after anything else: a gap, another regime, and
maintenance or another configuration, after which the regimes are learnt again. Another demodulation band is no break,
as it is none for the baseline.

Invariants: whether a window follows depends on windows before it alone; the state is bounded.
"""

import copy
from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from contracts.errors import ConfigurationError
from contracts.features import FEATURE_NAMES

F32 = NDArray[np.float32]
Flags = NDArray[np.bool_]

#: Most windows that a model may look at: their z's stay in the state of every channel.
MAX_WINDOW_COUNT: Final = 16
#: A step from start to start that is longer than so many usual ones is a pause …
_PAUSE: Final = 5
#: … and the usual one is the median of so many last steps.
_STEPS: Final = 15


class _State(msgspec.Struct, array_like=True):
    newest_ns: int | None = None
    regime: str = ""
    steps_ns: list[int] = msgspec.field(default_factory=list)
    length: int = 0
    learnable: int = 0


class Succession:
    """Counts a channel's windows in a row.

    Parameters
    ----------
    longest : int
        Where counting ends.
    state : bytes, optional
        A snapshot to go on from.
    kept : int
        How many of its windows are still at hand.

    Examples
    --------
    >>> row = Succession(longest=16)
    >>> for second in (0, 1, 2, 3, 60, 61):
    ...     row.take(second * 1_000_000_000, "speed 1.0, load any", known=True, learnable=second != 2)
    ...     print(row.length, row.learnable)
    1 1
    2 2
    3 0
    4 1
    1 1
    2 2
    """

    def __init__(self, longest: int, state: bytes | None = None, kept: int = 0) -> None:
        self._longest = longest
        self._state = _State() if state is None else _shortened(msgspec.msgpack.decode(state, type=_State), kept)

    @property
    def length(self) -> int:
        """How many windows are in a row, the newest included; 0 where that isn't known."""
        return self._state.length

    @property
    def learnable(self) -> int:
        """How many of them, back from the newest, may be learnt from."""
        return self._state.learnable

    def take(self, start_ns: int, regime: str, *, known: bool, learnable: bool) -> None:
        """Take the next window.

        Parameters
        ----------
        start_ns : int
            Where it starts, UTC ns.
        regime : str
            Its operating regime.
        known : bool
            Whether it has robust z's.
        learnable : bool
            Whether it may be learnt from.
        """
        state = self._state
        follows = self._goes_on(start_ns) and regime == state.regime
        state.newest_ns, state.regime = start_ns, regime
        state.length = min((state.length if follows else 0) + 1, self._longest) if known else 0
        state.learnable = min((state.learnable if follows else 0) + 1, state.length) if learnable else 0

    def snapshot(self) -> bytes:
        """Return the state before the next window, which itself counts as one of the longest row."""
        return msgspec.msgpack.encode(_shortened(copy.copy(self._state), self._longest - 1))

    def _goes_on(self, start_ns: int) -> bool:
        """Return whether no pause lies before a window, and remember the step to it."""
        state = self._state
        if state.newest_ns is None or start_ns <= state.newest_ns:
            return False
        step_ns = start_ns - state.newest_ns
        state.steps_ns = [*state.steps_ns[1 - _STEPS :], step_ns]
        return step_ns <= _PAUSE * sorted(state.steps_ns)[(len(state.steps_ns) - 1) // 2]


def _shortened(state: _State, most: int) -> _State:
    state.length, state.learnable = min(state.length, most), min(state.learnable, most)
    return state


class Rows:
    """The newest windows in a row of several channels, as models that look at several windows see them.

    Parameters
    ----------
    depth : int
        Windows to keep, the newest included; 2 to `MAX_WINDOW_COUNT`.
    states : sequence of bytes or None
        A snapshot of each channel to go on from.

    Raises
    ------
    ConfigurationError
        If a snapshot isn't one.
    """

    def __init__(self, depth: int, states: Sequence[bytes | None]) -> None:
        self._seen = np.zeros((len(states), depth, len(FEATURE_NAMES)), dtype=np.float32)
        self._successions = [Succession(depth) for _ in states]
        for row, state in enumerate(states):
            if state is not None:
                self._resume(row, state)

    def take(self, seen: F32, start_ns: int, regime: str, known: Flags, learnable: Flags) -> None:
        """Take the next window of all channels.

        Parameters
        ----------
        seen : ndarray, shape (n_channels, F), float32
            Robust z's as models see them (`reconstruction.as_seen`).
        start_ns, regime : int, str
            As in `Succession.take`.
        known, learnable : ndarray, shape (n_channels,), bool
            As there, for each channel.
        """
        self._seen[:, :-1] = self._seen[:, 1:].copy()
        self._seen[:, -1] = seen
        for one, is_known, may in zip(self._successions, known.tolist(), learnable.tolist(), strict=True):
            one.take(start_ns, regime, known=is_known, learnable=may)

    def newest(self, window_count: int) -> tuple[F32, list[bool], list[bool]]:
        """Return each channel's newest windows.

        Parameters
        ----------
        window_count : int
            How many, at most the depth.

        Returns
        -------
        seen : ndarray, shape (n_channels, window_count, F), float32
            Oldest first.
        whole, learnable : list of bool
            Of each channel, whether they are in a row, and whether all of them may be learnt from.
        """
        return (
            self._seen[:, -window_count:],
            [one.length >= window_count for one in self._successions],
            [one.learnable >= window_count for one in self._successions],
        )

    def snapshot(self, row: int) -> bytes:
        """Return the state of one channel: what the next window's row may need, in little-endian float16."""
        one, depth = self._successions[row], self._seen.shape[1]
        kept = min(one.length, depth - 1)
        return msgspec.msgpack.encode((one.snapshot(), self._seen[row, depth - kept :].astype("<f2").tobytes()))

    def _resume(self, row: int, state: bytes) -> None:
        try:
            succession, raw = msgspec.msgpack.decode(state, type=tuple[bytes, bytes])
            seen = np.frombuffer(raw, dtype="<f2").reshape(-1, len(FEATURE_NAMES))
            kept = min(len(seen), self._seen.shape[1] - 1)
            self._successions[row] = Succession(self._seen.shape[1], succession, kept)
        except (msgspec.MsgspecError, ValueError) as error:
            raise ConfigurationError(f"windows in a row can't go on from {len(state)} bytes: {error}") from None
        if kept:
            self._seen[row, -kept:] = seen[-kept:]
