"""All scores of one asset's channels: the robust baseline, and the challengers its configuration names.

Invariants: a window is scored before it is learnt; scores are a function of the inputs and the state; channels don't
influence each other; the state of a channel stays below 16 KiB.

The challengers see robust z's, so that they begin where the baseline of the regime is known; each is silent until its
conformal threshold in that regime is.
"""

import dataclasses
import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from contracts.assets import AssetConfiguration, ModelReference
from contracts.errors import ConfigurationError
from contracts.features import FEATURE_NAMES
from contracts.records import Evidence, Score
from processors.scoring import reconstruction
from processors.scoring.agreement import Agreement
from processors.scoring.baseline import FLAG_Z, Baseline, Regime, robust_zs
from processors.scoring.calibration import Calibration
from processors.scoring.charts import Cusum, Ewma, PageHinkley
from processors.scoring.explanation import SEVERITY_COLUMNS, explain
from processors.scoring.half_space_trees import READY, Forest, Grove
from processors.scoring.port import Scorer
from processors.scoring.state import ChannelState, pack, unpack

BASELINE: Final = "baseline"
BASELINE_VERSION: Final = "1"
HALF_SPACE_TREES: Final = "half-space-trees"
#: Scorers of single channels, by the name of the model.
SCORERS: Final[Mapping[str, Callable[[bytes | None], Scorer]]] = {
    "ewma": Ewma,
    "cusum": Cusum,
    "page-hinkley": PageHinkley,
    "t2-spe": Agreement,
}
#: Models that come with the code: they need no bytes.
BUILT_IN_MODELS: Final = frozenset({BASELINE, HALF_SPACE_TREES, *SCORERS})

_UNKNOWN: Final = Score(model=BASELINE, version=BASELINE_VERSION, value=None, threshold=None, learning=True)


@dataclass(slots=True)
class ChannelScoring:
    """One channel's state."""

    baseline: Baseline
    forest: Forest | None
    scorers: dict[str, Scorer] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Challenger:
    reference: ModelReference
    autoencoder: reconstruction.Autoencoder | None

    @property
    def key(self) -> str:
        return self.reference.key


