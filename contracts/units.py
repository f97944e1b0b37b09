"""Units of measurement, always stated.

A record without a unit is refused: a missing unit is a missing fact, never a default.
"""

from typing import Final

from contracts.errors import BadRecord, Reason

STANDARD_GRAVITY_M_S2: Final = 9.80665

#: quantity → {unit: factor to the quantity's first (canonical) unit}
UNITS: Final[dict[str, dict[str, float]]] = {
    "acceleration": {"g": 1.0, "m/s2": 1.0 / STANDARD_GRAVITY_M_S2},
    "velocity": {"mm/s": 1.0},
    "displacement": {"um": 1.0},
    "temperature": {"degC": 1.0},
    "speed": {"rpm": 1.0},
    "power": {"kW": 1.0},
    "pressure": {"bar": 1.0},
    "current": {"A": 1.0},
    "voltage": {"V": 1.0},
    "flow": {"l/min": 1.0},
    "ratio": {"1": 1.0},
}


def canonical_unit(quantity: str) -> str:
    """Return the unit in which values of `quantity` are stored.

    Examples
    --------
    >>> canonical_unit("acceleration")
    'g'
    """
    return next(iter(_units_of(quantity)))


def factor_to_canonical(quantity: str, unit: str) -> float:
    """Return the factor that takes a value in `unit` to the canonical unit of `quantity`.

    Raises
    ------
    BadRecord
        If the unit is missing (``missing_unit``), or isn't one of the quantity's (``unknown_unit``).

    Examples
    --------
    >>> round(factor_to_canonical("acceleration", "m/s2"), 6)
    0.101972
    """
    if not unit:
        raise BadRecord(Reason.MISSING_UNIT, f"{quantity} has no unit; state one of {', '.join(_units_of(quantity))}")
    units = _units_of(quantity)
    if unit not in units:
        raise BadRecord(Reason.UNKNOWN_UNIT, f"{quantity} in {unit!r}; known units are {', '.join(units)}")
    return units[unit]


def _units_of(quantity: str) -> dict[str, float]:
    if quantity not in UNITS:
        raise BadRecord(Reason.UNKNOWN_UNIT, f"unknown quantity {quantity!r}; known are {', '.join(UNITS)}")
    return UNITS[quantity]
