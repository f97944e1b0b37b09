"""How often the diagnosis of bearings is right, on recordings whose truth is known.

Every record is judged as a whole at the channel next to the damage, by the same code that ``diagnose`` runs and with
the default rules. A healthy record is judged whole and in segments, at every channel: one faulty verdict at any channel
makes the segment a false alarm. No answer is not a wrong answer, and both are counted.

A run to failure is healthy evidence in its first third. Its bursts are judged one by one: between them nothing was
recorded, so putting them together would make lines that no bearing made.
"""

import collections
import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from adapters.recordings import RecordedChannel, Recording, Waveform
from contracts.assets import MeasurementPoint, RuleSettings
from contracts.errors import SignalError
from contracts.records import Diagnosis
from contracts.units import factor_to_canonical
from pipelines.evaluation.femto import HEALTHY_SHARE
from processors.bearings import bearing
from processors.families import LineFamily
from processors.whole_recording import RecordingJudgement, judge_recording

#: The label of a healthy machine.
HEALTHY: Final = "normal"
#: A healthy record is cut into so many segments, which overlap where it is short,
SEGMENTS: Final = 10
#: because a shorter one than this answers nothing, s.
_SHORTEST_S: Final = 1.0
_NOTHING: Final = "nothing found"
_UNDECIDED: Final = "not decided"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was said of one record or segment; ``fault`` is null where nothing was found."""

    record: str
    truth: str
    channel: str
    decided: bool
    fault: str | None
    confidence: float | None
    evidence: tuple[str, ...]

    @property
    def correct(self) -> bool:
        """Whether the verdict is the truth."""
        return self.fault == self.truth if self.truth != HEALTHY else self.fault is None

    @property
    def said(self) -> str:
        """Return the verdict in a word."""
        return self.fault or (_NOTHING if self.decided else _UNDECIDED)

    def as_object(self) -> dict[str, Any]:
        """Return the verdict for JSON."""
        return {**msgspec.to_builtins(self), "correct": self.correct}


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All verdicts: those on fault records, and those on healthy segments."""

    faults: tuple[Verdict, ...]
    healthy: tuple[Verdict, ...]

    def as_object(self) -> dict[str, Any]:
        """Return the counts, with the verdict on each fault record and on each healthy segment called faulty."""
        called_faulty = [verdict for verdict in self.healthy if not verdict.correct]
        return {
            "records": len(self.faults),
            "correct": sum(verdict.correct for verdict in self.faults),
            "healthy": len(self.healthy),
            "healthy_called_faulty": len(called_faulty),
            "not_decided": sum(not verdict.decided for verdict in (*self.faults, *self.healthy)),
            "per_record": [verdict.as_object() for verdict in (*self.faults, *called_faulty)],
        }

    def confusion(self) -> dict[str, dict[str, int]]:
        """Return how often each truth got each verdict."""
        table: dict[str, dict[str, int]] = {}
        for verdict in (*self.faults, *self.healthy):
            row = table.setdefault(verdict.truth, collections.Counter())
            row[verdict.said] = row.get(verdict.said, 0) + 1
        return table


def judge(recording: Recording) -> Iterator[Verdict]:
    """Yield the verdict on a record with a fault, or those on a healthy record and its segments.

    Raises
    ------
    SignalError
        If the record has no waveform, no label or no speed, or a channel without a bearing.
    """
    if not isinstance(recording.signal, Waveform) or recording.label is None or recording.speed_rpm is None:
        raise SignalError(f"{recording.name}: a labelled waveform at a known speed needed")
    samples, rate_hz = recording.signal.samples, recording.signal.sampling_rate_hz
    if recording.label == HEALTHY:
        whole = [(0, samples.shape[1]), *segments(samples.shape[1], rate_hz)]
        for start, stop in whole:
            name = f"{recording.name} {start / rate_hz:.2f}-{stop / rate_hz:.2f} s"
            yield _loudest(recording, name, samples[:, start:stop], range(len(recording.channels)))
        return
    near = [row for row, channel in enumerate(recording.channels) if channel.name == recording.label_channel]
    yield _loudest(recording, recording.name, samples, near or range(len(recording.channels)))


