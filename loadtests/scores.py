"""What scorers cost, in batches of windows: the default ones together, and each of the others beside the baseline."""

import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from contracts.assets import AssetConfiguration, ModelReference
from contracts.features import FEATURE_NAMES
from contracts.ports import ModelStore
from processors.scoring import BUILT_IN_MODELS, AssetScoring, warm_up
from processors.scoring.challengers import SCORERS

BATCH: Final = 256
#: Windows of a channel until every model has a threshold: baseline, the rows of T² and SPE, calibration.
_UNTIL_KNOWN: Final = 10 + 64 + 99 + 1
#: From window to window.
_HOP_NS: Final = 1_000_000_000
_MODELS: Final = {
    "baseline": (),
    "baseline_forest": (ModelReference(name="half-space-trees", version="1"),),
    "default": (
        ModelReference(name="half-space-trees", version="1"),
        ModelReference(name="reference-autoencoder", version="1"),
    ),
    **{f"baseline, {name}": (ModelReference(name=name, version="1"),) for name in sorted(SCORERS)},
}


def measure(
    seconds: float,
    store: ModelStore,
    say: Callable[[str], None],
    batch: int = BATCH,
    more: Iterable[ModelReference] = (),
) -> dict[str, Any]:
    """Return CPU time of one window's scores by the models used, µs.

    Parameters
    ----------
    seconds : float
        Time for each figure.
    store : ModelStore
        Where the ONNX model comes from.
    say : callable
        Told what is going on.
    batch : int
        Windows scored together.
    more : iterable of ModelReference
        Models to measure besides.

    Returns
    -------
    figures : dict
        For each set of models ``normal_us`` and ``abnormal_us``, CPU time a window of the fastest of many runs, the
        process's all threads: windows that are normal and learnt from, and windows of which every score is explained.
    """
    warm_up()
    normal, abnormal = _windows(batch)
    figures = {}
    sets = _MODELS | {f"baseline, {one.key}": (one,) for one in more}
    for name, references in sets.items():
        config = AssetConfiguration(asset_id="bench", site_id="bench", name="", asset_type="", models=references)
        models = {one.key: store.load(one.name, one.version) for one in references if one.name not in BUILT_IN_MODELS}
        scoring = AssetScoring.build(config, [f"c{row}" for row in range(batch)], models, None)
        starts_ns = itertools.count(step=_HOP_NS)
        learn, freeze = np.ones(batch, dtype=np.bool_), np.zeros(batch, dtype=np.bool_)
        for number in range(_UNTIL_KNOWN):
            scoring.score(normal[number % len(normal)], "r", learn, next(starts_ns))
        figures[name] = {
            "normal_us": _fastest_us(scoring, normal, learn, starts_ns, seconds) / batch,
            "abnormal_us": _fastest_us(scoring, abnormal, freeze, starts_ns, seconds) / batch,
        }
        say(f"{name}: {figures[name]['normal_us']:.1f} µs a window, {figures[name]['abnormal_us']:.1f} where abnormal")
    return {"batch": batch, "models": figures, "us_per_window": figures["default"]["normal_us"]}


def _windows(batch: int) -> tuple[list[NDArray[np.float32]], list[NDArray[np.float32]]]:
    rng = np.random.default_rng(20_816)
    centre = np.linspace(1.0, 4.0, len(FEATURE_NAMES))
    made = centre * (1.0 + rng.normal(scale=0.1, size=(16, batch, len(FEATURE_NAMES))))
    normal = [one.astype(np.float32) for one in made]
    return normal, [np.float32(12.0) * one for one in normal]


def _fastest_us(
    scoring: AssetScoring,
    windows: list[NDArray[np.float32]],
    learn: NDArray[np.bool_],
    starts_ns: Iterator[int],
    seconds: float,
) -> float:
    """Return the CPU time of the fastest call."""
    best_s, ends_s, turn = float("inf"), time.perf_counter() + seconds, 0
    while turn < 3 or time.perf_counter() < ends_s:
        start_ns = next(starts_ns)
        before_s = time.process_time()
        scoring.score(windows[turn % len(windows)], "r", learn, start_ns)
        best_s = min(best_s, time.process_time() - before_s)
        turn += 1
    return best_s * 1e6
