"""What the channels of one machine say together about its shafts and its flow: orders, directions, phases.

Facts come from the features wherever those hold them. A line that no feature holds is measured in the spectrum of the
one channel that it is asked of, and the lines of a shaft only while the machine shakes: a quiet one is neither balanced
nor aligned, and a spectrum costs a tenth of the features.
"""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from contracts.assets import Direction, Shaft
from contracts.features import FEATURE_INDEX
from processors.lines import Lines, phase_deg
from processors.machine_readings import Facts, Place, Readings, Spectra

F32 = npt.NDArray[np.float32]

#: Below this velocity (boundary B/C of group 2 on rigid support) nobody balances or aligns a machine, mm/s rms.
WORTH_MM_S: Final = 2.8
#: Orders must lie this many bins apart to be told from each other,
SPACING_BINS: Final = 4.0
#: so a third, a half and the whirl between them need six times as many to the shaft.
_FRACTION_BINS: Final = 24.0
_HARMONICS: Final = 10
#: A harmonic counts if it is this share of the overall velocity.
_HARMONIC_SHARE: Final = 0.05
#: Orders between which the oil film whirls.
_WHIRL: Final = (0.38, 0.48)
_ACROSS: Final[dict[Direction, Direction]] = {
    "radial_horizontal": "radial_vertical",
    "radial_vertical": "radial_horizontal",
}
_CAVITATION_HZ: Final = 2000.0
#: The floor above 2 kHz is looked at once the level has risen by this much, dB.
_RISE_DB: Final = 6.0
_VELOCITY: Final = FEATURE_INDEX["velocity_rms_mm_s"]


def measure(readings: Readings, spectra: Spectra | None = None) -> Facts:
    """Return the facts of shafts, alignment and flow that can be measured.

    Parameters
    ----------
    readings : Readings
        The window.
    spectra : Spectra, optional
        Those of the window, where others look at them too.

    Returns
    -------
    facts : Facts
        Without speed only what doesn't need one.
    """
    spectra = spectra or Spectra(readings)
    facts = Facts()
    rows = readings.rows()
    _noise_facts(facts, readings, spectra, rows)
    _change_fact(facts, readings, rows)
    if readings.speed_rpm is None or readings.speed_rpm <= 0:
        return facts
    shaft_hz = readings.speed_rpm / 60.0
    radial = readings.loudest([row for row in rows if readings.places[row].direction != "axial"])
    axial = readings.loudest([row for row in rows if readings.places[row].direction == "axial"])
    _short_of(facts, readings, shaft_hz)
    if radial is not None:
        _radial_facts(facts, readings, radial, shaft_hz)
        if facts.values["radial_mm_s"] >= WORTH_MM_S:
            _line_facts(facts, readings, spectra.of(radial), radial, shaft_hz)
            _phase_h_v(facts, readings, spectra, radial, shaft_hz)
    if axial is not None:
        _axial_facts(facts, readings, axial, shaft_hz)
        if facts.values["axial_mm_s"] >= WORTH_MM_S:
            _axial_phases(facts, readings, spectra, shaft_hz)
    return facts


def _short_of(facts: Facts, readings: Readings, shaft_hz: float) -> None:
    """Note which facts the window is too short for."""
    shaft_bins = shaft_hz * readings.samples_g.shape[1] / readings.sampling_rate_hz
    if shaft_bins < SPACING_BINS:
        whole = ("share_1x", "share_1x_2x", "ratio_2x_1x", "harmonics", "axial_over_radial")
        phases = ("axial_share_1x", "phase_h_v_deg", "phase_across_deg", "phase_ends_deg")
        facts.needed_s.update(dict.fromkeys((*whole, *phases), SPACING_BINS / shaft_hz))
        if readings.train.blades is not None:
            facts.needed_s["share_blade"] = SPACING_BINS / shaft_hz
    if shaft_bins < _FRACTION_BINS:
        fractions = ("share_half", "share_third", "share_whirl")
        facts.needed_s.update(dict.fromkeys(fractions, _FRACTION_BINS / shaft_hz))


