"""Remaining lives of turbofan engines (C-MAPSS), learnt from engines that failed, asked of engines that were stopped.

Sensors are standardised by operating regime, with the training engines' figures; each flight is described by what came
before it; a kernel regression says how many flights are left, 125 at most, since a new engine shows nothing of its end.
Its width and penalty were chosen by cross-validation over the training engines of FD001, held out as a whole, and are
the same for all data sets.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from adapters.recordings.cmapss import Engine, EngineSet, read_cmapss
from pipelines.evaluation.causality import judged
from pipelines.evaluation.result import Published, Result
from processors.kernel_regression import KernelRegression
from processors.prognosis import late_early_score
from processors.trajectory import describe

F64 = NDArray[np.float64]

#: Flights left are told and learnt up to this number: the usual one.
CAP: Final = 125.0
SEEDS: Final = (0, 1, 2, 3, 4)
LANDMARKS: Final = 600
WIDTH: Final = 1.118
PENALTY: Final = 1e-5
#: A sensor with so few different values in a regime is a switch, or stands still.
_FEWEST_VALUES: Final = 6

_TABLE: Final = (
    "sixteen methods compared in the errata of doi:10.1016/j.aei.2023.102316: github.com/LLerDagu/RUL-FFVE at dd74264, "
    "Benchmark.md, table 4"
)
_STAR: Final = (
    "Fan, Li & Chang (2024), Sensors 24(3) 824, doi:10.3390/s24030824, as quoted in "
    "github.com/Forgis-Research/IndustrialJEPA at 43a2fab, paper-replications/star/RESULTS.md"
)
_DIFFERS: Final = "same test engines; whether true lives are capped isn't said"


def _reached(who: str, rmse: float, score: float, source: str = _TABLE) -> tuple[Published, Published]:
    return Published("rmse", rmse, who, source, _DIFFERS), Published("phm_score", score, who, source, _DIFFERS)


PUBLISHED: Final = {
    "FD001": (
        *_reached("STAR", 10.61, 169.0, _STAR),
        *_reached("MTSTAN", 10.97, 175.36),
        *_reached("MS-DCNN", 11.44, 196.22),
        *_reached("deep LSTM", 16.14, 338.0),
    ),
    "FD002": (
        *_reached("FFVE", 12.55, 772.17),
        *_reached("STAR", 13.47, 784.0, _STAR),
        *_reached("TF-SCN + HLS-VAE", 14.71, 1358.0),
        *_reached("deep LSTM", 24.49, 4450.0),
    ),
    "FD003": (
        *_reached("STAR", 10.71, 202.0, _STAR),
        *_reached("MTSTAN", 10.90, 188.22),
        *_reached("MS-DCNN", 11.67, 241.89),
        *_reached("deep LSTM", 16.18, 852.0),
    ),
    "FD004": (
        *_reached("FFVE", 14.08, 1149.03),
        *_reached("STAR", 15.87, 1449.0, _STAR),
        *_reached("RVE", 16.37, 1845.99),
        *_reached("deep LSTM", 28.17, 5550.0),
    ),
}


def evaluate_cmapss(folder: Path) -> Iterator[Result]:
    """Yield how well remaining lives are told, for each data set in a folder.

    Raises
    ------
    ConfigurationError
        If there is no whole data set.
    SignalError
        For a file that can't be used.
    LookAhead
        If what is told of a flight depends on later ones.
    """
    for engines in read_cmapss(folder):
        yield evaluate_set(engines, SEEDS)


def evaluate_set(engines: EngineSet, seeds: tuple[int, ...]) -> Result:
    """Return how well the remaining lives of one data set are told, with a model for each seed."""
    scaling = Standard.learn(engines.train)
    features = np.concatenate([describe(scaling.apply(_rows(engine))) for engine in engines.train])
    lives = np.concatenate([np.minimum(np.arange(len(each.sensors))[::-1], CAP) for each in engines.train])
    true = np.minimum(np.array([engine.left for engine in engines.test]), CAP)
    told = []
    for seed in seeds:
        model = Model(scaling, KernelRegression.learn(features, lives, LANDMARKS, WIDTH, PENALTY, seed))
        told.append(_last(model, engines) if seed == seeds[0] else np.array([model.last(e) for e in engines.test]))
    predicted = np.stack(told)
    rmse = [float(np.sqrt(np.square(each - true).mean())) for each in predicted]
    scores = [late_early_score(each, true) for each in predicted]
    return Result(
        task="rul",
        data_set=engines.name,
        measures={
            "rmse": float(np.mean(rmse)),
            "phm_score": float(np.mean(scores)),
            "rmse_per_seed": rmse,
            "phm_score_per_seed": scores,
            "engines": len(engines.test),
        },
        files=tuple(
            {"file": f"engine {engine.unit}", "true": float(true[index]), "predicted": predicted[:, index].tolist()}
            for index, engine in enumerate(engines.test)
        ),
        seeds=seeds,
        settings={"cap": CAP, "landmarks": LANDMARKS, "width": WIDTH, "penalty": PENALTY},
        published=PUBLISHED.get(engines.name, ()),
        goals={"rmse": "≤ 12.5", "phm_score": "≤ 250"} if engines.name == "FD001" else {},
        notes=(
            "The seed draws the landmarks; all else is linear algebra, so that seeds differ little.",
            "Measures are means over the seeds; lives in flights, after the last flight of each test engine.",
            f"True lives are taken as {CAP:g} flights at most, too. Not all published figures say whether theirs are.",
        ),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Standard:
    """The regimes of the training engines, and what is normal in each.

    ``centres`` (r, 3) are those of the settings, measured in ``spans`` (3,); ``means`` and ``scales`` (r, k) are those
    of the sensors ``kept`` (k,).
    """

    centres: F64
    spans: F64
    means: F64
    scales: F64
    kept: NDArray[np.intp]

    @classmethod
    def learn(cls, engines: tuple[Engine, ...]) -> Self:
        """Return the standard of training engines; regimes are where altitude and throttle round to the same."""
        settings = np.concatenate([engine.settings for engine in engines])
        sensors = np.concatenate([engine.sensors for engine in engines])
        _, regime = np.unique(np.rint(settings[:, [0, 2]]), axis=0, return_inverse=True)
        groups = [regime.ravel() == index for index in range(int(regime.max()) + 1)]
        values = np.array([[np.unique(column).size for column in sensors[group].T] for group in groups])
        kept = np.flatnonzero(values.min(axis=0) >= _FEWEST_VALUES)
        return cls(
            centres=np.stack([settings[group].mean(axis=0) for group in groups]),
            spans=np.maximum(np.ptp(settings, axis=0), 1.0),
            means=np.stack([sensors[group][:, kept].mean(axis=0) for group in groups]),
            scales=np.stack([sensors[group][:, kept].std(axis=0) for group in groups]),
            kept=kept,
        )

    def apply(self, rows: F64) -> F64:
        """Return the standardised sensors, (n, k), of rows of settings and sensors, (n, 24)."""
        apart = (rows[:, np.newaxis, :3] - self.centres) / self.spans
        regime = np.argmin(np.square(apart).sum(axis=2), axis=1)
        return np.asarray((rows[:, 3:][:, self.kept] - self.means[regime]) / self.scales[regime])


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """What tells the flights left from the flights so far."""

    scaling: Standard
    regression: KernelRegression

    def lives(self, rows: F64) -> F64:
        """Return the flights left after each flight, shape (n,)."""
        return np.clip(self.regression.predict(describe(self.scaling.apply(rows))), 0.0, CAP)

    def last(self, engine: Engine) -> float:
        """Return the flights left after an engine's last one."""
        described = describe(self.scaling.apply(_rows(engine)))[-1:]
        return float(np.clip(self.regression.predict(described), 0.0, CAP)[0])


def _last(model: Model, engines: EngineSet) -> F64:
    """Return the flights left of each test engine, after a proof that no flight's answer looks ahead."""
    told = [judged(f"engine {engine.unit}", model.lives, _rows(engine), 1) for engine in engines.test]
    return np.array([lives[-1] for lives in told])


def _rows(engine: Engine) -> F64:
    return np.concatenate([engine.settings, engine.sensors], axis=1)
