"""``faultline recompute``: the history of the log again, compared with the database."""

import asyncio
import json
import sys
from typing import Annotated

import typer

from adapters.models import ModelFolder
from adapters.timescale import Database, StoredModels
from contracts.errors import ConfigurationError
from runtime.comparison import SHOWN, Comparison, compare_with_log
from runtime.connect import connected
from runtime.feature_code import load_feature_code
from runtime.kernels import load_kernels
from runtime.registry import codec_for
from runtime.settings import load_settings


def recompute(
    *,
    from_log: Annotated[bool, typer.Option("--from-log", help="Recompute everything that the log holds.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Compute the history of the log again, in one process, and compare it with the database.

    Every row of features, scores, readings, conditions and alarm transitions must come out the same, bit for bit,
    whatever crashed meanwhile. Where retention has removed the log's beginning, it begins at the oldest kept checkpoint
    on what is left, compares what was stored after that, and says so. Exit status 0 when nothing differs, 1 otherwise.
    Nothing is written.

    \b
        ./faultline recompute --from-log --json
    """
    if not from_log:
        raise ConfigurationError("say where from: --from-log recomputes everything that the log holds")
    settings = load_settings()
    code = load_feature_code(settings)

    async def run(kafka_url: str, database_url: str) -> Comparison:
        async with Database(database_url) as database:
            models = StoredModels(database_url, ModelFolder())
            return await compare_with_log(database, kafka_url, codec_for(settings), models, code, _progress)

    load_kernels(lambda line: print(line, file=sys.stderr))
    with connected(settings, lambda status: print(status, file=sys.stderr)) as urls:
        comparison = asyncio.run(run(urls.kafka, urls.database))
    if as_json:
        print(json.dumps(comparison.as_json()))
    else:
        _print(comparison)
    raise typer.Exit(1 if comparison.different else 0)


def _progress(topic: str, records: int) -> None:
    print(f"\r{topic}: {records} records", end="", file=sys.stderr, flush=True)


def _print(comparison: Comparison) -> None:
    print(file=sys.stderr)
    for line in comparison.beginnings:
        print(line)
    for table, count in sorted(comparison.compared.items()):
        print(f"{table:<16} {count:>9} rows compared")
    for line in (comparison.changed + comparison.missing + comparison.unexpected)[:SHOWN]:
        print(line)
    print(f"{comparison.different} different, {comparison.pending} beyond the last checkpoint")
