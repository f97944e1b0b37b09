"""Operating regimes, found from the asset's own windows: they are compared with their like only.

A machine stands, is in transition, or runs. Running windows are clustered by speed and load: the first window of a new
operating point leads a regime, which is named after it and never moves. A window belongs to the nearest regime within
`SPEED_REACH` and `LOAD_REACH`; the one it is in holds it up to `HOLD` times as far, so that a machine at the border
stays. From that follows: whatever its speed, a machine whose speed trembles by less than (`HOLD` - 1) ·
`SPEED_REACH` = 4 % from peak to peak changes its regime once at most.

Invariants: the regime is a function of the windows taken and the state; state is bounded, the regime that was visited
longest ago is forgotten, and one that the machine only passed through never takes the place of one that it runs in.

Source of the method: J. A. Hartigan, Clustering Algorithms (1975), ch. 3, the leader algorithm.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from processors.scoring.baseline import MAX_REGIMES

STOPPED: Final = "stopped"
#: A run-up, a coast-down or a change of the operating point: nothing is learnt from it, nothing compared with it.
TRANSIENT: Final = "in transition"

#: How far a regime reaches, as a share of its speed. The slip of an asynchronous motor (1 to 4 % at full load) stays
#: inside; the force of an unbalance changes by 8 %, and a line goes from the top of a resonance with 4 % damping to its
#: half-power point.
SPEED_REACH: Final = 0.04
#: How far it reaches in load, as a share of full load: what rises with the torque changes by 1 dB from 0.8 to 0.9.
LOAD_REACH: Final = 0.1
#: The regime that a machine is in holds it so many times as far.
HOLD: Final = 2.0
#: A speed that moves by more than this share within a window, or since the one before, is in transition: no regime
#: holds both ends.
STEP: Final = HOLD * SPEED_REACH
#: So is one that has moved by more than this share in so many windows, always the same way: a slower run-up.
RAMP: Final = SPEED_REACH
RAMP_WINDOWS: Final = 4
#: Below this share of the nominal speed the machine stands; once it does, up to so many times as fast.
STOPPED_SHARE: Final = 0.05
RESTART: Final = 1.5
#: Without a nominal speed it stands below this, rpm. Smaller differences are none: speeds are read in whole turns.
STANDSTILL_RPM: Final = 1.0
#: From so many windows on a regime is one that the machine runs in; before, it may be one that it passed through. So
#: many of either kind are known.
SETTLED_WINDOWS: Final = 30
MOST: Final = MAX_REGIMES


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """One window's operation: speed (rpm) and load (over full load), null where unknown.

    ``speed_span_rpm`` is by how much the speed moved within the window, as far as that is known.
    """

    start_ns: int
    end_ns: int
    speed_rpm: float | None
    load_ratio: float | None
    speed_span_rpm: float = 0.0

    @property
    def name(self) -> str:
        """What a regime led by this window is called.

        Examples
        --------
        >>> OperatingPoint(0, 1, 1776.3, 0.8).name, OperatingPoint(0, 1, None, None).name
        ('running 1776 rpm, load 0.80', 'speed unknown')
        """
        return name_of(self.speed_rpm, self.load_ratio)


class KnownRegime(msgspec.Struct, array_like=True):
    """A regime: what its first window did, and how many windows it has had (counted up to `SETTLED_WINDOWS`)."""

    speed_rpm: float | None
    load_ratio: float | None
    windows: int = 0

    @property
    def name(self) -> str:
        """Its name, that of its first window."""
        return name_of(self.speed_rpm, self.load_ratio)

    def distance(self, point: OperatingPoint) -> float:
        """Return how far `point` is from here, over the reach; infinite where only one of them knows the speed."""
        return max(
            _apart(point.speed_rpm, self.speed_rpm, _reach(self.speed_rpm or 0.0, SPEED_REACH)),
            _apart(point.load_ratio, self.load_ratio, LOAD_REACH),
        )


class Row(msgspec.Struct, array_like=True):
    """Where a row of windows, one after the other, has got to: its regime, and its newest (end, speed)."""

    present: str = ""
    recent: list[tuple[int, float]] = msgspec.field(default_factory=list)


class RegimeState(msgspec.Struct, array_like=True):
    """What a snapshot holds: regimes in the order of last visits, and the rows of windows by channel group."""

    known: list[KnownRegime] = msgspec.field(default_factory=list)
    rows: dict[str, Row] = msgspec.field(default_factory=dict)


class Regimes:
    """The regimes of one asset.

    Parameters
    ----------
    state : RegimeState, optional
        Where to go on from.

    Examples
    --------
    >>> regimes = Regimes()
    >>> speeds_rpm = [1770.0, 1800.0, 0.0, 1790.0, 1200.0, 1210.0]
    >>> points = [OperatingPoint(9 * hour, 9 * hour + 1, rpm, 0.8) for hour, rpm in enumerate(speeds_rpm)]
    >>> [regimes.visit(point, 1780.0) for point in points][1:5]
    ['running 1770 rpm, load 0.80', 'stopped', 'running 1770 rpm, load 0.80', 'running 1200 rpm, load 0.80']
    """

    def __init__(self, state: RegimeState | None = None) -> None:
        state = state if state is not None else RegimeState()
        self._known = {regime.name: regime for regime in state.known}
        self._rows = dict(state.rows)

    def snapshot(self) -> RegimeState:
        """Return the state; `Regimes` goes on from it."""
        known = [KnownRegime(one.speed_rpm, one.load_ratio, one.windows) for one in self._known.values()]
        return RegimeState(known, {group: Row(row.present, list(row.recent)) for group, row in self._rows.items()})

    def end_rows(self) -> None:
        """Take the next window of each group for its first; regimes stay known."""
        self._rows.clear()

    def visit(self, point: OperatingPoint, nominal_speed_rpm: float | None, group: str = "") -> str:
        """Return the regime of the next window, a new one where it is like none that is known.

        Parameters
        ----------
        point : OperatingPoint
            The window, in the order of the log.
        nominal_speed_rpm : float or None
            The machine's nominal speed.
        group : str
            Whose window it is: what is held, and how the speed has moved, goes by the windows of its own channels.
        """
        row = self._rows.setdefault(group, Row())
        before = _before(row, point)
        state = _state(point, nominal_speed_rpm, before, stopped=row.present == STOPPED)
        if point.speed_rpm is not None:
            row.recent = [*before, (point.end_ns, point.speed_rpm)][1 - RAMP_WINDOWS :]
        row.present = self._led(point, row) if state is None else state
        return row.present

    def _led(self, point: OperatingPoint, row: Row) -> str:
        """Return the regime of a running window, after its visit."""
        regime = self._nearest(point, row.present)
        if regime is None:
            regime = KnownRegime(point.speed_rpm, point.load_ratio)
        self._known.pop(regime.name, None)
        self._known[regime.name] = regime
        if regime.windows < SETTLED_WINDOWS:
            regime.windows += 1
            self._forget()
        return regime.name

    def find(self, point: OperatingPoint, nominal_speed_rpm: float | None, group: str = "") -> str:
        """Return the regime of a window that nothing is to follow from: one cut short, or completed late.

        It is named like a new one where it is like none that is known.
        """
        state = _state(point, nominal_speed_rpm, (), stopped=False)
        if state is not None:
            return state
        row = self._rows.get(group)
        regime = self._nearest(point, "" if row is None else row.present)
        return point.name if regime is None else regime.name

    def _nearest(self, point: OperatingPoint, present: str) -> KnownRegime | None:
        held = self._known.get(present)
        if held is not None and held.distance(point) <= HOLD:
            return held
        nearest = min(self._known.values(), key=lambda one: one.distance(point), default=None)
        return nearest if nearest is not None and nearest.distance(point) <= 1.0 else None

    def _forget(self) -> None:
        for settled in (False, True):
            names = [one.name for one in self._known.values() if (one.windows >= SETTLED_WINDOWS) is settled]
            if len(names) > MOST:
                del self._known[names[0]]


def name_of(speed_rpm: float | None, load_ratio: float | None) -> str:
    """Return what a regime of this speed and load is called.

    Examples
    --------
    >>> name_of(1776.3, 0.8), name_of(None, None)
    ('running 1776 rpm, load 0.80', 'speed unknown')
    """
    speed = "speed unknown" if speed_rpm is None else f"running {speed_rpm:.0f} rpm"
    return speed if load_ratio is None else f"{speed}, load {load_ratio:.2f}"


def is_steady(regime: str) -> bool:
    """Return whether windows of a regime may be learnt from: the machine runs, and not up or down.

    Examples
    --------
    >>> is_steady("running 1776 rpm"), is_steady(STOPPED), is_steady(TRANSIENT)
    (True, False, False)
    """
    return regime not in (STOPPED, TRANSIENT)


def _before(row: Row, point: OperatingPoint) -> list[tuple[int, float]]:
    """Return the windows right before this one, none after a pause."""
    before = [one for one in row.recent if one[0] < point.end_ns]
    paused = bool(before) and point.start_ns - before[-1][0] > point.end_ns - point.start_ns
    return [] if paused else before


def _state(
    point: OperatingPoint, nominal_speed_rpm: float | None, before: Sequence[tuple[int, float]], *, stopped: bool
) -> str | None:
    """Return `STOPPED` or `TRANSIENT`; nothing for a machine that runs, or may."""
    if point.speed_rpm is None:
        return None
    standstill = STANDSTILL_RPM if nominal_speed_rpm is None else STOPPED_SHARE * nominal_speed_rpm
    if point.speed_rpm < standstill * (RESTART if stopped else 1.0):
        return STOPPED
    speeds = [*(speed for _, speed in before), point.speed_rpm]
    steps = [after - earlier for earlier, after in itertools.pairwise(speeds)]
    step = max(point.speed_span_rpm, abs(steps[-1]) if steps else 0.0)
    one_way = len(speeds) == RAMP_WINDOWS and (min(steps) > 0.0 or max(steps) < 0.0)
    ramp = abs(sum(steps)) if one_way else 0.0
    unsteady = step > _reach(point.speed_rpm, STEP) or ramp > _reach(point.speed_rpm, RAMP)
    return TRANSIENT if unsteady else None


def _reach(speed_rpm: float, share: float) -> float:
    return max(share * speed_rpm, STANDSTILL_RPM)


def _apart(one: float | None, other: float | None, reach: float) -> float:
    if one is None or other is None:
        return 0.0 if one is other else math.inf
    return abs(one - other) / reach