def judge_healthy(recording: Recording) -> Iterator[Verdict]:
    """Yield the verdicts on what is healthy in a recording: all of a healthy one, the first third of a run to failure.

    Nothing is yielded for a record with a fault.

    Raises
    ------
    SignalError
        As `judge`.
    """
    if isinstance(recording.signal, Waveform) and recording.signal.burst_starts_s is not None:
        yield from _judge_bursts(recording, recording.signal, recording.signal.burst_starts_s)
    elif recording.label == HEALTHY:
        yield from judge(recording)


def _judge_bursts(recording: Recording, signal: Waveform, starts_s: NDArray[np.float64]) -> Iterator[Verdict]:
    length = signal.burst_samples or 0
    healthy = dataclasses.replace(recording, label=HEALTHY)
    for index in np.flatnonzero(starts_s < HEALTHY_SHARE * signal.duration_s).tolist():
        name = f"{recording.name}, burst at {starts_s[index]:.0f} s"
        samples = signal.samples[:, index * length : (index + 1) * length]
        yield _loudest(healthy, name, samples, range(len(recording.channels)))


def segments(n_samples: int, sampling_rate_hz: float) -> list[tuple[int, int]]:
    """Return first and last sample (excluded) of the segments of a healthy record.

    Examples
    --------
    >>> segments(2000, 1000.0)[:3]
    [(0, 1000), (111, 1111), (222, 1222)]
    """
    length = min(n_samples, max(n_samples // SEGMENTS, int(_SHORTEST_S * sampling_rate_hz)))
    return [(round(s), round(s) + length) for s in np.linspace(0, n_samples - length, SEGMENTS)]


def _loudest(recording: Recording, name: str, samples: NDArray[np.float32], rows: Sequence[int]) -> Verdict:
    """Return the verdict of the channel that is surest of a fault."""
    verdicts = [_verdict(recording, name, samples[row], recording.channels[row]) for row in rows]
    return max(verdicts, key=lambda verdict: (verdict.confidence or 0.0, verdict.decided))


def _verdict(recording: Recording, name: str, samples: NDArray[np.float32], channel: RecordedChannel) -> Verdict:
    if channel.bearing is None or not isinstance(recording.signal, Waveform):
        raise SignalError(f"{recording.name}: the bearing at channel {channel.name} is unknown")
    judged = judge_recording(
        samples * np.float32(factor_to_canonical(channel.quantity, channel.unit)),
        recording.signal.sampling_rate_hz,
        recording.speed_rpm,
        bearing(channel.bearing),
        MeasurementPoint(point_id=channel.name, location=channel.name, direction="radial"),
        RuleSettings(),
    )
    found = judged.diagnosis
    return Verdict(
        record=name,
        truth=str(recording.label),
        channel=channel.name,
        decided=found is not None or any(family.decided for family in judged.families),
        fault=None if found is None else found.fault,
        confidence=None if found is None else found.confidence,
        evidence=_evidence(found, judged),
    )


def _evidence(found: Diagnosis | None, judged: RecordingJudgement) -> tuple[str, ...]:
    """Return the evidence, or, where nothing was found, how high each family stands and how high it should."""
    if found is not None:
        return tuple(evidence.text for evidence in found.evidence)
    return tuple(_height(family, judged.limit_db) for family in judged.families)


def _height(family: LineFamily, limit_db: float) -> str:
    if family.score_db is None:
        return f"{family.name} not decided: needs {family.needed_s or 0.0:.1f} s"
    unconfirmed = ", but in the chosen band alone or only together with tones" if family.score_db >= limit_db else ""
    return f"{family.name} {family.score_db:.1f} dB over the floor, {limit_db:.1f} dB needed{unconfirmed}"
