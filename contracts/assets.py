"""Assets: what is measured, where, and by what rules it is judged.

An ``AssetConfiguration`` is everything the core needs to know of one asset. It reaches the core as an activation
record on the log, so a recomputation sees the same configuration at the same place.
"""

import datetime as dt
from dataclasses import dataclass
from typing import Literal

from contracts.features import EVERYTHING

MachineGroup = Literal["1", "2"]
Support = Literal["rigid", "flexible"]
PumpCategory = Literal["I", "II"]
Direction = Literal["radial_horizontal", "radial_vertical", "radial", "axial"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A plant."""

    site_id: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Gear:
    """One gear of the drive train; ``shaft_ratio`` is its shaft's speed over the reference shaft's."""

    name: str
    teeth: int
    shaft_ratio: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Shaft:
    """A shaft and the locations of the bearings it turns in; ``ratio`` is its speed over the reference shaft's.

    Two locations on one shaft are its ends; two on different shafts lie across a coupling or a gear.
    """

    name: str
    locations: tuple[str, ...]
    ratio: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Belt:
    """A belt on a pulley; ``shaft_ratio`` is the speed of the pulley's shaft over the reference shaft's."""

    name: str
    pulley_diameter_mm: float
    length_mm: float
    shaft_ratio: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnBearing:
    """A bearing that the catalogue lacks, or that this machine has in another make."""

    designation: str
    n_elements: int
    element_diameter_mm: float
    pitch_diameter_mm: float
    contact_angle_deg: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DriveTrain:
    """Facts from which fault frequencies follow; null or empty where unknown."""

    nominal_speed_rpm: float | None = None
    power_kw: float | None = None
    line_frequency_hz: float | None = None
    poles: int | None = None
    blades: int | None = None
    gears: tuple[Gear, ...] = ()
    shafts: tuple[Shaft, ...] = ()
    belts: tuple[Belt, ...] = ()
    bearings: tuple[OwnBearing, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One quantity in one unit at a measurement point."""

    channel_id: str
    quantity: str
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasurementPoint:
    """A location and direction on the machine; ``bearing`` is the designation of the bearing it listens to.

    ``features`` names what is computed there: sets (``contracts.features.FEATURE_SETS``), features of the catalogue,
    and features of the user's own that the worker's settings have registered.
    """

    point_id: str
    location: str
    direction: Direction
    bearing: str | None = None
    channels: tuple[Channel, ...] = ()
    features: tuple[str, ...] = (EVERYTHING,)


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowSettings:
    """The analysis window and hop, and how long the core waits for what is missing (seconds of event time).

    ``band_interval_s`` is how often the demodulation band is chosen anew: a young fault shows in another band than the
    healthy machine's noise. ``lateness_s`` is how long blocks beyond the tolerance still complete a window's features.
    """

    length_s: float = 1.0
    hop_s: float = 1.0
    out_of_order_tolerance_s: float = 2.0
    idle_close_s: float = 5.0
    lateness_s: float = 60.0
    band_interval_s: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelReference:
    """A scoring model by name, version and content.

    The scores of one in ``shadow`` are stored, and raise nothing. Where the model that it ``stands_in_for``
    (``name@version``) is refused, it takes that one's place. ``feature_hash`` is the feature code for which its maker
    says that it was trained; what the file itself says counts before it.
    """

    name: str
    version: str
    sha256: str | None = None
    shadow: bool = False
    stands_in_for: str | None = None
    feature_hash: str | None = None

    @property
    def key(self) -> str:
        """``name@version``."""
        return f"{self.name}@{self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSettings:
    """Bounds of the detection rules.

    ``fault_line_db`` and ``fault_harmonics``: a bearing fault needs that many harmonics that high over the floor.
    ``raise_after`` windows in a row raise a condition, ``clear_after`` in a row clear it; to clear, a level must fall
    ``deadband_db`` (or the zone one step) below its bound. ``false_alarms_per_month`` is the budget of false alarms
    that the asset's scores may raise; with 0 they raise no alarm at all.
    """

    fault_line_db: float = 10.0
    fault_harmonics: int = 2
    deadband_db: float = 3.0
    raise_after: int = 3
    clear_after: int = 5
    zone_alarm: Literal["B", "C", "D"] = "C"
    baseline_windows: int = 10
    false_alarms_per_month: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetConfiguration:
    """One asset with its points, channels, windows, rules and models.

    ``machine_group`` and ``support`` are those of ISO 20816-3; without them the asset isn't graded. A rotodynamic pump
    has a ``pump_category`` of ISO 10816-7 instead, and is graded by it and the drive train's power.
    """

    asset_id: str
    site_id: str
    name: str
    asset_type: str
    manufacturer: str | None = None
    model: str | None = None
    installed_at: dt.date | None = None
    machine_group: MachineGroup | None = None
    support: Support | None = None
    pump_category: PumpCategory | None = None
    drive_train: DriveTrain = DriveTrain()
    points: tuple[MeasurementPoint, ...] = ()
    window: WindowSettings = WindowSettings()
    rules: RuleSettings = RuleSettings()
    models: tuple[ModelReference, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceEvent:
    """One entry of an asset's service history."""

    service_event_id: str
    asset_id: str
    performed_at: dt.datetime
    kind: str
    description: str
    technician: str | None = None
