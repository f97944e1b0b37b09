"""What the commands on models say to a person: versions, one version with its history, and a step with what follows."""

from collections.abc import Sequence
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from contracts.models import Stage

#: What usually follows a step.
_NEXT: Final = {
    "propose": "`faultline models review`, once the card has been read",
    "review": "`faultline models stage`: it scores live data in shadow, and raises nothing",
    "stage": "`faultline models compare`, after 99 normal windows of each channel; then `faultline models canary`",
    "canary": "`faultline models compare`; then `faultline models promote`, or `faultline models rollback`",
    "promote": "`faultline models rollback` takes it back at once; `faultline models sunset` ends what it replaced",
    "rollback": "`faultline models show` says what scores where; `faultline models sunset` ends it for good",
}


def print_versions(rows: Sequence[dict[str, Any]]) -> None:
    """Print all versions, one line each."""
    if not rows:
        print("no model has been proposed yet; `faultline models propose --help` says how")
        return
    table = Table()
    for heading in ("model", "stage", "instead of", "canary", "assets", "in shadow", "code"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        share = "by name" if row["canary_asset_ids"] else f"{row['share']:g}" if row["stage"] == Stage.CANARY else "-"
        counts = (share, str(len(row["scores_for"])), str(len(row["in_shadow_for"])))
        code = "this" if row["current"] else f"another: {row['feature_hash']}"
        table.add_row(f"{row['name']}@{row['version']}", row["stage"], row["slot"], *counts, escape(code))
    Console().print(table)


def print_version(shown: dict[str, Any]) -> None:
    """Print one version: where it scores, every step with who and why, and its card."""
    for field, value in shown.items():
        if field not in {"history", "card"}:
            print(f"{field:<18} {_listed(value)}")
    for step in shown["history"]:
        stages = f"{step['from_stage'] or '-'} → {step['to_stage'] or '-'}"
        print(f"{step['at']}  {step['action']:<8} {stages:<22} {step['actor']}: {step['reason']}")
    if shown["card"]:
        print(f"\n{shown['card']}")


def print_step(result: dict[str, Any]) -> None:
    """Print what a step has changed, what scores where now, and what usually comes next."""
    print(f"{result['action']}: {', '.join(result['changed']) or 'nothing to do, it is so already'}")
    if result.get("scores_for") or result.get("in_shadow_for"):
        print(f"scores for real on: {', '.join(result['scores_for']) or 'none'}")
        print(f"in shadow on: {', '.join(result['in_shadow_for']) or 'none'}")
    elif result.get("scoring"):
        for asset_id, keys in result["scoring"].items():
            print(f"scoring for real on {asset_id}: {', '.join(keys)}")
    if result.get("activated"):
        print(f"now in force: {', '.join(result['activated'])}")
    print(f"MLflow: {result['mlflow']}")
    if result["action"] in _NEXT:
        print(f"next: {_NEXT[result['action']]}")


def _listed(value: Any) -> str:
    if isinstance(value, dict):
        value = [f"{key} from {least:g}" for key, least in value.items()]
    if isinstance(value, bool):
        return "yes" if value else "no"
    return (", ".join(value) if isinstance(value, (list, tuple)) else str(value or "")) or "-"
