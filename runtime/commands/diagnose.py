"""``faultline diagnose``: one recording of a machine in, zone, fault-frequency table and verdict out."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from adapters.asset_files import read_asset_files, read_bearings
from adapters.recordings import Known, read_recording
from contracts.assets import AssetConfiguration, MachineGroup, OwnBearing, Support
from contracts.errors import ConfigurationError
from contracts.features import FEATURE_INDEX, FEATURE_NAMES
from contracts.records import Diagnosis, NotDecided
from processors.families import LineFamily
from processors.machine_recording import MachineJudgement
from processors.own_features import FeatureCode
from processors.severity import Grade
from processors.whole_recording import RecordingJudgement
from processors.zone_tables import grade_asset
from runtime.feature_code import load_feature_code
from runtime.recorded_machine import RecordedMachine, Wish, recorded_machine
from runtime.settings import load_settings

_FAULTS: Final = {
    "outer_race": "outer-race fault",
    "inner_race": "inner-race fault",
    "rolling_element": "rolling-element fault",
    "cage": "cage fault",
}


@dataclass(frozen=True, slots=True)
class _Result:
    """What a recording says: of the machine, and of the channel that the verdict is placed at."""

    recorded: RecordedMachine
    steady: RecordedMachine
    judged: MachineJudgement
    row: int
    diagnoses: tuple[Diagnosis, ...]
    not_decided: tuple[NotDecided, ...]
    refused_because: str | None
    graded: Grade

    @property
    def name(self) -> str:
        return self.recorded.names[self.row]

    @property
    def channel(self) -> RecordingJudgement:
        return self.judged.channels[self.row]

    def place(self, found: Diagnosis | None) -> str:
        """Return where a fault is, where there is more than one place."""
        return "" if found is None or len(self.recorded.names) == 1 else f" at {found.point_id}"

    @property
    def found(self) -> Diagnosis | None:
        return self.diagnoses[0] if self.diagnoses else None


def diagnose(
    file: Annotated[Path, typer.Argument(help="Recording: .npz, .csv or .wav; all its channels are used together.")],
    *,
    sampling_rate_hz: Annotated[float | None, typer.Option(help="Sampling rate, Hz, where the file lacks it.")] = None,
    unit: Annotated[str | None, typer.Option(help="Unit of the acceleration: g or m/s2.")] = None,
    rpm: Annotated[float | None, typer.Option(help="Shaft speed.")] = None,
    bearing: Annotated[str | None, typer.Option(help="Bearing designation, e.g. 6205.")] = None,
    channel: Annotated[
        list[str] | None,
        typer.Option(help="Use this channel; may be repeated. With an asset perhaps NAME=ID, its channel there."),
    ] = None,
    asset: Annotated[Path | None, typer.Option(help="Asset file: what each channel measures, and the machine.")] = None,
    asset_id: Annotated[str | None, typer.Option(help="Asset in that file, where it has several.")] = None,
    speed_channel: Annotated[str | None, typer.Option(help="Channel that holds the speed, rpm.")] = None,
    tacho: Annotated[str | None, typer.Option(help="Channel that holds a tacho's pulses.")] = None,
    pulses: Annotated[int, typer.Option(help="Pulses of the tacho per revolution.")] = 1,
    load: Annotated[float | None, typer.Option(help="Load over full load, for a motor's current.")] = None,
    group: Annotated[str | None, typer.Option(help="Machine group of ISO 20816-3: 1 or 2.")] = None,
    support: Annotated[str | None, typer.Option(help="Support of ISO 20816-3: rigid or flexible.")] = None,
    full_scale: Annotated[float | None, typer.Option(help="Value of the largest integer WAV sample.")] = None,
    file_format: Annotated[str | None, typer.Option("--format", help="File format, by default by ending.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write a one-page report, .html or .png.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Diagnose one recording: severity zone, fault-frequency table, verdict.

    \b
        ./faultline diagnose pump.wav --full-scale 50 --rpm 1780 --bearing 6205 --report pump.png
        ./faultline diagnose run.npz --asset plant.yaml --asset-id P-101 --channel 1=P-101-DE-H.acc --report run.html
    """
    machine_group, machine_support = _machine(group, support)
    settings = load_settings()
    own = read_bearings(settings.bearings) if settings.bearings else ()
    code = load_feature_code(settings)
    configured = _asset(asset, asset_id, own, code)
    known = Known(
        sampling_rate_hz=sampling_rate_hz,
        unit=unit or _unit_of(configured),
        speed_rpm=rpm,
        bearing=None,
        full_scale=full_scale,
    )
    wish = Wish(
        channels=tuple(channel or ()),
        asset=configured,
        bearing=bearing,
        own_bearings=own,
        speed_channel=speed_channel,
        tacho_channel=tacho,
        pulses_per_revolution=pulses,
        group=machine_group,
        support=machine_support,
    )
    result = _judge(recorded_machine(read_recording(file, file_format, known), wish), load, code)
    if report is not None:
        _write_report(report, result)
    if as_json:
        print(json.dumps(_as_object(result) | {"code_hash": code.code_hash}))
    else:
        _show(Console(highlight=False), result)


def _machine(group: str | None, support: str | None) -> tuple[MachineGroup | None, Support | None]:
    if group not in (None, "1", "2"):
        raise ConfigurationError(f"machine group {group!r}; ISO 20816-3 has groups 1 and 2")
    if support not in (None, "rigid", "flexible"):
        raise ConfigurationError(f"support {support!r}; rigid or flexible expected")
    return msgspec.convert(group, MachineGroup | None), msgspec.convert(support, Support | None)


