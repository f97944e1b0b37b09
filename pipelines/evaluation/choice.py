"""What settings are worth on files that they weren't chosen on: chosen on some, measured on the others, many times.

A figure of settings that were picked with the labels in view is what the best of many tries gave, not what to expect.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

#: Share of each group's files that is measured, the rest being chosen on.
MEASURED: Final = 0.4
DRAWS: Final = 1000
_FEWEST_FILES: Final = 5
_QUANTILES: Final = (0.1, 0.5, 0.9)


def on_other_files(
    counts: NDArray[np.int64], groups: tuple[str, ...], goals: tuple[float, float], seed: int
) -> dict[str, Any] | None:
    """Return F1 and false-alarm rate of the settings with the best F1 - FAR on some files, measured on the others.

    Parameters
    ----------
    counts : ndarray, shape (settings, files, 4), int64
        Rows with a true alarm, with a false one, missed, and quiet.
    groups : tuple of str
        The group of each file; each is drawn from in proportion.
    goals : tuple of float
        Lowest F1 and highest false-alarm rate to be reached.
    seed : int
        Draws the files.

    Returns
    -------
    found : dict or None
        ``f1`` and ``far`` as quantiles (.1, .5, .9) over the draws, ``met`` as the share of draws that reach both
        goals, ``settings`` and ``draws`` as numbers; nothing for fewer than five files.
    """
    if len(groups) < _FEWEST_FILES:
        return None
    measured = _draws(groups, np.random.default_rng(seed))
    seen_f1, seen_far = _rates(np.einsum("df,sfk->dsk", ~measured, counts))
    chosen = np.argmax(seen_f1 - seen_far, axis=1)
    f1, far = _rates(np.einsum("df,dfk->dk", measured, counts[chosen]))
    return {
        "f1": np.quantile(f1, _QUANTILES).tolist(),
        "far": np.quantile(far, _QUANTILES).tolist(),
        "met": float(((f1 >= goals[0]) & (far <= goals[1])).mean()),
        "settings": len(counts),
        "draws": DRAWS,
    }


def _draws(groups: tuple[str, ...], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return which files are measured, (draws, files)."""
    measured = np.zeros((DRAWS, len(groups)), dtype=np.bool_)
    for group in sorted(set(groups)):
        members = np.flatnonzero([each == group for each in groups])
        for row in measured:
            row[rng.choice(members, round(MEASURED * len(members)), replace=False)] = True
    return measured


def _rates(counts: NDArray[np.int64]) -> tuple[F64, F64]:
    """Return F1 and false-alarm rate of counts (..., 4); 0 where there is nothing to count."""
    true, false, missed, quiet = np.moveaxis(counts, -1, 0)
    f1 = 2 * true / np.maximum(2 * true + false + missed, 1)
    return f1, false / np.maximum(false + quiet, 1)
