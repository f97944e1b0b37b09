"""A diagnosis as text: for a reader at a terminal, and for a program."""

import math
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from contracts.features import FEATURE_INDEX, FEATURE_NAMES
from contracts.records import Diagnosis
from processors.families import LineFamily
from processors.whole_recording import RecordingJudgement
from runtime.report.subject import Subject


def as_object(subject: Subject) -> dict[str, Any]:
    """Return what is found as one JSON object."""
    found = subject.diagnoses[0] if subject.diagnoses else None
    return {
        "channel": subject.recorded.names[subject.row],
        "channels": list(subject.recorded.names),
        "speed_rpm": subject.recorded.speed_rpm,
        "zone": None if subject.graded.zone is None else subject.graded.zone.value,
        "not_graded_because": subject.graded.not_graded_because,
        "features": {
            feature: None if math.isnan(value) else value
            for feature, value in zip(FEATURE_NAMES, subject.channel.values.tolist(), strict=True)
        },
        "own_features": subject.channel.own_features,
        "lines": [_line(family) for family in subject.channel.families],
        "verdict": {
            "fault": None if found is None else found.fault,
            "confidence": None if found is None else found.confidence,
            "evidence": [] if found is None else msgspec.to_builtins(found.evidence),
            "confirm": None if found is None else found.confirm,
            "excludes": [] if found is None else list(found.excludes),
        },
        "diagnoses": msgspec.to_builtins(subject.diagnoses),
        "not_decided": msgspec.to_builtins(subject.not_decided),
    }


def _line(family: LineFamily) -> dict[str, Any]:
    return {
        "name": family.name,
        "frequency_hz": family.frequency_hz,
        "found_hz": family.found_hz,
        "score_db": family.score_db,
        "harmonics": [{"frequency_hz": frequency, "level_db": level} for frequency, level in family.harmonics],
        "ambiguous_with": family.ambiguous_with,
        "decided": family.decided,
        "needed_s": family.needed_s,
        "foreign_hz": family.foreign_hz,
    }


def show(console: Console, subject: Subject) -> None:
    """Print what is found: zone, lines of the bearing, open questions, verdicts with their grounds."""
    recorded, judged = subject.recorded, subject.channel
    velocity = float(judged.values[FEATURE_INDEX["velocity_rms_mm_s"]])
    speed = f"{recorded.speed_rpm:.6g} rpm" if recorded.speed_rpm else "speed unknown"
    tracked = ", over the shaft's angle" if recorded.speed_varies else ""
    windows = f"{judged.n_windows} x {judged.window_s:.2f} s"
    console.print(f"{recorded.title}, channel {recorded.names[subject.row]}: {windows}, {speed}{tracked}")
    if len(recorded.names) > 1:
        console.print(f"Judged together: {', '.join(recorded.names)}")
    graded = subject.graded
    zone = f"zone {graded.zone.value}" if graded.zone is not None else f"not graded: {graded.not_graded_because}"
    console.print(f"Velocity {velocity:.2f} mm/s rms, {zone}")
    for own, value in judged.own_features.items():
        console.print(f"{own}: {'undefined' if value is None else f'{value:.4g}'}")
    if judged.families:
        console.print(_table(judged))
    else:
        console.print("No fault frequencies: they need a bearing (--bearing), a speed (--rpm) and a living signal")
    for question, needed_s in _undecided(subject):
        console.print(f"Not decided: {question}{f'; {needed_s:.1f} s needed' if needed_s else ''}")
    for line in subject.foreign():
        console.print(f"Not the bearing's: {line}")
    for verdict, found in zip(subject.verdicts, subject.diagnoses or (None,), strict=True):
        console.print(verdict)
        if found is not None:
            _show_grounds(console, found)


def _undecided(subject: Subject) -> list[tuple[str, float | None]]:
    """Return the machine's faults by the length that they need, and why a current says nothing."""
    lines = {family.name for family in subject.channel.families}
    by_length: dict[float | None, list[str]] = {}
    for one in subject.not_decided:
        if one.name not in lines:
            by_length.setdefault(one.needed_s, []).append(one.name.replace("_", " "))
    asked: list[tuple[str, float | None]] = [(", ".join(names), needed_s) for needed_s, names in by_length.items()]
    if subject.refused_because is not None:
        asked.append((f"rotor bar: {subject.refused_because}", None))
    return asked


def _show_grounds(console: Console, found: Diagnosis) -> None:
    for evidence in found.evidence:
        console.print(f"  {evidence.text}")
    if found.confirm:
        console.print(f"  To confirm: {found.confirm}")
    if found.excludes:
        console.print(f"  Excludes: {', '.join(name.replace('_', ' ') for name in found.excludes)}")


def _table(judged: RecordingJudgement) -> Table:
    band = [float(judged.values[FEATURE_INDEX[f"envelope_{edge}_hz"]]) for edge in ("low", "high")]
    table = Table(
        title=f"Squared envelope spectrum, {band[0]:.0f} to {band[1]:.0f} Hz; bound {judged.limit_db:.1f} dB",
        title_justify="left",
    )
    for heading in ("line", "expected Hz", "found Hz", "over the floor dB", "harmonics dB", "remark"):
        table.add_column(heading, justify="left" if heading in ("line", "remark") else "right")
    for family in judged.families:
        levels = " ".join(f"{level:.0f}" for _, level in family.harmonics)
        if not family.decided or family.found_hz is None or family.score_db is None:
            remark = (
                f"not decided: needs {family.needed_s:.1f} s" if family.needed_s else "not decided: band too narrow"
            )
            table.add_row(family.name, f"{family.frequency_hz:.2f}", "", "", "", remark)
            continue
        remark = f"ambiguous with {family.ambiguous_with} shaft speed" if family.ambiguous_with else ""
        if family.foreign_hz is not None:
            remark = f"without lines every {family.foreign_hz:.3g} Hz"
        row = (f"{family.frequency_hz:.2f}", f"{family.found_hz:.2f}", f"{family.score_db:.1f}", levels, remark)
        table.add_row(family.name, *row)
    return table
