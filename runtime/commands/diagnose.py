"""``faultline diagnose``: one recording of a machine in, zone, fault-frequency table and verdict out."""

import json
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from adapters.asset_files import read_asset_files, read_bearings
from adapters.recordings import Known, read_recording
from contracts.assets import AssetConfiguration, MachineGroup, OwnBearing, Support
from contracts.errors import ConfigurationError
from processors.own_features import FeatureCode
from runtime.feature_code import load_feature_code
from runtime.recorded_machine import Wish, recorded_machine
from runtime.report import page, text
from runtime.report.subject import judge
from runtime.settings import load_settings


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
    subject = judge(recorded_machine(read_recording(file, file_format, known), wish), load, code)
    if report is not None:
        page.write(report, subject)
    if as_json:
        print(json.dumps(text.as_object(subject) | {"code_hash": code.code_hash}))
    else:
        text.show(Console(highlight=False), subject)


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
