"""The plant that makes the load: machines of one build, their configuration, and their blocks of signal.

A few seconds of simulated signal are computed once and repeated with fresh times and sequence numbers, so that the load
generator costs next to nothing while something else is measured. Speed and period are chosen so that the shaft turns a
whole number of times in a period; every machine starts at another place of it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from contracts import records as r
from contracts.assets import (
    AssetConfiguration,
    Channel,
    DriveTrain,
    MeasurementPoint,
    ModelReference,
    Site,
    WindowSettings,
)
from contracts.errors import ConfigurationError
from processors.simulator import Accelerometer, BearingFault, Course, Machine, Scenario, ShaftFault, Simulator, constant

SITE: Final = Site(site_id="load", name="Load test")
_SPEED_RPM: Final = 1800.0
_BEARING: Final = "6205"
_SEED: Final = 20_816
#: Neighbouring machines start so many blocks apart in the period.
_STRIDE: Final = 7
_NS_PER_S: Final = 1_000_000_000
_ROUNDING_NS: Final = 1_000
_WINDOW: Final = WindowSettings()


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """A plant: how many machines with how many channels, in what blocks.

    ``period_s`` is how much signal is simulated before it repeats. With ``fault_from_s`` and ``fault_until_s`` each
    machine has an outer-race fault between these times of every period.
    """

    assets: int
    channels: int = 8
    block_samples: int = 2048
    sampling_rate_hz: float = 25_600.0
    period_s: float = 8.0
    prefix: str = "L"
    window: WindowSettings = _WINDOW
    fault_from_s: float | None = None
    fault_until_s: float | None = None

    def __post_init__(self) -> None:
        if min(self.assets, self.channels, self.block_samples) < 1 or self.sampling_rate_hz <= 0.0:
            raise ConfigurationError(
                f"{self.assets} assets x {self.channels} channels x {self.block_samples} samples at"
                f" {self.sampling_rate_hz} Hz: all must be above 0"
            )

    @property
    def block_s(self) -> float:
        """Duration of a block, s."""
        return self.block_samples / self.sampling_rate_hz

    @property
    def frames_per_s(self) -> float:
        """Frames (one channel of one block) a second of all machines in real time."""
        return self.assets * self.channels / self.block_s

    @property
    def block_bytes(self) -> int:
        """Bytes of a block's samples."""
        return 4 * self.channels * self.block_samples

    @property
    def window_samples(self) -> int:
        """Samples of one channel in an analysis window."""
        return round(self.window.length_s * self.sampling_rate_hz)

    @property
    def hop_samples(self) -> int:
        """Samples of one channel from one window to the next."""
        return round(self.window.hop_s * self.sampling_rate_hz)

    def configurations(self) -> tuple[AssetConfiguration, ...]:
        """Return the configuration of every machine: a graded pump with a bearing at every channel and both models."""
        return tuple(self._configuration(f"{self.prefix}-{number:04d}") for number in range(self.assets))

    def _configuration(self, asset_id: str) -> AssetConfiguration:
        return AssetConfiguration(
            asset_id=asset_id,
            site_id=SITE.site_id,
            name=f"Pump {asset_id}",
            asset_type="centrifugal pump",
            machine_group="2",
            support="rigid",
            drive_train=DriveTrain(nominal_speed_rpm=_SPEED_RPM, line_frequency_hz=60.0, poles=4),
            points=tuple(
                MeasurementPoint(
                    point_id=f"{asset_id}-{place}",
                    location=f"bearing {place}",
                    direction="radial",
                    bearing=_BEARING,
                    channels=(Channel(channel_id=f"{asset_id}-{place}.acc", quantity="acceleration", unit="g"),),
                )
                for place in range(self.channels)
            ),
            window=self.window,
            models=(
                ModelReference(name="half-space-trees", version="1"),
                ModelReference(name="reference-autoencoder", version="1"),
            ),
        )


