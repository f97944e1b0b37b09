"""Episodes of conditions and alarms, and how a recomputed past differs from the stored one.

Everything here is a pure function of rows in canonical form (``adapters.timescale.canonical_rows``), so stored and
recomputed rows are read by the same code. Two episodes are the same one if they are of one point and rule and overlap.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from adapters.timescale.rows import TABLES
from api.times import Instant

_NS_PER_S: Final = 1e9
_NORMAL: Final = "normal"
_RAISED: Final = "raised"

#: One table's rows in canonical form.
Rows = Mapping[tuple[Any, ...], tuple[Any, ...]]
#: From (inclusive) to (exclusive), UTC nanoseconds.
Span = tuple[int, int]


class Change(StrEnum):
    """How a recomputed episode differs from that of history."""

    ADDED = "added"
    REMOVED = "removed"
    EARLIER = "earlier"
    LATER = "later"
    ENDS_EARLIER = "ends_earlier"
    ENDS_LATER = "ends_later"
    DESCRIBED_OTHERWISE = "described_otherwise"


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """A condition or an alarm from when it was raised until it was over; ``to_ns`` is ``None`` while it stands."""

    point_id: str
    rule: str
    fault: str | None
    priority: str
    reason: str
    from_ns: int
    to_ns: int | None

    def overlaps(self, span: Span) -> bool:
        """Return whether any of it lies within `span`."""
        return self.from_ns < span[1] and (self.to_ns is None or self.to_ns >= span[0])

    def as_json(self) -> dict[str, Any]:
        """Return the episode for a program."""
        return {
            "point_id": self.point_id,
            "rule": self.rule,
            "fault": self.fault,
            "priority": self.priority,
            "reason": self.reason,
            "from": str(Instant(self.from_ns)),
            "to": None if self.to_ns is None else str(Instant(self.to_ns)),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What would have been otherwise; ``kind`` is ``condition`` or ``alarm``, ``shift_s`` later where positive."""

    kind: str
    change: Change
    history: Episode | None
    recomputed: Episode | None
    shift_s: float | None = None

    @property
    def episode(self) -> Episode:
        """The recomputed episode, or that of history where it is gone."""
        episode = self.recomputed or self.history
        if episode is None:
            raise ValueError("a difference has an episode on one side at least")
        return episode

    def as_json(self) -> dict[str, Any]:
        """Return the difference for a program."""
        return {
            "kind": self.kind,
            "change": self.change.value,
            "point_id": self.episode.point_id,
            "rule": self.episode.rule,
            "shift_s": self.shift_s,
            "history": self.history.as_json() if self.history else None,
            "recomputed": self.recomputed.as_json() if self.recomputed else None,
        }


def condition_episodes(rows: Rows) -> list[Episode]:
    """Return the episodes in rows of ``condition``."""
    ordered = sorted(_records("condition", rows), key=lambda row: int(row["sequence"]))
    return _episodes(ordered, lambda row: (row["point_id"], row["rule"]), lambda row: row["state"] == _RAISED)


def alarm_episodes(rows: Rows) -> list[Episode]:
    """Return the episodes in rows of ``alarm_history``: from the first transition of an alarm until it is normal."""
    ordered = sorted(_records("alarm_history", rows), key=lambda row: int(row["sequence"]))
    return _episodes(ordered, lambda row: row["alarm_id"], lambda row: row["state"] != _NORMAL)


def differences(kind: str, history: Iterable[Episode], recomputed: Iterable[Episode], span: Span) -> list[Difference]:
    """Return how episodes that touch the span differ.

    Parameters
    ----------
    kind : str
        ``condition`` or ``alarm``.
    history, recomputed : iterable of Episode
        All of one asset, beyond the span too: an episode may have moved across its bounds.
    span : tuple of int, int
        UTC nanoseconds.

    Returns
    -------
    found : list of Difference
        Ordered by time.
    """
    before = sorted(history, key=lambda one: one.from_ns)
    found: list[Difference] = []
    for now in sorted(recomputed, key=lambda one: one.from_ns):
        then = next((one for one in before if _same(one, now)), None)
        if then is not None:
            before.remove(then)
        if now.overlaps(span) or (then is not None and then.overlaps(span)):
            found += _compare(kind, then, now)
    gone = (one for one in before if one.overlaps(span))
    found += [Difference(kind=kind, change=Change.REMOVED, history=one, recomputed=None) for one in gone]
    return sorted(found, key=lambda one: one.episode.from_ns)


