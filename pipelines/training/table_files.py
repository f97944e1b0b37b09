"""Tables to train on as files: archives, CSV with features of the catalogue, and confirmed faults as CSV.

A file that can't be read whole isn't read at all; the message names line and cell.
"""

import csv
import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from adapters.recordings.npz import load_arrays
from contracts.errors import ConfigurationError, SignalError
from contracts.features import FEATURE_INDEX, FEATURE_NAMES
from pipelines.training.table import (
    FAULTY,
    HEALTHY,
    KNOWN_FAULT,
    LEARNABLE,
    NOT_KNOWN_HEALTHY,
    SUSPECTED,
    UNKNOWN,
    FeatureTable,
    table_of,
)

_STATES: Final = {"": UNKNOWN, "unknown": UNKNOWN, "healthy": HEALTHY, "faulty": FAULTY}
_FACTS: Final = ("machine", "channel", "time", "regime", "excluded", "state", "span", "code_hash")
_NEEDED: Final = ("machine", "channel", "time", "code_hash")
_MOST_CELLS: Final = 50_000_000


def with_faults(table: FeatureTable, path: Path) -> FeatureTable:
    """Return the table with the faults that a person has confirmed: rows of a CSV file with machine, from and to.

    Windows that start in such a span are faulty, and nothing healthy is learnt from them.

    Raises
    ------
    SignalError
        If a column is missing, a time can't be read, or the table has no such machine.
    """
    excluded, state = table.excluded.astype(object), table.state.copy()
    with path.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.DictReader(lines)
        missing = [name for name in ("machine", "from", "to") if name not in (reader.fieldnames or [])]
        if missing:
            raise SignalError(f"{path}: columns {', '.join(missing)} missing")
        for row in reader:
            if row["machine"] not in table.machines:
                raise SignalError(f"{path}, line {reader.line_num}: no machine {row['machine']!r} in {table.source}")
            from_ns, to_ns = (_time_ns(path, reader.line_num, row[end]) for end in ("from", "to"))
            within = (table.machine == row["machine"]) & (table.times_ns >= from_ns) & (table.times_ns < to_ns)
            sound = within & np.isin(table.excluded, [LEARNABLE, SUSPECTED, KNOWN_FAULT, NOT_KNOWN_HEALTHY])
            excluded[sound], state[sound] = KNOWN_FAULT, FAULTY
    return replace(table, excluded=excluded.astype(np.str_), state=state)


def save_table(table: FeatureTable, path: Path) -> None:
    """Write a table as an archive (.npz) that `read_table` reads."""
    with path.open("wb") as file:
        np.savez_compressed(
            file,
            features=np.array(table.features),
            values=table.values,
            times_ns=table.times_ns,
            machine=table.machine,
            channel=table.channel,
            regime=table.regime,
            excluded=table.excluded,
            state=table.state,
            span=table.span,
            code_hash=np.array(table.code_hash),
        )


def read_table(path: Path) -> FeatureTable:
    """Return the table in an archive (.npz) or a CSV file.

    A CSV file has the columns machine, channel, time (RFC 3339, or UTC ns) and code_hash, features of the catalogue
    under their names, and perhaps regime, excluded (why a row isn't learnt from), state (healthy, faulty, unknown) and
    span (how often the machine had been worked on before). Features that it lacks are undefined; empty cells are too.

    Raises
    ------
    ConfigurationError
        If the file doesn't exist or has another ending.
    SignalError
        If a column or array is missing or unknown, or a cell can't be read; the message names it.
    """
    if not path.is_file():
        raise ConfigurationError(f"{path} doesn't exist")
    if path.suffix == ".npz":
        return _from_archive(path)
    if path.suffix == ".csv":
        return _from_csv(path)
    raise ConfigurationError(f"{path}: a table of features is .npz or .csv")


def _from_archive(path: Path) -> FeatureTable:
    arrays = load_arrays(path)
    wanted = ("features", "values", "times_ns", "machine", "channel", "regime", "excluded", "state", "code_hash")
    missing = [name for name in wanted if name not in arrays]
    if missing:
        raise SignalError(f"{path}: {', '.join(missing)} missing; there are {', '.join(arrays)}")
    facts = {name: arrays[name] for name in ("machine", "channel", "regime", "excluded", "state")}
    facts["span"] = arrays.get("span", np.zeros(1))  # tables written before there were any
    try:
        return table_of(
            tuple(arrays["features"].tolist()),
            arrays["values"],
            arrays["times_ns"],
            facts,
            code_hash=str(arrays["code_hash"]),
            source=path.name,
        )
    except ValueError as error:
        if isinstance(error, SignalError):
            raise
        raise SignalError(f"{path}: {error}") from None


def _from_csv(path: Path) -> FeatureTable:
    with path.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.DictReader(lines)
        names = reader.fieldnames or []
        missing = [name for name in _NEEDED if name not in names]
        unknown = [name for name in names if name not in {*_FACTS, *FEATURE_INDEX}]
        if missing or unknown:
            raise SignalError(f"{path}: columns missing: {missing or 'none'}; unknown: {unknown or 'none'}")
        rows = [(reader.line_num, row) for row in reader]
    if len(rows) * len(FEATURE_NAMES) > _MOST_CELLS:
        raise SignalError(f"{path}: {len(rows)} rows, at most {_MOST_CELLS // len(FEATURE_NAMES)}; use .npz")
    hashes = {row["code_hash"] for _, row in rows}
    if len(hashes) > 1:
        raise SignalError(f"{path}: features of several codes: {', '.join(sorted(hashes))}")
    values = np.full((len(rows), len(FEATURE_NAMES)), np.nan)
    for place, (line, row) in enumerate(rows):
        for name, column in FEATURE_INDEX.items():
            values[place, column] = _number(path, line, name, row.get(name) or "nan")
    facts = {name: np.array([row.get(name) or "" for _, row in rows]) for name in ("machine", "channel", "regime")}
    facts["excluded"] = np.array([row.get("excluded") or "" for _, row in rows])
    facts["state"] = np.array([_state(path, line, row.get("state") or "") for line, row in rows])
    facts["span"] = np.array(
        [_number(path, line, "span", row.get("span") or "0") for line, row in rows], dtype=np.int32
    )
    times_ns = np.array([_time_ns(path, line, row["time"]) for line, row in rows], dtype=np.int64)
    return table_of(FEATURE_NAMES, values, times_ns, facts, code_hash=hashes.pop() if hashes else "", source=path.name)


def _number(path: Path, line: int, name: str, cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        raise SignalError(f"{path}, line {line}: {name} is {cell!r}, a number expected") from None


def _state(path: Path, line: int, cell: str) -> int:
    if cell not in _STATES:
        raise SignalError(f"{path}, line {line}: state {cell!r}, one of healthy, faulty, unknown expected")
    return _STATES[cell]


def _time_ns(path: Path, line: int, cell: str) -> int:
    try:
        if cell.lstrip("-").isdigit():
            return int(cell)
        at = dt.datetime.fromisoformat(cell)
    except ValueError:
        raise SignalError(f"{path}, line {line}: time {cell!r}, a form like 2026-01-31T08:00:00Z expected") from None
    at = at if at.tzinfo is not None else at.replace(tzinfo=dt.UTC)
    return (at - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1) * 1000
