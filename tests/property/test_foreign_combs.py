"""A line that is one of many of another source is no line of the bearing; a line of the bearing stays one.

level   f0   2f0   3f0   4f0   5f0   6f0        a comb of another source: its sixth line lies where FTF is expected
  |     |     |     |     |     |     |
  |_____|_____|_____|_____|_____|_____|____
                                      FTF
"""

from typing import Any, Final

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from processors.bearings import BearingGeometry, bearing
from processors.cage import find_cage_comb
from processors.families import FAMILY_NAMES, LineFamily, bins_needed, find_families

BIN_HZ: Final = 0.1
FLOOR: Final = 1.0
LIMIT_DB: Final = 14.0

#: The same examples every time: what is asked of lines in noise is likely, not certain.
FEW = settings(max_examples=40, deadline=None, derandomize=True)
BEARINGS = st.sampled_from(["6203", "6205", "6206", "6210", "6306", "6309", "608", "ZA-2115"])
SHAFTS_HZ = st.floats(12.0, 45.0)
SEEDS = st.integers(0, 2**32 - 1)
NAMES = st.sampled_from(FAMILY_NAMES)


def order_of(name: str, geometry: BearingGeometry) -> float:
    orders = geometry.orders
    return {"BPFO": orders.bpfo, "BPFI": orders.bpfi, "BSF": 2.0 * orders.bsf, "FTF": orders.ftf}[name]


def spectrum(lines_hz: NDArray[Any], amplitudes: NDArray[Any], n_bins: int, seed: int) -> NDArray[np.float64]:
    """Return lines of a Hann window in noise whose median amplitude is 1."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((2, n_bins)) / np.sqrt(2.0 * np.log(2.0))
    values = noise[0] + 1j * noise[1]
    for line_hz, amplitude, angle in zip(lines_hz, amplitudes, rng.uniform(0, 2 * np.pi, len(lines_hz)), strict=True):
        at = line_hz / BIN_HZ
        near = np.arange(max(1, int(at) - 3), min(n_bins, int(at) + 5))
        off = near - at
        shape = np.sinc(off) / np.where(np.abs(np.abs(off) - 1.0) < 1e-9, 2.0, 1.0 - off**2)
        shape[np.abs(np.abs(off) - 1.0) < 1e-9] = 0.5
        values[near] += amplitude * np.exp(1j * angle) * shape
    magnitudes: NDArray[np.float64] = np.abs(values)
    return magnitudes


def comb(spacing_hz: float, amplitude: float, n_bins: int) -> tuple[NDArray[Any], NDArray[Any]]:
    lines_hz = np.arange(spacing_hz, (n_bins - 2) * BIN_HZ, spacing_hz)
    return lines_hz, np.full(lines_hz.size, amplitude)


def own_lines(name: str, geometry: BearingGeometry, shaft_hz: float, slip: float, amplitude: float) -> Any:
    """Return a fault's harmonics with the sidebands of its kind, and what modulates them."""
    base_hz = order_of(name, geometry) * shaft_hz * (1.0 + slip)
    side_hz = {"BPFI": shaft_hz, "BSF": geometry.orders.ftf * shaft_hz}.get(name)
    lines = [(h * base_hz, amplitude) for h in (1, 2, 3)]
    if side_hz is not None:
        lines += [(n * side_hz, 0.5 * amplitude) for n in (1, 2)]
        lines += [(h * base_hz + n * side_hz, amplitude / (1 + abs(n))) for h in (1, 2, 3) for n in (-2, -1, 1, 2)]
    return (*np.array(lines).T, base_hz)


def width(geometry: BearingGeometry, shaft_hz: float) -> int:
    return bins_needed(BIN_HZ, geometry, 60.0 * shaft_hz)


def look(amplitudes: NDArray[Any], geometry: BearingGeometry, shaft_hz: float) -> dict[str, LineFamily]:
    families = find_families(amplitudes, BIN_HZ, geometry, 60.0 * shaft_hz)
    return {family.name: family for family in families}


def stand(families: dict[str, LineFamily]) -> list[str]:
    return [
        name
        for name, family in families.items()
        if family.decided and family.ambiguous_with is None and family.standing(LIMIT_DB) >= 2
    ]


def is_the_bearing_s_own(spacing_hz: float, geometry: BearingGeometry, shaft_hz: float) -> bool:
    """Return whether a comb has a frequency of the bearing, or may be what the cage makes of the shaft's lines."""
    orders = geometry.orders
    own = (orders.ftf, 1.0 - orders.ftf, orders.bsf, 2.0 * orders.bsf, orders.bpfo, orders.bpfi)
    near_own = any(abs(spacing_hz - order * shaft_hz) <= 0.031 * order * shaft_hz for order in own)
    near_shaft = any(abs(k * spacing_hz - shaft_hz) < 3.0 * k * BIN_HZ for k in range(1, 13))
    return near_own or near_shaft


