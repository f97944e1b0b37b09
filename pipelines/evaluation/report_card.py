"""The report card of an evaluation: measures beside goals and published figures, as Markdown and as one HTML page."""

import html
import operator
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from pipelines.evaluation.result import Result

#: What a measure is called; those not named here stand under their own name.
_NAMES: Final = {
    "f1": "F1",
    "far": "false-alarm rate (FAR)",
    "mar": "missed-alarm rate (MAR)",
    "false_alarms": "false alarms",
    "false_alarms_per_asset_month": "false alarms per asset and month",
    "median_delay_s": "median delay after onset, s",
    "median_lead_s": "median lead before the end, s",
    "shortest_lead_s": "shortest lead before the end, s",
    "nab_score": "NAB score, optimised threshold",
    "nab_score_fixed": "NAB score, fixed threshold",
    "rmse": "RMSE",
    "phm_score": "PHM score",
}
_BOUNDS: Final = {"≥": operator.ge, "≤": operator.le}
_STYLE: Final = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;color:#1f2d3d}"
    "div{overflow-x:auto}"
    "table{border-collapse:collapse;margin:1rem 0}td,th{border:1px solid #90a0b0;padding:.25rem .6rem;text-align:left}"
)

Table = tuple[tuple[str, ...], list[tuple[str, ...]]]


def write(folder: Path, results: Sequence[Result]) -> list[Path]:
    """Write ``TASK-DATA_SET.md`` and ``.html`` for each result into a folder, which is made; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for result in results:
        for suffix, text in ((".md", as_markdown(result)), (".html", as_html(result))):
            path = folder / f"{result.task}-{result.data_set.lower()}{suffix}"
            path.write_text(text, encoding="utf-8")
            paths.append(path)
    return paths


def as_markdown(result: Result) -> str:
    """Return the card as Markdown."""
    parts = [f"# {_title(result)}"]
    for heading, table in _tables(result):
        parts += [f"## {heading}", _markdown(table)]
    parts += ["## Notes", "\n".join(f"- {note}" for note in _notes(result))]
    return "\n\n".join(parts) + "\n"


def as_html(result: Result) -> str:
    """Return the card as a page that needs nothing beside it."""
    title = html.escape(_title(result))
    parts = [f"<h1>{title}</h1>"]
    for heading, table in _tables(result):
        parts += [f"<h2>{html.escape(heading)}</h2>", _html(table)]
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in _notes(result))
    parts += ["<h2>Notes</h2>", f"<ul>{notes}</ul>"]
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    head += f"<title>{title}</title><style>{_STYLE}</style>"
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>{"".join(parts)}</body></html>\n'


def _title(result: Result) -> str:
    what = "Remaining life" if result.task == "rul" else "Detection"
    return f"{what}: {result.data_set}"


def _tables(result: Result) -> list[tuple[str, Table]]:
    tables: list[tuple[str, Table]] = [("Measures", _measures(result))]
    if result.published:
        rows: list[tuple[str, ...]] = [
            (_name(each.measure), _cell(each.value), each.who, each.source) for each in result.published
        ]
        tables.append(("Published", (("measure", "value", "by", "source"), rows)))
    columns = tuple(result.files[0]) if result.files else ()
    files = [tuple(_cell(row.get(column)) for column in columns) for row in result.files]
    tables.append(("Files", (tuple(_name(column) for column in columns), files)))
    return tables


def _measures(result: Result) -> Table:
    """Return the measures that are no tables of their own, each beside its goal and the best that was published."""
    rows: list[tuple[str, ...]] = []
    for name, value in result.measures.items():
        if isinstance(value, dict):
            continue
        others = ", ".join(f"{_cell(each.value)} ({each.who})" for each in result.published if each.measure == name)
        rows.append((_name(name), _cell(value), _goal(result.goals.get(name, ""), value), others))
    return ("measure", "here", "goal", "published"), rows


def _goal(goal: str, value: Any) -> str:
    """Return a goal, and whether it is met where it is a bound."""
    sign, _, bound = goal.partition(" ")
    if sign not in _BOUNDS or not isinstance(value, (int, float)):
        return goal
    return f"{goal}: {'met' if _BOUNDS[sign](value, float(bound)) else 'missed'}"


def _notes(result: Result) -> list[str]:
    settings = ", ".join(f"{name} {_cell(value)}" for name, value in result.settings.items())
    seeds = ", ".join(str(seed) for seed in result.seeds) or "none"
    return [*result.notes, f"Settings: {settings}.", f"Seeds: {seeds}."]


def _name(name: str) -> str:
    return _NAMES.get(name) or name.replace("_", " ")


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e4 else f"{value:.0f}"
    if isinstance(value, (list, tuple)):
        return ", ".join(_cell(each) for each in value)
    return str(value)


def _markdown(table: Table) -> str:
    head, rows = table
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _html(table: Table) -> str:
    head, rows = table
    top = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<div><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"
