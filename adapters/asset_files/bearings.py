"""A user's own bearing catalogue: a CSV table like ``processors/bearings.csv``.

Its bearings go into the configuration of the assets that have them, since the core knows nothing but the log: another
table tomorrow doesn't change what was computed today.
"""

import csv
import io
from pathlib import Path
from typing import Final

from adapters.asset_files.convert import convert
from adapters.asset_files.tree import Node, read_text
from contracts.assets import OwnBearing
from contracts.errors import ConfigurationError
from processors.bearings import bearing

_NEEDED: Final = ("designation", "n_elements", "element_diameter_mm", "pitch_diameter_mm")
_OPTIONAL: Final = ("contact_angle_deg", "aliases")


def read_bearings(path: Path) -> tuple[OwnBearing, ...]:
    """Return the bearings of a table, an entry for each designation and each of its aliases.

    Parameters
    ----------
    path : Path
        Comma- or semicolon-separated; ``designation``, ``n_elements``, ``element_diameter_mm``, ``pitch_diameter_mm``,
        and where wanted ``contact_angle_deg`` and ``aliases`` (in a comma-separated table, separated by semicolons).

    Returns
    -------
    bearings : tuple of OwnBearing
        In the order of the table.

    Raises
    ------
    ConfigurationError
        For what can't be read, a column that is missing or unknown, and a number that can't be a bearing's; with file
        and line.
    """
    file, text = str(path), read_text(path)
    first = text.split("\n", 1)[0]
    reader = csv.DictReader(
        io.StringIO(text, newline=""), delimiter=";" if first.count(";") > first.count(",") else ",", strict=True
    )
    columns = reader.fieldnames or ()
    for name in (*(n for n in _NEEDED if n not in columns), *(c for c in columns if c not in (*_NEEDED, *_OPTIONAL))):
        raise ConfigurationError(
            f"{file}:1: column {name!r} is missing or unknown; {', '.join(_NEEDED)} are needed,"
            f" {', '.join(_OPTIONAL)} known"
        )
    found: list[OwnBearing] = []
    try:
        for row in reader:
            found += _entries(file, reader.line_num, row)
    except csv.Error as error:
        raise ConfigurationError(f"{file}:{reader.line_num}: no CSV: {error}") from None
    return tuple(found)


def _entries(file: str, line: int, row: dict[str, str]) -> list[OwnBearing]:
    if None in row or None in row.values():
        raise ConfigurationError(f"{file}:{line}: more or fewer values than columns")
    fields = {
        name: Node(file, line, name, text.strip()) for name, text in row.items() if name != "aliases" and text.strip()
    }
    names = [row["designation"], *filter(None, (alias.strip() for alias in row.get("aliases", "").split(";")))]
    made = [
        convert(Node(file, line, "", {**fields, "designation": Node(file, line, "designation", name)}), OwnBearing)
        for name in names
    ]
    try:
        bearing(made[0].designation, made)
    except ConfigurationError as error:
        raise ConfigurationError(f"{file}:{line}: {error}") from None
    return made
