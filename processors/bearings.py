"""Rolling bearings: their geometry, and the fault frequencies that follow from it.

The catalogue ``bearings.csv`` holds the geometries. Makers change element size and pitch a little between editions of
one designation; the engine looks for each line within 3 %, which covers that and the slip of 1 to 2 %. Frequencies are
orders (multiples of the shaft speed) of an outer race that stands still.
"""

import csv
import difflib
import functools
import math
import pathlib
import re
from dataclasses import dataclass
from typing import Final

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

    @property
    def orders(self) -> FaultOrders:
        """Return the fault orders.

        R. B. Randall and J. Antoni, "Rolling element bearing diagnostics: a tutorial", MSSP 25 (2011), 485-520.
        """
        ratio = self.element_diameter_mm / self.pitch_diameter_mm * math.cos(math.radians(self.contact_angle_deg))
        return FaultOrders(
            bpfo=self.n_elements / 2 * (1 - ratio),
            bpfi=self.n_elements / 2 * (1 + ratio),
            bsf=self.pitch_diameter_mm / (2 * self.element_diameter_mm) * (1 - ratio * ratio),
            ftf=(1 - ratio) / 2,
        )


def bearing(designation: str) -> BearingGeometry:
    """Return the geometry of a bearing in the catalogue.

    Parameters
    ----------
    designation : str
        Upper or lower case, with or without maker and suffixes for seals (``6205``, ``SKF 6205-2RS``).

    Returns
    -------
    geometry : BearingGeometry
        Its geometry.

    Raises
    ------
    ConfigurationError
        If the catalogue lacks it; near matches are named.
    """
    catalogue = _catalogue()
    name = _normal(designation)
    found = catalogue.get(name) or catalogue.get(_normal(_SUFFIX.sub("", designation.strip().upper())))
    if found is None:
        near = difflib.get_close_matches(name, catalogue, n=4, cutoff=0.5)
        known = sorted({catalogue[match].designation for match in near}) or designations()
        raise ConfigurationError(f"no bearing {designation!r} in the catalogue; near it: {', '.join(known)}")
    return found


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
