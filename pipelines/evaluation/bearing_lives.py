"""Remaining lives of bearings that ran to failure (PRONOSTIA), asked after every window from the first warning on.

The trend is that of the largest acceleration in a window, smoothed over a few windows; the life ends where the test
bench stopped, at 20 g. No other bearing is looked at, so that there is nothing to hold apart. Most of these bearings
fail within minutes of the first warning: the honest answer is then often none.
"""

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pipelines.evaluation.causality import Detector, judged
from pipelines.evaluation.femto import Run, runs_of, warned_windows
from pipelines.evaluation.result import Published, Result
from processors.detection.charts import ewma
from processors.first_detection import LEARNT, SETTLING
from processors.prognosis import remaining_life

F64 = NDArray[np.float64]

#: Acceleration at which the test bench was stopped, g.
LIMIT_G: Final = 20.0
SEEDS: Final = (0, 1, 2, 3, 4)
#: Weight of the newest window.
_SMOOTHING: Final = 0.2

_SOURCE: Final = (
    "Cheng et al. (2020), A Deep Learning-Based Remaining Useful Life Prediction Approach for Bearings, IEEE/ASME "
    "Transactions on Mechatronics, doi:10.1109/TMECH.2020.2971503, section III.E"
)
_DIFFERS: Final = (
    "not comparable: runs 1_4, 1_5 and 1_6, asked once, where the challenge cut them off; its score is 1 at best"
)
PUBLISHED: Final = (
    Published("challenge_score", 0.87, "CNN and support vectors, mean", _SOURCE, _DIFFERS),
    Published("error_percent", -0.29, "CNN and support vectors, Bearing1_4", _SOURCE, _DIFFERS),
    Published("error_percent", 6.83, "CNN and support vectors, Bearing1_5", _SOURCE, _DIFFERS),
    Published("error_percent", -1.37, "CNN and support vectors, Bearing1_6", _SOURCE, _DIFFERS),
)


def evaluate_bearing_lives(folder: Path) -> Result:
    """Return how well the time left is told on the runs in a folder.

    Raises
    ------
    ConfigurationError
        If there is no run.
    SignalError
        For a run that can't be used.
    LookAhead
        If an answer depends on what comes after it.
    """
    rows = [_row(run) for run in runs_of(folder)]
    asked, answered, covered = (sum(row[name] for row in rows) for name in ("asked", "answered", "covered"))
    squares = [row["rmse_s"] ** 2 * row["answered"] for row in rows if row["rmse_s"] is not None]
    return Result(
        task="rul",
        data_set="femto",
        measures={
            "rmse": float(np.sqrt(sum(squares) / answered)) if answered else None,
            "phm_score": None,
            "asked": asked,
            "limit_reached": sum(row["limit_reached"] for row in rows),
            "answered": answered,
            "covered_share": covered / answered if answered else None,
        },
        files=tuple(rows),
        seeds=SEEDS,
        settings={"limit_g": LIMIT_G, "smoothing": _SMOOTHING},
        published=PUBLISHED,
        goals={},
        notes=(
            "RMSE in seconds, over the windows that were answered; covered_share is that of true lives within p10-p90"
            " (0.8 would be right).",
            "limit_reached counts windows in which the trend is over the limit already: nothing is foretold there.",
            "The score of C-MAPSS counts flights and has no meaning here.",
        ),
    )


def _row(run: Run) -> dict[str, Any]:
    warned = warned_windows(run)
    if not warned.any():
        return _figures(run, np.zeros((0, 3)), np.zeros(0), 0, 0)
    first = int(np.argmax(warned))
    rows = run.peaks_g[:, np.newaxis]
    answers = np.stack([judged(run.name, _detector(run.times_s, first, seed), rows, first + 1) for seed in SEEDS])
    reached = answers[:, :, 2] == 0.0
    given = np.isfinite(answers[:, :, 1]) & ~reached
    truth = np.broadcast_to(run.life_s - run.times_s, given.shape)
    return _figures(run, answers[given], truth[given], len(SEEDS) * (len(rows) - first), int(reached.sum()))


def _detector(times_s: F64, first: int, seed: int) -> Detector:
    return lambda rows: _answers(times_s[: len(rows)], rows[:, 0], first, seed)


def _answers(times_s: F64, peaks_g: F64, first: int, seed: int) -> F64:
    """Return p10, p50 and p90 of the time left after each window, s, (n, 3); NaN where there is no answer."""
    healthy_g = float(np.median(peaks_g[SETTLING : SETTLING + LEARNT]))
    smooth_g = healthy_g + ewma((peaks_g - healthy_g)[:, np.newaxis], _SMOOTHING)[:, 0]
    answers = np.full((len(peaks_g), 3), np.nan)
    if healthy_g >= LIMIT_G:
        return answers
    for window in range(first, len(peaks_g)):
        seen = slice(first, window + 1)
        outlook = remaining_life(times_s[seen], smooth_g[seen], LIMIT_G, healthy_g, seed=seed)
        if outlook is not None:
            answers[window] = outlook.p10_s, outlook.p50_s, outlook.p90_s
    return answers


def _figures(run: Run, answers: F64, truth: F64, asked: int, reached: int) -> dict[str, Any]:
    within = (answers[:, 0] <= truth) & (truth <= answers[:, 2])
    return {
        "file": run.name,
        "life_s": run.life_s,
        "asked": asked,
        "limit_reached": reached,
        "answered": len(answers),
        "covered": int(within.sum()),
        "rmse_s": float(np.sqrt(np.square(answers[:, 1] - truth).mean())) if len(answers) else None,
    }
