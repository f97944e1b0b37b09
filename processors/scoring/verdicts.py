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
from processors.scoring.explanation import SEVERITY_COLUMNS, Reasons

F64 = NDArray[np.float64]

BASELINE_VERSION: Final = "1"
_UNKNOWN: Final = Score(model=BASELINE, version=BASELINE_VERSION, value=None, threshold=None, learning=True)


def baseline_scores(z: F64, learnt: Sequence[Regime | None], reasons: Reasons) -> list[list[Score]]:
    """Return the baseline's score of each channel, in a list of its own.

    Parameters
    ----------
    z : ndarray, shape (n_channels, F), float64
        Robust z's, NaN where undefined.
    learnt : sequence of Regime or None
        Each channel's regime, where it has been learnt.
    reasons : Reasons
        Puts into words what is high.
    """
    severity = z[:, SEVERITY_COLUMNS]
    severity = np.where(np.isfinite(severity), severity, -np.inf)
    largest = severity.max(axis=1)
    weights = np.full(z.shape, np.nan)
    weights[:, SEVERITY_COLUMNS] = np.where(severity > FLAG_Z, severity, np.nan)
    evidence = reasons.heaviest(np.flatnonzero(largest > FLAG_Z).tolist(), weights)
    scores = []
    for row, (most, known) in enumerate(zip(largest.tolist(), learnt, strict=True)):
        if known is None:
            scores.append([_UNKNOWN])
            continue
        score = Score(
            model=BASELINE,
            version=BASELINE_VERSION,
            value=max(most, 0.0) if most > -math.inf else None,
            threshold=FLAG_Z,
            learning=False,
            explanation=evidence.get(row, ()),
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
