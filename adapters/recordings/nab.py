"""Files of the Numenta Anomaly Benchmark: one value a row, with the windows in which an alarm counts.

The folder is laid out as the benchmark is: ``data/GROUP/NAME.csv`` with the columns ``timestamp`` and ``value``, and
``labels/combined_windows.json``.
"""

import csv
import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np

from adapters.recordings.labelled import LabelledSeries
from contracts.errors import ConfigurationError, SignalError


def read_nab(folder: Path) -> Iterator[LabelledSeries]:
    """Yield the labelled files of a folder, by group and name.

    Raises
    ------
    ConfigurationError
        If the folder has no labels, or none of its files is among them.
    SignalError
        For a file with other columns or values, and windows whose ends aren't rows of it.
    """
    labels = folder / "labels" / "combined_windows.json"
    if not labels.is_file():
        raise ConfigurationError(f"{labels} doesn't exist; the benchmark's data and labels needed")
    try:
        windows = msgspec.json.decode(labels.read_bytes(), type=dict[str, list[tuple[str, str]]])
    except msgspec.DecodeError as error:
        raise SignalError(f"{labels}: {error}") from None
    found = [(name, folder / "data" / name) for name in sorted(windows) if (folder / "data" / name).is_file()]
    if not found:
        raise ConfigurationError(f"{folder / 'data'}: none of the {len(windows)} labelled files is there")
    for name, path in found:
        yield _series(path, name, windows[name])


def _series(path: Path, name: str, windows: list[tuple[str, str]]) -> LabelledSeries:
    with path.open(encoding="utf-8", newline="") as lines:
        table = csv.reader(lines)
        if next(table, None) != ["timestamp", "value"]:
            raise SignalError(f"{path}: columns timestamp and value expected")
        rows = [(_time(path, number, row[0]), _value(path, number, row)) for number, row in enumerate(table, start=2)]
    if len(rows) < 2:
        raise SignalError(f"{path}: {len(rows)} rows, at least 2 needed")
    times = [at for at, _ in rows]
    row_of = {at: index for index, at in reversed(list(enumerate(times)))}
    limits = [(_row(path, row_of, first), _row(path, row_of, last)) for first, last in windows]
    abnormal = np.zeros(len(rows), dtype=np.bool_)
    for first, last in limits:
        abnormal[first : last + 1] = True
    times_s = np.array([(at - times[0]).total_seconds() for at in times])
    return LabelledSeries(
        name=Path(name).stem,
        group=Path(name).parent.as_posix(),
        channels=("value",),
        interval_s=float(np.median(np.diff(times_s))),
        times_s=times_s,
        values=np.array([[value] for _, value in rows]),
        abnormal=abnormal,
        windows=tuple(limits),
    )


def _time(path: Path, line: int, cell: str) -> dt.datetime:
    try:
        at = dt.datetime.fromisoformat(cell)
    except ValueError:
        raise SignalError(f"{path}, line {line}: time {cell!r}, a form like 2014-07-01 00:30:00 expected") from None
    return at if at.tzinfo is not None else at.replace(tzinfo=dt.UTC)


def _value(path: Path, line: int, row: list[str]) -> float:
    try:
        value = float(row[1])
    except (IndexError, ValueError):
        raise SignalError(f"{path}, line {line}: {row}, a time and a number expected") from None
    if not np.isfinite(value):
        raise SignalError(f"{path}, line {line}: value {row[1]}, a finite number expected")
    return value


def _row(path: Path, row_of: dict[dt.datetime, int], cell: str) -> int:
    try:
        return row_of[_time(path, 0, cell)]
    except KeyError:
        raise SignalError(f"{path}: a window ends at {cell}, which is no row's time") from None
