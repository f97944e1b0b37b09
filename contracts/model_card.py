"""The folder of scoring models: which files a model has, and what its card says.

A model is ``<name>.v<version>.onnx`` with three files beside it: ``.sha256`` (of the model), ``.json`` (the card, for
programs) and ``.md`` (the card, for people). The same facts that decide whether a model may score (features and their
order, hash of the feature code) are in the model's own metadata too, so that they travel under its SHA-256.

Invariant: a card says what was measured on machines that the model hasn't seen, and names what it was made from.
"""

import dataclasses
import datetime as dt
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from contracts.errors import ConfigurationError, OtherFeatures
from contracts.features import CATALOGUE_VERSION, FEATURE_NAMES
from contracts.models import MODEL_NAME, MODEL_VERSION

#: Of the card's form; a reader refuses others.
CARD_VERSION: Final = 1
#: Keys of the model's own metadata.
METADATA_PREFIX: Final = "faultline."

_MAX_CARD_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSpan:
    """Windows of one machine that the training saw: from when to when (UTC ns), and how many were learnt from."""

    machine: str
    from_ns: int
    to_ns: int
    windows: int
    learnt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportCheck:
    """How far the exported model is from the one that was trained, on windows of the held-out machine."""

    windows: int
    largest_difference: float
    tolerance: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """What a model is, what it was made from, and what was measured.

    Parameters
    ----------
    kind : str
        Name of the training's command, e.g. ``autoencoder``.
    window_count : int
        Windows that one score looks at; the stream's scorer takes models of 1.
    features, code_hash, catalogue_version : tuple of str, str, int
        The input's columns in order, and the feature code that computed them. Values that aren't vibration features
        (a public series) have no code hash, and the stream refuses the model.
    baseline_windows : int
        Windows from which each series' own normal was learnt, by which values became robust z's.
    excluded : dict of str to int
        Windows that weren't learnt from, by reason.
    metrics : dict
        Measured on the held-out part by this very model.
    folds : tuple of dict
        What the search was judged by: one object a fold.
    """

    name: str
    version: str
    kind: str
    sha256: str
    size_bytes: int
    created_at: str
    created_by: str
    window_count: int
    features: tuple[str, ...]
    code_hash: str
    catalogue_version: int
    clip_z: float
    baseline_windows: int
    source: str
    data: tuple[DataSpan, ...]
    excluded: dict[str, int]
    split: str
    held_out: str
    objective: str
    metrics: dict[str, float | None]
    folds: tuple[dict[str, Any], ...]
    settings: dict[str, Any]
    seed: int
    trials: int
    export: ExportCheck
    packages: dict[str, str]
    limits: tuple[str, ...]
    run_id: str | None = None
    card_version: int = CARD_VERSION
    notes: tuple[str, ...] = field(default=())

    @property
    def stem(self) -> str:
        """Return the name of the model's files without their endings."""
        return file_stem(self.name, self.version)


def file_stem(name: str, version: str) -> str:
    """Return the name of a model's files without their endings.

    Raises
    ------
    ConfigurationError
        If name or version can't name a model.

    Examples
    --------
    >>> file_stem("pumps", "2")
    'pumps.v2'
    """
    if not MODEL_NAME.fullmatch(name) or not MODEL_VERSION.fullmatch(version):
        raise ConfigurationError(f"{name!r} version {version!r} can't name a model; e.g. 'reference-autoencoder', '1'")
    return f"{name}.v{version}"


def next_version(folder: Path, name: str) -> str:
    """Return the whole number after the highest version of a model in a folder.

    Raises
    ------
    ConfigurationError
        If `name` can't name a model.
    """
    file_stem(name, "1")
    found = (path.name.removeprefix(f"{name}.v") for path in folder.glob(f"{name}.v*.*"))
    numbers = [int(digits[0]) for rest in found if (digits := re.match(r"[0-9]+", rest))]
    return str(max(numbers, default=0) + 1)


def read_card(model: Path) -> ModelCard | None:
    """Return the card beside a model file; nothing where there is none, as for models of before the cards.

    Raises
    ------
    ConfigurationError
        If the card can't be read, or has another form than this code knows.
    """
    path = model.with_suffix(".json")
    try:
        if path.stat().st_size > _MAX_CARD_BYTES:
            raise ConfigurationError(f"card {path} has more than {_MAX_CARD_BYTES} bytes")
        card = msgspec.json.decode(path.read_bytes(), type=ModelCard)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigurationError(f"card {path} can't be read: {error}") from None
    if card.card_version != CARD_VERSION:
        raise ConfigurationError(f"card {path} has version {card.card_version}, {CARD_VERSION} expected")
    return card


