"""The table beside a data set's files: what each recording is, in whatever words its maker chose.

Column names and words differ from copy to copy of a data set, the facts don't. What a table doesn't say stays unknown;
what it says and can't be read is an error that names the cell.
"""

import csv
import re
from pathlib import Path
from typing import Final

from contracts.errors import SignalError

#: Words for each true state, in lower case with spaces for all signs; the first that matches wins.
_STATES: Final = (
    ("inner_race", re.compile(r"inner|bpfi|\bir\d*\b")),
    ("outer_race", re.compile(r"outer|bpfo|\bor\d*\b")),
    ("rolling_element", re.compile(r"ball|roll|bsf|\bb\d*\b")),
    ("cage", re.compile(r"cage|ftf")),
    (
        "normal",
        re.compile(r"(?<!ab)normal|base|(?<!un)health|(?<!not )good|none|no (fault|damage)|undamaged|\b(n|ok|0)\b"),
    ),
)
#: Cells that say nothing.
_EMPTY: Final = frozenset({"", "-", "?", "na", "n/a", "nan", "null", "none", "unknown"})
_FILE_COLUMNS: Final = ("file", "filename", "file_name", "path", "record", "name")
_STATE_COLUMNS: Final = ("fault", "label", "state", "condition", "class")


def entry_of(path: Path) -> dict[str, str]:
    """Return the row of ``index.csv`` that tells of the file beside it, column names in lower case; maybe none."""
    index = path.with_name("index.csv")
    if not index.is_file():
        return {}
    with index.open(encoding="utf-8-sig", newline="") as lines:
        for row in csv.DictReader(lines):
            entry = {name.strip().lower(): value.strip() for name, value in row.items() if name and value is not None}
            named = next((Path(entry[column]).name for column in _FILE_COLUMNS if entry.get(column)), None)
            if named in (path.name, path.stem) or (named is not None and Path(named).stem == path.stem):
                return entry
    return {}


def cell_of(path: Path, entry: dict[str, str], *columns: str) -> float | None:
    """Return the number in the first of the `columns` that the row has one in; null where there is none."""
    for column in columns:
        text = entry.get(column, "")
        if text.lower() in _EMPTY:
            continue
        try:
            return float(text)
        except ValueError:
            raise SignalError(f"{path.with_name('index.csv')}: {column} {text!r} of {path.name} is no number") from None
    return None


def state_of(entry: dict[str, str], otherwise: str = "") -> str | None:
    """Return the true state of the machine, by the row or, where that is silent, by the text `otherwise`.

    It is null for words that aren't known.
    """
    text = next((entry[column] for column in _STATE_COLUMNS if entry.get(column)), otherwise)
    words = re.sub(r"[^a-z0-9]+", " ", text.lower())
    return next((state for state, pattern in _STATES if pattern.search(words)), None)
