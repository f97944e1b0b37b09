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

from processors.few_bytes import digest, packed, unpacked

Bands = NDArray[np.float64]

#: Choices that are remembered for windows still to be completed.
MOST_CHOICES: Final = 16


class Choice(msgspec.Struct):
    """The bands (channels × low and high edge, Hz) chosen by the window at ``start_ns``."""

    start_ns: int
    epoch_ns: int
    #: Stands for the regime's name, which would be the longest part of a state.
    regime: bytes
    partial: bool
    bands_hz: list[list[float]]

    @classmethod
    def of(cls, start_ns: int, epoch_ns: int, regime: str, *, partial: bool) -> "Choice":
        """Return the choice of a window in a regime, its bands still empty."""
        return cls(start_ns, epoch_ns, digest(regime), partial, [])

    def serves(self, window: "Choice") -> bool:
        """Return whether `window` belongs to the same epoch and regime."""
        return (self.epoch_ns, self.regime) == (window.epoch_ns, window.regime)


class BandState(msgspec.Struct, array_like=True):
    """What a snapshot holds: the choices that late windows may need and the one in force, if any; that is the last.

    Bands are little-endian float64, all else is in few bytes.
    """

    in_force: bool = False
    starts_ns: bytes = packed(())
    epochs_ns: bytes = packed(())
    regimes: list[bytes] = []
    partial: bytes = packed(())
    bands_hz: bytes = b""


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
        >>> one, other = (Choice.of(at_ns, 0, "1500 rpm", partial=False) for at_ns in (0, 1))
        >>> first = choices.in_time(one, lambda: np.array([[1e3, 2e3]]), None)
        >>> choices.in_time(other, lambda: np.array([[5e3, 9e3]]), None).tolist()
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
        self._known = [*earlier, window, *later][-MOST_CHOICES:]

    def snapshot(self) -> BandState:
        """Return the state."""
        choices = self._known if self.newest is None else [*self._known, self.newest]
        return BandState(
            self.newest is not None,
            packed(one.start_ns for one in choices),
            packed(one.epoch_ns for one in choices),
            [one.regime for one in choices],
            packed(one.partial for one in choices),
            np.array([one.bands_hz for one in choices], dtype="<f8").tobytes(),
        )

    @classmethod
    def resume(cls, state: BandState) -> "BandChoices":
        """Return the choices as they were when `state` was taken."""
        fields = [unpacked(one) for one in (state.starts_ns, state.epochs_ns, state.partial)]
        shape = (len(state.regimes), -1, 2) if state.regimes else (0, 0, 2)
        bands_hz: Bands = np.frombuffer(state.bands_hz, dtype="<f8").reshape(shape)
        choices = [
            Choice(start_ns, epoch_ns, regime, bool(partial), bands.tolist())
            for start_ns, epoch_ns, partial, regime, bands in zip(*fields, state.regimes, bands_hz, strict=True)
        ]
        return cls(choices.pop() if state.in_force else None, choices)


def _chosen(window: Choice, choose: Callable[[], Bands]) -> Choice:
    window.bands_hz = np.asarray(choose(), dtype=np.float64).tolist()
    return window
