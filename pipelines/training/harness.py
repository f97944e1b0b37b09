"""From a table to a model with its card, on one page.

table → plan (folds, held out) → z's → search over the folds → fit → export → compare → measure → card

Invariants: the held-out part is looked at once, by the model that is written; what looks ahead, learns from what it
mustn't, or doesn't survive its export gives no model.
"""

import importlib.metadata
import platform
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from contracts.errors import ConfigurationError
from contracts.features import CATALOGUE_VERSION
from contracts.model_card import DataSpan, ExportCheck, ModelCard, metadata_of
from pipelines.training import export, measures
from pipelines.training.kinds import Kind, Trained
from pipelines.training.normal import Examples, Preparation, baseline_z, prepared
from pipelines.training.search import Trial, search
from pipelines.training.splits import Plan, Split, check_learning, plan
from pipelines.training.table import FAULTY, FeatureTable, check_code
from processors.scoring.reconstruction import CLIP_Z

Flags = NDArray[np.bool_]
F64 = NDArray[np.float64]

_FEWEST_EXAMPLES: Final = 50
_PACKAGES: Final = ("jax", "optax", "scikit-learn", "skl2onnx", "optuna", "onnx", "onnxruntime", "numpy", "torch")
_LIMITS: Final = (
    "Thresholds don't come with the model: each channel and regime learns its own in the stream.",
    "What is normal doesn't come with it either: it sees deviations from each channel's own baseline.",
    "Machines unlike those it was trained on are outside of what was measured.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is to be trained, and by whom.

    ``trials`` and ``longest_s`` bound the search; ``held_out`` names the machine of the last measurement.
    """

    name: str
    version: str
    kind: Kind
    by: str
    at: str
    seed: int = 0
    trials: int = 10
    longest_s: float = 600.0
    baseline_windows: int = 20
    held_out: str | None = None
    tolerance: float = export.TOLERANCE


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedModel:
    """The model's file, its card, and the trials of the search."""

    content: bytes
    card: ModelCard
    trials: tuple[Trial, ...]


#: Told the number of finished trials and the best value so far.
Progress = Callable[[int, float], None]


def train(
    table: FeatureTable,
    code_hash: str,
    wish: Wish,
    progress: Progress = lambda _trials, _best: None,
    prepare: Preparation = baseline_z,
) -> TrainedModel:
    """Train a model on a table.

    Parameters
    ----------
    table : FeatureTable
        Windows with what is known of them.
    code_hash : str
        The feature code of this process.
    wish : Wish
        What is to be trained.
    progress : callable
        Told after each trial of the search.
    prepare : callable
        Makes z's of a series' values.

    Returns
    -------
    trained : TrainedModel

    Raises
    ------
    ConfigurationError
        If features come from other code, a machine to hold out isn't there, too little can be learnt from, or a package
        is missing.
    LookAhead
        If z's or scores change with windows that come after them.
    Leak
        If the answer is part of what is learnt.
    ExportMismatch
        If the exported model doesn't give what the trained one gives.
    """
    check_code(table, code_hash)
    planned = plan(table, wish.held_out)
    examples = prepared(table, wish.baseline_windows, wish.kind.window_count, prepare)
    work = _Work(table, examples, wish)
    folds: list[tuple[dict[str, Any], ...]] = []

    def judge(settings: Mapping[str, Any]) -> float:
        folds.append(tuple(work.judged_fold(split, settings) for split in planned.folds))
        return float(np.mean([fold["value"] for fold in folds[-1]]))

    trials = search(wish.kind, judge, trials=wish.trials, seed=wish.seed, longest_s=wish.longest_s, progress=progress)
    best = max(range(len(trials)), key=lambda number: trials[number].value)
    model = work.fit(planned.last.learn, trials[best].settings)
    said = metadata_of(table.features, table.code_hash, wish.kind.window_count, CLIP_Z)
    content = export.as_bytes(model.export(), said, wish.name, wish.version)
    held_out = examples.of(planned.last.judge)
    check = export.compared(wish.name, content, model, held_out, wish.tolerance)
    card = work.card(content, planned, trials, best, folds[best], check, work.measured(model, held_out))
    return TrainedModel(content=content, card=card, trials=tuple(trials))


@dataclass(frozen=True, slots=True)
class _Work:
    table: FeatureTable
    examples: Examples
    wish: Wish

    def learnt(self, rows: Flags) -> Examples:
        """Return the examples among rows that a model may learn from."""
        chosen = self.examples.of(rows)
        faulty = self.table.state[chosen.rows] == FAULTY
        kept = chosen.learnable | (faulty if self.wish.kind.learns_faults else False)
        return Examples(chosen.x[kept], chosen.rows[kept], chosen.learnable[kept])

    def fit(self, rows: Flags, settings: Mapping[str, Any]) -> Trained:
        learnt = self.learnt(rows)
        faulty = self.table.state[learnt.rows] == FAULTY
        if (~faulty).sum() < _FEWEST_EXAMPLES or (self.wish.kind.learns_faults and not faulty.any()):
            raise ConfigurationError(
                f"{self.table.source}: {(~faulty).sum()} healthy and {faulty.sum()} faulty examples to learn from; at"
                f" least {_FEWEST_EXAMPLES} healthy ones needed, beside the machine that is held out (--hold-out)"
                + (", and some faulty" if self.wish.kind.learns_faults else "")
            )
        depth = np.arange(self.wish.kind.window_count)
        every = np.unique(learnt.rows[:, np.newaxis] - depth)
        check_learning(self.table, every, faults_too=self.wish.kind.learns_faults)
        return self.wish.kind.fit(learnt.x, faulty, settings, self.wish.seed)

    def judged_fold(self, split: Split, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return what one fold says of settings; ``value`` is what the search raises."""
        model = self.fit(split.learn, settings)
        aside = self.examples.of(split.judge)
        found = self._separation(model, aside)
        labelled = found["auc_known_faults"]
        value = labelled if labelled is not None else found["auc_made_faults"]
        return {"judged": split.name, "value": 0.5 if value is None else value, **found}

    def _separation(self, model: Trained, aside: Examples) -> dict[str, float | None]:
        """Return how well healthy windows are told from known faults, and from made ones."""
        healthy = Examples(aside.x[aside.learnable], aside.rows[aside.learnable], aside.learnable[aside.learnable])
        if not len(healthy):
            return {"auc_known_faults": None, "auc_made_faults": None}
        normal = _scores(model, healthy.x)
        faulty = aside.x[self.table.state[aside.rows] == FAULTY]
        made = _scores(model, measures.with_made_faults(healthy.x, self.wish.seed))
        known = len(faulty) >= measures.FEWEST_FAULTY
        return {
            "auc_known_faults": measures.area_under_roc(_scores(model, faulty), normal) if known else None,
            "auc_made_faults": measures.area_under_roc(made, normal),
        }

    def measured(self, model: Trained, held_out: Examples) -> dict[str, float | None]:
        """Return what is measured on the held-out part, with the score that needs no model beside it."""
        scores = _scores(model, held_out.x)
        state = self.table.state[held_out.rows]
        plain = measures.root_mean(held_out.newest, np.zeros(held_out.newest.shape))
        return {
            "windows": float(len(held_out)),
            **self._separation(model, held_out),
            "auc_known_faults_without_model": measures.area_under_roc(
                plain[state == FAULTY], plain[held_out.learnable]
            ),
            "median_score_healthy": float(np.median(scores[held_out.learnable])) if held_out.learnable.any() else None,
            **measures.stream_measures(self.table, held_out, scores),
        }

    def card(
        self,
        content: bytes,
        planned: Plan,
        trials: list[Trial],
        best: int,
        folds: tuple[dict[str, Any], ...],
        check: ExportCheck,
        measured: dict[str, float | None],
    ) -> ModelCard:
        table, wish = self.table, self.wish
        series = () if table.is_catalogue else ("Not trained on the catalogue's features: the stream refuses it.",)
        known = any(fold["auc_known_faults"] is not None for fold in folds)
        return ModelCard(
            name=wish.name,
            version=wish.version,
            kind=wish.kind.name,
            sha256=export.sha256(content),
            size_bytes=len(content),
            created_at=wish.at,
            created_by=wish.by,
            window_count=wish.kind.window_count,
            features=table.features,
            code_hash=table.code_hash,
            catalogue_version=CATALOGUE_VERSION,
            clip_z=CLIP_Z,
            baseline_windows=wish.baseline_windows,
            source=table.source,
            data=self._spans(planned.last.learn),
            excluded=table.reasons(),
            split=planned.split,
            held_out=planned.held_out,
            objective="area under the ROC curve, known faults" if known else "area under the ROC curve, made faults",
            metrics=measured,
            folds=folds,
            settings=dict(trials[best].settings),
            seed=wish.seed,
            trials=len(trials),
            export=check,
            packages=_versions(),
            limits=(*_LIMITS, *series, *_no_better(measured)),
        )

    def _spans(self, learn: Flags) -> tuple[DataSpan, ...]:
        learnt = self.learnt(learn).rows
        spans = []
        for machine in self.table.machines:
            own = self.table.machine == machine
            times_ns = self.table.times_ns[own]
            count = int(own[learnt].sum())
            spans.append(
                DataSpan(
                    machine=machine,
                    from_ns=int(times_ns.min()),
                    to_ns=int(times_ns.max()),
                    windows=int(own.sum()),
                    learnt=count,
                )
            )
        return tuple(spans)


def _no_better(measured: Mapping[str, float | None]) -> Iterator[str]:
    """Yield a sentence where the plain size of the deviations tells known faults as well as the model does."""
    own, plain = measured["auc_known_faults"], measured["auc_known_faults_without_model"]
    if own is not None and plain is not None and own <= plain:
        yield (
            f"Known faults of the held-out part are told no better than by the root mean of the z's, without any model"
            f" ({own:.3f} and {plain:.3f})."
        )


def _scores(model: Trained, x: NDArray[np.float32]) -> F64:
    newest = x if x.ndim == 2 else x[:, -1]
    return measures.root_mean(newest, model.rebuild(x)) if len(x) else np.zeros(0)


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
