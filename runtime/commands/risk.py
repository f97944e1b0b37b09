"""``faultline risk``: which machine first, from the history in the database."""

import asyncio
import dataclasses
import datetime as dt
import json
import sys
from collections.abc import Sequence
from pathlib import Path
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
_COLUMNS: Final = ("asset", "health", "life p10 / p50 / p90, h", "reason")


def risk(
    *,
    days: Annotated[float, typer.Option(min=0.01, max=366, help="How far to look back.")] = 30.0,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write the list there, too, as risk-DATE.md and .json.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Rank the assets by their health index, with the life that is left where that can be told, and the reason.

    The index is 1 for a machine that is well and 0 at its limit. Remaining life is given from an alarm on, while the
    velocity rises towards zone D and the trend leaves little doubt; otherwise the list says why there is none.

    For a list every night let a timer call it with --out; each file is there whole or not at all.

    \b
    Examples:
        ./faultline risk
        ./faultline risk --days 7 --json
        ./faultline risk --out /var/lib/faultline/risk
    """
    clock = SystemClock()

    async def run(database_url: str) -> list[Risk]:
        async with Database(database_url) as database:
            return await risk_list(HistoryReader(database), _EVERYBODY, clock.now_ns(), days)

    with connected(load_settings(), lambda status: print(status, file=sys.stderr)) as urls:
        risks = asyncio.run(run(urls.database))
    text = json.dumps({"risks": [dataclasses.asdict(one) for one in risks]})
    if out is not None:
        for path in write(out, risks, text, dt.datetime.fromtimestamp(clock.now_ns() / 1e9, tz=dt.UTC)):
            print(f"written: {path}", file=sys.stderr)
    if as_json:
        print(text)
        return
    table = Table(*_COLUMNS)
    for one in risks:
        table.add_row(*_cells(one))
    Console().print(table)


def write(folder: Path, risks: Sequence[Risk], as_json: str, at: dt.datetime) -> list[Path]:
    """Write a list into a folder, which is made, in Markdown and as JSON, named by its day; return the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [_COLUMNS, tuple("---" for _ in _COLUMNS), *(_cells(one) for one in risks)]
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    table = "\n".join([f"# Which machine first, {at:%Y-%m-%d %H:%M} UTC", "", *lines, ""])
    paths = []
    for ending, content in ((".md", table), (".json", as_json + "\n")):
        path = folder / f"risk-{at:%Y-%m-%d}{ending}"
        new = path.with_suffix(f"{ending}.new")
        new.write_text(content, encoding="utf-8")
        paths.append(new.replace(path))
    return paths


def _cells(one: Risk) -> tuple[str, ...]:
    return one.asset_id, "–" if one.health_index is None else f"{one.health_index:.2f}", _life(one), one.reason


def _life(one: Risk) -> str:
    if one.life is None:
        return f"not justified: {one.no_life_because}"
    return " / ".join(f"{value / _HOUR_S:.1f}" for value in dataclasses.astuple(one.life))
