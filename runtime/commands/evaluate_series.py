"""``faultline evaluate detection`` and ``evaluate rul``: detectors and forecasts on public data sets."""

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from contracts.errors import ConfigurationError
from pipelines.evaluation import report_card
from pipelines.evaluation.bearing_lives import evaluate_bearing_lives
from pipelines.evaluation.cmapss import evaluate_cmapss
from pipelines.evaluation.femto import evaluate_femto
from pipelines.evaluation.nab import evaluate_nab
from pipelines.evaluation.result import Result
from pipelines.evaluation.skab import evaluate_skab
from pipelines.evaluation.tep import evaluate_tep

Evaluation = Callable[[Path], Iterable[Result]]

Data = Annotated[Path, typer.Option(help="Folder of the data set.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object a line for each data set.")]
Report = Annotated[Path | None, typer.Option(help="Folder for the report card: Markdown and HTML.")]


def _one(evaluation: Callable[[Path], Result]) -> Evaluation:
    return lambda folder: [evaluation(folder)]


DETECTION: Final[dict[str, Evaluation]] = {
    "skab": _one(evaluate_skab),
    "nab": _one(evaluate_nab),
    "tep": _one(evaluate_tep),
    "femto": _one(evaluate_femto),
}
RUL: Final[dict[str, Evaluation]] = {"cmapss": evaluate_cmapss, "femto": _one(evaluate_bearing_lives)}


def detection(
    *,
    data: Data,
    file_format: Annotated[str, typer.Option("--format", help="skab, nab, tep or femto.")],
    as_json: AsJson = False,
    report: Report = None,
) -> None:
    """Say how well faults are detected, from the past alone: false alarms, missed ones, delay.

    A result that changes when the future is cut off or replaced ends the evaluation.

    \b
        ./faultline evaluate detection --data skab --format skab
        ./faultline evaluate detection --data tep --format tep --json --report cards
    """
    _run(DETECTION, data, file_format, as_json=as_json, report=report)


def rul(
    *,
    data: Data,
    file_format: Annotated[str, typer.Option("--format", help="cmapss or femto.")],
    as_json: AsJson = False,
    report: Report = None,
) -> None:
    """Say how well remaining lives are told, on machines that were not learnt from.

    \b
        ./faultline evaluate rul --data cmapss --format cmapss --json
        ./faultline evaluate rul --data femto_pronostia --format femto --report cards
    """
    _run(RUL, data, file_format, as_json=as_json, report=report)


def _run(
    evaluations: dict[str, Evaluation], data: Path, file_format: str, *, as_json: bool, report: Path | None
) -> None:
    if file_format not in evaluations:
        raise ConfigurationError(f"format {file_format!r}; this evaluation reads {', '.join(evaluations)}")
    if not data.is_dir():
        raise ConfigurationError(f"{data} is no folder")
    console = Console(stderr=as_json)
    results = list(_shown(console, evaluations[file_format](data), as_json=as_json))
    if report is not None:
        for path in report_card.write(report, results):
            console.print(f"written: {path}", highlight=False, soft_wrap=True)


def _shown(console: Console, results: Iterable[Result], *, as_json: bool) -> Iterator[Result]:
    """Print each result as soon as it is there."""
    for result in results:
        console.print(report_card.as_markdown(result), highlight=False, markup=False, soft_wrap=True)
        if as_json:
            print(json.dumps(result.as_object()), flush=True)
        yield result
