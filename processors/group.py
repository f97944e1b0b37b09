"""A channel group: the channels that one device samples together, from blocks to judged windows.

The group keeps its windows, demodulation bands and scorers. Arrays stay two-dimensional (channels × samples), so a
channel's bits don't depend on its neighbours.
"""

import functools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from contracts import ports
from contracts import records as r
from contracts.assets import AssetConfiguration
from contracts.features import FEATURE_INDEX
from contracts.units import factor_to_canonical
from processors.bands import BandChoices, BandState, Choice
from processors.bearings import bearing_at
from processors.chosen_features import ChosenFeatures
from processors.configured import load_models, point_of
from processors.cutting import IN_TIME, Window
from processors.families import LineFamily
from processors.features import FeatureBlock, FeatureEngine
from processors.machine_diagnosis import Machine
from processors.own_features import FeatureCode
from processors.regime import STOPPED, regime_of
from processors.reorder import Hole, Samples
from processors.scoring import AssetScoring
from processors.severity import grade
from processors.window import SampleWindows, WindowState

#: One waveform of a channel is kept every so many windows, and whenever a condition is raised.
WAVEFORM_WINDOWS: Final = 60
#: Blocks and snapshots carry little-endian float32.
_WIRE: Final = np.dtype("<f4")


class GroupState(msgspec.Struct, array_like=True):
    """What a snapshot holds of a group."""

    channels: list[tuple[str, str, str]]
    windows: WindowState
    bands: BandState
    count: int
    scoring: bytes


