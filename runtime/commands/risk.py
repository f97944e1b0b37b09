"""``faultline risk``: which machine first, from the history in the database."""

import asyncio
import dataclasses
import json
import sys
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table

from adapters.timescale import Database, HistoryReader
from api.risks import risk_list
from contracts.ports import Principal
from processors.risk import Risk
from runtime.clock import SystemClock
from runtime.connect import connected
from runtime.settings import load_settings

_EVERYBODY: Final = Principal("risk", frozenset())
_HOUR_S: Final = 3600.0


def risk(
    *,
    days: Annotated[float, typer.Option(min=0.01, max=366, help="How far to look back.")] = 30.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Rank the assets by their health index, with the life that is left where that can be told, and the reason.

    The index is 1 for a machine that is well and 0 at its limit. Remaining life is given from an alarm on, while the
    velocity rises towards zone D and the trend leaves little doubt; otherwise the list says why there is none.

    \b
    Examples:
        ./faultline risk
        ./faultline risk --days 7 --json
    """

    async def run(database_url: str) -> list[Risk]:
        async with Database(database_url) as database:
            return await risk_list(HistoryReader(database), _EVERYBODY, SystemClock().now_ns(), days)

    with connected(load_settings(), lambda status: print(status, file=sys.stderr)) as urls:
        risks = asyncio.run(run(urls.database))
    if as_json:
        print(json.dumps({"risks": [dataclasses.asdict(one) for one in risks]}))
        return
    table = Table("asset", "health", "life p10 / p50 / p90, h", "reason")
    for one in risks:
        table.add_row(
            one.asset_id, "–" if one.health_index is None else f"{one.health_index:.2f}", _life(one), one.reason
        )
    Console().print(table)


def _life(one: Risk) -> str:
    if one.life is None:
        return f"not justified: {one.no_life_because}"
    return " / ".join(f"{value / _HOUR_S:.1f}" for value in dataclasses.astuple(one.life))
