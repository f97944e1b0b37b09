"""What the windows of a channel group say: features, zones, diagnoses, scores.

Arrays stay two-dimensional (channels × samples), so a channel's bits don't depend on its neighbours.
"""

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from contracts import ports
from contracts import records as r
from contracts.assets import AssetConfiguration, MeasurementPoint
from contracts.features import FEATURE_INDEX
from processors.bands import BandChoices, BandState, Choice
from processors.bearings import bearing_at
from processors.chosen_features import ChosenFeatures
from processors.configured import load_models
from processors.cutting import IN_TIME, GroupWindow
from processors.features import FeatureBlock, FeatureEngine
from processors.machine_diagnosis import Machine
from processors.own_features import FeatureCode
from processors.regime import is_steady
from processors.scoring import AssetScoring
from processors.zone_tables import grade_asset, velocity_boundaries

#: Engines take megabytes: beside that of whole windows only the one of the last partial window is kept.
_KEPT_LENGTHS: Final = 2


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a window says: features, zones and scores per channel, and what is probably wrong."""

    channels: tuple[r.ChannelAssessment, ...]
    diagnoses: tuple[r.Diagnosis, ...]


class WindowJudge:
    """Features, bands and scorers of channels that are sampled together.

    Parameters
    ----------
    config : AssetConfiguration
        The asset in force.
    points : sequence of MeasurementPoint
        Where each channel measures.
    channel_ids : sequence of str
        The channels.
    sampling_rate_hz : float
        Their sampling rate.
    models : ModelStore
        Where the scoring models come from.
    code : FeatureCode
        The user's own features.
    bands, scoring : BandState and bytes, or None
        Snapshots to go on from.
    """

    def __init__(
        self,
        config: AssetConfiguration,
        points: Sequence[MeasurementPoint],
        channel_ids: Sequence[str],
        sampling_rate_hz: float,
        models: ports.ModelStore,
        code: FeatureCode,
        bands: BandState | None = None,
        scoring: bytes | None = None,
    ) -> None:
        self._config = config
        self._points = points
        self._channel_ids = channel_ids
        self._rate_hz = sampling_rate_hz
        self._code = code
        self._chosen = ChosenFeatures.of(points, code.own)
        self._geometries = self._chosen.geometries([bearing_at(point, config.drive_train) for point in points])
        self._engine = functools.lru_cache(maxsize=_KEPT_LENGTHS)(
            functools.partial(FeatureEngine, len(points), sampling_rate_hz=sampling_rate_hz, bearings=self._geometries)
        )
        self._bands = BandChoices() if bands is None else BandChoices.resume(bands)
        graded_by = velocity_boundaries(config)
        self._machine = Machine(
            points,
            channel_ids,
            sampling_rate_hz,
            config.rules,
            config.drive_train,
            None if graded_by is None else graded_by.b_c,
        )
        self._models = models
        self._scoring = self._scorers(scoring)

    def swap_models(self, config: AssetConfiguration) -> None:
        """Score by the models of `config` from the next window on; what the others have learnt stays."""
        self._config = config
        self._scoring = self._scorers(self._scoring.snapshot())

    def _scorers(self, state: bytes | None) -> AssetScoring:
        return AssetScoring.build(self._config, self._channel_ids, load_models(self._config, self._models), state)

    def learn_anew(self) -> None:
        """Forget what is normal: the machine isn't what it was."""
        self._scoring = self._scorers(None)

    def snapshot(self) -> tuple[BandState, bytes]:
        """Return the state of bands and scorers."""
        return self._bands.snapshot(), self._scoring.snapshot()

    def judge(
        self,
        window: GroupWindow,
        speed_rpm: float | None,
        regime: str,
        suspected: Callable[[str], bool],
        oldest_epoch_ns: int | None,
    ) -> Judgement:
        """Return features, zones, diagnoses and scores of a window.

        Parameters
        ----------
        window : GroupWindow
            The window.
        speed_rpm : float or None
            Shaft speed, rpm; without it no fault frequency is looked for.
        regime : str
            The operating regime, by ``processors.regime``: windows are compared with their like only.
        suspected : callable
            Tells of a point id whether a fault is suspected there: learning then stands still.
        oldest_epoch_ns : int or None
            The epoch of the oldest window that may still be completed.
        """
        block = self._features(window, speed_rpm, regime, oldest_epoch_ns)
        healthy = self._scoring.healthy(regime)
        verdict = self._machine.judge(window.samples_g, block, speed_rpm, healthy, suspected)
        steady = not window.partial and is_steady(regime)
        learn = np.array(
            [
                steady and not concerned and not suspected(point.point_id)
                for point, concerned in zip(self._points, verdict.concerned, strict=True)
            ]
        )
        scores = self._scoring.score(block.values, regime, learn, window.start_ns)
        channels = tuple(
            self._assessed(
                row,
                block.values[row],
                (*block.families.undecided(row), *verdict.not_decided[row]),
                scores[row],
                self._own(row, window, speed_rpm),
            )
            for row in range(len(self._points))
        )
        return Judgement(channels, verdict.diagnoses)

    def correct(self, window: GroupWindow, speed_rpm: float | None, regime: str) -> tuple[r.ChannelAssessment, ...]:
        """Return features and zones of a window that late blocks have completed; nothing is learnt from it."""
        block = self._features(window, speed_rpm, regime, None)
        return tuple(
            self._assessed(row, block.values[row], block.families.undecided(row), (), self._own(row, window, speed_rpm))
            for row in range(len(self._points))
        )

    def _features(
        self, window: GroupWindow, speed_rpm: float | None, regime: str, oldest_epoch_ns: int | None
    ) -> FeatureBlock:
        wanted = Choice.of(window.start_ns, window.epoch_ns, regime, partial=window.partial)
        choose = functools.partial(self._chosen.choose_bands, window.samples_g, self._rate_hz)
        if window.version == IN_TIME:
            bands_hz = self._bands.in_time(wanted, choose, oldest_epoch_ns)
        else:
            bands_hz = self._bands.late(wanted, choose)
        block = self._engine(window.samples_g.shape[1]).compute(window.samples_g, speed_rpm, bands_hz)
        return self._chosen.applied(block)

    def _assessed(
        self,
        row: int,
        values: NDArray[np.float32],
        undecided: tuple[r.NotDecided, ...],
        scores: tuple[r.Score, ...],
        own: dict[str, float | None],
    ) -> r.ChannelAssessment:
        features = tuple(None if math.isnan(value) else value for value in values.tolist())
        graded = grade_asset(
            features[FEATURE_INDEX["velocity_rms_mm_s"]],
            features[FEATURE_INDEX["displacement_rms_um"]],
            self._config,
        )
        return r.ChannelAssessment(
            channel_id=self._channel_ids[row],
            point_id=self._points[row].point_id,
            features=features,
            zone=graded.zone,
            not_graded_because=graded.not_graded_because,
            scores=scores,
            own_features=own,
            not_decided=undecided,
        )

    def _own(self, row: int, window: GroupWindow, speed_rpm: float | None) -> dict[str, float | None]:
        samples_g, rate_hz = window.samples_g[row], self._rate_hz
        return self._code.values(self._chosen.own[row], self._channel_ids[row], samples_g, rate_hz, speed_rpm)
