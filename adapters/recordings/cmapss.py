"""Turbofan engines of NASA's C-MAPSS simulation: a row per flight, run to failure (train) or cut off before (test).

A folder holds ``train_FDnnn.txt``, ``test_FDnnn.txt`` and ``RUL_FDnnn.txt`` for each data set, packed with gzip (.gz)
or not: unit, cycle, 3 settings and 21 sensors, separated by spaces; the last file has the flights that each test engine
had left.
"""

import gzip
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from contracts.errors import ConfigurationError, SignalError

F64 = NDArray[np.float64]

_COLUMNS: Final = 26


@dataclass(frozen=True, slots=True, eq=False)
class Engine:
    """One engine: ``settings`` (n, 3) and ``sensors`` (n, 21), a row per flight, and flights left after the last."""

    unit: int
    settings: F64
    sensors: F64
    left: float


@dataclass(frozen=True, slots=True, eq=False)
class EngineSet:
    """One data set: engines that ran to failure, and engines that were stopped before."""

    name: str
    train: tuple[Engine, ...]
    test: tuple[Engine, ...]


def read_cmapss(folder: Path) -> Iterator[EngineSet]:
    """Yield the data sets of a folder that are whole, by name.

    Raises
    ------
    ConfigurationError
        If none is: training, test and remaining lives are needed.
    SignalError
        For a file that can't be read, other columns, or another number of remaining lives than of test engines.
    """
    kinds = ("train", "test", "RUL")
    found: dict[str, dict[str, Path]] = {}
    for path in sorted(folder.glob("*_FD*.txt*")):
        match = re.fullmatch(r"(train|test|RUL)_(FD\d+)\.txt(\.gz)?", path.name)
        if match:
            found.setdefault(match[2], {})[match[1]] = path
    whole = {name: paths for name, paths in sorted(found.items()) if set(paths) == set(kinds)}
    if not whole:
        raise ConfigurationError(f"{folder}: no data set with {', '.join(f'{kind}_FDnnn.txt[.gz]' for kind in kinds)}")
    for name, paths in whole.items():
        test = _table(paths["test"], _COLUMNS)
        left = _table(paths["RUL"], 1)[:, 0]
        units = np.unique(test[:, 0])
        if units.size != left.size:
            raise SignalError(f"{paths['RUL']}: {left.size} remaining lives for {units.size} engines")
        train = _table(paths["train"], _COLUMNS)
        yield EngineSet(
            name,
            tuple(_engine(train, unit, 0.0) for unit in np.unique(train[:, 0])),
            tuple(_engine(test, unit, remaining) for unit, remaining in zip(units, left, strict=True)),
        )


def _table(path: Path, columns: int) -> F64:
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        rows = [[float(cell) for cell in line.split()] for line in content.decode("ascii").splitlines() if line.strip()]
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise SignalError(f"{path}: no readable table of numbers: {error}") from None
    widths = {len(row) for row in rows}
    if widths != {columns}:
        raise SignalError(f"{path}: lines of {sorted(widths)} numbers, {columns} expected")
    table = np.array(rows)
    if not np.isfinite(table).all():
        raise SignalError(f"{path}: a number isn't finite")
    return table


def _engine(table: F64, unit: float, left: float) -> Engine:
    rows = table[table[:, 0] == unit]
    if (np.diff(rows[:, 1]) != 1.0).any():
        raise SignalError(f"engine {unit:.0f}: flights don't follow one another")
    return Engine(int(unit), rows[:, 2:5], rows[:, 5:], float(left))
