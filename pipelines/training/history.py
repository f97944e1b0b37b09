"""A table to train on from a database's history.

A span begins with maintenance, and where the stream's own baseline learnt anew what it had known: after a change of the
configuration that re-opened it. Its windows are standardised by their own normal, as in the stream.

What isn't learnt from: partial windows, machines that stand still, run up or coast down, windows with a diagnosis, and
all windows of a point from the beginning of a condition's episode until it cleared. What the stream's own scorers learn
from is a little more, since one channel's diagnosis stops the asset's other channels here too.
"""

import bisect
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from adapters.timescale.database import Database
from adapters.timescale.training import Suspicion, events_of, suspicions, windows_to_learn_from
from contracts.errors import ConfigurationError, NotFound
from contracts.features import CATALOGUE_VERSION, FEATURE_NAMES
from pipelines.training.table import (
    HEALTHY,
    IN_TRANSITION,
    LEARNABLE,
    PARTIAL,
    STANDING_STILL,
    SUSPECTED,
    UNKNOWN,
    FeatureTable,
    table_of,
)
from processors.asset import MAINTENANCE
from processors.regime import STOPPED, is_steady

_ENDLESS: Final = 2**63 - 1


async def read_history(
    database: Database, assets: Sequence[str], points: Sequence[str] | None, from_ns: int, to_ns: int, code_hash: str
) -> FeatureTable:
    """Return the windows of assets that start in [`from_ns`, `to_ns`), each asset a machine.

    Parameters
    ----------
    database : Database
        The history.
    assets, points : sequence of str
        Ids; without points all of them.
    from_ns, to_ns : int
        UTC.
    code_hash : str
        The feature code of this process.

    Raises
    ------
    NotFound
        If an asset has no window in that span.
    ConfigurationError
        If windows were computed by other feature code.
    """
    rows = await windows_to_learn_from(database, assets, points, from_ns, to_ns)
    lacking = sorted(set(assets) - {row["asset_id"] for row in rows})
    if lacking:
        raise NotFound(f"no window of {', '.join(lacking)} in that span")
    others = [row for row in rows if (row["code_hash"], row["catalogue_version"]) != (code_hash, CATALOGUE_VERSION)]
    if others:
        newest = max(others, key=lambda row: int(row["window_start_ns"]))
        raise ConfigurationError(
            f"{len(others)} of {len(rows)} windows are features of other code, the newest at"
            f" {newest['window_start_ns']} ns of code {newest['code_hash'] or 'unknown'}; this is {code_hash}: choose a"
            " later span, or train on features that this code has computed"
        )
    spans = await suspicions(database, assets, to_ns)
    excluded = np.array(_reasons(rows, spans))
    worked_on = await events_of(database, assets, MAINTENANCE)
    return table_of(
        FEATURE_NAMES,
        np.array([[row[name] for name in FEATURE_NAMES] for row in rows], dtype=np.float32),
        np.array([row["window_start_ns"] for row in rows], dtype=np.int64),
        {
            "machine": np.array([row["asset_id"] for row in rows]),
            "channel": np.array([row["channel_id"] for row in rows]),
            "regime": np.array([row["regime"] for row in rows]),
            "excluded": excluded,
            "state": np.where(excluded == LEARNABLE, HEALTHY, UNKNOWN),
            "span": spans_of(rows, worked_on),
        },
        code_hash=code_hash,
        source=f"history of {', '.join(assets)}",
    )


def spans_of(rows: Iterable[Mapping[str, Any]], worked_on: Mapping[str, Sequence[int]]) -> list[int]:
    """Return for each window how often what is normal had been learnt anew on its channel before.

    Parameters
    ----------
    rows : iterable of mapping
        Windows by asset, channel and time: ``asset_id``, ``channel_id``, ``regime``, ``window_end_ns``, ``learning``.
    worked_on : mapping of str to sequence of int
        Asset → when there was maintenance, UTC ns, oldest first.

    Examples
    --------
    >>> learning = (True, False, True, False)
    >>> rows = [
    ...     {"asset_id": "P", "channel_id": "c", "regime": "r", "window_end_ns": end, "learning": is_learning}
    ...     for end, is_learning in enumerate(learning)
    ... ]
    >>> spans_of(rows, {})
    [0, 0, 1, 1]
    """
    spans: list[int] = []
    place, before, known = None, 0, set[str]()
    for row in rows:
        done = bisect.bisect_left(worked_on.get(row["asset_id"], []), row["window_end_ns"])
        if place != (row["asset_id"], row["channel_id"]):
            place, before, span = (row["asset_id"], row["channel_id"]), done, done
            known.clear()
        elif done > before or (row["learning"] and row["regime"] in known):
            span, before = span + max(done - before, 1), done
            known.clear()
        if row["learning"] is False:
            known.add(row["regime"])
        spans.append(span)
    return spans


def _reasons(rows: Iterable[Mapping[str, Any]], spans: Iterable[Suspicion]) -> list[str]:
    by_point: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for span in spans:
        ends = (span.from_ns, _ENDLESS if span.to_ns is None else span.to_ns)
        by_point.setdefault((span.asset_id, span.point_id), []).append(ends)
    return [_reason(row, by_point.get((row["asset_id"], row["point_id"]), [])) for row in rows]


def _reason(row: Mapping[str, Any], spans: list[tuple[int, int]]) -> str:
    if row["partial"]:
        return PARTIAL
    if not is_steady(row["regime"]):
        return STANDING_STILL if row["regime"] == STOPPED else IN_TRANSITION
    stood = any(row["window_end_ns"] >= from_ns and row["window_start_ns"] < to_ns for from_ns, to_ns in spans)
    return SUSPECTED if row["diagnoses"] or stood else LEARNABLE
