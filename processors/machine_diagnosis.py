"""What is wrong with a machine, from all channels that are sampled together.

The order is fixed. A channel whose sensor is at fault is diagnosed as that and takes no further part. A bearing fault
that several channels hear is one fault, placed where its impacts are highest, with the other channels as evidence: the
impacts of one bearing pass through the whole machine. The rule table for shafts, gears, belts and flow comes last, and
is silent at a bearing that is at fault, whose lines it would read. What no fault explains is a significant change.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from contracts.assets import DriveTrain, MeasurementPoint, RuleSettings
from contracts.records import Diagnosis, NotDecided
from processors.bearing_places import STAYS, place_bearing_faults
from processors.diagnosis import SENSOR_PREFIX, diagnose
from processors.features import FeatureBlock
from processors.lines import Transforms
from processors.machine_facts import measure
from processors.machine_readings import Facts, Place, Readings, Spectra
from processors.machine_rules import Finding, judge
from processors.rule_table import CHANGE
from processors.train_facts import measure_train

F32 = npt.NDArray[np.float32]

#: What a bearing fault explains, wherever it is.
_WITHOUT_BEARING_FAULT: Final = ("cavitation", CHANGE)
_LEVEL: Final = "velocity_rms_mm_s"


@dataclass(frozen=True, slots=True)
class MachineVerdict:
    """What a window says of the whole machine.

    Parameters
    ----------
    diagnoses : tuple of Diagnosis
        One per fault.
    concerned : tuple of bool
        Channels at which a fault was found or heard: nothing may be learnt from them.
    not_decided : tuple of tuple of NotDecided
        Per channel the faults of the machine that this window is too short for.
    facts : Facts
        What the rules were judged on.
    """

    diagnoses: tuple[Diagnosis, ...]
    concerned: tuple[bool, ...]
    not_decided: tuple[tuple[NotDecided, ...], ...]
    facts: Facts


@dataclass(frozen=True, slots=True)
class Machine:
    """The channels of a machine that are sampled together, and what is known of it."""

    points: Sequence[MeasurementPoint]
    channel_ids: Sequence[str]
    sampling_rate_hz: float
    rules: RuleSettings
    train: DriveTrain
    boundary_bc_mm_s: float | None = None

    def judge(
        self,
        samples_g: F32,
        block: FeatureBlock,
        speed_rpm: float | None,
        healthy: F32 | None = None,
        suspected: Callable[[str], bool] = lambda _point_id: False,
    ) -> MachineVerdict:
        """Return what one window says.

        Parameters
        ----------
        samples_g : ndarray, shape (n_channels, n_samples), float32
            The window, g.
        block : FeatureBlock
            Its features, lines and sensor health.
        speed_rpm : float or None
            Speed of the reference shaft.
        healthy : ndarray, shape (n_channels, len(FEATURES)), float32, optional
            Features of the healthy machine in this regime; NaN where unknown.
        suspected : callable
            Tells of a point id whether a fault is suspected there already: between places that are nearly as loud it
            stays there.
        """
        families = block.families.heard(self.rules.fault_line_db, self.rules.fault_harmonics)
        single = [
            diagnose(
                point,
                self.channel_ids[row],
                block.values[row],
                families[row],
                block.health[row],
                speed_rpm,
                self.rules,
            )
            for row, point in enumerate(self.points)
        ]
        trusted = [is_sound(found) for found in single]
        readings = self.readings(samples_g, block.values, speed_rpm, trusted, healthy, block.transforms)
        return self.conclude(readings, measure_all(readings), single, suspected)

    def readings(
        self,
        samples_g: npt.NDArray[np.floating[Any]],
        values: F32,
        speed_rpm: float | None,
        trusted: Sequence[bool],
        healthy: F32 | None = None,
        transforms: Transforms | None = None,
    ) -> Readings:
        """Return what the facts of a window are measured on.

        Parameters
        ----------
        samples_g : ndarray, shape (n_channels, n_samples)
            The window, g.
        values : ndarray, shape (n_channels, len(FEATURES)), float32
            Its features.
        speed_rpm : float or None
            Speed of the reference shaft; at standstill it has none.
        trusted : sequence of bool
            Channels whose sensor is sound.
        healthy : ndarray, optional
            As for `judge`.
        transforms : Transforms, optional
            What the features were made from.
        """
        places = [Place(point.location, point.direction) for point in self.points]
        turning_rpm = speed_rpm if speed_rpm is not None and speed_rpm > 0 else None
        return Readings(
            samples_g,
            self.sampling_rate_hz,
            values,
            places,
            turning_rpm,
            self.train,
            trusted,
            healthy,
            transforms,
            self.boundary_bc_mm_s,
        )

    def conclude(
        self,
        readings: Readings,
        facts: Facts,
        single: Sequence[Diagnosis | None],
        suspected: Callable[[str], bool] = lambda _point_id: False,
    ) -> MachineVerdict:
        """Return what the channels say together, given what each says of its own sensor and bearing.

        Parameters
        ----------
        readings : Readings
            The window.
        facts : Facts
            What was measured in it.
        single : sequence of Diagnosis or None
            Per channel a sensor or a bearing fault, if there is one.
        suspected : callable
            As for `judge`.
        """
        judged = judge(facts)
        sensors = [found for found in single if found is not None and not is_sound(found)]
        bearings = place_bearing_faults(self.points, readings.values, single, suspected)
        machine = self._machine_faults(judged.findings, readings, bearings, suspected)
        not_decided: list[tuple[NotDecided, ...]] = [()] * len(self.points)
        row = readings.loudest(readings.rows())
        if judged.undecided and row is not None:
            not_decided[row] = tuple(NotDecided(name=u.fault, needed_s=u.needed_s) for u in judged.undecided)
        at_fault = {diagnosis.point_id for diagnosis in machine}
        concerned = tuple(
            found is not None or point.point_id in at_fault for found, point in zip(single, self.points, strict=True)
        )
        return MachineVerdict((*sensors, *bearings, *machine), concerned, tuple(not_decided), facts)

    def _machine_faults(
        self,
        findings: Sequence[Finding],
        readings: Readings,
        bearings: Sequence[Diagnosis],
        suspected: Callable[[str], bool],
    ) -> list[Diagnosis]:
        at_fault = {found.point_id for found in bearings}
        locations = {point.location for point in self.points if point.point_id in at_fault}
        kept = [
            finding
            for finding in findings
            if self.points[finding.row].location not in locations
            and not (bearings and finding.fault in _WITHOUT_BEARING_FAULT)
        ]
        return [self._placed(finding, readings, suspected) for finding in kept]

    def _placed(self, finding: Finding, readings: Readings, suspected: Callable[[str], bool]) -> Diagnosis:
        """Return a finding at the channel that is loudest, or at one nearly as loud where a fault is suspected."""
        level = readings.feature(finding.row, _LEVEL)
        axial = self.points[finding.row].direction == "axial"
        alike = [
            row
            for row in readings.rows()
            if (self.points[row].direction == "axial") == axial and readings.feature(row, _LEVEL) >= STAYS * level
        ]
        stays = [row for row in alike if suspected(self.points[row].point_id)]
        row = stays[0] if stays else finding.row
        return Diagnosis(
            point_id=self.points[row].point_id,
            channel_id=self.channel_ids[row],
            fault=finding.fault,
            confidence=finding.confidence,
            evidence=finding.evidence,
            confirm=finding.confirm,
            excludes=finding.excludes,
        )


def is_sound(found: Diagnosis | None) -> bool:
    """Return whether a channel's sensor is sound, given what was found at it.

    Examples
    --------
    >>> is_sound(None)
    True
    """
    return found is None or not found.fault.startswith(SENSOR_PREFIX)


def measure_all(readings: Readings) -> Facts:
    """Return every fact of a window that the rule table is judged on.

    Parameters
    ----------
    readings : Readings
        The window.
    """
    spectra = Spectra(readings)
    facts = measure(readings, spectra)
    measure_train(facts, readings, spectra)
    return facts
