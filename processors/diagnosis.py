"""From features and fault lines of one channel to a named fault, with its evidence and a confidence, never a certainty.

The order is fixed. A broken sensor is diagnosed first, and then nothing else, because every other rule would read its
wreckage. A bearing fault comes next: it is the most specific. What needs several channels, or the shaft, is judged for
the machine as a whole in ``machine_diagnosis``.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from contracts.assets import MeasurementPoint, RuleSettings
from contracts.features import FEATURE_INDEX
from contracts.records import Diagnosis, Evidence
from processors.families import LineFamily
from processors.health import SensorHealth

F32 = npt.NDArray[np.float32]

SENSOR_PREFIX: Final = "sensor_"
BEARING_FAULTS: Final[dict[str, str]] = {
    "BPFO": "outer_race",
    "BPFI": "inner_race",
    "BSF": "rolling_element",
    "FTF": "cage",
}
_RACES: Final = ("BPFO", "BPFI")
_LINE_NAMES: Final = {"BPFO": "BPFO", "BPFI": "BPFI", "BSF": "2xBSF", "FTF": "FTF"}
#: A loose mount: this share of the power, and this level, lie below 10 Hz and rise towards the lowest line.
_SLOPE_SHARE: Final = 0.5
_SLOPE_G: Final = 0.05
_SLOPE_PEAK_HZ: Final = 3.5
#: A slower shaft has lines of its own below 10 Hz.
_SLOPE_SPEED_RPM: Final = 600.0
_BANDS: Final = ("band_low_g", "band_mid_g", "band_high_g")
_SENSOR_CONFIRM: Final = {
    "invalid": "the acquisition's own log: numbers that are none come from a conversion, not from a machine",
    "dead": "the bias voltage of the sensor, and its cable",
    "clipped": "the same measurement with a larger range",
    "dropout": "the cable and its plug, moved by hand while the signal is watched",
    "biased": "the bias voltage of the sensor, cold and warm",
    "loose": "the mount: tighten it and measure again; a tap beside the sensor shows too low a mounted resonance",
}
_BEARING_CONFIRM: Final = {
    "outer_race": "the lines at another speed (they follow it), and the load zone of the race when it is replaced",
    "inner_race": "sidebands at the shaft speed around the line, and the lines at another speed (they follow it)",
    "rolling_element": "sidebands at the cage frequency around the line, and a sample of the grease",
    "cage": "the noise at start-up, and a sample of the grease: cage wear sheds metal of its own",
}
#: A family so far below the best one is no rival.
_RIVAL_DB: Final = 10.0
#: How exactly a line must lie on a sideband to be taken for it.
_SIDEBAND_SHARE: Final = 0.003
#: Sidebands of a race lie so many shaft frequencies away from its line.
_SIDEBANDS: Final = (-2, -1, 1, 2)
_HIGHEST_CONFIDENCE: Final = 0.95


def diagnose(
    point: MeasurementPoint,
    channel_id: str,
    values: F32,
    families: Sequence[LineFamily],
    health: SensorHealth,
    speed_rpm: float | None,
    rules: RuleSettings,
) -> Diagnosis | None:
    """Return what is probably wrong with a channel's sensor or bearing, or nothing.

    Parameters
    ----------
    point : MeasurementPoint
        Where the channel measures.
    channel_id : str
        The channel.
    values : ndarray, shape (len(FEATURES),), float32
        Its feature vector.
    families : sequence of LineFamily
        The lines of its bearing.
    health : SensorHealth
        The state of its signal.
    speed_rpm : float or None
        Shaft speed.
    rules : RuleSettings
        Bounds of the detection rules.

    Returns
    -------
    diagnosis : Diagnosis or None
        Fault, confidence and evidence.
    """
    found = _sensor_fault(health) or _loose_mount(values, speed_rpm) or _bearing_fault(families, speed_rpm, rules)
    if found is None:
        return None
    fault, confidence, evidence = found
    return Diagnosis(
        point_id=point.point_id,
        channel_id=channel_id,
        fault=fault,
        confidence=round(min(confidence, _HIGHEST_CONFIDENCE), 3),
        evidence=evidence,
        confirm=_SENSOR_CONFIRM.get(fault.removeprefix(SENSOR_PREFIX), _BEARING_CONFIRM.get(fault)),
        excludes=() if fault.startswith(SENSOR_PREFIX) else _ruled_out(families, rules),
    )


_Finding = tuple[str, float, tuple[Evidence, ...]]


def _sensor_fault(health: SensorHealth) -> _Finding | None:
    if health.verdict is None:
        return None
    share = 100.0 * health.longest_hold / health.n_samples
    name, value, unit, text = {
        "invalid": ("not_finite", health.not_finite, "1", f"{health.not_finite} samples are not numbers"),
        "dead": ("longest_hold", health.longest_hold, "1", f"The signal stands still for {share:.0f} % of the window"),
        "clipped": (
            "clipped_samples",
            health.clipped_samples,
            "1",
            f"{health.clipped_samples} samples lie flat on the limit of the measuring range,"
            f" in {health.abrupt_runs} places",
        ),
        "dropout": (
            "longest_hold",
            health.longest_hold,
            "1",
            f"The signal drops out: {health.longest_hold} samples in a row don't change",
        ),
        "biased": ("bias_g", health.bias_g, "g", f"The sensor's zero has moved to {health.bias_g:.2f} g"),
    }[health.verdict]
    evidence = Evidence(name=name, value=float(value), unit=unit, limit=None, frequency_hz=None, text=text)
    return f"{SENSOR_PREFIX}{health.verdict}", 0.9, (evidence,)


def _loose_mount(values: F32, speed_rpm: float | None) -> _Finding | None:
    """Return a loose mount where a slope below 10 Hz outweighs the signal.

    A sensor that rattles, or was overloaded, adds noise that rises towards the lowest frequency ("ski slope"). As a
    motion of a machine that turns faster than 10 Hz it would be tens of mm/s without a line.
    """
    if speed_rpm is None or speed_rpm < _SLOPE_SPEED_RPM:
        return None
    rms, peak_hz, *bands = (float(values[FEATURE_INDEX[name]]) for name in ("rms_g", "dominant_frequency_hz", *_BANDS))
    if not (rms > 0.0 and peak_hz <= _SLOPE_PEAK_HZ):
        return None
    share = 1.0 - sum(band**2 for band in bands if math.isfinite(band)) / rms**2
    below_g = rms * math.sqrt(max(share, 0.0))
    if share < _SLOPE_SHARE or below_g < _SLOPE_G:
        return None
    text = (
        f"{100.0 * share:.0f} % of the power ({below_g:.2g} g rms) lies below 10 Hz and rises towards 0 Hz without a"
        " line: the mount is loose, or the sensor was overloaded"
    )
    evidence = Evidence(
        name="below_10_hz", value=round(share, 4), unit="1", limit=_SLOPE_SHARE, frequency_hz=None, text=text
    )
    return f"{SENSOR_PREFIX}loose", 0.6, (evidence,)


def _bearing_fault(families: Sequence[LineFamily], speed_rpm: float | None, rules: RuleSettings) -> _Finding | None:
    """Return the fault whose family stands highest; one that may be the shaft itself doesn't count."""
    standing = [
        family
        for family in families
        if family.decided
        and family.ambiguous_with is None
        and family.standing(rules.fault_line_db) >= rules.fault_harmonics
    ]
    if not standing:
        return None
    ranked = sorted(_without_sidebands(standing, speed_rpm), key=_score, reverse=True)
    best = ranked[0]
    lead_db = _score(best) - max((_score(other) for other in ranked[1:]), default=rules.fault_line_db)
    excess_db = _score(best) - rules.fault_line_db
    confidence = 0.5 + 0.02 * min(max(excess_db, 0.0), 15.0) + 0.015 * min(max(lead_db, 0.0), 10.0)
    evidence = (
        _family_evidence(best, rules),
        *(_family_evidence(rival, rules) for rival in _rivals(best, families, rules)),
    )
    return BEARING_FAULTS[best.name], confidence, evidence


