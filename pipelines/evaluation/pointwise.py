"""Measures over rows and warnings: F1, false-alarm and missed-alarm rate, false alarms a month, delay.

A warning is a stretch of flagged rows. It is false if the machine was normal throughout; one that merely outlasts the
fault is none, though its late rows count in the false-alarm rate.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from adapters.recordings.labelled import LabelledSeries

Flags = NDArray[np.bool_]

#: Mean length of a month, s.
MONTH_S: Final = 365.25 / 12.0 * 86400.0


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows by truth and verdict; rates are null where they have no denominator.

    Examples
    --------
    >>> counts = Counts(true_alarms=8, false_alarms=1, missed=2, quiet=9)
    >>> round(counts.f1, 4), counts.far, counts.mar
    (0.8421, 0.1, 0.2)
    """

    true_alarms: int = 0
    false_alarms: int = 0
    missed: int = 0
    quiet: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.true_alarms + other.true_alarms,
            self.false_alarms + other.false_alarms,
            self.missed + other.missed,
            self.quiet + other.quiet,
        )

    def as_row(self) -> tuple[int, int, int, int]:
        """Return rows with a true alarm, with a false one, missed, and quiet."""
        return self.true_alarms, self.false_alarms, self.missed, self.quiet

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall."""
        return _share(2 * self.true_alarms, 2 * self.true_alarms + self.false_alarms + self.missed)

    @property
    def far(self) -> float | None:
        """Share of normal rows with an alarm, 0 to 1."""
        return _share(self.false_alarms, self.false_alarms + self.quiet)

    @property
    def mar(self) -> float | None:
        """Share of abnormal rows without an alarm, 0 to 1."""
        return _share(self.missed, self.missed + self.true_alarms)


def count(warned: Flags, abnormal: Flags) -> Counts:
    """Return the counts of rows with a verdict and the truth, both of shape (n,)."""
    return Counts(
        int((warned & abnormal).sum()),
        int((warned & ~abnormal).sum()),
        int((~warned & abnormal).sum()),
        int((~warned & ~abnormal).sum()),
    )


def false_warnings(warned: Flags, abnormal: Flags) -> int:
    """Return the number of stretches of warned rows without an abnormal one.

    Examples
    --------
    >>> warned = np.array([1, 1, 0, 1, 1, 1, 0, 1], dtype=bool)
    >>> false_warnings(warned, np.array([0, 0, 0, 0, 1, 0, 0, 0], dtype=bool))
    2
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[False], warned, [False]]).astype(np.int8)))
    return sum(not abnormal[start:stop].any() for start, stop in edges.reshape(-1, 2).tolist())


def file_row(series: LabelledSeries, warned: Flags, tested_from: int) -> dict[str, Any]:
    """Return the measures of one file over its rows from `tested_from` on.

    Parameters
    ----------
    series : LabelledSeries
        The file with the truth.
    warned : ndarray, shape (n,), bool
        Rows with a warning.
    tested_from : int
        First row that counts.

    Returns
    -------
    row : dict
        With ``first_warning_s`` from the start of the file, and ``delay_s`` from the fault's first tested row to the
        first warned one from then on; null where there is none.
    """
    said, truth, times_s = warned[tested_from:], series.abnormal[tested_from:], series.times_s[tested_from:]
    counts = count(said, truth)
    first = _first_s(times_s, said)
    onset_s = _first_s(times_s, truth)
    noticed_s = None if onset_s is None else _first_s(times_s, said & (times_s >= onset_s))
    return {
        "file": series.name,
        "group": series.group,
        "f1": counts.f1,
        "far": counts.far,
        "mar": counts.mar,
        "false_alarms": false_warnings(said, truth),
        "first_warning_s": first,
        "delay_s": None if onset_s is None or noticed_s is None else noticed_s - onset_s,
        "normal_s": float((~truth).sum()) * series.interval_s,
    }


def over_all(rows: Iterable[dict[str, Any]], counts: Counts) -> dict[str, Any]:
    """Return the measures of a data set from those of its files and the counts of all rows together."""
    rows = tuple(rows)
    false_alarms = sum(row["false_alarms"] for row in rows)
    normal_s = sum(row["normal_s"] for row in rows)
    delays = [row["delay_s"] for row in rows if row["delay_s"] is not None]
    return {
        "f1": counts.f1,
        "far": counts.far,
        "mar": counts.mar,
        "false_alarms": false_alarms,
        "false_alarms_per_asset_month": false_alarms * MONTH_S / normal_s if normal_s else None,
        "median_delay_s": float(np.median(delays)) if delays else None,
        "first_warning_s": {row["file"]: row["first_warning_s"] for row in rows},
    }


def _first_s(times_s: NDArray[np.float64], flags: Flags) -> float | None:
    return float(times_s[np.argmax(flags)]) if flags.any() else None


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
