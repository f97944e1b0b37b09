"""The report card of an evaluation: measures beside goals and published figures, as Markdown and as one HTML page.

What a reader wants first comes first: whether the goals are met, then the measures, then what others published and how
that was measured; the rows of the files come last.
"""

import html
import operator
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from pipelines.evaluation.result import Published, Result

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
    "challenge_score": "score of the challenge of 2012",
    "error_percent": "error of the life that is left, %",
    "first_warning_s": "first warning, s",
    "published_warning_s": "published first warning, s",
    "delay_s": "delay, s",
    "lead_s": "lead, s",
    "life_s": "life, s",
    "normal_s": "normal, s",
    "rmse_s": "RMSE, s",
}
#: What a data set is called on its card.
_SETS: Final = {
    "skab": "SKAB, a water circuit",
    "nab": "NAB, Numenta Anomaly Benchmark",
    "tep": "Tennessee Eastman process",
    "femto": "FEMTO PRONOSTIA, bearings run to failure",
}
_BOUNDS: Final = {"≥": operator.ge, "≤": operator.le}
_ALL_OF: Final = "all of "
_MET, _MISSED = "met", "missed"
_NUMBER: Final = re.compile(r"-?\d+(\.\d+)?(e[+-]\d+)?|–")
_STYLE: Final = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;color:#1f2d3d}"
    "div{overflow-x:auto}"
    "table{border-collapse:collapse;margin:1rem 0;font-variant-numeric:tabular-nums}"
    "td,th{border:1px solid #90a0b0;padding:.25rem .6rem;text-align:left;vertical-align:top}"
    "th{background:#eef2f6}td.number{text-align:right}td.number,td:nth-child(-n+2){white-space:nowrap}"
    ".verdict{font-weight:600;padding:.5rem .8rem;border-left:.4rem solid #90a0b0;background:#eef2f6}"
    ".verdict.met{border-color:#1a7f37;background:#e6f4ea}.verdict.missed{border-color:#c62828;background:#fdecea}"
    "td.met{color:#1a7f37;font-weight:600}td.missed{color:#c62828;font-weight:600}"
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
    parts = [f"# {_title(result)}", f"**{_verdict(result)[1]}**"]
    for heading, content in _sections(result):
        shown = "\n".join(f"- {item}" for item in content) if isinstance(content, list) else _markdown(content)
        parts += [f"## {heading}", shown]
    return "\n\n".join(parts) + "\n"


def as_html(result: Result) -> str:
    """Return the card as a page that needs nothing beside it."""
    title = html.escape(_title(result))
    kind, verdict = _verdict(result)
    parts = [f"<h1>{title}</h1>", f'<p class="verdict {kind}">{html.escape(verdict)}</p>']
    for heading, content in _sections(result):
        parts += [f"<h2>{html.escape(heading)}</h2>", _list(content) if isinstance(content, list) else _html(content)]
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    head += f"<title>{title}</title><style>{_STYLE}</style>"
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>{"".join(parts)}</body></html>\n'


def _title(result: Result) -> str:
    what = "Remaining life" if result.task == "rul" else "Detection"
    name = _SETS.get(result.data_set) or f"C-MAPSS {result.data_set}, turbofan engines"
    return f"{what}: {name}"


def _verdict(result: Result) -> tuple[str, str]:
    """Return whether all goals are met, ``met``, ``missed`` or nothing, and a sentence that says so."""
    judged = {name: _judged(goal, result.measures.get(name)) for name, goal in result.goals.items()}
    if not judged:
        return "", "No goal was set for these data: the figures stand for themselves."
    told = {
        name: f"{_name(name)} {_cell(result.measures.get(name))}, goal {goal}" for name, goal in result.goals.items()
    }
    missed = [told[name] for name, verdict in judged.items() if verdict == _MISSED]
    if missed:
        return _MISSED, f"Missed {len(missed)} of {len(judged)} goals: {'; '.join(missed)}."
    return _MET, f"{'All goals' if len(judged) > 1 else 'The goal is'} met: {'; '.join(told.values())}."


def _judged(goal: str, value: Any) -> str:
    """Return whether a value meets a goal; a measure that there isn't doesn't."""
    if goal.startswith(_ALL_OF):
        wanted = set(goal.removeprefix(_ALL_OF).split(", "))
        return _MET if wanted <= {str(each) for each in value or ()} else _MISSED
    sign, _, bound = goal.partition(" ")
    return _MET if isinstance(value, (int, float)) and _BOUNDS[sign](value, float(bound)) else _MISSED


def _sections(result: Result) -> list[tuple[str, Table | list[str]]]:
    sections: list[tuple[str, Table | list[str]]] = [("Measures", _measures(result))]
    if result.published:
        sources = [f"[{number}] {source}" for number, source in enumerate(_sources(result), start=1)]
        sections += [("Published by others", _published(result)), ("Sources", sources)]
    sections.append(("Notes", _notes(result)))
    columns = tuple(result.files[0]) if result.files else ()
    files = [tuple(_cell(row.get(column)) for column in columns) for row in result.files]
    sections.append(("Files", (tuple(_name(column) for column in columns), files)))
    return sections


def _measures(result: Result) -> Table:
    """Return the measures that are no tables of their own, each beside its goal and what others published."""
    rows: list[tuple[str, ...]] = []
    for name, value in result.measures.items():
        if isinstance(value, dict):
            continue
        others = "; ".join(f"{_cell(each.value)} ({each.who})" for each in result.published if each.measure == name)
        goal = result.goals.get(name, "")
        rows.append((_name(name), _cell(value), goal, _judged(goal, value) if goal else "", others))
    return ("measure", "here", "goal", "verdict", "published"), rows


def _published(result: Result) -> Table:
    """Return what others reached, one row each, with the numbers of the sources."""
    numbers = {source: number for number, source in enumerate(_sources(result), start=1)}
    rows: dict[tuple[str, str], list[str]] = {}
    for each in result.published:
        rows.setdefault((each.who, _source(each)), []).append(f"{_name(each.measure)}: {_cell(each.value)}")
    table: list[tuple[str, ...]] = [
        (who, "; ".join(reached), f"[{numbers[source]}]") for (who, source), reached in rows.items()
    ]
    return ("by", "reached", "source"), table


def _sources(result: Result) -> list[str]:
    return list(dict.fromkeys(_source(each) for each in result.published))


def _source(figure: Published) -> str:
    return f"{figure.source}. Measured there: {figure.differs}."


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
    body = "".join("<tr>" + "".join(_table_cell(cell) for cell in row) + "</tr>" for row in rows)
    return f"<div><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"


def _table_cell(cell: str) -> str:
    kind = cell if cell in {_MET, _MISSED} else "number" if _NUMBER.fullmatch(cell) else ""
    return f'<td class="{kind}">{html.escape(cell)}</td>' if kind else f"<td>{html.escape(cell)}</td>"


def _list(items: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{html.escape(item)}</li>" for item in items) + "</ul>"