@FEW
@given(
    designation=BEARINGS, shaft_hz=SHAFTS_HZ, name=NAMES, order=st.integers(3, 14), level=st.floats(25, 100), seed=SEEDS
)
def test_a_multiple_of_another_source_is_no_fault(
    designation: str, shaft_hz: float, name: str, order: int, level: float, seed: int
) -> None:
    geometry = bearing(designation)
    spacing_hz = order_of(name, geometry) * shaft_hz / order
    assume(spacing_hz > 10 * BIN_HZ and not is_the_bearing_s_own(spacing_hz, geometry, shaft_hz))
    n_bins = width(geometry, shaft_hz)
    families = look(spectrum(*comb(spacing_hz, level, n_bins), n_bins, seed), geometry, shaft_hz)
    assert stand(families) == []
    if families[name].ambiguous_with is None:
        assert families[name].foreign_hz == pytest.approx(spacing_hz, rel=2e-3)


@FEW
@given(
    designation=BEARINGS,
    shaft_hz=SHAFTS_HZ,
    name=NAMES,
    slip=st.floats(-0.02, 0.01),
    level=st.floats(10, 100),
    seed=SEEDS,
)
def test_a_fault_stays_one_whatever_modulates_it(
    designation: str, shaft_hz: float, name: str, slip: float, level: float, seed: int
) -> None:
    geometry = bearing(designation)
    lines_hz, amplitudes, base_hz = own_lines(name, geometry, shaft_hz, slip, level)
    families = look(spectrum(lines_hz, amplitudes, width(geometry, shaft_hz), seed), geometry, shaft_hz)
    assume(families[name].ambiguous_with is None and abs(base_hz / shaft_hz - round(base_hz / shaft_hz)) > 0.03)
    assert name in stand(families)
    assert families[name].foreign_hz is None
    assert families[name].found_hz == pytest.approx(base_hz, abs=2.0 * BIN_HZ)


@FEW
@given(designation=BEARINGS, shaft_hz=SHAFTS_HZ, name=NAMES, about_hz=st.floats(3.0, 9.0), seed=SEEDS)
def test_a_fault_is_found_beside_another_source_that_is_stronger(
    designation: str, shaft_hz: float, name: str, about_hz: float, seed: int
) -> None:
    geometry = bearing(designation)
    base_hz = order_of(name, geometry) * shaft_hz
    # no line of the comb is near one of the three harmonics
    spacing_hz = base_hz / (round(base_hz / about_hz) + 0.4)
    off_shaft_hz = sorted(abs(h * base_hz - round(h * base_hz / shaft_hz) * shaft_hz) for h in (1, 2, 3))
    assume(off_shaft_hz[1] > 0.3 + 0.01 * base_hz and not is_the_bearing_s_own(spacing_hz, geometry, shaft_hz))
    n_bins = width(geometry, shaft_hz)
    foreign_hz, strength = comb(spacing_hz, 60.0, n_bins)
    lines_hz, amplitudes = np.append(foreign_hz, base_hz * np.arange(1, 4)), np.append(strength, np.full(3, 25.0))
    family = look(spectrum(lines_hz, amplitudes, n_bins, seed), geometry, shaft_hz)[name]
    assert family.found_hz == pytest.approx(base_hz, abs=2.0 * BIN_HZ)
    assert family.standing(LIMIT_DB) >= 2


@FEW
@given(seed=SEEDS, designation=BEARINGS, shaft_hz=SHAFTS_HZ)
def test_noise_has_no_comb(seed: int, designation: str, shaft_hz: float) -> None:
    geometry = bearing(designation)
    nothing = np.empty(0)
    families = look(spectrum(nothing, nothing, width(geometry, shaft_hz), seed), geometry, shaft_hz)
    assert [family.foreign_hz for family in families.values()] == [None] * 4


@FEW
@given(shaft_hz=SHAFTS_HZ, order=st.integers(3, 8), level=st.floats(15, 100), seed=SEEDS)
def test_every_nth_line_of_another_source_is_no_cage(shaft_hz: float, order: int, level: float, seed: int) -> None:
    geometry = bearing("6205")
    spacing_hz = geometry.orders.ftf * shaft_hz / order
    assume(spacing_hz > 10 * BIN_HZ and not is_the_bearing_s_own(spacing_hz, geometry, shaft_hz))
    n_bins = 2 * width(geometry, shaft_hz)
    found = find_cage_comb(spectrum(*comb(spacing_hz, level, n_bins), n_bins, seed), BIN_HZ, geometry, 60.0 * shaft_hz)
    assert found is not None
    assert not found.stands


@FEW
@given(shaft_hz=SHAFTS_HZ, each=st.sampled_from([2, 3]), level=st.floats(15, 100), seed=SEEDS)
def test_a_comb_of_a_multiple_of_the_cage_frequency_is_no_cage(
    shaft_hz: float, each: int, level: float, seed: int
) -> None:
    geometry = bearing("6205")
    n_bins = 2 * width(geometry, shaft_hz)
    lines = comb(each * geometry.orders.ftf * shaft_hz, level, n_bins)
    found = find_cage_comb(spectrum(*lines, n_bins, seed), BIN_HZ, geometry, 60.0 * shaft_hz)
    assert found is not None
    assert not found.stands