def _asset(
    file: Path | None, asset_id: str | None, own: tuple[OwnBearing, ...], code: FeatureCode
) -> AssetConfiguration | None:
    if file is None:
        if asset_id is not None:
            raise ConfigurationError(f"asset {asset_id!r} of which file? give --asset")
        return None
    assets = {one.asset_id: one for one in read_asset_files([file], own, code.own).assets}
    if asset_id is None and len(assets) == 1:
        return next(iter(assets.values()))
    if asset_id not in assets:
        raise ConfigurationError(f"asset {asset_id!r}; {file} has {', '.join(assets) or 'none'}: give --asset-id")
    return assets[asset_id]


def _unit_of(asset: AssetConfiguration | None) -> str | None:
    """Return the unit of an asset's acceleration, where all its channels agree."""
    points = () if asset is None else asset.points
    units = {c.unit for point in points for c in point.channels if c.quantity == "acceleration"}
    return units.pop() if len(units) == 1 else None


def _judge(recorded: RecordedMachine, load_ratio: float | None, code: FeatureCode) -> _Result:
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
    return _Result(recorded, steady, judged, row, tuple(diagnoses), undecided, refused_because, graded)


def _write_report(path: Path, result: _Result) -> None:
    from runtime.report import page, subject  # noqa: PLC0415 (drawing is loaded where it is asked for)

    page.write(
        path,
        subject.Subject(
            recorded=result.recorded,
            steady=result.steady,
            judged=result.judged,
            row=result.row,
            diagnoses=result.diagnoses,
            not_decided=result.not_decided,
            graded=result.graded,
            verdicts=tuple(_verdict(found, result.place(found)) for found in result.diagnoses or (None,)),
        ),
    )


def _as_object(result: _Result) -> dict[str, Any]:
    found = result.found
    return {
        "channel": result.name,
        "channels": list(result.recorded.names),
        "speed_rpm": result.recorded.speed_rpm,
        "zone": None if result.graded.zone is None else result.graded.zone.value,
        "not_graded_because": result.graded.not_graded_because,
        "features": {
            feature: None if math.isnan(value) else value
            for feature, value in zip(FEATURE_NAMES, result.channel.values.tolist(), strict=True)
        },
        "own_features": result.channel.own_features,
        "lines": [_line(family) for family in result.channel.families],
        "verdict": {
            "fault": None if found is None else found.fault,
            "confidence": None if found is None else found.confidence,
            "evidence": [] if found is None else msgspec.to_builtins(found.evidence),
            "confirm": None if found is None else found.confirm,
            "excludes": [] if found is None else list(found.excludes),
        },
        "diagnoses": msgspec.to_builtins(result.diagnoses),
        "not_decided": msgspec.to_builtins(result.not_decided),
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


def _show(console: Console, result: _Result) -> None:
    recorded, judged = result.recorded, result.channel
    velocity = float(judged.values[FEATURE_INDEX["velocity_rms_mm_s"]])
    speed = f"{recorded.speed_rpm:.6g} rpm" if recorded.speed_rpm else "speed unknown"
    tracked = ", over the shaft's angle" if recorded.speed_varies else ""
    windows = f"{judged.n_windows} x {judged.window_s:.2f} s"
    console.print(f"{recorded.title}, channel {result.name}: {windows}, {speed}{tracked}")
    if len(recorded.names) > 1:
        console.print(f"Judged together: {', '.join(recorded.names)}")
    graded = result.graded
    zone = f"zone {graded.zone.value}" if graded.zone is not None else f"not graded: {graded.not_graded_because}"
    console.print(f"Velocity {velocity:.2f} mm/s rms, {zone}")
    for own, value in judged.own_features.items():
        console.print(f"{own}: {'undefined' if value is None else f'{value:.4g}'}")
    if judged.families:
        console.print(_table(judged))
    else:
        console.print("No fault frequencies: they need a bearing (--bearing), a speed (--rpm) and a living signal")
    for question, needed_s in _undecided(result):
        console.print(f"Not decided: {question}{f'; {needed_s:.1f} s needed' if needed_s else ''}")
    for found in result.diagnoses or (None,):
        _show_verdict(console, found, result.place(found))


def _undecided(result: _Result) -> list[tuple[str, float | None]]:
    """Return the machine's faults by the length that they need, and why a current says nothing."""
    lines = {family.name for family in result.channel.families}
    by_length: dict[float | None, list[str]] = {}
    for one in result.not_decided:
        if one.name not in lines:
            by_length.setdefault(one.needed_s, []).append(one.name.replace("_", " "))
    asked: list[tuple[str, float | None]] = [(", ".join(names), needed_s) for needed_s, names in by_length.items()]
    if result.refused_because is not None:
        asked.append((f"rotor bar: {result.refused_because}", None))
    return asked


def _show_verdict(console: Console, found: Diagnosis | None, place: str) -> None:
    console.print(_verdict(found, place))
    if found is None:
        return
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
        row = (f"{family.frequency_hz:.2f}", f"{family.found_hz:.2f}", f"{family.score_db:.1f}", levels, remark)
        table.add_row(family.name, *row)
    return table


def _verdict(found: Diagnosis | None, place: str) -> str:
    if found is None:
        return "Verdict: nothing found"
    fault = _FAULTS.get(found.fault, found.fault.replace("_", " "))
    return f"Verdict: {fault}{place}, confidence {100 * found.confidence:.0f} %"
