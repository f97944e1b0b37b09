"""``faultline train``: a scoring model from healthy history, its export checked, with card, checksum and MLflow run."""

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from adapters.models import BUNDLED_FOLDER
from contracts.errors import ConfigurationError
from contracts.model_card import as_markdown
from pipelines.training.export import TOLERANCE
from pipelines.training.harness import Wish
from pipelines.training.kinds import KINDS
from pipelines.training.table import FeatureTable
from pipelines.training.table_files import save_table
from processors.own_features import FeatureCode
from processors.scoring.succession import MAX_WINDOW_COUNT
from runtime.command_line import current_user, moment_ns
from runtime.feature_code import load_feature_code
from runtime.settings import Settings, load_settings
from runtime.training import Data, Recorded, kind_of, now_text, read_data, train_and_record, training_runs, version_for

_HELP: Final = """Train a scoring model on healthy windows; write it with card and SHA-256; record the run in MLflow.

A model never learns from windows with bad data, a suspected or a known fault (classifiers learn from known ones). \
The search is judged by machines that weren't learnt from, and the card's figures come from one more that nothing has \
seen. A model that looks ahead, learns its answers by heart, or differs from its ONNX file is refused.

\b
    ./faultline train features --data DIR --format femto --out femto.npz
    ./faultline train autoencoder --data femto.npz --trials 20 --seed 1
    ./faultline train isolation-forest --asset P-101 --asset P-102 \\
        --from 2026-01-01T00:00:00Z --to 2026-02-01T00:00:00Z
    ./faultline train tcn --data femto.npz --hold-out Bearing3_1 --json

Then try it on a past span (./faultline replay --models NAME=VERSION), and name it in an asset's configuration:

\b
    models: [{name: autoencoder, version: "1", sha256: …}]

JAX, scikit-learn, Optuna and MLflow are installed by ./faultline bootstrap train.
"""

train: Final = typer.Typer(add_completion=False, no_args_is_help=True, help=_HELP)

From = Annotated[
    Path | None, typer.Option("--data", help="A table of features (.npz, .csv), or a folder of recordings.")
]
Format = Annotated[str | None, typer.Option("--format", help="What the folder holds: femto, skab, tep or nab.")]
Asset = Annotated[list[str] | None, typer.Option(help="Train on this asset's history; repeatable.")]
Point = Annotated[list[str] | None, typer.Option(help="Only these points of the assets; repeatable.")]
Begin = Annotated[str | None, typer.Option("--from", metavar="TIME", help="History from, e.g. 2026-01-31T08:00:00Z.")]
End = Annotated[str | None, typer.Option("--to", metavar="TIME", help="History until.")]
Faults = Annotated[
    Path | None, typer.Option(help="CSV of confirmed faults: machine, from, to. Classifiers learn from them.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")]


@train.command("features")
def features(
    *,
    out: Annotated[Path, typer.Option(metavar="FILE.npz", help="Where the table is written.")],
    data: From = None,
    file_format: Format = None,
    asset: Asset = None,
    point: Point = None,
    from_time: Begin = None,
    to_time: End = None,
    faults: Faults = None,
    as_json: AsJson = False,
) -> None:
    """Compute or fetch the feature vectors alone, and write them as a table that the other commands read."""
    if out.suffix != ".npz":
        raise ConfigurationError(f"{out}: a table is written as .npz")
    settings = load_settings()
    code = load_feature_code(settings)
    table = _table(_data(data, file_format, asset, point, from_time, to_time, faults), settings, code)
    save_table(table, out)
    found = {
        "path": str(out),
        "windows": len(table),
        "machines": table.machines,
        "learnable": int(table.learnable.sum()),
        "excluded": table.reasons(),
        "code_hash": table.code_hash,
    }
    Console(stderr=as_json).print(f"written: {out}, {len(table)} windows, {found['learnable']} of them to learn from")
    if as_json:
        print(json.dumps(found))


