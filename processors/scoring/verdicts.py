"""From numbers to scores: threshold, whether it is still learnt, and why, in the field's words."""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from contracts.assets import ModelReference
from contracts.records import Evidence, Score
from processors.scoring.baseline import FLAG_Z, Regime
from processors.scoring.challengers import BASELINE
from processors.scoring.explanation import SEVERITY_COLUMNS, explain, severity_weights

F64 = NDArray[np.float64]

BASELINE_VERSION: Final = "1"
_UNKNOWN: Final = Score(model=BASELINE, version=BASELINE_VERSION, value=None, threshold=None, learning=True)


def baseline_scores(x: F64, z: F64, learnt: Sequence[Regime | None]) -> list[list[Score]]:
    """Return the baseline's score of each channel, in a list of its own.

    Parameters
    ----------
    x, z : ndarray, shape (n_channels, F), float64
        Features and their robust z's, NaN where undefined.
    learnt : sequence of Regime or None
        Each channel's regime, where it has been learnt.
    """
    severity = z[:, SEVERITY_COLUMNS]
    severity = np.where(np.isfinite(severity), severity, -np.inf)
    largest = severity.max(axis=1).tolist()
    scores = []
    for row, (most, known) in enumerate(zip(largest, learnt, strict=True)):
        if known is None:
            scores.append([_UNKNOWN])
            continue
        evidence: tuple[Evidence, ...] = ()
        if most > FLAG_Z:
            evidence = because(severity_weights(np.where(severity[row] > FLAG_Z, severity[row], np.nan)), x[row], known)
        value = max(most, 0.0) if most > -math.inf else None
        score = Score(
            model=BASELINE,
            version=BASELINE_VERSION,
            value=value,
            threshold=FLAG_Z,
            learning=False,
            explanation=evidence,
        )
        scores.append([score])
    return scores


def score_of(
    reference: ModelReference, value: float | None, threshold: float | None, evidence: tuple[Evidence, ...] = ()
) -> Score:
    """Return a model's score; without a threshold it is learning, and says nothing."""
    learning = threshold is None
    return Score(
        model=reference.name,
        version=reference.version,
        value=None if learning else value,
        threshold=threshold,
        learning=learning,
        explanation=evidence,
    )


def because(weights: F64, x: F64, known: Regime) -> tuple[Evidence, ...]:
    """Return the features that weigh most, (F,), in the words of a regime that has been learnt."""
    if known.centre is None or known.scale is None:
        return ()
    return explain(weights, x, known.centre, known.scale, FLAG_Z)
