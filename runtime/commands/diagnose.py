"""``faultline diagnose``: one recording in, zone, fault-frequency table and verdict out."""

import json
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from adapters.recordings import Known, Recording, Waveform, read_recording
from contracts.assets import MachineGroup, MeasurementPoint, RuleSettings, Support
from contracts.errors import ConfigurationError, SignalError
from contracts.features import FEATURE_INDEX
from contracts.records import Diagnosis
from contracts.units import factor_to_canonical
from processors.bearings import BearingGeometry
from processors.bearings import bearing as geometry_of
from processors.families import LineFamily
from processors.severity import Grade, grade
from processors.whole_recording import RecordingJudgement, judge_recording

_FAULTS: Final = {
    "outer_race": "outer-race fault",
    "inner_race": "inner-race fault",
    "rolling_element": "rolling-element fault",
    "cage": "cage fault",
}


def diagnose(
    file: Annotated[Path, typer.Argument(help="Recording: .npz, .csv or .wav.")],
    *,
    sampling_rate_hz: Annotated[float | None, typer.Option(help="Sampling rate, Hz, where the file lacks it.")] = None,
    unit: Annotated[str | None, typer.Option(help="Unit of the acceleration: g or m/s2.")] = None,
    rpm: Annotated[float | None, typer.Option(help="Shaft speed.")] = None,
    bearing: Annotated[str | None, typer.Option(help="Bearing designation, e.g. 6205.")] = None,
    channel: Annotated[str | None, typer.Option(help="Channel; by default the one where most stands out.")] = None,
    group: Annotated[str | None, typer.Option(help="Machine group of ISO 20816-3: 1 or 2.")] = None,
    support: Annotated[str | None, typer.Option(help="Support of ISO 20816-3: rigid or flexible.")] = None,
    full_scale: Annotated[float | None, typer.Option(help="Value of the largest integer WAV sample.")] = None,
    file_format: Annotated[str | None, typer.Option("--format", help="File format, by default by ending.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write a one-page report, .html or .png.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Diagnose one recording: severity zone, fault-frequency table, verdict."""
    machine_group, machine_support = _machine(group, support)
    geometry = geometry_of(bearing) if bearing is not None else None
    known = Known(sampling_rate_hz=sampling_rate_hz, unit=unit, speed_rpm=rpm, bearing=bearing, full_scale=full_scale)
    recording = read_recording(file, file_format, known)
    name, judged = _judge(recording, channel, geometry)
    graded = grade(
        float(judged.values[FEATURE_INDEX["velocity_rms_mm_s"]]),
        float(judged.values[FEATURE_INDEX["displacement_rms_um"]]),
        machine_group,
        machine_support,
    )
    if report is not None:
        _write_report(report, recording, name, judged, graded)
    if as_json:
        print(json.dumps(_as_object(name, judged, graded)))
    else:
        _show(Console(), name, recording, judged, graded)


def _machine(group: str | None, support: str | None) -> tuple[MachineGroup | None, Support | None]:
    if group not in (None, "1", "2"):
        raise ConfigurationError(f"machine group {group!r}; ISO 20816-3 has groups 1 and 2")
    if support not in (None, "rigid", "flexible"):
        raise ConfigurationError(f"support {support!r}; rigid or flexible expected")
    return msgspec.convert(group, MachineGroup | None), msgspec.convert(support, Support | None)


def _judge(
    recording: Recording, channel: str | None, geometry: BearingGeometry | None
) -> tuple[str, RecordingJudgement]:
    """Return the chosen channel with its judgement, or the channel where most stands out."""
    waveform = _waveform_of(recording)
    names = [each.name for each in recording.channels]
    if channel is not None and channel not in names:
        raise ConfigurationError(f"no channel {channel!r} in {recording.name}; there are {', '.join(names)}")
    judgements: list[tuple[str, RecordingJudgement]] = []
    for row, each in enumerate(recording.channels):
        if each.name != channel and channel is not None:
            continue
        if each.quantity != "acceleration":
            raise SignalError(f"channel {each.name} holds {each.quantity}; acceleration needed")
        factor = np.float32(factor_to_canonical(each.quantity, each.unit))
        own = geometry or (geometry_of(each.bearing) if each.bearing else None)
        point = MeasurementPoint(point_id=each.name, location=each.name, direction="radial")
        judged = judge_recording(
            waveform.samples[row] * factor,
            waveform.sampling_rate_hz,
            recording.speed_rpm,
            own,
            point,
            RuleSettings(),
        )
        judgements.append((each.name, judged))
    return max(judgements, key=lambda pair: pair[1].diagnosis.confidence if pair[1].diagnosis else 0.0)


def _write_report(path: Path, recording: Recording, name: str, judged: RecordingJudgement, graded: Grade) -> None:
    from runtime import report as page  # noqa: PLC0415 (drawing is loaded where it is asked for)

    row = [channel.name for channel in recording.channels].index(name)
    channel = recording.channels[row]
    waveform = _waveform_of(recording)
    page.write(
        path,
        page.Subject(
            title=recording.name,
            channel=name,
            samples_g=waveform.samples[row] * np.float32(factor_to_canonical(channel.quantity, channel.unit)),
            sampling_rate_hz=waveform.sampling_rate_hz,
            speed_rpm=recording.speed_rpm,
            judged=judged,
            graded=graded,
            verdict=_verdict(judged.diagnosis),
        ),
    )


def _waveform_of(recording: Recording) -> Waveform:
    if not isinstance(recording.signal, Waveform):
        raise SignalError(f"{recording.name} holds slow readings, no waveform to diagnose")
    return recording.signal


def _as_object(name: str, judged: RecordingJudgement, graded: Grade) -> dict[str, Any]:
    found = judged.diagnosis
    return {
        "channel": name,
        "zone": None if graded.zone is None else graded.zone.value,
        "not_graded_because": graded.not_graded_because,
        "lines": [_line(family) for family in judged.families],
        "verdict": {
            "fault": None if found is None else found.fault,
            "confidence": None if found is None else found.confidence,
            "evidence": [] if found is None else msgspec.to_builtins(found.evidence),
        },
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
    }


def _show(console: Console, name: str, recording: Recording, judged: RecordingJudgement, graded: Grade) -> None:
    velocity = float(judged.values[FEATURE_INDEX["velocity_rms_mm_s"]])
    speed = f"{recording.speed_rpm:g} rpm" if recording.speed_rpm else "speed unknown"
    console.print(f"{recording.name}, channel {name}: {judged.n_windows} x {judged.window_s:.2f} s, {speed}")
    zone = f"zone {graded.zone.value}" if graded.zone is not None else f"not graded: {graded.not_graded_because}"
    console.print(f"Velocity {velocity:.2f} mm/s rms, {zone}")
    if judged.families:
        console.print(_table(judged))
    else:
        console.print("No fault frequencies: they need a bearing (--bearing), a speed (--rpm) and a living signal")
    console.print(_verdict(judged.diagnosis))
    for evidence in judged.diagnosis.evidence if judged.diagnosis else ():
        console.print(f"  {evidence.text}")


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
        row = (f"{family.frequency_hz:.2f}", f"{family.found_hz:.2f}", f"{family.score_db:.1f}", levels, remark)
        table.add_row(family.name, *row)
    return table


def _verdict(found: Diagnosis | None) -> str:
    if found is None:
        return "Verdict: nothing found"
    fault = _FAULTS.get(found.fault, found.fault.replace("_", " "))
    return f"Verdict: {fault}, confidence {100 * found.confidence:.0f} %"
