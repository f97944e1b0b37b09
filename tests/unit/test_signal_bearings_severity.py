"""Fault orders against published ones, and the zones of ISO 20816-3 at their boundaries."""

import math
from typing import Any

import pytest

from contracts.assets import DriveTrain, MachineGroup, MeasurementPoint, OwnBearing, Shaft, Support
from contracts.errors import ConfigurationError
from contracts.records import Zone
from processors.bearings import BearingGeometry, bearing, bearing_at, designations
from processors.severity import grade


@pytest.mark.parametrize(
    ("designation", "orders"),
    [("6205", (3.58478, 5.41522, 2.35672, 0.39831)), ("6203", (3.05312, 4.94688, 1.99384, 0.38164))],
)
def test_published_orders(designation: str, orders: tuple[float, ...]) -> None:
    found = bearing(designation).orders
    assert (found.bpfo, found.bpfi, found.bsf, found.ftf) == pytest.approx(orders, abs=6e-6)


def test_za_2115_at_2000_rpm() -> None:
    orders = bearing("ZA-2115").orders
    found = [order * 2000 / 60 for order in (orders.bpfo, orders.bpfi, orders.ftf, orders.bsf)]
    assert found == pytest.approx([236.40, 296.93, 14.775, 139.92], abs=6e-3)


@pytest.mark.parametrize("designation", designations())
def test_identity_of_every_bearing(designation: str) -> None:
    geometry = bearing(designation)
    assert geometry.orders.bpfo + geometry.orders.bpfi == pytest.approx(geometry.n_elements)
    assert geometry.orders.bpfo == pytest.approx(geometry.n_elements * geometry.orders.ftf)
    assert 0.34 < geometry.orders.ftf < 0.46


@pytest.mark.parametrize("written", ["6205", "6205-2RS", "6205-2RS JEM", "SKF 6205", "6205 2Z", "6205-zz", "6205/C3"])
def test_ways_to_write_a_6205(written: str) -> None:
    assert bearing(written).designation == "6205"


def test_an_unknown_bearing_names_near_ones() -> None:
    with pytest.raises(ConfigurationError, match=r"'6255'.*6205"):
        bearing("6255")
    with pytest.raises(ConfigurationError, match="in the catalogue"):
        bearing("")


def test_a_bearing_turns_with_the_shaft_that_its_location_is_on() -> None:
    train = DriveTrain(
        shafts=(Shaft(name="output", locations=("wheel end",), ratio=1 / 3),),
        bearings=(OwnBearing(designation="6205", n_elements=8, element_diameter_mm=8.0, pitch_diameter_mm=40.0),),
    )
    at = [
        bearing_at(MeasurementPoint(point_id="p", location=location, direction="radial", bearing=name), train)
        for location, name in (("wheel end", "6203"), ("pinion end", "6203"), ("pinion end", "6205"))
    ]
    orders = [geometry.orders.bpfo for geometry in at if geometry is not None]
    assert orders == pytest.approx([3.05312 / 3, 3.05312, 8 / 2 * (1 - 8 / 40)], abs=6e-6)
    assert bearing_at(MeasurementPoint(point_id="p", location="x", direction="radial"), train) is None


@pytest.mark.parametrize(("n", "element", "pitch", "angle"), [(2, 8, 39, 0), (9, 40, 39, 0), (9, 8, 39, 90)])
def test_impossible_geometry(n: int, element: float, pitch: float, angle: float) -> None:
    with pytest.raises(ConfigurationError):
        BearingGeometry("x", n, element, pitch, angle)
    with pytest.raises(ConfigurationError):
        BearingGeometry("x", 9, 8, 39, 0, shaft_ratio=0)


@pytest.mark.parametrize(
    ("group", "support", "bounds"),
    [
        ("1", "rigid", (2.3, 4.5, 7.1)),
        ("1", "flexible", (3.5, 7.1, 11.0)),
        ("2", "rigid", (1.4, 2.8, 4.5)),
        ("2", "flexible", (2.3, 4.5, 7.1)),
    ],
)
def test_a_boundary_takes_the_lower_zone(group: MachineGroup, support: Support, bounds: tuple[float, ...]) -> None:
    for bound, lower, upper in zip(bounds, "ABC", "BCD", strict=True):
        assert grade(bound, None, group, support).zone == lower
        assert grade(math.nextafter(bound, 99), None, group, support).zone == upper


def test_the_worse_quantity_counts() -> None:
    assert grade(1.0, 50.0, "2", "rigid").zone is Zone.C
    assert grade(5.0, 1.0, "2", "rigid").zone is Zone.D
    assert grade(1.0, math.nan, "2", "rigid").zone is Zone.A


@pytest.mark.parametrize(
    ("arguments", "known", "reason"),
    [
        ((1.0, None, None, "rigid"), True, "group"),
        ((1.0, None, "2", None), True, "support"),
        ((1.0, None, "2", "rigid"), False, "unit"),
        ((math.nan, None, "2", "rigid"), True, "velocity"),
        ((None, None, "2", "rigid"), True, "velocity"),
        ((1.0, None, "3", "rigid"), True, "group 3"),
    ],
)
def test_what_is_unknown_is_not_graded(arguments: tuple[Any, ...], known: bool, reason: str) -> None:
    graded = grade(*arguments, unit_known=known)
    assert graded.zone is None
    assert reason in (graded.not_graded_because or "")
