"""From features and fault lines to a named fault, with its evidence and a confidence that is never a certainty.

The order is fixed. A broken sensor is diagnosed first, and then nothing else, because every other rule would read its
wreckage. A bearing fault comes next: it is the most specific. Unbalance and misalignment need real vibration, since the
first order dominates many a healthy machine.
"""

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

BEARING_FAULTS: Final[dict[str, str]] = {
    "BPFO": "outer_race",
    "BPFI": "inner_race",
    "BSF": "rolling_element",
    "FTF": "cage",
}
_RACES: Final = ("BPFO", "BPFI")
_LINE_NAMES: Final = {"BPFO": "BPFO", "BPFI": "BPFI", "BSF": "2xBSF", "FTF": "FTF"}
#: Below this velocity (boundary B/C of group 2 on rigid support) nobody balances or aligns a machine, mm/s rms.
_MACHINE_FAULT_MM_S: Final = 2.8
_UNBALANCE_SHARE: Final = 0.8
_MISALIGNMENT_RATIO: Final = 0.5
#: First and second order together must make up this share of the vibration.
_MISALIGNMENT_SHARE: Final = 0.7
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
    """Return what is probably wrong at a channel, or nothing.

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
    found = _sensor_fault(health)
    if found is None:
        found = _bearing_fault(families, speed_rpm, rules)
    if found is None and speed_rpm is not None:
        found = _machine_fault(point, values, speed_rpm)
    if found is None:
        return None
    fault, confidence, evidence = found
    return Diagnosis(
        point_id=point.point_id,
        channel_id=channel_id,
        fault=fault,
        confidence=round(min(confidence, _HIGHEST_CONFIDENCE), 3),
        evidence=evidence,
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
    return f"sensor_{health.verdict}", 0.9, (evidence,)


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


def _machine_fault(point: MeasurementPoint, values: F32, speed_rpm: float) -> _Finding | None:
    overall, first, second = (
        float(values[FEATURE_INDEX[name]]) for name in ("velocity_rms_mm_s", "order_1x_mm_s", "order_2x_mm_s")
    )
    # comparisons with NaN are false: what couldn't be computed proves nothing
    if not (overall >= _MACHINE_FAULT_MM_S and first > 0.0 and second >= 0.0):
        return None
    shaft_hz = speed_rpm / 60.0
    share = min(first / overall, 1.0)
    both_share = min(float(np.hypot(first, second)) / overall, 1.0)
    if second >= _MISALIGNMENT_RATIO * first and both_share >= _MISALIGNMENT_SHARE:
        text = f"2x {second:.1f} mm/s is {100 * second / first:.0f} % of 1x {first:.1f} mm/s"
        ratio = _order_evidence("order_2x_mm_s", second, _MISALIGNMENT_RATIO * first, 2.0 * shaft_hz, text)
        return "misalignment", 0.5 + 0.3 * both_share, (ratio,)
    if point.direction != "axial" and share >= _UNBALANCE_SHARE:
        text = f"1x {first:.1f} mm/s is {100 * share:.0f} % of the overall {overall:.1f} mm/s"
        line = _order_evidence("order_1x_mm_s", first, _UNBALANCE_SHARE * overall, shaft_hz, text)
        return "unbalance", 0.5 + 0.3 * share, (line,)
    return None


def _order_evidence(name: str, value: float, limit: float, frequency_hz: float, text: str) -> Evidence:
    return Evidence(name=name, value=value, unit="mm/s", limit=limit, frequency_hz=frequency_hz, text=text)
