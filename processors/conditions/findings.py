"""What one assessment says on each rule at one measurement point, before any persistence.

A rule that can't be answered from the window (not graded, still learning, a sensor at fault) gives no finding, which is
neither good nor bad news. A bearing fault that several points hear is placed where it is loudest; to the others it is
an echo, which neither raises nor clears.
"""

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from contracts.assets import RuleSettings
from contracts.features import FEATURE_INDEX
from contracts.records import Assessment, ChannelAssessment, Diagnosis, Evidence, Zone
from processors.conditions.gate import Finding, Verdict, worst
from processors.diagnosis import SENSOR_PREFIX
from processors.rule_table import FAULTS

#: Bearing fault → its feature, its name in a sentence.
BEARING_FAULTS: Final[dict[str, tuple[str, str]]] = {
    "outer_race": ("bpfo_db", "Outer-race fault"),
    "inner_race": ("bpfi_db", "Inner-race fault"),
    "rolling_element": ("bsf_db", "Rolling-element fault"),
    "cage": ("ftf_db", "Cage fault"),
}


@dataclass(frozen=True, slots=True)
class PointView:
    """One measurement point's part of an assessment, and by what to judge it.

    ``standing_fault`` is the bearing fault that stands at the point, if one does.
    """

    point_id: str
    rules: RuleSettings
    standing_fault: str | None
    channels: tuple[ChannelAssessment, ...]
    diagnoses: tuple[Diagnosis, ...]

    @property
    def zone(self) -> Zone | None:
        """The worst zone of the point's channels."""
        return worst([channel.zone for channel in self.channels])

    def feature(self, name: str) -> float | None:
        """Return the largest value of a feature over the point's channels; ``None`` where undefined on all."""
        index = FEATURE_INDEX[name]
        values = [channel.features[index] for channel in self.channels]
        return max((value for value in values if value is not None), default=None)

    def strongest(self, belongs: Callable[[str], bool]) -> Diagnosis | None:
        """Return the diagnosis of highest confidence among the faults that belong; ties go by channel and name."""
        fitting = [diagnosis for diagnosis in self.diagnoses if belongs(diagnosis.fault)]
        return max(fitting, key=lambda d: (d.confidence, d.channel_id, d.fault), default=None)

    def trusted(self) -> "PointView":
        """Return the view without the channels whose sensor is at fault: what they say is neither good nor bad news."""
        bad = {diagnosis.channel_id for diagnosis in self.diagnoses if _is_sensor_fault(diagnosis.fault)}
        if not bad:
            return self
        return dataclasses.replace(
            self,
            channels=tuple(channel for channel in self.channels if channel.channel_id not in bad),
            diagnoses=tuple(diagnosis for diagnosis in self.diagnoses if diagnosis.channel_id not in bad),
        )


def views(assessment: Assessment, rules: RuleSettings, standing_fault: Callable[[str], str | None]) -> list[PointView]:
    """Return the measurement points on which the assessment has something to say, in its order."""
    ids = dict.fromkeys(channel.point_id for channel in assessment.channels)
    return [
        PointView(
            point_id,
            rules,
            standing_fault(point_id),
            tuple(channel for channel in assessment.channels if channel.point_id == point_id),
            tuple(diagnosis for diagnosis in assessment.diagnoses if diagnosis.point_id == point_id),
        )
        for point_id in ids
    ]


def bearing_fault(view: PointView) -> Finding | None:
    """Hold while a bearing fault is diagnosed; clear once the standing fault's line is a deadband under its bound."""
    found = view.strongest(BEARING_FAULTS.__contains__)
    if found is not None:
        finding = _diagnosed(found, view)
        # "BPFO 106.4 Hz: 3 harmonics" stands after a colon already
        return dataclasses.replace(finding, text=finding.text.replace(": ", " with "))
    if view.standing_fault not in BEARING_FAULTS:
        return Finding(Verdict.CLEAR, view.zone)
    level_db = view.feature(BEARING_FAULTS[view.standing_fault][0])
    if level_db is None:
        return None
    below = level_db < view.rules.fault_line_db - view.rules.deadband_db
    return Finding(Verdict.CLEAR if below else Verdict.BETWEEN, view.zone)


