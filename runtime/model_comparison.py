"""The comparison of two models over many assets, and how it is printed."""

from collections.abc import Sequence
from typing import Any, Final

from adapters.timescale import Database, read_scores
from contracts.assets import AssetConfiguration
from contracts.errors import ConfigurationError, NotFound
from contracts.models import ModelVersion
from processors import CODE_VERSION
from processors.diagnosis import SENSOR_PREFIX
from processors.promotion import in_scope
from processors.scoring import BASELINE
from processors.scoring.calibration import MIN_WINDOWS
from processors.scoring.verdicts import BASELINE_VERSION
from runtime.episodes import Span
from runtime.shadow_comparison import compare, opponent

_MONTH_S: Final = 30 * 86_400.0
#: A shorter span says nothing of a month.
_LEAST_FOR_RATE_S: Final = 86_400.0
_BASELINE: Final = f"{BASELINE}@{BASELINE_VERSION}"


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
        If an asset or the other model isn't known.
    ConfigurationError
        If the model is to be compared with itself.
    """
    if against == one.key:
        raise ConfigurationError(f"{one.key} can't be compared with itself")
    known = {one.key for one in versions} | {model.key for asset in assets for model in asset.models} | {_BASELINE}
    if against is not None and against not in known:
        raise NotFound(f"no model {against}; there are {', '.join(sorted(known))}")
    unknown = set(wanted) - {asset.asset_id for asset in assets}
    if unknown:
        raise NotFound(f"no asset {', '.join(sorted(unknown))}; `faultline assets list` names them")
    chosen = [asset for asset in assets if (asset.asset_id in wanted if wanted else in_scope(one, asset))]
    found = []
    for asset in chosen:
        other = against or opponent(asset, one, versions)
        rows = read_scores(database, asset, [one.key, other], span, CODE_VERSION, SENSOR_PREFIX)
        found.append({"asset_id": asset.asset_id, **await compare(rows, one.key, other, asset.rules, span)})
    return {"challenger": one.key, "assets": found, "in_sum": summed(found)}


def summed(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the counts of several assets' comparisons together, and the alarms per asset and month."""
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
    """Print the comparison for a person: each asset, then all in sum, and what can't be said yet."""
    for one in result["assets"]:
        print(f"{one['asset_id']}: {one['from'] or 'no scores'} to {one['to'] or '-'}")
        for name, side in ((one["champion"], "under_champion"), (one["challenger"], "under_challenger")):
            print(f"  {name:<32} {_counted(one[side])}")
        for difference in one["differences"]:
            episode = difference["challenger"] or difference["champion"]
            shift = "" if difference["shift_s"] is None else f" by {abs(difference['shift_s']):g} s"
            when = f"{difference['point_id']} {episode['from']}"
            print(f"  {_words(difference['change'])}{shift}, {when}: {episode['reason']}")
    if not result["assets"]:
        print(f"no asset is in the scope of {result['challenger']}")
        return
    total = result["in_sum"]
    observed_s = total["asset_months"] * _MONTH_S
    short = "" if observed_s >= _LEAST_FOR_RATE_S else "; too short to say how many a month"
    print(f"in sum, {observed_s / 3600.0:.3g} h of assets{short}:")
    for name, side in (("what it is compared with", "under_champion"), (result["challenger"], "under_challenger")):
        rate = "" if short else f", {total[side]['alarms_per_asset_month']:.3g} per asset and month"
        print(f"  {name:<32} {_counted(total[side])}{rate}")
    changes = ", ".join(f"{count} {_words(change)}" for change, count in sorted(total["changes"].items()))
    print(f"alarms that would have been otherwise: {changes or 'none'}")
    if any(total[side]["not_judged"] for side in ("under_champion", "under_challenger")):
        print(
            f"not judged are windows before a model's threshold, which {MIN_WINDOWS} normal windows of each channel and"
            " regime make, and those of a sensor at fault"
        )


def _words(change: str) -> str:
    return change.replace("_", " ")


def _counted(side: dict[str, Any]) -> str:
    rest = f", {side['not_judged']} of them not judged" if side["not_judged"] else ""
    return f"{side['alarms']} alarms in {side['windows']} windows{rest}"
