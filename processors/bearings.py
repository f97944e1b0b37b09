"""Rolling bearings: their geometry, and the fault frequencies that follow from it.

The catalogue ``bearings.csv`` holds the geometries; a machine's own bearings stand in its description. Makers change
element size and pitch a little between editions of one designation; the engine looks for each line within 3 %, which
covers that and the slip of 1 to 2 %. Frequencies are orders (multiples of the shaft speed) of an outer race that stands
still.
"""

import csv
import dataclasses
import difflib
import functools
import math
import pathlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from contracts.assets import DriveTrain, MeasurementPoint, OwnBearing
from contracts.errors import ConfigurationError

_CATALOGUE: Final = pathlib.Path(__file__).with_name("bearings.csv")
#: Seals, shields, clearance and cage don't change the kinematics.
_SUFFIX: Final = re.compile(r"[-/ ]?(2RS\w*|2RSR|2Z\w*|ZZ|RS\w*|DDU|LLU|C[2-5]|Z)$")


@dataclass(frozen=True, slots=True)
class FaultOrders:
    """Fault frequencies in multiples of the shaft speed; the rolling-element line lies at ``2 * bsf``."""

    bpfo: float
    bpfi: float
    bsf: float
    ftf: float


@dataclass(frozen=True, slots=True)
class BearingGeometry:
    """What the fault frequencies of a bearing depend on.

    Parameters
    ----------
    designation : str
        As the catalogue writes it.
    n_elements : int
        Balls or rollers in one row.
    element_diameter_mm, pitch_diameter_mm : float
        Diameter of an element, and of the circle through their centres.
    contact_angle_deg : float
        Contact angle, degrees.
    shaft_ratio : float
        Speed of its shaft over that of the reference shaft, in whose multiples the orders are.

    Raises
    ------
    ConfigurationError
        If a number can't be that of a bearing.

    Examples
    --------
    >>> round(bearing("6205-2RS").orders.bpfo * 1797 / 60, 3)
    107.364
    """

    designation: str
    n_elements: int
    element_diameter_mm: float
    pitch_diameter_mm: float
    contact_angle_deg: float = 0.0
    shaft_ratio: float = 1.0

    def __post_init__(self) -> None:
        if self.n_elements < 3:
            raise ConfigurationError(f"bearing {self.designation}: {self.n_elements} elements, at least 3 needed")
        if not 0 < self.element_diameter_mm < self.pitch_diameter_mm < math.inf:
            raise ConfigurationError(
                f"bearing {self.designation}: element {self.element_diameter_mm} mm and pitch {self.pitch_diameter_mm}"
                " mm, but 0 < element < pitch must hold"
            )
        if not 0 <= self.contact_angle_deg < 90:
            raise ConfigurationError(
                f"bearing {self.designation}: contact angle {self.contact_angle_deg} degrees, 0 to 90 allowed"
            )
        if not 0 < self.shaft_ratio < math.inf:
            raise ConfigurationError(f"bearing {self.designation}: shaft ratio {self.shaft_ratio}, above 0 needed")

    @property
    def orders(self) -> FaultOrders:
        """Return the fault orders.

        R. B. Randall and J. Antoni, "Rolling element bearing diagnostics: a tutorial", MSSP 25 (2011), 485-520.
        """
        ratio = self.element_diameter_mm / self.pitch_diameter_mm * math.cos(math.radians(self.contact_angle_deg))
        turns = self.shaft_ratio
        return FaultOrders(
            bpfo=turns * self.n_elements / 2 * (1 - ratio),
            bpfi=turns * self.n_elements / 2 * (1 + ratio),
            bsf=turns * self.pitch_diameter_mm / (2 * self.element_diameter_mm) * (1 - ratio * ratio),
            ftf=turns * (1 - ratio) / 2,
        )


def bearing(designation: str, own: Iterable[OwnBearing] = ()) -> BearingGeometry:
    """Return the geometry of a bearing: one of the machine's own, or one in the catalogue.

    Parameters
    ----------
    designation : str
        Upper or lower case, with or without maker and suffixes for seals (``6205``, ``SKF 6205-2RS``).
    own : iterable of OwnBearing
        Bearings that the machine's description states; they come before the catalogue.

    Returns
    -------
    geometry : BearingGeometry
        Its geometry.

    Raises
    ------
    ConfigurationError
        If neither has it (near matches are named), or an own one is impossible.

    Examples
    --------
    >>> special = OwnBearing(designation="X 12", n_elements=12, element_diameter_mm=10.0, pitch_diameter_mm=60.0)
    >>> bearing("x12", [special]).orders.bpfo
    5.0
    """
    name, plain = _normal(designation), _normal(_SUFFIX.sub("", designation.strip().upper()))
    for one in own:
        if _normal(one.designation) in (name, plain):
            return BearingGeometry(
                one.designation,
                one.n_elements,
                one.element_diameter_mm,
                one.pitch_diameter_mm,
                one.contact_angle_deg,
            )
    catalogue = _catalogue()
    found = catalogue.get(name) or catalogue.get(plain)
    if found is None:
        near = difflib.get_close_matches(name, catalogue, n=4, cutoff=0.5)
        known = sorted({catalogue[match].designation for match in near}) or designations()
        raise ConfigurationError(f"no bearing {designation!r} in the catalogue; near it: {', '.join(known)}")
    return found


def bearing_at(point: MeasurementPoint, train: DriveTrain) -> BearingGeometry | None:
    """Return the bearing that a point listens to, with the speed of the shaft it sits on; null without one.

    Parameters
    ----------
    point : MeasurementPoint
        The point; its location may be one of a shaft's.
    train : DriveTrain
        Shafts and own bearings; a location on no described shaft lies on the reference shaft.

    Returns
    -------
    geometry : BearingGeometry or None
        Its orders are in multiples of the reference shaft.

    Raises
    ------
    ConfigurationError
        As `bearing`.
    """
    if not point.bearing:
        return None
    ratio = next((shaft.ratio for shaft in train.shafts if point.location in shaft.locations), 1.0)
    return dataclasses.replace(bearing(point.bearing, train.bearings), shaft_ratio=ratio)


def designations() -> list[str]:
    """Return the designations in the catalogue, sorted."""
    return sorted({geometry.designation for geometry in _catalogue().values()})


def _normal(designation: str) -> str:
    name = re.sub(r"[^A-Z0-9]", "", designation.upper())
    return re.sub(r"^(SKF|FAG|NSK|NTN|INA)(?=\d)", "", name)


@functools.cache
def _catalogue() -> dict[str, BearingGeometry]:
    catalogue: dict[str, BearingGeometry] = {}
    with _CATALOGUE.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            geometry = BearingGeometry(
                designation=row["designation"],
                n_elements=int(row["n_elements"]),
                element_diameter_mm=float(row["element_diameter_mm"]),
                pitch_diameter_mm=float(row["pitch_diameter_mm"]),
                contact_angle_deg=float(row["contact_angle_deg"]),
            )
            for name in (row["designation"], *filter(None, row["aliases"].split(";"))):
                catalogue[_normal(name)] = geometry
    return catalogue