@dataclass(frozen=True, slots=True)
class GroupWindow:
    """One window in canonical units; ``number`` counts the group's windows in time.

    One whose ``version`` isn't ``IN_TIME`` was completed by late blocks: it has features, but is judged no more.
    """

    start_ns: int
    end_ns: int
    samples_g: Samples
    speed_rpm: float | None
    load_ratio: float | None
    partial: bool
    number: int
    epoch_ns: int = 0
    version: int = IN_TIME


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a window says: features, zones and scores per channel, and what is probably wrong."""

    regime: str
    channels: tuple[r.ChannelAssessment, ...]
    diagnoses: tuple[r.Diagnosis, ...]


class ChannelGroup:
    """Windows, features and scores of channels that are sampled together.

    Parameters
    ----------
    config : AssetConfiguration
        The asset in force.
    channels : sequence of BlockChannel
        The group's channels, in the order of the block.
    windows : SampleWindows
        Fresh or resumed.
    models : ModelStore
        Where the scoring models come from.
    code : FeatureCode
        The user's own features.
    scoring_state : bytes or None
        A scorer's snapshot to go on from.
    """

    def __init__(
        self,
        config: AssetConfiguration,
        channels: Sequence[r.BlockChannel],
        windows: SampleWindows,
        models: ports.ModelStore,
        code: FeatureCode,
        scoring_state: bytes | None = None,
    ) -> None:
        self.channels = tuple(channels)
        self.channel_ids = tuple(channel.channel_id for channel in channels)
        self.name = "+".join(self.channel_ids)
        self._config = config
        self._points = [point_of(config, channel) for channel in channels]
        self._geometries = [bearing_at(point, config.drive_train) for point in self._points]
        self._code = code
        self._chosen = ChosenFeatures.of(self._points, code.own)
        self._factors = np.array(
            [[factor_to_canonical(c.quantity, c.unit)] for c in channels], dtype=np.float32
        )  # a column, so that it scales rows
        self._windows = windows
        self._engines: dict[int, FeatureEngine] = {}
        self._bands = BandChoices()
        self._count = 0
        self._machine = Machine(
            self._points, self.channel_ids, windows.sampling_rate_hz, config.rules, config.drive_train
        )
        self._scoring = AssetScoring.build(config, self.channel_ids, load_models(config, models), scoring_state)

    @classmethod
    def build(
        cls, config: AssetConfiguration, block: r.AcquisitionBlock, models: ports.ModelStore, code: FeatureCode
    ) -> "ChannelGroup":
        """Return a group for the channels of `block`."""
        windows = SampleWindows(config.window, len(block.channels), block.sampling_rate_hz)
        return cls(config, block.channels, windows, models, code)

    @classmethod
    def resume(
        cls, config: AssetConfiguration, state: GroupState, models: ports.ModelStore, code: FeatureCode
    ) -> "ChannelGroup":
        """Return the group as it was when `state` was taken."""
        channels = [r.BlockChannel(channel_id=i, quantity=q, unit=u) for i, q, u in state.channels]
        windows = SampleWindows.resume(config.window, len(channels), state.windows)
        group = cls(config, channels, windows, models, code, state.scoring)
        group._bands, group._count = BandChoices.resume(state.bands), state.count
        return group

    def snapshot(self) -> GroupState:
        """Return the state without samples."""
        return GroupState(
            [(c.channel_id, c.quantity, c.unit) for c in self.channels],
            self._windows.snapshot(),
            self._bands.snapshot(),
            self._count,
            self._scoring.snapshot(),
        )

    def fits(self, block: r.AcquisitionBlock) -> bool:
        """Return whether `block` has this group's channels, units and sampling rate."""
        return block.channels == self.channels and block.sampling_rate_hz == self.sampling_rate_hz

    @property
    def sampling_rate_hz(self) -> float:
        """Sampling rate, Hz."""
        return self._windows.sampling_rate_hz

    @property
    def closed_by_tick(self) -> bool:
        """Whether the last tick has closed or given up anything."""
        return self._windows.changed_by_tick

    @property
    def idle_since_ns(self) -> int | None:
        """The first tick after the newest block."""
        return self._windows.idle_since_ns

    # --- windows ------------------------------------------------------------------------------------------------------

    def push(self, offset: int, block: r.AcquisitionBlock) -> list[GroupWindow]:
        """Take a block; return the windows that are complete now."""
        return self._scaled(self._windows.push(offset, block, _samples_of(block)))

    def tick(self, at_ns: int, unobserved_ns: int) -> list[GroupWindow]:
        """Take the partition's clock; return the windows it closes."""
        return self._scaled(self._windows.tick(at_ns, unobserved_ns))

    def close(self) -> list[GroupWindow]:
        """End the run; return what is left as a partial window."""
        return self._scaled(self._windows.close())

    def take_holes(self) -> list[Hole]:
        """Return the holes found since the last call."""
        return self._windows.take_holes()

    def _scaled(self, windows: Iterable[Window]) -> list[GroupWindow]:
        scaled = []
        for window in windows:
            self._count += window.version == IN_TIME
            scaled.append(
                GroupWindow(
                    window.start_ns,
                    window.end_ns,
                    window.samples * self._factors,
                    window.speed_rpm,
                    window.load_ratio,
                    window.partial,
                    self._count,
                    window.epoch_ns,
                    window.version,
                )
            )
        return scaled

    # --- judging ------------------------------------------------------------------------------------------------------

    def judge(self, window: GroupWindow, speed_rpm: float | None, suspected: Callable[[str], bool]) -> Judgement:
        """Return features, zones, diagnoses and scores of a window.

        Parameters
        ----------
        window : GroupWindow
            The window.
        speed_rpm : float or None
            Shaft speed, rpm; without it no fault frequency is looked for.
        suspected : callable
            Tells of a point id whether a fault is suspected there: learning then stands still.
        """
        regime, block = self._features(window, speed_rpm)
        healthy = self._scoring.healthy(regime)
        verdict = self._machine.judge(window.samples_g, block, speed_rpm, healthy, suspected)
        steady = not window.partial and regime != STOPPED
        learn = np.array(
            [
                steady and not concerned and not suspected(point.point_id)
                for point, concerned in zip(self._points, verdict.concerned, strict=True)
            ]
        )
        scores = self._scoring.score(block.values, regime, learn)
        channels = tuple(
            self._assessed(
                row,
                block.values[row],
                block.families[row],
                verdict.not_decided[row],
                scores[row],
                self._own(row, window, speed_rpm),
            )
            for row in range(len(self.channels))
        )
        return Judgement(regime, channels, verdict.diagnoses)

    def correct(self, window: GroupWindow, speed_rpm: float | None) -> tuple[r.ChannelAssessment, ...]:
        """Return features and zones of a window that late blocks have completed; nothing is learnt from it."""
        _, block = self._features(window, speed_rpm)
        return tuple(
            self._assessed(row, block.values[row], block.families[row], (), (), self._own(row, window, speed_rpm))
            for row in range(len(self.channels))
        )

    def _features(self, window: GroupWindow, speed_rpm: float | None) -> tuple[str, FeatureBlock]:
        regime = regime_of(speed_rpm, window.load_ratio, self._config.drive_train.nominal_speed_rpm)
        wanted = Choice(window.start_ns, window.epoch_ns, regime, window.partial, [])
        choose = functools.partial(self._chosen.choose_bands, window.samples_g, self.sampling_rate_hz)
        if window.version == IN_TIME:
            bands_hz = self._bands.in_time(wanted, choose, self._windows.oldest_epoch_ns)
        else:
            bands_hz = self._bands.late(wanted, choose)
        block = self._engine(window.samples_g.shape[1]).compute(window.samples_g, speed_rpm, bands_hz)
        return regime, self._chosen.applied(block)

    def _assessed(
        self,
        row: int,
        values: NDArray[np.float32],
        families: Sequence[LineFamily],
        undecided: tuple[r.NotDecided, ...],
        scores: tuple[r.Score, ...],
        own: dict[str, float | None],
    ) -> r.ChannelAssessment:
        features = tuple(None if math.isnan(value) else value for value in values.tolist())
        graded = grade(
            features[FEATURE_INDEX["velocity_rms_mm_s"]],
            features[FEATURE_INDEX["displacement_rms_um"]],
            self._config.machine_group,
            self._config.support,
        )
        return r.ChannelAssessment(
            channel_id=self.channel_ids[row],
            point_id=self._points[row].point_id,
            features=features,
            zone=graded.zone,
            not_graded_because=graded.not_graded_because,
            scores=scores,
            own_features=own,
            not_decided=(
                *(
                    r.NotDecided(name=family.name, needed_s=family.needed_s)
                    for family in families
                    if not family.decided
                ),
                *undecided,
            ),
        )

    def _own(self, row: int, window: GroupWindow, speed_rpm: float | None) -> dict[str, float | None]:
        samples_g, rate_hz = window.samples_g[row], self.sampling_rate_hz
        return self._code.values(self._chosen.own[row], self.channel_ids[row], samples_g, rate_hz, speed_rpm)

    def _engine(self, n_samples: int) -> FeatureEngine:
        engine = self._engines.get(n_samples)
        if engine is None:
            geometries = self._chosen.geometries(self._geometries)
            engine = FeatureEngine(len(self.channels), n_samples, self.sampling_rate_hz, geometries)
            self._engines[n_samples] = engine
        return engine

    def waveforms(
        self, asset_id: str, window: GroupWindow, raised: Sequence[r.Condition]
    ) -> list[ports.WaveformSnapshot]:
        """Return the waveforms to keep: the first, one every ``WAVEFORM_WINDOWS``, and those of new conditions."""
        points = {c.point_id for c in raised if c.state is r.ConditionState.RAISED}
        every = window.number % WAVEFORM_WINDOWS == 1
        return [
            ports.WaveformSnapshot(
                channel_id=channel.channel_id,
                asset_id=asset_id,
                start_ns=window.start_ns,
                sampling_rate_hz=self.sampling_rate_hz,
                unit="g",
                speed_rpm=window.speed_rpm,
                samples=window.samples_g[row].astype(_WIRE, copy=False).tobytes(),
            )
            for row, channel in enumerate(self.channels)
            if every or self._points[row].point_id in points
        ]

    # --- recovery -----------------------------------------------------------------------------------------------------

    def needed_offsets(self) -> set[int]:
        """Return every offset whose samples are still needed."""
        return self._windows.needed_offsets()

    def refill(self, offset: int, block: r.AcquisitionBlock) -> None:
        """Put back the samples of `block`."""
        if self.fits(block):
            self._windows.refill(offset, _samples_of(block))

    def end_refill(self) -> None:
        """Drop what the log no longer holds."""
        self._windows.end_refill()


def _samples_of(block: r.AcquisitionBlock) -> Samples:
    flat: NDArray[Any] = np.frombuffer(block.samples, dtype=_WIRE)
    return flat.reshape(len(block.channels), block.n_samples)
