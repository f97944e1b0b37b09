"""The search for settings: seeded, bounded in trials and time, judged by folds that the held-out part is no part of."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from contracts.errors import ConfigurationError
from pipelines.training.kinds import Choice, Kind, Settings

#: Told the number of finished trials and the best value so far.
Progress = Callable[[int, float], None]


@dataclass(frozen=True, slots=True)
class Trial:
    """One set of settings and the mean of its folds; higher is better."""

    settings: Settings
    value: float


def search(
    kind: Kind, judge: Callable[[Settings], float], *, trials: int, seed: int, longest_s: float, progress: Progress
) -> list[Trial]:
    """Return the trials, the first with the kind's defaults.

    Parameters
    ----------
    kind : Kind
        Its space is searched by Optuna's tree-structured Parzen estimator.
    judge : callable
        Gives a value for settings; higher is better.
    trials : int
        At most so many.
    seed : int
        Of the search.
    longest_s : float
        No trial is begun after that; a search that was cut so isn't repeatable, and its length says that it was.
    progress : callable
        Told after each trial.

    Raises
    ------
    ConfigurationError
        If Optuna isn't installed.
    """
    if trials == 1:  # nothing to search for
        value = judge(kind.defaults)
        progress(1, value)
        return [Trial(kind.defaults, value)]
    try:
        import optuna  # noqa: PLC0415 -- not installed by default
    except ModuleNotFoundError as error:
        raise ConfigurationError(f"{error.name} isn't installed: ./faultline bootstrap train") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    study.enqueue_trial({name: kind.defaults[name] for name in kind.space})
    made: list[Trial] = []

    def objective(trial: Any) -> float:
        settings = {**kind.defaults, **{name: _suggest(trial, name, bound) for name, bound in kind.space.items()}}
        made.append(Trial(settings, judge(settings)))
        progress(len(made), max(one.value for one in made))
        return made[-1].value

    study.optimize(objective, n_trials=trials, timeout=longest_s)
    return made


def _suggest(trial: Any, name: str, bound: Any) -> Any:
    if isinstance(bound, Choice):
        return trial.suggest_categorical(name, list(bound.values))
    return trial.suggest_float(name, bound.low, bound.high, log=bound.log)
