"""What a window says about the gears and belts of a machine: mesh and sidebands, belt lines.

A gear is judged by its sidebands, not by its mesh: the mesh follows the load, and a healthy gear under load is louder
than a broken one without. Sidebands stand at the speed of the damaged gear's own shaft on both sides of the mesh. Lines
that the window can't tell from others give no fact but the length that would tell them.
"""

import math
from typing import Final

from contracts.assets import Belt, Gear
from processors.drive_train import Mesh, belt_hz, meshes
from processors.lines import Lines
from processors.machine_facts import SPACING_BINS
from processors.machine_readings import Facts, Readings, Spectra

#: A mesh beyond this share of the Nyquist frequency lies in the anti-alias filter.
_USABLE_SHARE: Final = 0.85
#: A mesh stands over at least so many bins to either side, of which its sidebands are few.
_SURROUNDINGS_BINS: Final = 20.0
_BELT_HARMONICS: Final = 4
#: A belt's line counts if it is this share of all its lines.
_BELT_LINE_SHARE: Final = 0.1
_BANDS: Final = ((1000.0, "band_low_g"), (5000.0, "band_mid_g"), (math.inf, "band_high_g"))


def measure_train(facts: Facts, readings: Readings, spectra: Spectra) -> None:
    """Add what can be measured of gears and belts.

    Parameters
    ----------
    facts : Facts
        Is added to.
    readings : Readings
        The window; without a speed nothing is measured.
    spectra : Spectra
        Its spectra.
    """
    if readings.speed_rpm is None or readings.speed_rpm <= 0:
        return
    shaft_hz = readings.speed_rpm / 60.0
    for mesh in meshes(readings.train.gears):
        _mesh_facts(facts, readings, spectra, mesh, shaft_hz)
    for belt in readings.train.belts:
        _belt_facts(facts, readings, spectra, belt)


def _mesh_facts(facts: Facts, readings: Readings, spectra: Spectra, mesh: Mesh, shaft_hz: float) -> None:
    """Add the pair's mesh and the sidebands of that gear whose sidebands are highest, unless another pair's are."""
    mesh_hz = mesh.order * shaft_hz
    gears = (mesh.one, mesh.other)
    spacings_hz = [gear.shaft_ratio * shaft_hz for gear in gears]
    feature = next(name for top_hz, name in _BANDS if mesh_hz < top_hz)
    row = readings.loudest(readings.rows(), feature)
    if row is None or mesh_hz + 3.0 * max(spacings_hz) > 0.5 * _USABLE_SHARE * readings.sampling_rate_hz:
        return
    lines = spectra.of(row)
    at = lines.at(mesh_hz, min(0.005 * mesh_hz, 0.4 * min(spacings_hz)))
    if not lines.stands(at, max(0.5 * max(spacings_hz), _SURROUNDINGS_BINS * lines.bin_hz)):
        return
    if "mesh_g" not in facts.values or lines.rms(at) > facts.values["mesh_g"]:
        facts.add(row, {"mesh_g": lines.rms(at)}, {"mesh_g": at * lines.bin_hz})
        facts.parts["mesh_g"] = mesh.name
    apart_hz = min(*spacings_hz, abs(spacings_hz[0] - spacings_hz[1]) or math.inf)
    if apart_hz < SPACING_BINS * lines.bin_hz:
        facts.needed_s["sideband_ratio"] = max(facts.needed_s.get("sideband_ratio", 0.0), SPACING_BINS / apart_hz)
        return
    for gear, spacing_hz in zip(gears, spacings_hz, strict=True):
        _sideband_facts(facts, lines, row, at, gear, spacing_hz)


def _sideband_facts(facts: Facts, lines: Lines, row: int, at: int, gear: Gear, spacing_hz: float) -> None:
    mesh_hz, mesh_g = at * lines.bin_hz, lines.rms(at)
    found = {k: lines.at(mesh_hz + k * spacing_hz, 1.5 * lines.bin_hz) for k in (-2, -1, 1, 2)}
    levels = {k: lines.rms(line) for k, line in found.items() if lines.stands(line, 0.4 * spacing_hz)}
    both = -1 in levels and 1 in levels
    ratio = math.hypot(levels[-1], levels[1]) / mesh_g if both else 0.0
    if ratio < facts.values.get("sideband_ratio", 0.0):
        return
    facts.add(row, {"sideband_ratio": ratio, "sideband_lines": float(len(levels))}, {"sideband_ratio": spacing_hz})
    facts.parts["sideband_ratio"] = facts.parts["sideband_lines"] = gear.name


def _belt_facts(facts: Facts, readings: Readings, spectra: Spectra, belt: Belt) -> None:
    shaft_hz = (readings.speed_rpm or 0.0) / 60.0
    row = readings.loudest([r for r in readings.rows() if readings.places[r].direction != "axial"])
    if row is None:
        return
    lines = spectra.of(row)
    base_hz = belt_hz(belt.pulley_diameter_mm, belt.length_mm, 60.0 * shaft_hz * belt.shaft_ratio)
    apart_hz = {k: _apart_hz(k * base_hz, shaft_hz) for k in range(1, _BELT_HARMONICS + 1)}
    told = [k for k, apart in apart_hz.items() if apart >= SPACING_BINS * lines.bin_hz]
    if len(told) < 2 or base_hz < SPACING_BINS * lines.bin_hz:
        second_hz = min(sorted(apart_hz.values())[-2], base_hz)
        if second_hz > 0.0:
            facts.needed_s["belt_mm_s"] = facts.needed_s["belt_lines"] = SPACING_BINS / second_hz
        return
    levels = [lines.standing(k * base_hz, base_hz) for k in told]
    total = math.hypot(*levels)
    if total >= facts.values.get("belt_mm_s", 0.0):
        count = float(sum(level > _BELT_LINE_SHARE * total for level in levels))
        facts.add(row, {"belt_mm_s": total, "belt_lines": count}, {"belt_mm_s": base_hz})
        facts.parts["belt_mm_s"] = belt.name


def _apart_hz(frequency_hz: float, shaft_hz: float) -> float:
    """Return how far a frequency lies from the nearest multiple of the shaft's (but 0)."""
    return abs(frequency_hz - max(1, round(frequency_hz / shaft_hz)) * shaft_hz)
