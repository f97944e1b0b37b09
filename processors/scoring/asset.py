"""All scores of one asset's channels: the robust baseline, and the challengers its configuration names.

Invariants: a window is scored before it is learnt; scores are a function of the inputs and the state; channels don't
influence each other; the state of a channel stays below 16 KiB.

The challengers see robust z's, so that they begin where the baseline of the regime is known; each is silent until its
conformal threshold in that regime is.
"""

import dataclasses
import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from contracts.assets import AssetConfiguration, ModelReference
from contracts.errors import ConfigurationError
from contracts.features import FEATURE_NAMES
from contracts.records import Evidence, Score
from processors.scoring import reconstruction
from processors.scoring.baseline import FLAG_Z, Baseline, Regime, robust_z
from processors.scoring.calibration import Calibration
from processors.scoring.explanation import SEVERITY_COLUMNS, explain
from processors.scoring.half_space_trees import READY, Forest
from processors.scoring.state import pack, unpack

BASELINE: Final = "baseline"
BASELINE_VERSION: Final = "1"
HALF_SPACE_TREES: Final = "half-space-trees"
#: Models that come with the code: they need no bytes.
BUILT_IN_MODELS: Final = frozenset({BASELINE, HALF_SPACE_TREES})


@dataclass(slots=True)
class ChannelScoring:
    """One channel's state."""

    baseline: Baseline
    forest: Forest | None


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
        with_forest = any(challenger.autoencoder is None for challenger in challengers)
        known = unpack(resume_state) if resume_state is not None else {}
        keys = {challenger.key for challenger in challengers}
        channels = []
        for channel_id in channel_ids:
            regimes, masses = known.get(channel_id, ({}, None))
            for regime in regimes.values():
                regime.calibrations = {key: kept for key, kept in regime.calibrations.items() if key in keys}
            forest = Forest(_seed(channel_id), masses) if with_forest else None
            channels.append(ChannelScoring(Baseline(config.rules.baseline_windows, regimes), forest))
        return cls(channels, channel_ids, challengers)

    def snapshot(self) -> bytes:
        """Return the whole state in plain arrays; `build` goes on from it."""
        return pack(
            {
                channel_id: (channel.baseline.regimes, channel.forest.snapshot() if channel.forest else None)
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
        z = np.full(shape, np.nan)
        for row, known in enumerate(learnt):
            if known is not None:
                z[row] = robust_z(known, x[row])
        scores = [[_baseline_score(x[row], z[row], known)] for row, known in enumerate(learnt)]
        for challenger in self._challengers:
            self._challenge(challenger, x, z, learnt, learn, scores)
        for row, channel in enumerate(self._channels):
            if learn[row]:
                self._learn(channel, regime, x[row], z[row], learnt[row])
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
        squared = challenger.autoencoder.rebuild(z) if challenger.autoencoder and any(learnt) else None
        errors = reconstruction.root_mean(squared) if squared is not None else None
        for row, (channel, known) in enumerate(zip(self._channels, learnt, strict=True)):
            value, weights = None, np.square(z[row])
            if known is not None and errors is not None and squared is not None:
                value, weights = float(errors[row]), squared[row]
            elif known is not None and channel.forest is not None and channel.forest.ready:
                value = channel.forest.score(z[row])
            if known is None or value is None or np.isnan(z[row]).all():
                scores[row].append(_score(challenger, None, None))
                continue
            if not math.isfinite(value):
                scores[row].append(dataclasses.replace(_score(challenger, None, None), value=math.nan))
                continue
            calibration = known.calibrations.setdefault(challenger.key, Calibration())
            threshold = calibration.threshold
            flagged = threshold is not None and value > threshold
            because = _explain(weights, x[row], known) if flagged else ()
            scores[row].append(_score(challenger, value, threshold, because))
            if learn[row]:
                calibration.add(value)

    @staticmethod
    def _learn(
        channel: ChannelScoring, regime: str, x: NDArray[np.float64], z: NDArray[np.float64], known: Regime | None
    ) -> None:
        if known is None:
            channel.baseline.learn(regime, x)
        elif channel.forest is not None:
            channel.forest.learn(z)


def warm_up() -> None:
    """Import onnxruntime and compile the forest now, so that the first window of a stream needn't wait (seconds)."""
    forest = Forest(seed=0, masses=READY)
    forest.score(np.zeros(len(FEATURE_NAMES)))
    forest.learn(np.zeros(len(FEATURE_NAMES)))
    reconstruction.runtime()


def _challenger(reference: ModelReference, models: Mapping[str, bytes]) -> _Challenger:
    if reference.name == HALF_SPACE_TREES:
        return _Challenger(reference, None)
    key = reference.key
    if key not in models:
        raise ConfigurationError(f"model {key} isn't among the loaded ones: {', '.join(models) or 'none'}")
    return _Challenger(reference, reconstruction.load(key, models[key]))


def _baseline_score(x: NDArray[np.float64], z: NDArray[np.float64], known: Regime | None) -> Score:
    if known is None:
        return Score(model=BASELINE, version=BASELINE_VERSION, value=None, threshold=None, learning=True)
    severity = np.where(np.isfinite(z[SEVERITY_COLUMNS]), z[SEVERITY_COLUMNS], -np.inf)
    largest = float(severity.max())
    value = max(largest, 0.0) if np.isfinite(largest) else None
    because: NDArray[np.float64] = np.full(len(z), np.nan)
    because[SEVERITY_COLUMNS] = np.where(severity > FLAG_Z, severity, np.nan)
    return Score(
        model=BASELINE,
        version=BASELINE_VERSION,
        value=value,
        threshold=FLAG_Z,
        learning=False,
        explanation=_explain(because, x, known) if largest > FLAG_Z else (),
    )


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