def compare_series(name: str, history: Rows, recomputed: Rows, code_version: str) -> dict[str, dict[str, int]]:
    """Return how many rows of a time series agree, by what they are of: the table, or the model of a score.

    Parameters
    ----------
    name : str
        ``feature`` or ``score``.
    history, recomputed : mapping
        Rows in canonical form.
    code_version : str
        Of the rows that several versions have left for one window, this one's counts.

    Returns
    -------
    counts : dict
        ``compared``, ``different``, ``removed`` (stored, not recomputed) and ``added`` (recomputed, not stored).
    """
    before = _by_window(name, history, code_version)
    now = _by_window(name, recomputed, code_version)
    counts: dict[str, dict[str, int]] = {}
    for key in before.keys() | now.keys():
        label = " ".join([name, *key[2:4]]) if name == "score" else name
        count = counts.setdefault(label, {"compared": 0, "different": 0, "removed": 0, "added": 0})
        if key in before and key in now:
            count["compared"] += 1
            count["different"] += before[key] != now[key]
        else:
            count["removed" if key in before else "added"] += 1
    return dict(sorted(counts.items()))


def _by_window(name: str, rows: Rows, code_version: str) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """Return rows by their key without the code version."""
    place = list(TABLES[name].key).index("code_version")
    made: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    for key, values in rows.items():
        window = (*key[:place], *key[place + 1 :])
        if key[place] == code_version or window not in made:
            made[window] = values
    return made


def _same(then: Episode, now: Episode) -> bool:
    if (then.point_id, then.rule) != (now.point_id, now.rule):
        return False
    then_ends = then.to_ns is not None and then.to_ns < now.from_ns
    now_ends = now.to_ns is not None and now.to_ns < then.from_ns
    return not then_ends and not now_ends


def _compare(kind: str, then: Episode | None, now: Episode) -> Iterator[Difference]:
    if then is None:
        yield Difference(kind=kind, change=Change.ADDED, history=None, recomputed=now)
        return
    change, shift_s = None, None
    if now.from_ns != then.from_ns:
        shift_s = (now.from_ns - then.from_ns) / _NS_PER_S
        change = Change.LATER if shift_s > 0 else Change.EARLIER
    elif now.to_ns != then.to_ns:
        shift_s = None if now.to_ns is None or then.to_ns is None else (now.to_ns - then.to_ns) / _NS_PER_S
        lasts = now.to_ns is None or (shift_s is not None and shift_s > 0)
        change = Change.ENDS_LATER if lasts else Change.ENDS_EARLIER
    elif now != then:
        change = Change.DESCRIBED_OTHERWISE
    if change is not None:
        yield Difference(kind=kind, change=change, history=then, recomputed=now, shift_s=shift_s)


def _episodes(ordered: Iterable[dict[str, Any]], of: Any, stands: Any) -> list[Episode]:
    """Return episodes of rows in order: `of` tells what a row belongs to, `stands` whether it stands after the row."""
    made: list[Episode] = []
    begun: dict[Any, dict[str, Any]] = {}
    for row in ordered:
        if stands(row):
            begun.setdefault(of(row), row)
        elif of(row) in begun:
            made.append(_episode(begun.pop(of(row)), row["at_ns"]))
    return sorted([*made, *(_episode(first, None) for first in begun.values())], key=lambda one: one.from_ns)


def _episode(first: Mapping[str, Any], to_ns: int | None) -> Episode:
    return Episode(
        point_id=first["point_id"],
        rule=first["rule"],
        fault=first["fault"],
        priority=first["priority"],
        reason=first["reason"],
        from_ns=first["at_ns"],
        to_ns=to_ns,
    )


def _records(table: str, rows: Rows) -> Iterator[dict[str, Any]]:
    columns = TABLES[table].columns
    for key, values in rows.items():
        yield dict(zip(columns, (*key, *values), strict=True))
