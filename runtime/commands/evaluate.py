"""``faultline evaluate``: how often the product is right, on data whose truth is known."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from adapters.recordings import Recording, read_recordings
from contracts.errors import ConfigurationError
from runtime.bearing_evaluation import HEALTHY, Evaluation, Verdict, judge, judge_healthy
from runtime.life_evaluation import judge_life
from runtime.rag_evaluation import evaluate_documents
from runtime.settings import load_settings

evaluate: Final = typer.Typer(add_completion=False, no_args_is_help=True, help="Evaluate on data with known truth.")

_FORMATS: Final = ("cwru", "mfpt")
_HEALTHY_FORMATS: Final = (*_FORMATS, "femto")


@evaluate.command("bearings")
def bearings(
    *,
    data: Annotated[Path, typer.Option(help="Folder of recordings with their index.csv.")],
    file_format: Annotated[str, typer.Option("--format", help="cwru or mfpt.")],
    healthy: Annotated[
        Path | None, typer.Option(help="More healthy machines: the first third of each run to failure counts.")
    ] = None,
    healthy_format: Annotated[str, typer.Option(help="Format of those: femto, cwru or mfpt.")] = "femto",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")] = False,
) -> None:
    """Diagnose every labelled recording of a folder and compare with the truth."""
    if file_format not in _FORMATS:
        raise ConfigurationError(f"format {file_format!r}; this evaluation reads {', '.join(_FORMATS)}")
    if healthy_format not in _HEALTHY_FORMATS:
        raise ConfigurationError(f"healthy format {healthy_format!r}; known are {', '.join(_HEALTHY_FORMATS)}")
    console = Console(stderr=as_json)
    verdicts = list(_verdicts(data, file_format, judge))
    if not verdicts:
        raise ConfigurationError(f"{data}: no recording with a label; an index.csv beside the files gives them")
    if healthy is not None:
        verdicts += _verdicts(healthy, healthy_format, judge_healthy)
    evaluation = Evaluation(
        tuple(verdict for verdict in verdicts if verdict.truth != HEALTHY),
        tuple(verdict for verdict in verdicts if verdict.truth == HEALTHY),
    )
    _show(console, evaluation)
    if as_json:
        print(json.dumps(evaluation.as_object()))


@evaluate.command("rag")
def rag(
    *,
    docs: Annotated[Path, typer.Option(help="Folder of documents.")],
    qa: Annotated[Path, typer.Option(help="Questions with their right documents, one JSON object a line.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")] = False,
) -> None:
    """Index documents, ask questions whose answers are known, and say how often the right passage was found.

    Uses FAULTLINE_OPENSEARCH_URL; without it an OpenSearch is started for this run alone.
    """
    console = Console(stderr=as_json)
    figures = evaluate_documents(load_settings(), docs, qa, lambda status: console.print(str(status), highlight=False))
    for name, value in figures.items():
        console.print(f"{name:<34} {value}", highlight=False)
    if as_json:
        print(json.dumps(figures))


@evaluate.command("lives")
def lives(
    *,
    data: Annotated[Path, typer.Option(help="PRONOSTIA runs: an archive, or a folder of them.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")] = False,
) -> None:
    """Say when each run to failure is first noticed, from the past alone, and what is a false alarm."""
    runs = []
    for recording in read_recordings(data, "femto"):
        run = judge_life(recording)
        runs.append(run)
        noticed = "never noticed" if run.share is None else f"first noticed after {100 * run.share:.1f} % of its life"
        print(f"{run.record}: {run.life_s:.0f} s, {noticed}", file=sys.stderr if as_json else sys.stdout)
    if as_json:
        false_alarms = sum(run.false_alarm for run in runs)
        print(json.dumps({"runs": len(runs), "false_alarms": false_alarms, "per_run": [r.as_object() for r in runs]}))


def _verdicts(data: Path, file_format: str, judged: Callable[[Recording], Iterator[Verdict]]) -> Iterator[Verdict]:
    """Yield the verdicts on a folder's recordings; one without a label has nothing to compare with and is named."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("bearings", total=_count(data))
        for recording in read_recordings(data, file_format):
            progress.update(task, description=recording.name, advance=1)
            if recording.label is None:
                progress.console.print(f"left out: {recording.name}, whose index names no known state", highlight=False)
            else:
                yield from judged(recording)


def _count(data: Path) -> int | None:
    return sum(1 for _ in data.rglob("*.npz")) if data.is_dir() else None


def _show(console: Console, evaluation: Evaluation) -> None:
    for verdict in evaluation.faults:
        mark = "right" if verdict.correct else "-----"
        console.print(f"{mark}  {verdict.record}: {verdict.truth}, said {verdict.said}", highlight=False)
        for line in verdict.evidence:
            console.print(f"         {line}", highlight=False)
    for verdict in evaluation.healthy:
        if not verdict.correct:
            console.print(f"false alarm  {verdict.record}, {verdict.channel}: {verdict.said}", highlight=False)
    console.print(_confusion(evaluation))
    counts = evaluation.as_object()
    console.print(
        f"{counts['correct']} of {counts['records']} fault records right, {counts['healthy_called_faulty']} of"
        f" {counts['healthy']} healthy segments called faulty, {counts['not_decided']} not decided",
        highlight=False,
    )


def _confusion(evaluation: Evaluation) -> Table:
    rows = evaluation.confusion()
    said = sorted({verdict for row in rows.values() for verdict in row})
    table = Table(title="truth (rows) and verdict", title_justify="left")
    table.add_column("")
    for verdict in said:
        table.add_column(verdict, justify="right")
    for truth, row in sorted(rows.items()):
        table.add_row(truth, *(str(row.get(verdict, 0)) for verdict in said))
    return table
