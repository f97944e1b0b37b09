"""Feature vectors of the history with what was known of them, to train models on.

Of a window that was computed more than once the newest computation counts; corrections by late blocks don't, since
nothing was judged by them. Invariant: a span in which a condition stood begins with its episode, not with its raising.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from adapters.timescale.database import Database
from contracts.errors import ConfigurationError
from contracts.features import FEATURE_NAMES
from processors.scoring import BASELINE

#: More windows than these aren't read at once.
MOST_WINDOWS: Final = 2_000_000

_WINDOWS: Final = f"""
    SELECT DISTINCT ON (f.asset_id, f.channel_id, f.window_start_ns)
        f.asset_id, f.channel_id, f.point_id, f.window_start_ns, f.window_end_ns, f.partial, a.regime, a.code_hash,
        a.catalogue_version, jsonb_array_length(a.diagnoses) AS diagnoses, s.learning,
        {", ".join(f"f.{n}" for n in FEATURE_NAMES)}
    FROM feature AS f
    JOIN assessment AS a USING (asset_id, window_start_ns, code_version)
    LEFT JOIN score AS s ON s.channel_id = f.channel_id AND s.window_start_ns = f.window_start_ns
        AND s.model = '{BASELINE}' AND s.code_version = f.code_version AND s.asset_id = f.asset_id
    WHERE f.asset_id = ANY(%(assets)s::text[]) AND f.window_start_ns >= %(from_ns)s AND f.window_start_ns < %(to_ns)s
        AND (%(points)s::text[] IS NULL OR f.point_id = ANY(%(points)s)) AND f.channel_id = ANY(a.channel_ids)
    ORDER BY f.asset_id, f.channel_id, f.window_start_ns, f.stored_at DESC LIMIT %(limit)s
"""  # noqa: S608 -- the columns are the catalogue's
_EVENTS: Final = """
    SELECT asset_id, at_ns FROM machine_event
    WHERE asset_id = ANY(%(assets)s::text[]) AND kind = %(kind)s ORDER BY asset_id, at_ns
"""
_CONDITIONS: Final = """
    SELECT asset_id, point_id, rule, state, sequence, at_ns, episode_started_at_ns
    FROM condition WHERE asset_id = ANY(%(assets)s::text[]) AND episode_started_at_ns < %(to_ns)s
    ORDER BY asset_id, sequence
"""


@dataclass(frozen=True, slots=True)
class Suspicion:
    """From when to when (null: still) a condition stood at a point, UTC ns."""

    asset_id: str
    point_id: str
    from_ns: int
    to_ns: int | None


async def windows_to_learn_from(
    database: Database, assets: Sequence[str], points: Sequence[str] | None, from_ns: int, to_ns: int
) -> list[dict[str, Any]]:
    """Return the windows of assets that start in [`from_ns`, `to_ns`), by asset, channel and time.

    Keys: asset_id, channel_id, point_id, window_start_ns, window_end_ns, partial, regime, code_hash,
    catalogue_version, ``diagnoses`` (how many), ``learning`` (whether the stream's baseline was; null where it said
    nothing), and every feature of the catalogue.

    Raises
    ------
    ConfigurationError
        If there are more than ``MOST_WINDOWS``.
    """
    rows = await database.rows(
        _WINDOWS,
        assets=list(assets),
        points=None if points is None else list(points),
        from_ns=from_ns,
        to_ns=to_ns,
        limit=MOST_WINDOWS + 1,
    )
    if len(rows) > MOST_WINDOWS:
        raise ConfigurationError(f"more than {MOST_WINDOWS} windows in that span; take a shorter one or fewer assets")
    return rows


async def events_of(database: Database, assets: Sequence[str], kind: str) -> dict[str, list[int]]:
    """Return when events of a kind happened at assets, UTC ns, oldest first; assets without any are left out."""
    found: dict[str, list[int]] = {}
    for row in await database.rows(_EVENTS, assets=list(assets), kind=kind):
        found.setdefault(row["asset_id"], []).append(row["at_ns"])
    return found


async def suspicions(database: Database, assets: Sequence[str], to_ns: int) -> list[Suspicion]:
    """Return when conditions stood at assets, in episodes that began before `to_ns`, whenever they were raised."""
    found: list[Suspicion] = []
    standing: dict[tuple[str, str, str], int] = {}
    for row in await database.rows(_CONDITIONS, assets=list(assets), to_ns=to_ns):
        key = (row["asset_id"], row["point_id"], row["rule"])
        if row["state"] == "raised":
            standing.setdefault(key, row["episode_started_at_ns"])
        elif key in standing:
            found.append(Suspicion(key[0], key[1], standing.pop(key), row["at_ns"]))
    return [*found, *(Suspicion(asset, point, from_ns, None) for (asset, point, _), from_ns in standing.items())]
