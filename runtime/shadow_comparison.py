"""Two models over the same windows, compared by the alarms that each would have raised.

Stored scores go through the rule and the gate of the stream, as if scores raised alarms: what is compared is what a
person would have been told, and when.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from adapters.timescale import StoredScore
from api.times import Instant
from contracts import records as r
from contracts.assets import AssetConfiguration, RuleSettings
from contracts.models import ModelVersion
from processors.conditions.findings import PointView, anomaly
from processors.conditions.gate import Change, Gate
from runtime.episodes import Episode, Span, differences

#: What an asset is compared with where its slot holds no other model.
BASELINE: Final = "baseline@1"
_RULE: Final = "anomaly"
_NS_PER_S: Final = 1e9


@dataclass(slots=True)
class ModelAlarms:
    """The alarms that one model's scores would have raised on one asset.

    ``windows`` counts windows of a measurement point, ``not_judged`` those among them for which the model had no
    threshold yet, or whose sensor was at fault.
    """

    rules: RuleSettings
    windows: int = 0
    not_judged: int = 0
    _gates: dict[str, Gate] = field(default_factory=dict)
    _standing: dict[str, tuple[int, str]] = field(default_factory=dict)
    _over: list[Episode] = field(default_factory=list)

    def take(self, end_ns: int, scores: Sequence[StoredScore]) -> None:
        """Take the scores of one window, all of one point."""
        point_id = scores[0].point_id
        trusted = [one for one in scores if one.trusted]
        finding = anomaly(_view(point_id, self.rules, trusted))
        self.windows += 1
        if finding is None:
            self.not_judged += 1
            return
        gate = self._gates.setdefault(point_id, Gate())
        change = gate.step(finding, end_ns, self.rules.raise_after, self.rules.clear_after)
        if change is Change.RAISED:
            self._standing[point_id] = end_ns, finding.text
        elif change is Change.CLEARED:
            from_ns, text = self._standing.pop(point_id)
            self._over.append(_episode(point_id, from_ns, end_ns, text))

    def episodes(self) -> list[Episode]:
        """Return the alarms, those that still stand among them."""
        standing = (_episode(point, from_ns, None, text) for point, (from_ns, text) in self._standing.items())
        return sorted([*self._over, *standing], key=lambda one: one.from_ns)

    def as_json(self) -> dict[str, Any]:
        """Return the figures for a program."""
        found = self.episodes()
        return {
            "windows": self.windows,
            "not_judged": self.not_judged,
            "alarms": len(found),
            "episodes": [one.as_json() for one in found],
        }


async def compare(
    scores: AsyncIterator[StoredScore], challenger: str, champion: str, rules: RuleSettings, span: Span
) -> dict[str, Any]:
    """Return what would have alarmed under either model, in the windows that both have scored.

    Parameters
    ----------
    scores : async iterator of StoredScore
        Of one asset, ordered by window and point.
    challenger, champion : str
        ``name@version``.
    rules : RuleSettings
        How many windows raise and clear.
    span : tuple of int, int
        UTC nanoseconds.

    Returns
    -------
    comparison : dict
        Figures of both, how many windows only one has scored (``unpaired``), and the ``differences``: alarms that the
        challenger adds, lacks, or raises earlier or later.
    """
    sides = {challenger: ModelAlarms(rules), champion: ModelAlarms(rules)}
    starts_ns: list[int] = []
    last_ns = unpaired = 0
    async for window in _windows(scores):
        if not sides.keys() <= window.keys():
            unpaired += 1
            continue
        for key, alarms in sides.items():
            alarms.take(window[key][0].window_end_ns, window[key])
        starts_ns = starts_ns or [window[champion][0].window_start_ns]
        last_ns = max(last_ns, window[champion][0].window_end_ns)
    found = differences("alarm", sides[champion].episodes(), sides[challenger].episodes(), span)
    return {
        "champion": champion,
        "challenger": challenger,
        "from": str(Instant(starts_ns[0])) if starts_ns else None,
        "to": str(Instant(last_ns)) if starts_ns else None,
        "observed_s": (last_ns - starts_ns[0]) / _NS_PER_S if starts_ns else 0.0,
        "unpaired": unpaired,
        "under_champion": sides[champion].as_json(),
        "under_challenger": sides[challenger].as_json(),
        "differences": [
            {
                "change": one.change.value,
                "point_id": one.episode.point_id,
                "shift_s": one.shift_s,
                "champion": one.history.as_json() if one.history else None,
                "challenger": one.recomputed.as_json() if one.recomputed else None,
            }
            for one in found
            if one.change.value != "described_otherwise"
        ],
    }


def opponent(asset: AssetConfiguration, version: ModelVersion, versions: Sequence[ModelVersion]) -> str:
    """Return what `version` is to be compared with on an asset: the model that scores there, or would without it."""
    names = {version.slot, *(one.name for one in versions if one.slot == version.slot)}
    others = [model for model in asset.models if model.name in names and model.key != version.key]
    for model in others:
        if not model.shadow:
            return model.key
    return next((model.key for model in others if model.stands_in_for == version.key), BASELINE)


async def _windows(scores: AsyncIterator[StoredScore]) -> AsyncIterator[dict[str, list[StoredScore]]]:
    """Yield the scores of each window of a point, by model."""
    place: tuple[int, int, str] | None = None
    window: dict[str, list[StoredScore]] = {}
    async for one in scores:
        here = (one.window_start_ns, one.window_end_ns, one.point_id)
        if window and here != place:
            yield window
            window = {}
        place = here
        window.setdefault(one.model, []).append(one)
    if window:
        yield window


def _view(point_id: str, rules: RuleSettings, scores: Sequence[StoredScore]) -> PointView:
    channels = tuple(
        r.ChannelAssessment(
            channel_id=one.channel_id,
            point_id=point_id,
            features=(),
            zone=None,
            not_graded_because=None,
            scores=(_score(one),),
        )
        for one in scores
    )
    return PointView(point_id, rules, None, channels, ())


def _score(one: StoredScore) -> r.Score:
    name, _, version = one.model.rpartition("@")
    return r.Score(
        model=name, version=version, value=one.value, threshold=one.threshold, learning=one.threshold is None
    )


def _episode(point_id: str, from_ns: int, to_ns: int | None, text: str) -> Episode:
    return Episode(point_id=point_id, rule=_RULE, fault=None, priority="", reason=text, from_ns=from_ns, to_ns=to_ns)