@dataclass(frozen=True, slots=True)
class Plant:
    """The blocks of a load, any number of them.

    Parameters
    ----------
    load : Load
        What to make.
    start_ns : int
        Time of the first sample, UTC nanoseconds.
    boot_id : str
        A new one for every run against one log.
    """

    load: Load
    start_ns: int
    boot_id: str = "1"
    _period: tuple[bytes, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_period", _simulate(self.load))

    def block(self, asset: int, number: int) -> r.AcquisitionBlock:
        """Return block `number` (from 0) of the machine `asset` (from 0)."""
        load = self.load
        asset_id = f"{load.prefix}-{asset:04d}"
        return r.AcquisitionBlock(
            asset_id=asset_id,
            device_id=f"load-{asset_id}",
            boot_id=self.boot_id,
            sequence=number,
            start_ns=self.end_ns(asset, number - 1),
            sampling_rate_hz=load.sampling_rate_hz,
            n_samples=load.block_samples,
            channels=tuple(
                r.BlockChannel(channel_id=f"{asset_id}-{place}.acc", quantity="acceleration", unit="g")
                for place in range(load.channels)
            ),
            samples=self._period[(number + asset * _STRIDE) % len(self._period)],
            speed_rpm=_SPEED_RPM,
            load_ratio=0.8,
        )

    def end_ns(self, asset: int, number: int) -> int:
        """Return the time after the last sample of block `number` of the machine `asset`, UTC ns.

        Machines are shifted against each other by equal shares of a block: a plant has no common trigger.
        """
        position = asset / self.load.assets + number + 1
        return self.start_ns + round(position * self.load.block_samples * _NS_PER_S / self.load.sampling_rate_hz)

    def closing_ns(self, asset_id: str, window_end_ns: int) -> int:
        """Return when the block that completes a window is whole: no earlier can anybody know the window."""
        asset = int(asset_id.rpartition("-")[2])
        # a few nanoseconds of rounding must not ask for one more block
        elapsed_ns = window_end_ns - self.end_ns(asset, -1) - _ROUNDING_NS
        return self.end_ns(asset, int(elapsed_ns / _NS_PER_S // self.load.block_s))

    def blocks(self, duration_s: float, from_s: float = 0.0) -> Iterator[r.AcquisitionBlock]:
        """Yield all machines' blocks from `from_s` up to `duration_s` after the start, in the order of time."""
        first, end = (int(at_s / self.load.block_s + 1e-9) for at_s in (from_s, duration_s))
        for number in range(first, end):
            for asset in range(self.load.assets):
                yield self.block(asset, number)


def _simulate(load: Load) -> tuple[bytes, ...]:
    """Return one period of one machine's blocks: a bearing fault, where there is one, is loud at the first channel."""
    faults: tuple[BearingFault, ...] = ()
    if load.fault_from_s is not None and load.fault_until_s is not None:
        severity = Course(
            (load.fault_from_s - 0.1, 0.0),
            (load.fault_from_s, 1.0),
            (load.fault_until_s - 0.1, 1.0),
            (load.fault_until_s, 0.0),
        )
        faults = (BearingFault(kind="outer_race", bearing=_BEARING, severity=severity),)
    machine = Machine(
        asset_id=load.prefix,
        speed_rpm=constant(_SPEED_RPM),
        nominal_speed_rpm=_SPEED_RPM,
        accelerometers=tuple(
            Accelerometer(channel_id=str(place), bearing_gain=1.0 if place == 0 else 0.1, angle_deg=90.0 * (place % 2))
            for place in range(load.channels)
        ),
        unbalance=ShaftFault(residual_mm_s=0.7),
        misalignment=ShaftFault(residual_mm_s=0.3),
        blades=6,
        blade_pass_mm_s=0.2,
        bearing_faults=faults,
    )
    scenario = Scenario(machines=(machine,), sampling_rate_hz=load.sampling_rate_hz, block_samples=load.block_samples)
    simulator = Simulator(scenario, _SEED)
    n_blocks = max(1, round(load.period_s / load.block_s))
    return tuple(simulator.block(load.prefix, n).samples_g.astype("<f4", copy=False).tobytes() for n in range(n_blocks))
