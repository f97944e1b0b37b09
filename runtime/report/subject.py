"""What a report is about, and the sentences that it says."""

import textwrap
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from contracts.features import FEATURE_INDEX
from contracts.records import Diagnosis, NotDecided
from processors.machine_recording import MachineJudgement
from processors.severity import Grade
from processors.whole_recording import RecordingJudgement
from runtime.recorded_machine import RecordedMachine

_WIDTH: Final = 128
_MOST_EVIDENCE: Final = 6
_MOST_OTHERS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A recording with its diagnosis; ``row`` is the channel that is drawn, ``steady`` what was judged.

    ``recorded`` is as it was measured; `steady` is over the shaft's angle where the speed varies.
    """

    recorded: RecordedMachine
    steady: RecordedMachine
    judged: MachineJudgement
    row: int
    diagnoses: tuple[Diagnosis, ...]
    not_decided: tuple[NotDecided, ...]
    graded: Grade
    verdicts: tuple[str, ...]

    @property
    def title(self) -> str:
        """The recording and the channel that is drawn."""
        return f"{self.recorded.title}, channel {self.recorded.names[self.row]}"

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
