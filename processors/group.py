"""A channel group: the channels that one device samples together, from blocks to judged windows.

The group keeps its windows; what they say, ``judging`` finds out.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from contracts import ports
from contracts import records as r
from contracts.assets import AssetConfiguration
from contracts.units import factor_to_canonical
from processors.bands import BandState
from processors.blocks import Samples
from processors.configured import point_of
from processors.cutting import IN_TIME, GroupWindow, Window
from processors.judging import Judgement, WindowJudge
from processors.own_features import FeatureCode
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
    state : GroupState or None
        A snapshot to go on from; `windows` are resumed already.
    """

    def __init__(
        self,
        config: AssetConfiguration,
        channels: Sequence[r.BlockChannel],
        windows: SampleWindows,
        models: ports.ModelStore,
        code: FeatureCode,
        state: GroupState | None = None,
    ) -> None:
        self.channels = tuple(channels)
        self.channel_ids = tuple(channel.channel_id for channel in channels)
        self.name = "+".join(self.channel_ids)
        self._config = config
        self._points = [point_of(config, channel) for channel in channels]
        self._factors = np.array(
            [[factor_to_canonical(c.quantity, c.unit)] for c in channels], dtype=np.float32
        )  # a column, so that it scales rows
        self._windows = windows
        self._count = 0 if state is None else state.count
        snapshots = (None, None) if state is None else (state.bands, state.scoring)
        rate_hz = windows.sampling_rate_hz
        self._judge = WindowJudge(config, self._points, self.channel_ids, rate_hz, models, code, *snapshots)

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
        return cls(config, channels, windows, models, code, state)

    def snapshot(self) -> GroupState:
        """Return the state without samples."""
        bands, scoring = self._judge.snapshot()
        return GroupState(
            [(c.channel_id, c.quantity, c.unit) for c in self.channels],
            self._windows.snapshot(),
            bands,
            self._count,
            scoring,
        )

    def swap_models(self, config: AssetConfiguration) -> None:
        """Score by the models of `config`, which differs in nothing else, from the next window on."""
        self._config = config
        self._judge.swap_models(config)

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

    def take_gaps(self, asset_id: str) -> list[ports.Gap]:
        """Return the holes found since the last call, as gaps of the asset."""
        return [
            ports.Gap(
                asset_id=asset_id, channel_group=self.name, from_ns=hole.from_ns, to_ns=hole.to_ns, cause=hole.cause
            )
            for hole in self._windows.take_holes()
        ]

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
                    window.speed_span_rpm,
                )
            )
        return scaled

    # --- judging ------------------------------------------------------------------------------------------------------

    def judge(
        self, window: GroupWindow, speed_rpm: float | None, regime: str, suspected: Callable[[str], bool]
    ) -> Judgement:
        """Return features, zones, diagnoses and scores of a window, as ``WindowJudge.judge``."""
        return self._judge.judge(window, speed_rpm, regime, suspected, self._windows.oldest_epoch_ns)

    def correct(self, window: GroupWindow, speed_rpm: float | None, regime: str) -> tuple[r.ChannelAssessment, ...]:
        """Return features and zones of a window that late blocks have completed; nothing is learnt from it."""
        return self._judge.correct(window, speed_rpm, regime)

    def learn_anew(self) -> None:
        """Forget what is normal, as ``WindowJudge.learn_anew``."""
        self._judge.learn_anew()

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
        """Put back `block`."""
        if self.fits(block):
            self._windows.refill(offset, block, _samples_of(block))

    def end_refill(self) -> None:
        """Drop what the log no longer holds."""
        self._windows.end_refill()


def _samples_of(block: r.AcquisitionBlock) -> Samples:
    flat: NDArray[Any] = np.frombuffer(block.samples, dtype=_WIRE)
    return flat.reshape(len(block.channels), block.n_samples)
