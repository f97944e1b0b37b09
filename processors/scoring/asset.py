"""All scores of one asset's channels: the robust baseline, and the challengers its configuration names.

Invariants: a window is scored before it is learnt; scores are a function of the inputs and the state; channels don't
influence each other; the state of a channel is bounded by what its configuration names (`processors.state_bound`).

The challengers see robust z's, so that they begin where the baseline of the regime is known; each is silent until its
conformal threshold in that regime is.
"""

import dataclasses
import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from contracts.assets import AssetConfiguration
from contracts.features import FEATURE_NAMES
from contracts.records import Score
from processors.scoring import reconstruction
from processors.scoring.baseline import Baseline, Regime, centres_and_scales
from processors.scoring.calibration import Calibration
from processors.scoring.challengers import HALF_SPACE_TREES, SCORERS, Challenger, challengers_of
from processors.scoring.explanation import Reasons
from processors.scoring.half_space_trees import READY, Forest, Grove
from processors.scoring.port import Scorer
from processors.scoring.state import ChannelState, pack, unpack
from processors.scoring.succession import Rows
from processors.scoring.verdicts import baseline_scores, score_of

#: Where a channel's windows in a row lie among the states of its scorers; no model's key is like it.
_ROW: Final = "windows in a row"


@dataclass(slots=True)
class ChannelScoring:
    """One channel's state."""

    baseline: Baseline
    forest: Forest | None
    scorers: dict[str, Scorer] = field(default_factory=dict)


