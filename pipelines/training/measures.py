"""How good a model's scores are on windows that it hasn't seen.

Thresholds are those of the stream: conformal, from each channel's own normal windows before. Where no fault is known,
faults are made: some features of healthy windows are raised.
"""

from typing import Final

import numpy as np
import scipy.stats
from numpy.typing import NDArray

from pipelines.training.normal import Examples
from pipelines.training.table import FAULTY, FeatureTable
from processors.scoring.calibration import Calibration
from processors.scoring.reconstruction import CLIP_Z

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

#: A made fault raises so many features by so many robust standard deviations.
RAISED_FEATURES: Final = 3
RAISED_Z: Final = 4.0
#: Faulty windows from which a fold is judged by them, and not by made faults.
FEWEST_FAULTY: Final = 20


def area_under_roc(abnormal: F64, normal: F64) -> float | None:
    """Return the probability that an abnormal window scores higher than a normal one; ties count half.

    Examples
    --------
    >>> area_under_roc(np.array([3.0, 1.0]), np.array([0.0, 2.0]))
    0.75
    """
    if not len(abnormal) or not len(normal):
        return None
    ranks = scipy.stats.rankdata(np.concatenate([abnormal, normal]))[: len(abnormal)]
    return float((ranks.sum() - len(abnormal) * (len(abnormal) + 1) / 2) / (len(abnormal) * len(normal)))


def with_made_faults(x: F32, seed: int) -> F32:
    """Return examples (m, F) or (m, T, F) with some features of the newest window raised, others in each."""
    rng, changed = np.random.default_rng(seed), x.copy()
    newest = changed if x.ndim == 2 else changed[:, -1]
    picked = np.argsort(rng.random(newest.shape), axis=1)[:, :RAISED_FEATURES]
    raised = np.take_along_axis(newest, picked, axis=1) + RAISED_Z
    np.put_along_axis(newest, picked, np.clip(raised, -CLIP_Z, CLIP_Z), axis=1)
    return changed


def root_mean(newest: F32, rebuilt: F64) -> F64:
    """Return the root mean of residuals over the features, (m,): the score."""
    return np.asarray(np.sqrt(np.square(newest.astype(np.float64) - rebuilt).mean(axis=1)))


def stream_measures(table: FeatureTable, examples: Examples, scores: F64) -> dict[str, float | None]:
    """Return what the stream would have made of scores, window by window with its conformal thresholds.

    Returns
    -------
    measures : dict of str to float or None
        ``judged_healthy`` and ``judged_faulty`` (windows after a threshold was known), ``false_alarm_share`` of the
        first and ``detected_share`` of the second; null where there is none.
    """
    alarms: dict[bool, list[bool]] = {True: [], False: []}
    place_of = np.full(len(table), -1)
    place_of[examples.rows] = np.arange(len(examples))
    for rows in table.series():
        calibrations: dict[str, Calibration] = {}
        for row in rows.tolist():
            place = place_of[row]
            if place < 0:
                continue
            calibration = calibrations.setdefault(str(table.regime[row]), Calibration())
            threshold, score, healthy = calibration.threshold, float(scores[place]), bool(examples.learnable[place])
            if threshold is not None and (healthy or table.state[row] == FAULTY):
                alarms[healthy].append(score > threshold)
            if healthy:
                calibration.add(score)
    return {
        "judged_healthy": float(len(alarms[True])),
        "false_alarm_share": float(np.mean(alarms[True])) if alarms[True] else None,
        "judged_faulty": float(len(alarms[False])),
        "detected_share": float(np.mean(alarms[False])) if alarms[False] else None,
    }
