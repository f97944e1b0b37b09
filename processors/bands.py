"""Which demodulation band a window is looked at in: chosen once for each epoch and regime, by the first window of them.

Windows in time go by the windows before them that came in time. A late window goes by all that are known by then: it
may itself be the one that its epoch should have been chosen by, and then its choice holds for late windows after it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

Bands = NDArray[np.float64]

#: Choices that are remembered for windows still to be completed.
_MOST: Final = 16


class Choice(msgspec.Struct, array_like=True):
    """The bands (channels × low and high edge, Hz) chosen by the window at ``start_ns``."""

    start_ns: int
    epoch_ns: int
    regime: str
    partial: bool
    bands_hz: list[list[float]]

    def serves(self, window: "Choice") -> bool:
        """Return whether `window` belongs to the same epoch and regime."""
        return (self.epoch_ns, self.regime) == (window.epoch_ns, window.regime)


class BandState(msgspec.Struct, array_like=True):
    """What a snapshot holds: the choice in force, and those that late windows may need."""

    newest: Choice | None
    known: list[Choice]


@dataclass(slots=True)
class BandChoices:
    """The choices of one channel group."""

    newest: Choice | None = None
    _known: list[Choice] = field(default_factory=list)

    def in_time(self, window: Choice, choose: Callable[[], Bands], oldest_epoch_ns: int | None) -> Bands:
        """Return the bands of the next window in time.

        Parameters
        ----------
        window : Choice
            The window, its bands still empty.
        choose : callable
            Chooses bands by the window's own samples, (channels, 2) float64.
        oldest_epoch_ns : int or None
            The epoch of the oldest window that may still be completed.

        Examples
        --------
        >>> choices = BandChoices()
        >>> first = choices.in_time(Choice(0, 0, "1x", False, []), lambda: np.array([[1e3, 2e3]]), None)
        >>> choices.in_time(Choice(1, 0, "1x", False, []), lambda: np.array([[5e3, 9e3]]), None).tolist()
        [[1000.0, 2000.0]]
        """
        if self.newest is None or not self.newest.serves(window):
            self.newest = _chosen(window, choose)
            self._enter(window)
        self._known = [
            one
            for one in self._known
            if one == self.newest or (oldest_epoch_ns is not None and one.epoch_ns >= oldest_epoch_ns)
        ]
        return np.array(self.newest.bands_hz, dtype=np.float64)

    def late(self, window: Choice, choose: Callable[[], Bands]) -> Bands:
        """Return the bands of a window that late blocks have completed; see ``in_time``."""
        before = [one for one in self._known if one.epoch_ns == window.epoch_ns and one.start_ns <= window.start_ns]
        last = before[-1] if before else None
        cut_short = last is not None and last.partial and last.start_ns == window.start_ns
        if last is None or cut_short or not last.serves(window):
            last = _chosen(window, choose)
            self._enter(window)
        return np.array(last.bands_hz, dtype=np.float64)

    def _enter(self, window: Choice) -> None:
        """Put a choice in its place; it takes over from those right after it that it serves."""
        earlier = [one for one in self._known if one.start_ns < window.start_ns]
        later = [one for one in self._known if one.start_ns >= window.start_ns]
        while later and later[0].serves(window):
            later.pop(0)
        self._known = [*earlier, window, *later][-_MOST:]

    def snapshot(self) -> BandState:
        """Return the state."""
        return BandState(self.newest, list(self._known))

    @classmethod
    def resume(cls, state: BandState) -> "BandChoices":
        """Return the choices as they were when `state` was taken."""
        return cls(state.newest, state.known)


def _chosen(window: Choice, choose: Callable[[], Bands]) -> Choice:
    window.bands_hz = np.asarray(choose(), dtype=np.float64).tolist()
    return window