def _without_sidebands(standing: Sequence[LineFamily], speed_rpm: float | None) -> list[LineFamily]:
    """Leave out a family that lies where a standing race's line has a sideband.

    The load zone modulates an inner-race fault once a turn, an unbalance one of the outer race: a 6203's BPFI less the
    shaft speed looks like its 2xBSF, and so does a 6205's BPFO plus the shaft speed.
    """
    if speed_rpm is None:
        return list(standing)
    races = [family for family in standing if family.name in _RACES]
    return [family for family in standing if not any(_is_sideband(family, race, speed_rpm / 60.0) for race in races)]


def _is_sideband(family: LineFamily, race: LineFamily, shaft_hz: float) -> bool:
    if family is race or family.found_hz is None or race.found_hz is None:
        return False
    allowance_db = 0.0 if family.name in _RACES else _RIVAL_DB
    if _score(race) <= _score(family) - allowance_db:
        return False
    sidebands = (race.found_hz + order * shaft_hz for order in _SIDEBANDS)
    return any(abs(family.found_hz - sideband) <= _SIDEBAND_SHARE * family.found_hz for sideband in sidebands)


def _score(family: LineFamily) -> float:
    return family.score_db if family.score_db is not None else 0.0


def _rivals(best: LineFamily, families: Iterable[LineFamily], rules: RuleSettings) -> Iterable[LineFamily]:
    """Yield the families that stand nearly as high; lower ones mostly share lines with the best."""
    for family in families:
        near = _score(family) >= _score(best) - _RIVAL_DB
        if family is not best and near and family.standing(rules.fault_line_db) >= rules.fault_harmonics:
            yield family


def _ruled_out(families: Iterable[LineFamily], rules: RuleSettings) -> tuple[str, ...]:
    """Return the bearing faults whose lines could have been seen and don't stand."""
    return tuple(
        BEARING_FAULTS[family.name]
        for family in families
        if family.decided
        and family.ambiguous_with is None
        and family.standing(rules.fault_line_db) < rules.fault_harmonics
    )


def _family_evidence(family: LineFamily, rules: RuleSettings) -> Evidence:
    count = family.standing(rules.fault_line_db)
    name = _LINE_NAMES[family.name]
    text = f"{name} {family.found_hz:.1f} Hz: {count} harmonics, {_score(family):.1f} dB over the floor"
    if family.ambiguous_with is not None:
        text += f"; can't be told from {family.ambiguous_with} shaft speed"
    return Evidence(
        name=name,
        value=round(_score(family), 2),
        unit="dB",
        limit=rules.fault_line_db,
        frequency_hz=family.found_hz,
        text=text,
    )
