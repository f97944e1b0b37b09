"""How an asset is operated: its speed at each window, and the operating regime that follows.

A speed that comes with the samples counts for its window; otherwise the reading that was newest when the window ended.
"""

from bisect import bisect_right, insort
from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from processors.cutting import IN_TIME, GroupWindow
from processors.few_bytes import packed, unpacked
from processors.regime import OperatingPoint, Regimes, RegimeState

#: A speed reading serves windows that end at most this much later (ns).
_SPEED_AGE_NS: Final = 10_000_000_000
#: Speed readings that are remembered, for windows which end before the newest.
MOST_SPEEDS: Final = 64


class OperationState(msgspec.Struct, array_like=True):
    """What a snapshot holds: readings in the order of time (UTC ns in few bytes, rpm as little-endian float64)."""

    speeds_at_ns: bytes = packed(())
    speeds_rpm: bytes = b""
    regimes: RegimeState = msgspec.field(default_factory=RegimeState)

    @classmethod
    def of(cls, speeds: Sequence[tuple[int, float]], regimes: RegimeState) -> "OperationState":
        """Return the state of speed readings (UTC ns, rpm) and regimes."""
        speeds_rpm = np.array([speed_rpm for _, speed_rpm in speeds], dtype="<f8")
        return cls(packed(at_ns for at_ns, _ in speeds), speeds_rpm.tobytes(), regimes)


class Operation:
    """Speed readings and regimes of one asset.

    Parameters
    ----------
    state : OperationState, optional
        Where to go on from.
    """

    def __init__(self, state: OperationState | None = None) -> None:
        state = state if state is not None else OperationState()
        speeds_rpm = np.frombuffer(state.speeds_rpm, dtype="<f8").tolist()
        self._speeds = list(zip(unpacked(state.speeds_at_ns), speeds_rpm, strict=True))
        self._regimes = Regimes(state.regimes)

    def snapshot(self) -> OperationState:
        """Return the state."""
        return OperationState.of(self._speeds, self._regimes.snapshot())

    def read(self, at_ns: int, speed_rpm: float) -> None:
        """Take a good reading of the speed."""
        insort(self._speeds, (at_ns, speed_rpm))
        del self._speeds[:-MOST_SPEEDS]

    def end_rows(self) -> None:
        """Forget which windows were the last of each channel group."""
        self._regimes.end_rows()

    def of(self, window: GroupWindow, nominal_speed_rpm: float | None, group: str = "") -> tuple[float | None, str]:
        """Return the speed (rpm) and the regime of a channel group's window.

        A window that was cut short, or completed late, decides nothing: regimes are led by whole windows in time.
        """
        speed_rpm, span_rpm = window.speed_rpm, window.speed_span_rpm
        if speed_rpm is None:
            speed_rpm, span_rpm = self._read_speed(window)
        point = OperatingPoint(window.start_ns, window.end_ns, speed_rpm, window.load_ratio, span_rpm)
        if window.partial or window.version != IN_TIME:
            return speed_rpm, self._regimes.find(point, nominal_speed_rpm, group)
        return speed_rpm, self._regimes.visit(point, nominal_speed_rpm, group)

    def _read_speed(self, window: GroupWindow) -> tuple[float | None, float]:
        """Return the last reading before the window's end, and by how much readings differ within the window."""
        place = bisect_right(self._speeds, window.end_ns, key=lambda speed: speed[0])
        at_ns, speed_rpm = self._speeds[place - 1] if place else (0, None)
        if window.end_ns - at_ns > _SPEED_AGE_NS:
            return None, 0.0
        first = bisect_right(self._speeds, window.start_ns, key=lambda speed: speed[0])
        within = [speed for _, speed in self._speeds[first:place]]
        return speed_rpm, max(within, default=0.0) - min(within, default=0.0)
