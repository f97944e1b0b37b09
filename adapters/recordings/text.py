"""Recordings as text: plain columns of samples, and the readings of the SKAB water-pump test bed."""

import csv
import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from adapters.recordings.labelled import LabelledSeries
from adapters.recordings.recording import (
    Known,
    RecordedChannel,
    Recording,
    Series,
    Waveform,
    known_speed_rpm,
    required_rate_hz,
    required_unit,
    stacked,
)
from contracts.errors import SignalError

#: Numbered lines of cells.
Lines = list[tuple[int, list[str]]]

#: A column of this name is a time axis, not a channel: the sampling rate is stated, never derived.
_TIME_COLUMNS: Final = frozenset({"time", "time_s", "t", "timestamp"})

#: Column → (channel, quantity, unit), as the test bed's makers document them.
_SKAB_COLUMNS: Final = {
    "Accelerometer1RMS": ("accelerometer-1", "acceleration", "g"),
    "Accelerometer2RMS": ("accelerometer-2", "acceleration", "g"),
    "Current": ("current", "current", "A"),
    "Pressure": ("pressure", "pressure", "bar"),
    "Temperature": ("motor-temperature", "temperature", "degC"),
    "Thermocouple": ("water-temperature", "temperature", "degC"),
    "Voltage": ("voltage", "voltage", "V"),
    "Volume Flow RateRMS": ("flow", "flow", "l/min"),
}


def read_csv(path: Path, known: Known) -> Iterator[Recording]:
    """Yield the one recording of a CSV file: a column per channel, names in the first line or none."""
    rate_hz = required_rate_hz(path, None, known)
    unit = required_unit(path, None, known)
    names, lines = _table(path)
    columns = [(place, name) for place, name in enumerate(names) if name.lower() not in _TIME_COLUMNS]
    yield Recording(
        name=path.stem,
        channels=tuple(
            RecordedChannel(name=name, quantity=known.quantity, unit=unit, bearing=known.bearing) for _, name in columns
        ),
        signal=Waveform(
            sampling_rate_hz=rate_hz,
            samples=stacked(path, [(name, _column(path, lines, place, name)) for place, name in columns]),
        ),
        speed_rpm=known_speed_rpm(path, None, known),
    )


def read_skab(path: Path, known: Known) -> Iterator[Recording]:
    """Yield the readings of one SKAB file; its label is ``anomaly`` where the file marks one."""
    names, lines = _table(path)
    missing = [name for name in ("datetime", *_SKAB_COLUMNS) if name not in names]
    if missing:
        raise SignalError(f"{path}: columns {', '.join(missing)} missing; there are {', '.join(names)}")
    if not lines:
        raise SignalError(f"{path}: 0 readings, at least 1 needed")
    place = {name: index for index, name in enumerate(names)}
    times_ns = np.array([_time_ns(path, line, cells[place["datetime"]]) for line, cells in lines], dtype=np.int64)
    backwards = np.flatnonzero(np.diff(times_ns) <= 0)
    if backwards.size:
        raise SignalError(f"{path}, line {lines[int(backwards[0]) + 1][0]}: the time doesn't increase")
    values = np.stack([_column(path, lines, place[name], name) for name in _SKAB_COLUMNS])
    marked = "anomaly" in place and any(cells[place["anomaly"]] not in {"", "0", "0.0"} for _, cells in lines)
    yield Recording(
        name=f"{path.parent.name}-{path.stem}" if path.parent.name != path.stem else path.stem,
        channels=tuple(RecordedChannel(name=n, quantity=q, unit=u) for n, q, u in _SKAB_COLUMNS.values()),
        signal=Series(times_ns=times_ns, values=values),
        speed_rpm=known_speed_rpm(path, None, known),
        label="anomaly" if marked else "normal",
    )


def read_labelled_skab(path: Path) -> LabelledSeries | None:
    """Return one SKAB file with its label of every row; nothing where it has none."""
    names, lines = _table(path)
    if "anomaly" not in names:
        return None
    recording = next(read_skab(path, Known()))
    if not isinstance(recording.signal, Series):
        raise SignalError(f"{path}: readings expected")
    return LabelledSeries(
        name=recording.name,
        group=path.parent.name,
        channels=tuple(channel.name for channel in recording.channels),
        quantities=tuple(channel.quantity for channel in recording.channels),
        interval_s=1.0,
        times_s=(recording.signal.times_ns - recording.signal.times_ns[0]) / 1e9,
        values=np.ascontiguousarray(recording.signal.values.T),
        abnormal=_column(path, lines, names.index("anomaly"), "anomaly") != 0.0,
    )


def _table(path: Path) -> tuple[list[str], Lines]:
    """Return column names and the numbered lines of cells; every line has as many cells as there are columns."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise SignalError(f"{path}: no UTF-8 text: {error}") from None
    first = text.partition("\n")[0]
    if not first.strip():
        raise SignalError(f"{path}: the file is empty")
    delimiter = max(";,\t", key=first.count)
    reader = csv.reader(text.splitlines(), delimiter=delimiter)
    lines = [(number, [cell.strip() for cell in cells]) for number, cells in enumerate(reader, start=1) if cells]
    names = lines[0][1]
    if all(_is_number(cell) for cell in names):
        names = [str(number) for number in range(1, len(names) + 1)]
    else:
        lines = lines[1:]
    for number, cells in lines:
        if len(cells) != len(names):
            raise SignalError(f"{path}, line {number}: {len(cells)} columns, {len(names)} expected")
    return names, lines


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _column(path: Path, lines: Lines, place: int, name: str) -> NDArray[np.float64]:
    return np.array([_number(path, line, cells[place], name) for line, cells in lines], dtype=np.float64)


def _number(path: Path, line: int, cell: str, column: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        raise SignalError(f"{path}, line {line}: {column} is {cell!r}, a number expected") from None
    if not np.isfinite(value):
        raise SignalError(f"{path}, line {line}: {column} is {cell}, a finite number expected")
    return value


def _time_ns(path: Path, line: int, cell: str) -> int:
    try:
        at = dt.datetime.fromisoformat(cell)
    except ValueError:
        raise SignalError(f"{path}, line {line}: time {cell!r}, a form like 2020-03-01 15:44:06 expected") from None
    at = at if at.tzinfo is not None else at.replace(tzinfo=dt.UTC)
    return round((at - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) / dt.timedelta(microseconds=1)) * 1000