class AssetScoring:
    """Scores of one asset's channels, window by window.

    Parameters
    ----------
    channels : sequence of ChannelScoring
        One per channel.
    channel_ids : sequence of str
        Their ids.
    challengers : sequence of Challenger
        The models beside the baseline; use `build`.
    rows : Rows or None
        The channels' windows in a row, where a model looks at several.
    """

    def __init__(
        self,
        channels: Sequence[ChannelScoring],
        channel_ids: Sequence[str],
        challengers: Sequence[Challenger],
        rows: Rows | None,
    ) -> None:
        self._channels = tuple(channels)
        self._channel_ids = tuple(channel_ids)
        self._challengers = tuple(challengers)
        self._rows = rows
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
        challengers = challengers_of(config.models, models)
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
        depth = max((challenger.window_count for challenger in challengers), default=1)
        kept = [known.get(channel_id, ChannelState()).scorers.get(_ROW) for channel_id in channel_ids]
        return cls(channels, channel_ids, challengers, Rows(depth, kept) if depth > 1 else None)

    def snapshot(self) -> bytes:
        """Return the whole state in plain arrays; `build` goes on from it."""
        return pack(
            {
                channel_id: ChannelState(
                    channel.baseline.regimes,
                    channel.forest.snapshot() if channel.forest else None,
                    {key: scorer.snapshot() for key, scorer in channel.scorers.items()}
                    | ({} if self._rows is None else {_ROW: self._rows.snapshot(row)}),
                )
                for row, (channel_id, channel) in enumerate(zip(self._channel_ids, self._channels, strict=True))
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

    def score(
        self, values: NDArray[np.float32], regime: str, learn: NDArray[np.bool_], start_ns: int | None = None
    ) -> list[tuple[Score, ...]]:
        """Score one window of all channels, then learn from those that are normal.

        Parameters
        ----------
        values : ndarray, shape (n_channels, F), float32
            Features in the order and units of ``contracts.features``; what isn't finite counts as undefined.
        regime : str
            The operating regime; windows are compared with their like only.
        learn : ndarray, shape (n_channels,), bool
            Whether the window may be learnt from. Learning is frozen where it may not.
        start_ns : int or None
            Where the window starts, UTC ns; models that look at several windows in a row need it.

        Returns
        -------
        scores : list of tuple of Score
            Per channel: the baseline, then the challengers in the configuration's order. The value is NaN where a
            model gave no finite score: it isn't learnt, and the model must not be asked again.

        Raises
        ------
        ValueError
            If the shapes don't fit the channels, or the start is needed and missing.
        """
        shape = (len(self._channels), len(FEATURE_NAMES))
        if values.shape != shape or learn.shape != shape[:1]:
            raise ValueError(f"values {values.shape} and learn {learn.shape}; {shape} and {shape[:1]} expected")
        x = np.where(np.isfinite(values), values, np.nan).astype(np.float64)
        learnt = [channel.baseline.visit(regime) for channel in self._channels]
        centres, scales = centres_and_scales(learnt)
        z = np.asarray((x - centres) / scales)
        known = np.asarray(~np.isnan(z).all(axis=1))
        if self._rows is not None:
            if start_ns is None:
                raise ValueError("models that look at windows in a row need the window's start")
            self._rows.take(reconstruction.as_seen(z), start_ns, regime, known, learn)
        reasons = Reasons(x, centres, scales)
        scores = baseline_scores(z, learnt, reasons)
        for challenger in self._challengers:
            self._challenge(challenger, z, learnt, known.tolist(), learn, reasons, scores)
        self._learn(regime, x, z, learnt, learn)
        return [tuple(of_channel) for of_channel in scores]

    def _challenge(
        self,
        challenger: Challenger,
        z: NDArray[np.float64],
        learnt: Sequence[Regime | None],
        known: Sequence[bool],
        learn: NDArray[np.bool_],
        reasons: Reasons,
        scores: list[list[Score]],
    ) -> None:
        """Append the challenger's score of each channel, and calibrate it where the window is normal."""
        values, weights = self._values(challenger, z, learnt)
        thresholds: list[float | None] = [None] * len(values)
        key, flagged = challenger.key, []
        for row, (value, regime, may) in enumerate(
            zip(values, learnt, self._may_learn(challenger, learn), strict=True)
        ):
            if regime is None or value is None or not known[row] or not math.isfinite(value):
                continue
            calibration = regime.calibrations.setdefault(key, Calibration())
            threshold = thresholds[row] = calibration.threshold
            if threshold is not None and value > threshold:
                flagged.append(row)
            if may:
                calibration.add(value)
        evidence = reasons.heaviest(flagged, self._weights(challenger, z, flagged, weights))
        for row, (value, threshold) in enumerate(zip(values, thresholds, strict=True)):
            score = score_of(challenger.reference, value, threshold, evidence.get(row, ()))
            if value is not None and known[row] and not math.isfinite(value):
                score = dataclasses.replace(score, value=math.nan)
            scores[row].append(score)

    def _weights(
        self, challenger: Challenger, z: NDArray[np.float64], rows: Sequence[int], weights: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return what each feature adds to the scores of some channels, (n_channels, F)."""
        if rows and challenger.reference.name in SCORERS:
            weights = np.full(z.shape, np.nan)
            for row in rows:
                weights[row] = self._channels[row].scorers[challenger.key].explain(z[row])
        return weights

    def _values(
        self, challenger: Challenger, z: NDArray[np.float64], learnt: Sequence[Regime | None]
    ) -> tuple[Sequence[float | None], NDArray[np.float64]]:
        """Return the challenger's value of each channel, where it has one, and what each feature adds to it."""
        if not any(learnt):
            return [None] * len(z), z
        if challenger.autoencoder is not None and challenger.window_count > 1:
            return self._values_in_a_row(challenger.autoencoder)
        if challenger.autoencoder is not None:
            squared = challenger.autoencoder.rebuild(z)
            return reconstruction.root_mean(squared).tolist(), squared
        if challenger.reference.name in SCORERS:
            return [
                channel.scorers[challenger.key].score(row) for channel, row in zip(self._channels, z, strict=True)
            ], z
        return self._grove.score(z) if self._grove is not None else [None] * len(z), np.square(z)

    def _values_in_a_row(
        self, autoencoder: reconstruction.Autoencoder
    ) -> tuple[Sequence[float | None], NDArray[np.float64]]:
        """Return `_values` of a model that looks at several windows: of the channels whose row is whole."""
        squared = np.full((len(self._channels), len(FEATURE_NAMES)), np.nan)
        values: list[float | None] = [None] * len(squared)
        if self._rows is not None:
            seen, whole, _ = self._rows.newest(autoencoder.window_count)
            chosen = np.flatnonzero(whole)
            squared[chosen] = autoencoder.rebuild(seen[chosen])
            for row, value in zip(chosen.tolist(), reconstruction.root_mean(squared[chosen]).tolist(), strict=True):
                values[row] = value
        return values, squared

    def _may_learn(self, challenger: Challenger, learn: NDArray[np.bool_]) -> list[bool]:
        """Return for each channel whether all windows that the challenger looks at may be learnt from."""
        if challenger.window_count > 1 and self._rows is not None:
            return self._rows.newest(challenger.window_count)[2]
        may: list[bool] = learn.tolist()
        return may

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


def _seed(channel_id: str) -> int:
    return int.from_bytes(hashlib.sha256(channel_id.encode()).digest()[:8], "big")