def check_features(card: ModelCard) -> None:
    """Refuse a model that was trained on other features than those it would score.

    Parameters
    ----------
    card : ModelCard
        The model's.

    Raises
    ------
    OtherFeatures
        If the features, their order or the catalogue differ.
    """
    model = f"model {card.name} version {card.version}"
    if card.features != FEATURE_NAMES:
        unlike = [name for name in card.features if name not in FEATURE_NAMES] or ["the order"]
        raise OtherFeatures(f"{model} was trained on other features than the catalogue's: {', '.join(unlike[:5])}")
    if card.catalogue_version != CATALOGUE_VERSION:
        raise OtherFeatures(
            f"{model} was trained on catalogue version {card.catalogue_version}, this is {CATALOGUE_VERSION}"
        )


def metadata_of(features: tuple[str, ...], code_hash: str, window_count: int, clip_z: float) -> dict[str, str]:
    """Return what the model file itself says of its input."""
    said = {
        "features": ",".join(features),
        "code_hash": code_hash,
        "catalogue_version": str(CATALOGUE_VERSION),
        "window_count": str(window_count),
        "clip_z": f"{clip_z:g}",
    }
    return {METADATA_PREFIX + key: value for key, value in said.items()}


def as_json(card: ModelCard) -> bytes:
    """Return the card for programs."""
    return msgspec.json.format(msgspec.json.encode(card, order="sorted"), indent=2) + b"\n"


def as_markdown(card: ModelCard) -> str:
    """Return the card for people."""
    spans = [
        f"| {span.machine} | {_moment(span.from_ns)} | {_moment(span.to_ns)} | {span.windows} | {span.learnt} |"
        for span in card.data
    ]
    left_out = ", ".join(f"{count} {reason}" for reason, count in sorted(card.excluded.items())) or "none"
    return "\n".join(
        [
            f"# Model card: {card.name}, version {card.version}",
            "",
            f"**What it is.** {card.kind}; {card.size_bytes} bytes, SHA-256 `{card.sha256}`. Made {card.created_at} by"
            f" {card.created_by}" + (f", MLflow run `{card.run_id}`." if card.run_id else "."),
            "",
            f"**Input.** {card.window_count} window(s) of {len(card.features)} robust z's, clipped to ±{card.clip_z:g},"
            f" 0 where undefined; each series' own normal is that of its first {card.baseline_windows} windows.",
            f"Feature code `{card.code_hash or 'none: not vibration features'}`, catalogue {card.catalogue_version}.",
            "",
            f"**Data.** {card.source}. Not learnt from: {left_out}.",
            "",
            "| machine | from | to | windows | learnt from |",
            "|---|---|---|---|---|",
            *spans,
            "",
            f"**Split.** {card.split}. Held out: {card.held_out}.",
            "",
            f"**Measured on the held-out part** (objective of the search: {card.objective}).",
            "",
            "| measure | value |",
            "|---|---|",
            *(f"| {name} | {_figure(value)} |" for name, value in card.metrics.items()),
            "",
            f"**Export.** ONNX equals the trained model within {card.export.largest_difference:.2g} on"
            f" {card.export.windows} windows (tolerance {card.export.tolerance:g}).",
            "",
            f"**Made with** seed {card.seed}, {card.trials} trial(s), settings {_listed(card.settings)};"
            f" {_listed(card.packages)}.",
            "",
            "**Limits.**",
            "",
            *(f"- {limit}" for limit in card.limits),
            *(f"- {note}" for note in card.notes),
            "",
            "**Features**, in order: " + ", ".join(card.features) + ".",
            "",
        ]
    )


def with_run(card: ModelCard, run_id: str) -> ModelCard:
    """Return the card with the MLflow run that recorded the training."""
    return dataclasses.replace(card, run_id=run_id)


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def _listed(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items()) or "none"


def _moment(at_ns: int) -> str:
    seconds, rest_ns = divmod(at_ns, 1_000_000_000)
    moment = dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{moment}.{rest_ns // 1_000_000:03d}Z"