class AssetScoring:
    """Scores of one asset's channels, window by window.

    Parameters
    ----------
    channels : sequence of ChannelScoring
        One per channel.
    channel_ids : sequence of str
        Their ids.
    challengers : sequence of _Challenger
        The models beside the baseline; use `build`.
    """

    def __init__(
        self, channels: Sequence[ChannelScoring], channel_ids: Sequence[str], challengers: Sequence[_Challenger]
    ) -> None:
        self._channels = tuple(channels)
        self._channel_ids = tuple(channel_ids)
        self._challengers = tuple(challengers)
        forests = [channel.forest for channel in channels if channel.forest is not None]
        self._grove = Grove(forests) if forests else None

    @classmethod
    def build(
        cls,
        config: AssetConfiguration,
        channel_ids: Sequence[str],
        models: Mapping[str, bytes],
        resume_state: bytes | None,
    ) -> "AssetScoring":
        """Return the scoring of `config`, new or as `resume_state` (a `snapshot`) left it.

        Parameters
        ----------
        config : AssetConfiguration
            Names the models and the length of the baseline.
        channel_ids : sequence of str
            The channels, in the order in which `score` will see them. State of a channel that was there before is
            kept, whatever its place.
        models : mapping of str to bytes
            ``name@version`` → ONNX file; models in `BUILT_IN_MODELS` need none.
        resume_state : bytes or None
            A snapshot.

        Raises
        ------
        ConfigurationError
            If a model is missing or unfit, or the state has a format this code doesn't know.
        """
        challengers = tuple(_challenger(reference, models) for reference in config.models if reference.name != BASELINE)
        names = {challenger.reference.name: challenger.key for challenger in challengers}
        known = unpack(resume_state) if resume_state is not None else {}
        keys = {challenger.key for challenger in challengers}
        channels = []
        for channel_id in channel_ids:
            was = known.get(channel_id, ChannelState())
            for regime in was.regimes.values():
                regime.calibrations = {key: kept for key, kept in regime.calibrations.items() if key in keys}
            forest = Forest(_seed(channel_id), was.masses) if HALF_SPACE_TREES in names else None
            scorers = {
                names[name]: make(was.scorers.get(names[name])) for name, make in SCORERS.items() if name in names
            }
            channels.append(ChannelScoring(Baseline(config.rules.baseline_windows, was.regimes), forest, scorers))
        return cls(channels, channel_ids, challengers)

    def snapshot(self) -> bytes:
        """Return the whole state in plain arrays; `build` goes on from it."""
        return pack(
            {
                channel_id: ChannelState(
                    channel.baseline.regimes,
                    channel.forest.snapshot() if channel.forest else None,
                    {key: scorer.snapshot() for key, scorer in channel.scorers.items()},
                )
                for channel_id, channel in zip(self._channel_ids, self._channels, strict=True)
            }
        )

    def healthy(self, regime: str) -> NDArray[np.float32]:
        """Return the median features of each channel's healthy machine in a regime; NaN while that isn't learnt.

        Parameters
        ----------
        regime : str
            The operating regime; it isn't marked as visited.

        Returns
        -------
        values : ndarray, shape (n_channels, F), float32
            In the order and units of ``contracts.features``.
        """
        values = np.full((len(self._channels), len(FEATURE_NAMES)), np.nan, dtype=np.float32)
        for row, channel in enumerate(self._channels):
            centre = channel.baseline.centre(regime)
            if centre is not None:
                values[row] = centre
        return values

    def score(self, values: NDArray[np.float32], regime: str, learn: NDArray[np.bool_]) -> list[tuple[Score, ...]]:
        """Score one window of all channels, then learn from those that are normal.

        Parameters
        ----------
        values : ndarray, shape (n_channels, F), float32
            Features in the order and units of ``contracts.features``; what isn't finite counts as undefined.
        regime : str
            The operating regime; windows are compared with their like only.
        learn : ndarray, shape (n_channels,), bool
            Whether the window may be learnt from. Learning is frozen where it may not.

        Returns
        -------
        scores : list of tuple of Score
            Per channel: the baseline, then the challengers in the configuration's order. The value is NaN where a
            model gave no finite score: it isn't learnt, and the model must not be asked again.

        Raises
        ------
        ValueError
            If the shapes don't fit the channels.
        """
        shape = (len(self._channels), len(FEATURE_NAMES))
        if values.shape != shape or learn.shape != shape[:1]:
            raise ValueError(f"values {values.shape} and learn {learn.shape}; {shape} and {shape[:1]} expected")
        x = np.where(np.isfinite(values), values, np.nan).astype(np.float64)
        learnt = [channel.baseline.visit(regime) for channel in self._channels]
        z = robust_zs(learnt, x)
        scores = _baseline_scores(x, z, learnt)
        for challenger in self._challengers:
            self._challenge(challenger, x, z, learnt, learn, scores)
        self._learn(regime, x, z, learnt, learn)
        return [tuple(of_channel) for of_channel in scores]

    def _challenge(
        self,
        challenger: _Challenger,
        x: NDArray[np.float64],
        z: NDArray[np.float64],
        learnt: Sequence[Regime | None],
        learn: NDArray[np.bool_],
        scores: list[list[Score]],
    ) -> None:
        """Append the challenger's score of each channel, and calibrate it where the window is normal."""
        values, squared = self._values(challenger, z, learnt)
        empty = np.asarray(np.isnan(z).all(axis=1)).tolist()
        for row, (value, known, may) in enumerate(zip(values, learnt, learn.tolist(), strict=True)):
            if known is None or value is None or empty[row]:
                scores[row].append(_score(challenger, None, None))
                continue
            if not math.isfinite(value):
                scores[row].append(dataclasses.replace(_score(challenger, None, None), value=math.nan))
                continue
            calibration = known.calibrations.setdefault(challenger.key, Calibration())
            threshold = calibration.threshold
            flagged = threshold is not None and value > threshold
            scorer = self._channels[row].scorers.get(challenger.key)
            weights = squared[row] if scorer is None else scorer.explain(z[row])
            because = _explain(weights, x[row], known) if flagged else ()
            scores[row].append(_score(challenger, value, threshold, because))
            if may:
                calibration.add(value)

    def _values(
        self, challenger: _Challenger, z: NDArray[np.float64], learnt: Sequence[Regime | None]
    ) -> tuple[Sequence[float | None], NDArray[np.float64]]:
        """Return the challenger's value of each channel, where it has one, and what each feature adds to it."""
        if not any(learnt):
            return [None] * len(z), z
        if challenger.autoencoder is not None:
            squared = challenger.autoencoder.rebuild(z)
            return reconstruction.root_mean(squared).tolist(), squared
        if challenger.reference.name in SCORERS:
            return [
                channel.scorers[challenger.key].score(row) for channel, row in zip(self._channels, z, strict=True)
            ], z
        return self._grove.score(z) if self._grove is not None else [None] * len(z), np.square(z)

    def _learn(
        self,
        regime: str,
        x: NDArray[np.float64],
        z: NDArray[np.float64],
        learnt: Sequence[Regime | None],
        learn: NDArray[np.bool_],
    ) -> None:
        known = np.array([one is not None for one in learnt])
        for row in np.flatnonzero(learn & ~known).tolist():
            self._channels[row].baseline.learn(regime, x[row])
        if self._grove is not None:
            self._grove.learn(z, learn & known)
        if not any(channel.scorers for channel in self._channels):
            return
        for row in np.flatnonzero(known & np.isfinite(z).any(axis=1)).tolist():
            for scorer in self._channels[row].scorers.values():
                scorer.take(z[row], normal=bool(learn[row]))


