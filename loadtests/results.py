"""Results as files: ``results/<name>-<date>.json``, each with the machine it was measured on."""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

FOLDER: Final = Path(__file__).resolve().parent / "results"


def record(name: str, result: Mapping[str, Any], now: dt.datetime, folder: Path = FOLDER) -> Path:
    """Write a result and return where it lies; an earlier one of the same minute is replaced.

    Parameters
    ----------
    name : str
        What was measured.
    result : mapping
        Ready for JSON.
    now : datetime
        When; names the file to the minute.
    folder : Path
        Where results lie.
    """
    path = folder / f"{name}-{now:%Y-%m-%dT%H%M}.json"
    text = json.dumps({"name": name, "measured_at": now.isoformat(timespec="seconds"), **result}, indent=2)
    path.write_text(text + "\n", encoding="utf-8")
    return path


def quantile(values: Sequence[float], share: float) -> float | None:
    """Return the smallest value that at least `share` of all values don't exceed; None without values.

    Examples
    --------
    >>> quantile([4.0, 1.0, 3.0, 2.0], 0.5), quantile([1.0, 2.0], 0.99), quantile([], 0.5)
    (2.0, 2.0, None)
    """
    if not values:
        return None
    rank = max(1, -int(-share * len(values) // 1))
    return sorted(values)[rank - 1]


def rounded(value: float | None, digits: int = 2) -> float | None:
    """Return a figure as it is reported."""
    return None if value is None else round(value, digits)