def machine_fault(view: PointView) -> Finding | None:
    """Hold while a fault of the machine itself is diagnosed."""
    found = view.strongest(FAULTS.__contains__)
    return Finding(Verdict.CLEAR, view.zone) if found is None else _diagnosed(found, view)


def sensor_fault(view: PointView) -> Finding | None:
    """Hold while the sensor itself is at fault; the zone isn't told, since the signal can't be trusted."""
    found = view.strongest(_is_sensor_fault)
    if found is None:
        return Finding(Verdict.CLEAR)
    return Finding(Verdict.HOLDS, None, found.fault, found.confidence, found.evidence, _sentence(found.evidence))


def vibration_severity(view: PointView) -> Finding | None:
    """Hold in the zone of alarm or a worse one; clear one zone below."""
    zone = view.zone
    if zone is None:
        return None
    if zone < view.rules.zone_alarm:
        return Finding(Verdict.CLEAR, zone)
    evidence = _overall(view)
    return Finding(Verdict.HOLDS, zone, None, None, evidence, _sentence(evidence))


def anomaly(view: PointView) -> Finding | None:
    """Hold while any model's score lies above its threshold; clear while none does."""
    judged = [
        (score.value - score.threshold, score.model, channel.channel_id, score)
        for channel in view.channels
        for score in channel.scores
        if score.value is not None and score.threshold is not None
    ]
    if not judged:
        return None
    excess, *_, score = max(judged, key=lambda found: found[:3])
    if excess <= 0:
        return Finding(Verdict.CLEAR, view.zone)
    text = f"{score.model} score {score.value:.3g}, threshold {score.threshold:.3g}"
    because = _sentence(score.explanation)
    return Finding(Verdict.HOLDS, view.zone, None, None, score.explanation, f"{text} ({because})" if because else text)


def _is_sensor_fault(fault: str) -> bool:
    return fault.startswith(SENSOR_PREFIX)


def _diagnosed(found: Diagnosis, view: PointView) -> Finding:
    text = _sentence(found.evidence)
    return Finding(Verdict.HOLDS, view.zone, found.fault, found.confidence, found.evidence, text)


def _sentence(evidence: tuple[Evidence, ...]) -> str:
    return ", ".join(item.text for item in evidence[:3] if item.text)


def _overall(view: PointView) -> tuple[Evidence, ...]:
    made = []
    for name, what, unit in (
        ("velocity_rms_mm_s", "velocity", "mm/s"),
        ("displacement_rms_um", "displacement", "um"),
    ):
        value = view.feature(name)
        if value is not None:
            text = f"{what} {value:.1f} {unit} rms"
            made.append(Evidence(name=name, value=value, unit=unit, limit=None, frequency_hz=None, text=text))
    return tuple(made)


#: Rule → how one window is read, in the order in which conditions are reported.
RULES: Final[dict[str, Callable[[PointView], Finding | None]]] = {
    "sensor_fault": sensor_fault,
    "bearing_fault": bearing_fault,
    "machine_fault": machine_fault,
    "vibration_severity": vibration_severity,
    "anomaly": anomaly,
}


@functools.cache
def label(rule: str, fault: str | None) -> str:
    """Return what a sentence on this rule begins with.

    Examples
    --------
    >>> label("bearing_fault", "outer_race")
    'Outer-race fault'
    >>> label("machine_fault", "misalignment")
    'Misalignment'
    """
    if fault in BEARING_FAULTS:
        return BEARING_FAULTS[fault][1]
    if rule == "vibration_severity":
        return "High vibration"
    if rule == "anomaly":
        return "Unusual vibration"
    if rule == "model_refused":
        return "Model refused"
    return (fault or rule).replace("_", " ").capitalize()
