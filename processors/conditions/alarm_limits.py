"""How far over their thresholds scores must stay before they raise an alarm: as far as a budget of false alarms asks.

A model's threshold says which single windows are unusual; one in a hundred normal ones is. An alarm is another matter:
it takes ``raise_after`` windows in a row. So what is calibrated here is what raises it: the *sustained ratio*, the
least of the last ``raise_after`` ratios of score to threshold. Its limit, for each measurement point, model and
operating regime, is the one that a normal window exceeds with probability

    α = budget / (windows a month · points · models),

so that the expected false alarms stay within the budget whatever depends on what: each has at least one such window.
Windows a month follow from the shortest time between two windows seen so far: bursts come more seldom than the hop.

Invariants: no limit, and so no alarm, before ``values_needed(α)`` windows; no limit below 1, since an alarm needs
windows over the threshold; a limit that is known stays, since one that follows the machine learns a fault that grows
slowly; a model that learns anew takes its limits with it; memory is bounded, whatever models there are: the regimes
visited longest ago are forgotten first, and models that the configuration no longer names.

Windows that are suspect by their score alone do count: were they left out, no limit could ever lie above the threshold.
Those that a diagnosis, a zone or a sensor speaks against don't.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from contracts.assets import AssetConfiguration
from contracts.ports import AlarmLimit
from contracts.records import ChannelAssessment
from processors.conditions.sustained_ratios import Calibration, LimitsState, packed, unpacked
from processors.detection.spot import values_needed
from processors.few_bytes import digest
from processors.scoring.baseline import MAX_REGIMES

_MONTH_NS: Final = 30.44 * 86_400e9
#: However large the budget, no model may be over its limit more often than in one of ten normal windows.
_LARGEST_ALPHA: Final = 0.1
#: Progress is told at every power of two, and so many times on the way.
_REPORTS: Final = 200
#: Longer rows are calibrated by their last so many windows; the gate asks for the rest.
LONGEST_ROW: Final = 64
#: Calibrations at a point; a model has them in `MAX_REGIMES` regimes at most, and in the fewest at least.
MOST_CALIBRATIONS: Final = 36
FEWEST_REGIMES: Final = 4


@dataclass(frozen=True, slots=True)
class Sustained:
    """A model whose scores have stayed over their limit."""

    model: str
    ratio: float
    limit: float

    @property
    def excess(self) -> float:
        """How many times the limit."""
        return self.ratio / self.limit


class AlarmLimits:
    """The limits of one asset's scores.

    Parameters
    ----------
    config : AssetConfiguration
        Gives the budget, the windows and the models.
    state : LimitsState
        Where to go on from.
    """

    def __init__(self, config: AssetConfiguration, state: LimitsState) -> None:
        self._take_settings(config)
        self._pace = dict(state.pace)
        self._recent = {(point_id, model): ratios for point_id, model, ratios, _ in state.models if ratios}
        self._regimes = {
            (point_id, model): unpacked(regimes) for point_id, model, _, regimes in state.models if regimes
        }
        self._changes: list[AlarmLimit] = []

    def _take_settings(self, config: AssetConfiguration) -> None:
        self._asset_id = config.asset_id
        self._row = min(config.rules.raise_after, LONGEST_ROW)
        self._share = share_of(config)
        self._models = models_of(config)
        self._most_regimes = most_regimes(len(self._models))
        self._hop_ns = round(config.window.hop_s * 1e9)

    def snapshot(self) -> LimitsState:
        """Return the state."""
        known = sorted(place for place in {*self._recent, *self._regimes} if self._knows(place))
        return LimitsState(
            dict(self._pace),
            [(*at, self._recent.get(at, []), packed(self._regimes.get(at, {}))) for at in known],
        )

    def _knows(self, place: tuple[str, str]) -> bool:
        return bool(self._recent.get(place) or self._regimes.get(place))

    def reconfigure(self, config: AssetConfiguration) -> None:
        """Take another budget and other models.

        What is calibrated stays, unless an alarm takes another number of windows now, or the model is named no more.
        """
        if min(config.rules.raise_after, LONGEST_ROW) != self._row:
            self._recent.clear()
            self._regimes.clear()
        self._take_settings(config)
        for place in [*self._recent, *self._regimes]:
            if place[1] not in self._models:
                self._recent.pop(place, None)
                self._regimes.pop(place, None)
        for regimes in self._regimes.values():
            for kept in regimes.values():
                kept.untold = True

    def take_changes(self) -> list[AlarmLimit]:
        """Return how calibrations stand that have moved on since the last call."""
        changes, self._changes = self._changes, []
        return changes

    def judge(
        self, point_id: str, regime: str, channels: Iterable[ChannelAssessment], at_ns: int, *, normal: bool
    ) -> Sustained | None:
        """Take one window of a point; return the model that has stayed farthest over its limit, if one has.

        Parameters
        ----------
        point_id, regime : str
            Where, and in which operating regime.
        channels : iterable of ChannelAssessment
            The point's channels that can be trusted.
        at_ns : int
            End of the window, UTC nanoseconds.
        normal : bool
            Whether the window may be calibrated by.
        """
        if not self._share > 0.0:
            return None
        alpha, needed = self._asked(point_id, at_ns)
        found = None
        for model, ratio in ratios_of(channels).items():
            place = (point_id, model)
            if ratio is None:
                self._forget(place, regime, at_ns, alpha, needed)
                continue
            recent = self._recent.setdefault(place, [])
            recent.append(ratio)
            del recent[: -self._row]
            if len(recent) < self._row:
                continue
            sustained, kept = min(recent), self._visit(place, regime)
            complete = kept.count >= needed
            if complete and sustained > kept.limit(alpha):
                over = Sustained(model, sustained, kept.limit(alpha))
                found = over if found is None or over.excess > found.excess else found
            if normal and not complete:
                kept.add(sustained)
            if kept.untold or (normal and not complete and _worth_telling(kept.count, needed)):
                self._tell(place, regime, kept, at_ns, alpha, needed)
        return found

    def _asked(self, point_id: str, at_ns: int) -> tuple[float, int]:
        """Return α at the point's pace, and the windows it needs."""
        last_ns, shortest_ns = self._pace.get(point_id, (at_ns, 0))
        between_ns = at_ns - last_ns
        if between_ns > 0:
            shortest_ns = max(self._hop_ns, min(between_ns, shortest_ns or between_ns))
        self._pace[point_id] = (max(at_ns, last_ns), shortest_ns)
        alpha = min(self._share * (shortest_ns or self._hop_ns) / _MONTH_NS, _LARGEST_ALPHA)
        return alpha, values_needed(alpha)

    def _visit(self, place: tuple[str, str], regime: str) -> Calibration:
        regimes = self._regimes.setdefault(place, {})
        key = digest(regime)
        kept = regimes[key] = regimes.pop(key) if key in regimes else Calibration()
        while len(regimes) > self._most_regimes:
            del regimes[next(iter(regimes))]
        return kept

    def _forget(self, place: tuple[str, str], regime: str, at_ns: int, alpha: float, needed: int) -> None:
        """Drop what was calibrated with a model that learns anew, and say so."""
        self._recent.pop(place, None)
        if self._regimes.get(place, {}).pop(digest(regime), None) is not None:
            self._tell(place, regime, Calibration(), at_ns, alpha, needed)

    def _tell(
        self, place: tuple[str, str], regime: str, kept: Calibration, at_ns: int, alpha: float, needed: int
    ) -> None:
        kept.untold = False
        limit = kept.limit(alpha) if kept.count >= needed else None
        self._changes.append(
            AlarmLimit(
                asset_id=self._asset_id,
                point_id=place[0],
                model=place[1],
                regime=regime,
                at_ns=at_ns,
                windows=kept.count,
                windows_needed=needed,
                limit=limit,
                expected_per_month=0.0 if limit is None else self._share,
            )
        )


