"""The comparison of two models over many assets, and how it is printed."""

from collections.abc import Sequence
from typing import Any

from adapters.timescale import Database, read_scores
from contracts.assets import AssetConfiguration
from contracts.errors import ConfigurationError, NotFound
from contracts.models import ModelVersion
from processors import CODE_VERSION
from processors.diagnosis import SENSOR_PREFIX
from processors.promotion import in_scope
from runtime.episodes import Span
from runtime.shadow_comparison import compare, opponent

_MONTH_S = 30 * 86_400.0


async def compare_on_assets(
    database: Database,
    one: ModelVersion,
    versions: Sequence[ModelVersion],
    assets: Sequence[AssetConfiguration],
    wanted: Sequence[str],
    against: str | None,
    span: Span,
) -> dict[str, Any]:
    """Return the comparison of `one` with what scores instead of it, asset by asset, and in sum.

    Parameters
    ----------
    database : Database
        Holds the scores.
    one : ModelVersion
        The challenger.
    versions, assets : sequence of ModelVersion, sequence of AssetConfiguration
        All of them.
    wanted : sequence of str
        Asset ids; empty for all in scope.
    against : str or None
        ``name@version`` of the other model; what scores for the asset by default.
    span : tuple of int, int
        UTC nanoseconds.

    Raises
    ------
    NotFound
        If an asset isn't known.
    ConfigurationError
        If the model is to be compared with itself.
    """
    if against == one.key:
        raise ConfigurationError(f"{one.key} can't be compared with itself")
    unknown = set(wanted) - {asset.asset_id for asset in assets}
    if unknown:
        raise NotFound(f"no asset {', '.join(sorted(unknown))}; `faultline assets list` names them")
    chosen = [asset for asset in assets if (asset.asset_id in wanted if wanted else in_scope(one, asset))]
    found = []
    for asset in chosen:
        other = against or opponent(asset, one, versions)
        rows = read_scores(database, asset, [one.key, other], span, CODE_VERSION, SENSOR_PREFIX)
        found.append({"asset_id": asset.asset_id, **await compare(rows, one.key, other, asset.rules, span)})
    return {"challenger": one.key, "assets": found, "in_sum": _sum(found)}


def _sum(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    months = sum(one["observed_s"] for one in found) / _MONTH_S
    sides = {}
    for side in ("under_champion", "under_challenger"):
        alarms = sum(one[side]["alarms"] for one in found)
        sides[side] = {
            "windows": sum(one[side]["windows"] for one in found),
            "not_judged": sum(one[side]["not_judged"] for one in found),
            "alarms": alarms,
            "alarms_per_asset_month": alarms / months if months else None,
        }
    changes: dict[str, int] = {}
    for one in found:
        for difference in one["differences"]:
            changes[difference["change"]] = changes.get(difference["change"], 0) + 1
    return {**sides, "changes": changes, "asset_months": months}


def print_comparison(result: dict[str, Any]) -> None:
    """Print the comparison for a person."""
    for one in result["assets"]:
        counts = [one[side] for side in ("under_champion", "under_challenger")]
        names = (one["champion"], one["challenger"])
        print(f"{one['asset_id']}: {one['from'] or 'no scores'} to {one['to'] or '-'}")
        for name, count in zip(names, counts, strict=True):
            rest = f", {count['not_judged']} of them not judged" if count["not_judged"] else ""
            print(f"  {name:<32} {count['alarms']} alarms in {count['windows']} windows{rest}")
        for difference in one["differences"]:
            episode = difference["challenger"] or difference["champion"]
            shift = "" if difference["shift_s"] is None else f" by {abs(difference['shift_s']):g} s"
            print(f"  {difference['change']}{shift}, {difference['point_id']} {episode['from']}: {episode['reason']}")
    if not result["assets"]:
        print(f"no asset is in the scope of {result['challenger']}")
