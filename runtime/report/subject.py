"""What a diagnosis of a recording comes to, and the sentences that a report says of it."""

import textwrap
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from contracts.features import FEATURE_INDEX
from contracts.records import Diagnosis, NotDecided
from processors.diagnosis import BEARING_FAULTS
from processors.machine_recording import MachineJudgement
from processors.own_features import FeatureCode
from processors.severity import Grade
from processors.whole_recording import RecordingJudgement
from processors.zone_tables import grade_asset
from runtime.recorded_machine import RecordedMachine

_WIDTH: Final = 128
_MOST_EVIDENCE: Final = 6
_MOST_OTHERS: Final = 3
#: Combs this close are one source's.
_SAME_SOURCE: Final = 0.005
_FAULTS: Final = {
    "outer_race": "outer-race fault",
    "inner_race": "inner-race fault",
    "rolling_element": "rolling-element fault",
    "cage": "cage fault",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A recording with its diagnosis; ``row`` is the channel that is drawn, ``steady`` what was judged.

    ``recorded`` is as it was measured; `steady` is over the shaft's angle where the speed varies. A motor's current may
    have been refused.
    """

    recorded: RecordedMachine
    steady: RecordedMachine
    judged: MachineJudgement
    row: int
    diagnoses: tuple[Diagnosis, ...]
    not_decided: tuple[NotDecided, ...]
    refused_because: str | None
    graded: Grade

    @property
    def title(self) -> str:
        """The recording and the channel that is drawn."""
        return f"{self.recorded.title}, channel {self.recorded.names[self.row]}"

    @property
    def verdicts(self) -> tuple[str, ...]:
        """A sentence for each diagnosis; one if there is none."""
        return tuple(self.verdict_of(found) for found in self.diagnoses) or ("Verdict: nothing found",)

    def verdict_of(self, found: Diagnosis) -> str:
        """Return the sentence that names a fault, and its place where there is more than one."""
        fault = _FAULTS.get(found.fault, found.fault.replace("_", " "))
        place = "" if len(self.recorded.names) == 1 else f" at {found.point_id}"
        return f"Verdict: {fault}{place}, confidence {100 * found.confidence:.0f} %"

    @property
    def channel(self) -> RecordingJudgement:
        """What the drawn channel says."""
        return self.judged.channels[self.row]

    @property
    def rate_hz(self) -> float:
        """Sampling rate of what was judged."""
        return self.steady.machine.sampling_rate_hz

    @property
    def shaft_hz(self) -> float | None:
        """Mean speed of the reference shaft, Hz."""
        return self.recorded.speed_rpm / 60.0 if self.recorded.speed_rpm else None

    @property
    def samples_g(self) -> NDArray[np.float32]:
        """The drawn channel as it was judged, finite."""
        finite: NDArray[np.float32] = np.nan_to_num(self.steady.samples_g[self.row])
        return finite

    @property
    def window_g(self) -> NDArray[np.float32]:
        """The stretch that the judgement looked at first."""
        return self.samples_g[: round(self.channel.window_s * self.rate_hz)]

    @property
    def band_hz(self) -> tuple[float, float]:
        """The demodulation band; NaN where there is none."""
        low, high = (float(self.channel.values[FEATURE_INDEX[f"envelope_{edge}_hz"]]) for edge in ("low", "high"))
        return low, high

    def facts(self) -> list[str]:
        """Return what was measured, and how."""
        judged, graded, recorded = self.channel, self.graded, self.recorded
        zone = f"zone {graded.zone.value}" if graded.zone is not None else f"not graded: {graded.not_graded_because}"
        speed = "speed unknown" if recorded.speed_rpm is None else f"{recorded.speed_rpm:.6g} rpm"
        if recorded.speed_varies:
            speed += " on average, analysed over the shaft's angle"
        velocity, rms_g, kurtosis = (
            float(judged.values[FEATURE_INDEX[name]]) for name in ("velocity_rms_mm_s", "rms_g", "kurtosis")
        )
        with_others = f" ({len(recorded.names)} channels judged together)" if len(recorded.names) > 1 else ""
        rate_hz = recorded.machine.sampling_rate_hz
        return [
            f"{judged.n_windows} x {judged.window_s:.2f} s at {rate_hz:g} Hz, {speed}{with_others}",
            f"Velocity {velocity:.2f} mm/s rms, {zone}; acceleration {rms_g:.3g} g rms, kurtosis {kurtosis:.2f}",
        ]

    def evidence(self) -> list[str]:
        """Return what speaks for the verdict; without one, how high each line of the bearing stands."""
        if self.diagnoses:
            return [item.text for item in self.diagnoses[0].evidence[:_MOST_EVIDENCE]]
        return [
            f"{family.name}: {family.score_db:.1f} dB over the floor, {self.channel.limit_db:.1f} dB needed"
            for family in self.channel.families
            if family.score_db is not None
        ]

    def foreign(self) -> list[str]:
        """Return what lies near the bearing's lines and isn't the bearing's; nothing where it has a fault.

        A fault modulates the machine's lines, and combs of its own may reach the other families.
        """
        if any(found.fault in BEARING_FAULTS.values() for found in self.diagnoses):
            return []
        reached: dict[float, list[str]] = {}
        for family in self.channel.families:
            if family.foreign_hz is not None:
                near = (hz for hz in reached if abs(hz - family.foreign_hz) <= _SAME_SOURCE * hz)
                reached.setdefault(next(near, family.foreign_hz), []).append(family.name)
        return [
            f"lines every {hz:.3g} Hz (something strikes every {1.0 / hz:.3g} s) reach {', '.join(names)}"
            for hz, names in reached.items()
        ]

    def notes(self) -> list[tuple[str, str]]:
        """Return headings and sentences beside the verdict: confirmation, exclusions, other faults, open questions."""
        notes = []
        first = self.diagnoses[0] if self.diagnoses else None
        if first is not None and first.confirm:
            notes.append(("To confirm", first.confirm))
        if first is not None and first.excludes:
            notes.append(("Excludes", ", ".join(name.replace("_", " ") for name in first.excludes)))
        for verdict, other in zip(self.verdicts[1:], self.diagnoses[1 : 1 + _MOST_OTHERS], strict=False):
            because = other.evidence[0].text if other.evidence else ""
            notes.append(("Also", f"{verdict.removeprefix('Verdict: ')}; {because}"))
        notes += [("Not the bearing's", line) for line in self.foreign()]
        if self.not_decided:
            notes.append(("Not decided", _open_questions(self.not_decided)))
        return notes


def _open_questions(questions: tuple[NotDecided, ...]) -> str:
    by_length: dict[float | None, list[str]] = {}
    for question in questions:
        by_length.setdefault(question.needed_s, []).append(question.name.replace("_", " "))
    return "; ".join(
        f"{', '.join(dict.fromkeys(names))} ({needed_s:.1f} s needed)" if needed_s else ", ".join(dict.fromkeys(names))
        for needed_s, names in by_length.items()
    )


def wrapped(text: str, indent: str = "    ") -> str:
    """Return a sentence in lines that fit the page."""
    return f"\n{indent}".join(textwrap.wrap(text, _WIDTH))


def judge(recorded: RecordedMachine, load_ratio: float | None, code: FeatureCode) -> Subject:
    """Return what a recording says.

    Parameters
    ----------
    recorded : RecordedMachine
        The recording.
    load_ratio : float or None
        Load over full load, for a motor's current.
    code : FeatureCode
        What else is computed of each channel.

    Returns
    -------
    subject : Subject
        Drawn is the channel where the first verdict is placed.
    """
    steady = recorded.at_steady_speed()
    judged = steady.judge(code)
    of_current, refused_because = recorded.judge_current(load_ratio)
    diagnoses = sorted((*judged.verdict.diagnoses, *of_current), key=lambda one: one.confidence, reverse=True)
    row = judged.row_of(recorded.machine)
    lines = tuple(
        NotDecided(name=family.name, needed_s=family.needed_s)
        for family in judged.channels[row].families
        if not family.decided
    )
    velocity, displacement = (
        float(judged.channels[row].values[FEATURE_INDEX[name]]) for name in ("velocity_rms_mm_s", "displacement_rms_um")
    )
    graded = grade_asset(velocity, displacement, recorded.asset)
    if recorded.speed_varies:
        graded = Grade(None, "the speed varies; zones are for steady running")
    undecided = (*lines, *(one for channel in judged.verdict.not_decided for one in channel))
    return Subject(
        recorded=recorded,
        steady=steady,
        judged=judged,
        row=row,
        diagnoses=tuple(diagnoses),
        not_decided=undecided,
        refused_because=refused_because,
        graded=graded,
    )