def _radial_facts(facts: Facts, readings: Readings, row: int, shaft_hz: float) -> None:
    overall = readings.feature(row, "velocity_rms_mm_s")
    first, second = (readings.feature(row, f"order_{order}x_mm_s") for order in (1, 2))
    values = {"radial_mm_s": overall, "radial_1x_mm_s": first, "radial_2x_mm_s": second}
    if overall > 0.0:
        values |= {
            "share_1x": min(first / overall, 1.0),
            "share_1x_2x": min(math.hypot(first, second) / overall, 1.0),
            "ratio_2x_1x": second / first if first > 0.0 else math.nan,
        }
    # comparisons with NaN are false, and min() of one may be either
    known = {name: value for name, value in values.items() if math.isfinite(first) or name == "radial_mm_s"}
    lines_hz = {"radial_1x_mm_s": shaft_hz, "radial_2x_mm_s": 2.0 * shaft_hz, "share_1x": shaft_hz}
    facts.add(row, known, lines_hz | {"ratio_2x_1x": 2.0 * shaft_hz})


def _line_facts(facts: Facts, readings: Readings, lines: Lines, row: int, shaft_hz: float) -> None:
    """Add what the spectrum of the loudest radial channel shows beside the features."""
    overall, train = facts.values["radial_mm_s"], readings.train
    shaft_bins = shaft_hz / lines.bin_hz
    values: dict[str, float] = {}
    hz: dict[str, float] = {}
    if shaft_bins >= SPACING_BINS:
        levels = (lines.standing(order * shaft_hz, shaft_hz) for order in range(1, _HARMONICS + 1))
        values["harmonics"] = float(sum(level >= _HARMONIC_SHARE * overall for level in levels))
        if train.blades is not None:
            hz["share_blade"] = train.blades * shaft_hz
            values["share_blade"] = lines.velocity_mm_s(hz["share_blade"]) / overall
    if train.line_frequency_hz is not None:
        twice_hz = 2.0 * train.line_frequency_hz
        apart_bins = abs(twice_hz - round(twice_hz / shaft_hz) * shaft_hz) / lines.bin_hz
        if apart_bins >= SPACING_BINS:
            hz["share_2line"], values["share_2line"] = twice_hz, lines.velocity_mm_s(twice_hz) / overall
        elif apart_bins > 0.1:
            facts.needed_s["share_2line"] = lines.length_s * SPACING_BINS / apart_bins
    if shaft_bins >= _FRACTION_BINS:
        for name, order in (("share_half", 0.5), ("share_third", 1.0 / 3.0)):
            hz[name], values[name] = order * shaft_hz, lines.standing(order * shaft_hz, shaft_hz) / overall
        hz["share_whirl"] = lines.strongest_hz(_WHIRL[0] * shaft_hz, _WHIRL[1] * shaft_hz)
        values["share_whirl"] = lines.standing(hz["share_whirl"], shaft_hz) / overall
    facts.add(row, values, hz)


def _axial_facts(facts: Facts, readings: Readings, row: int, shaft_hz: float) -> None:
    first, second = (readings.feature(row, f"order_{order}x_mm_s") for order in (1, 2))
    values = {
        "axial_mm_s": readings.feature(row, "velocity_rms_mm_s"),
        "axial_1x_mm_s": first,
        "axial_2x_mm_s": second,
    }
    if values["axial_mm_s"] > 0.0:
        values["axial_share_1x"] = first / values["axial_mm_s"]
    reference = facts.values.get("radial_1x_mm_s", 0.0)
    if reference > 0.0 and math.isfinite(first) and math.isfinite(second):
        values["axial_over_radial"] = max(first, second) / reference
    facts.add(row, values, {"axial_share_1x": shaft_hz, "axial_1x_mm_s": shaft_hz, "axial_2x_mm_s": 2.0 * shaft_hz})


