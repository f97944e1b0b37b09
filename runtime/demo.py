"""The default scenario: two feed pumps, one of which loses its drive-end bearing while you watch.

P-101 is healthy for 11 s. Then an outer-race defect grows; the envelope shows it some 6 s later, long before the
vibration level says anything. From 25 s on the damage shakes the housing, and the severity zone goes from A to C.
P-102 has the same build and stays healthy. Every start of the scenario is a machine with a new bearing, and says so.
"""

import datetime as dt
from collections.abc import Iterator
from typing import Final

from contracts.assets import (
    AssetConfiguration,
    Channel,
    DriveTrain,
    MeasurementPoint,
    ModelReference,
    Site,
)
from processors.simulator import (
    Accelerometer,
    BearingFault,
    Course,
    Machine,
    Scenario,
    ShaftFault,
    Simulator,
    Thermometer,
    constant,
)
from runtime.sources import Due, OpeningEvent, simulated

SEED: Final = 20_816
FAULTY_ASSET: Final = "P-101"
HEALTHY_ASSET: Final = "P-102"

_BEARING: Final = "6205"
_NEW_BEARING: Final = OpeningEvent("maintenance", "bearing_replaced", "Drive-end bearing replaced by a new 6205")
_NOMINAL_SPEED_RPM: Final = 1780.0
_ONSET_S: Final = 11.0
_FULL_S: Final = 25.0
_DAMAGING_S: Final = 40.0


def demo_assets() -> tuple[Site, tuple[AssetConfiguration, ...]]:
    """Return the site and the assets of the default scenario."""
    site = Site(site_id="demo", name="Demonstration plant")
    return site, (
        _pump(FAULTY_ASSET, "Boiler feed pump A", dt.date(2019, 4, 15)),
        _pump(HEALTHY_ASSET, "Boiler feed pump B", dt.date(2019, 4, 16)),
    )


def demo_scenario() -> Scenario:
    """Return the course of the default scenario: its machines have the channels of `demo_assets`."""
    outer_race = BearingFault(
        kind="outer_race",
        bearing=_BEARING,
        severity=Course((_ONSET_S, 0.0), (_FULL_S, 1.0)),
        peak_g=2.0,
        late_severity=Course((_FULL_S, 0.0), (_DAMAGING_S, 1.0)),
        late_velocity_mm_s=3.4,
    )
    load_ratio = Course((0.0, 0.80), (20.0, 0.83), (40.0, 0.78), (60.0, 0.80))
    return Scenario(
        machines=(
            _machine(FAULTY_ASSET, 0.70, load_ratio, (outer_race,)),
            _machine(HEALTHY_ASSET, 0.62, load_ratio, ()),
        )
    )


def demo_records(*, boot_id: str, start_ns: int, duration_s: float | None = None) -> Iterator[Due]:
    """Yield the records of the default scenario from its beginning, for ``runtime.sources.send``.

    Parameters
    ----------
    boot_id : str
        A new one for every start.
    start_ns : int
        When the scenario begins, UTC nanoseconds.
    duration_s : float or None
        Event time after which it ends; None for never.

    Yields
    ------
    Due
        First the change of bearing of each pump, then blocks and temperatures.
    """
    yield from simulated(
        Simulator(demo_scenario(), SEED),
        device_id="sim",
        boot_id=boot_id,
        start_ns=start_ns,
        duration_s=duration_s,
        opening=_NEW_BEARING,
    )


def _pump(asset_id: str, name: str, installed_at: dt.date) -> AssetConfiguration:
    return AssetConfiguration(
        asset_id=asset_id,
        site_id="demo",
        name=name,
        asset_type="centrifugal pump with induction motor",
        manufacturer="Example Pumps",
        model="MC 50-6",
        installed_at=installed_at,
        machine_group="2",
        support="rigid",
        drive_train=DriveTrain(
            nominal_speed_rpm=_NOMINAL_SPEED_RPM, power_kw=75.0, line_frequency_hz=60.0, poles=4, blades=6
        ),
        points=(
            MeasurementPoint(
                point_id=f"{asset_id}-DE-H",
                location="drive end",
                direction="radial_horizontal",
                bearing=_BEARING,
                channels=(
                    Channel(channel_id=f"{asset_id}-DE-H.acc", quantity="acceleration", unit="g"),
                    Channel(channel_id=f"{asset_id}-DE-H.temp", quantity="temperature", unit="degC"),
                ),
            ),
            MeasurementPoint(
                point_id=f"{asset_id}-NDE-V",
                location="non-drive end",
                direction="radial_vertical",
                bearing=_BEARING,
                channels=(Channel(channel_id=f"{asset_id}-NDE-V.acc", quantity="acceleration", unit="g"),),
            ),
        ),
        models=(
            ModelReference(name="half-space-trees", version="1"),
            ModelReference(name="reference-autoencoder", version="1"),
        ),
    )


def _machine(
    asset_id: str, unbalance_mm_s: float, load_ratio: Course, bearing_faults: tuple[BearingFault, ...]
) -> Machine:
    return Machine(
        asset_id=asset_id,
        speed_rpm=constant(_NOMINAL_SPEED_RPM),
        nominal_speed_rpm=_NOMINAL_SPEED_RPM,
        accelerometers=(
            Accelerometer(channel_id=f"{asset_id}-DE-H.acc", noise_g=0.07),
            Accelerometer(
                channel_id=f"{asset_id}-NDE-V.acc", shaft_gain=0.8, bearing_gain=0.2, angle_deg=90.0, noise_g=0.06
            ),
        ),
        thermometers=(Thermometer(channel_id=f"{asset_id}-DE-H.temp"),),
        load_ratio=load_ratio,
        unbalance=ShaftFault(residual_mm_s=unbalance_mm_s),
        misalignment=ShaftFault(residual_mm_s=0.3),
        blades=6,
        blade_pass_mm_s=0.25,
        electrical_mm_s=0.15,
        bearing_faults=bearing_faults,
    )