def _worth_telling(count: int, needed: int) -> bool:
    return count == needed or count & (count - 1) == 0 or count % max(1, needed // _REPORTS) == 0


def share_of(config: AssetConfiguration) -> float:
    """Return the false alarms a month that one model at one point may raise.

    Examples
    --------
    >>> from contracts.assets import ModelReference
    >>> models = (ModelReference(name="half-space-trees", version="1"),)
    >>> share_of(AssetConfiguration(asset_id="P-1", site_id="s", name="Pump", asset_type="pump", models=models))
    0.5
    """
    points = sum(any(channel.quantity == "acceleration" for channel in point.channels) for point in config.points)
    return config.rules.false_alarms_per_month / (max(points, 1) * len(models_of(config)))


def models_of(config: AssetConfiguration) -> set[str]:
    """Return the names of the models that may raise alarms."""
    return {reference.name for reference in config.models} | {"baseline"}


def most_regimes(models: int) -> int:
    """Return in how many regimes each of so many models is calibrated at a point.

    Examples
    --------
    >>> [most_regimes(models) for models in (1, 3, 4, 6, 12)]
    [12, 12, 9, 6, 4]
    """
    return max(FEWEST_REGIMES, min(MAX_REGIMES, MOST_CALIBRATIONS // models))


def ratios_of(channels: Iterable[ChannelAssessment]) -> Mapping[str, float | None]:
    """Return for each model the largest ratio of score to threshold; ``None`` while it learns on one of the channels.

    A threshold of 0 counts as 1. A score that says nothing of this window is left out.
    """
    ratios: dict[str, float | None] = {}
    for channel in channels:
        for score in channel.scores:
            known = ratios.get(score.model, 0.0)
            if score.learning or known is None:
                ratios[score.model] = None
            elif score.value is not None and score.threshold is not None:
                ratios[score.model] = max(known, score.value / (score.threshold or 1.0))
    return ratios