def _phase_h_v(facts: Facts, readings: Readings, spectra: Spectra, row: int, shaft_hz: float) -> None:
    """Add the phase of 1x between the two radial directions of the bearing that shakes most."""
    place = readings.places[row]
    across = _ACROSS.get(place.direction)
    if across is None or "share_1x" in facts.needed_s:
        return
    other = next((r for r in readings.rows() if readings.places[r] == Place(place.location, across)), None)
    if other is None:
        return
    facts.add(row, {"phase_h_v_deg": phase_deg(spectra.of(row), spectra.of(other), shaft_hz)})
    facts.lines_hz["phase_h_v_deg"] = shaft_hz


def _axial_phases(facts: Facts, readings: Readings, spectra: Spectra, shaft_hz: float) -> None:
    """Add the axial phase of 1x between the ends of one shaft, and across the coupling between two.

    Which shaft a location belongs to must be described: one reading means a bent shaft here, a bad alignment there.
    """
    shaft_of = {location: shaft for shaft in readings.train.shafts for location in shaft.locations}
    axial = [row for row in readings.rows() if readings.places[row].direction == "axial"]
    known = [row for row in axial if _turns_at_1x(shaft_of.get(readings.places[row].location))]
    if "share_1x" in facts.needed_s:
        return
    for i, one in enumerate(known):
        for other in known[i + 1 :]:
            here, there = readings.places[one].location, readings.places[other].location
            if here == there:
                continue
            name = "phase_ends_deg" if shaft_of[here] is shaft_of[there] else "phase_across_deg"
            if name not in facts.values:
                facts.add(one, {name: phase_deg(spectra.of(one), spectra.of(other), shaft_hz)}, {name: shaft_hz})


def _turns_at_1x(shaft: Shaft | None) -> bool:
    return shaft is not None and shaft.ratio == 1.0


def _noise_facts(facts: Facts, readings: Readings, spectra: Spectra, rows: Sequence[int]) -> None:
    """Add how far the level above 1 kHz has risen over the healthy machine, and how flat it is above 2 kHz.

    Only for a machine with an impeller: nothing else cavitates. Flatness is the geometric over the arithmetic mean.
    """
    if readings.train.blades is None or readings.healthy is None:
        return
    levels = {row: (_high_g(readings.values[row]), _high_g(readings.healthy[row])) for row in rows}
    rises = {r: 20.0 * math.log10(now / healthy) for r, (now, healthy) in levels.items() if now > 0.0 and healthy > 0.0}
    row = max(rises, key=lambda r: rises[r], default=None)
    if row is None:
        return
    facts.add(row, {"high_rise_db": rises[row]})
    if rises[row] >= _RISE_DB:
        lines = spectra.of(row)
        band = lines.power[math.ceil(_CAVITATION_HZ / lines.bin_hz) : -1]
        if band.size >= 16 and float(band.min()) > 0.0:
            facts.add(row, {"high_flatness": math.exp(float(np.log(band).mean())) / float(band.mean())})


def _change_fact(facts: Facts, readings: Readings, rows: Sequence[int]) -> None:
    """Add how far the velocity has moved from the healthy machine's, up or down, as a share of boundary B/C."""
    if readings.healthy is None or readings.boundary_bc_mm_s is None:
        return
    velocities = {
        row: (float(readings.healthy[row, _VELOCITY]), float(readings.values[row, _VELOCITY])) for row in rows
    }
    changes = {row: abs(now - then) for row, (then, now) in velocities.items() if math.isfinite(now - then)}
    row = max(changes, key=lambda r: changes[r], default=None)
    if row is not None:
        then, now = velocities[row]
        facts.add(row, {"velocity_change": changes[row] / readings.boundary_bc_mm_s})
        facts.parts["velocity_change"] = f"from {then:.2g} to {now:.2g} mm/s rms"


def _high_g(values: F32) -> float:
    """Return the acceleration above 1 kHz, g rms, from a channel's features; NaN where the sampling rate is too low."""
    mid_g, high_g = (float(values[FEATURE_INDEX[name]]) for name in ("band_mid_g", "band_high_g"))
    return math.hypot(mid_g, 0.0 if math.isnan(high_g) else high_g)