def _train(
    kind: str,
    *,
    data: From = None,
    file_format: Format = None,
    asset: Asset = None,
    point: Point = None,
    from_time: Begin = None,
    to_time: End = None,
    faults: Faults = None,
    out: Annotated[Path, typer.Option(help="Folder of models.", show_default="models/onnx")] = BUNDLED_FOLDER,
    name: Annotated[str | None, typer.Option(help="Of the model; the kind's by default.")] = None,
    version: Annotated[str | None, typer.Option(help="Of the model; the next whole number by default.")] = None,
    trials: Annotated[int, typer.Option(min=1, max=10_000, help="Settings to try; 1 takes the defaults.")] = 10,
    search_s: Annotated[float, typer.Option(min=1.0, help="Seconds after which no further trial begins.")] = 600.0,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Of search, weights and order.")] = 0,
    hold_out: Annotated[str | None, typer.Option(help="Machine for the last measurement; the last by name.")] = None,
    baseline_windows: Annotated[
        int | None, typer.Option(min=5, help="Windows of each channel's own normal; as the assets' rules have it: 10.")
    ] = None,
    tolerance: Annotated[float, typer.Option(min=0.0, help="Between trained and exported model, in σ.")] = TOLERANCE,
    track: Annotated[bool, typer.Option("--mlflow/--no-mlflow", help="Whether MLflow records the run.")] = True,
    as_json: AsJson = False,
    factory: Annotated[str | None, typer.Option(help="torch: module:name of what builds the torch.nn.Module.")] = None,
    windows: Annotated[
        int, typer.Option(min=1, max=MAX_WINDOW_COUNT, help="torch: windows in a row that make an example.")
    ] = 1,
) -> None:
    settings = load_settings()
    chosen, name = kind_of(kind, factory, windows), name or kind
    given = _data(data, file_format, asset, point, from_time, to_time, faults)
    wish = Wish(
        name=name,
        version=version_for(out, name, version),
        kind=chosen,
        by=current_user(),
        at=now_text(),
        seed=seed,
        trials=trials,
        longest_s=search_s,
        baseline_windows=baseline_windows or given.baseline_windows,
        held_out=hold_out,
        tolerance=tolerance,
    )
    code = load_feature_code(settings)
    table = _table(given, settings, code)
    with _progress() as progress:
        task = progress.add_task(f"{kind}: trials", total=trials)
        told = functools.partial(_tell, progress, task)
        runs = training_runs(settings) if track else None
        done = train_and_record(table, code, wish, out, runs, told)
    _show(done, as_json=as_json)


def _command(kind: str) -> Callable[..., None]:
    """Return the command of a kind: the same options, with the kind told by its name."""
    command = functools.wraps(_train)(functools.partial(_train, kind))
    del command.__wrapped__
    return command


for _kind in KINDS.values():
    train.command(_kind.name, help=f"{_kind.says} Options and rules: ./faultline train --help.")(_command(_kind.name))
train.command("torch", help="Train a PyTorch module of your own; PyTorch is yours to install (docs/training.md).")(
    _command("torch")
)


def _data(
    data: Path | None,
    file_format: str | None,
    asset: list[str] | None,
    point: list[str] | None,
    from_time: str | None,
    to_time: str | None,
    faults: Path | None,
) -> Data:
    return Data(
        path=data,
        file_format=file_format,
        assets=tuple(asset or ()),
        points=tuple(point or ()),
        from_ns=None if from_time is None else moment_ns(from_time),
        to_ns=None if to_time is None else moment_ns(to_time),
        faults=faults,
    )


def _table(data: Data, settings: Settings, code: FeatureCode) -> FeatureTable:
    with _progress() as progress:
        task = progress.add_task("features", total=1.0)
        return read_data(
            data, settings, code, lambda name, share: progress.update(task, description=name, completed=share)
        )


def _progress() -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=Console(stderr=True), transient=True)


def _tell(progress: Progress, task: object, finished: int, best: float) -> None:
    progress.update(task, completed=finished, description=f"trial {finished}, best {best:.3f}")  # type: ignore[arg-type]


def _show(done: Recorded, *, as_json: bool) -> None:
    console = Console(stderr=as_json)
    console.print(as_markdown(done.trained.card), highlight=False, markup=False, soft_wrap=True)
    console.print(f"written: {done.path} and its card", highlight=False, soft_wrap=True)
    card = done.trained.card
    console.print(
        f"next: `faultline models propose {card.name} {card.version} --folder {done.path.parent} --why …`",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
    if as_json:
        print(json.dumps(done.as_object()))