def warm_up() -> None:
    """Import onnxruntime and compile the forest now, so that the first window of a stream needn't wait (seconds)."""
    grove, z = Grove([Forest(seed=0, masses=READY)]), np.zeros((1, len(FEATURE_NAMES)))
    grove.score(z)
    grove.learn(z, np.ones(1, dtype=np.bool_))
    reconstruction.runtime()


def _challenger(reference: ModelReference, models: Mapping[str, bytes]) -> _Challenger:
    if reference.name in BUILT_IN_MODELS:
        return _Challenger(reference, None)
    key = reference.key
    if key not in models:
        raise ConfigurationError(f"model {key} isn't among the loaded ones: {', '.join(models) or 'none'}")
    return _Challenger(reference, reconstruction.load(key, models[key]))


def _baseline_scores(
    x: NDArray[np.float64], z: NDArray[np.float64], learnt: Sequence[Regime | None]
) -> list[list[Score]]:
    severity = z[:, SEVERITY_COLUMNS]
    severity = np.where(np.isfinite(severity), severity, -np.inf)
    largest = severity.max(axis=1).tolist()
    scores = []
    for row, (most, known) in enumerate(zip(largest, learnt, strict=True)):
        if known is None:
            scores.append([_UNKNOWN])
            continue
        because: tuple[Evidence, ...] = ()
        if most > FLAG_Z:
            weights = np.full(z.shape[1], np.nan)
            weights[SEVERITY_COLUMNS] = np.where(severity[row] > FLAG_Z, severity[row], np.nan)
            because = _explain(weights, x[row], known)
        value = max(most, 0.0) if most > -math.inf else None
        score = Score(
            model=BASELINE,
            version=BASELINE_VERSION,
            value=value,
            threshold=FLAG_Z,
            learning=False,
            explanation=because,
        )
        scores.append([score])
    return scores


def _score(
    challenger: _Challenger, value: float | None, threshold: float | None, because: tuple[Evidence, ...] = ()
) -> Score:
    learning = threshold is None
    return Score(
        model=challenger.reference.name,
        version=challenger.reference.version,
        value=None if learning else value,
        threshold=threshold,
        learning=learning,
        explanation=because,
    )


def _explain(weights: NDArray[np.float64], x: NDArray[np.float64], known: Regime) -> tuple[Evidence, ...]:
    if known.centre is None or known.scale is None:
        return ()
    return explain(weights, x, known.centre, known.scale, FLAG_Z)


def _seed(channel_id: str) -> int:
    return int.from_bytes(hashlib.sha256(channel_id.encode()).digest()[:8], "big")
