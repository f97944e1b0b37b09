"""Where a machine's slow values have got to, seen from each row: short and long means, trends, and where they began.

A life is not told by a value but by how it came about: noise is averaged over several spans, and the level at the start
shows how worn the machine was to begin with.

Invariant: the description of a row depends on the rows up to it.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from contracts.errors import SignalError

F64 = NDArray[np.float64]

#: Rows that means are taken over; 0 stands for all so far.
_MEANS: Final = (5, 15, 30, 0)
#: Rows at the start that show the state when new.
_BEGINNING: Final = 20
#: Rows that trends are taken over.
_TRENDS: Final = (30, 60)


def describe(rows: F64) -> F64:
    """Return the description of each row.

    Parameters
    ----------
    rows : ndarray, shape (n, c), float64
        Standardised slow values since the machine was new, oldest first.

    Returns
    -------
    description : ndarray, shape (n, 7c + 1), float64
        For each channel its means over the last 5, 15, 30 and all rows, the mean of the first 20 (or all until then),
        the change over the last 30 and 60 rows by a straight line; then the number of rows so far.

    Raises
    ------
    SignalError
        If the rows aren't two-dimensional and finite, or there are none.

    Examples
    --------
    >>> ramp = np.arange(100.0)[:, np.newaxis]
    >>> np.round(describe(ramp)[-1], 6).tolist()
    [97.0, 92.0, 84.5, 49.5, 9.5, 30.0, 60.0, 100.0]
    """
    if rows.ndim != 2 or rows.size == 0 or not np.isfinite(rows).all():
        raise SignalError(f"rows of shape {rows.shape}; at least one finite row needed")
    so_far = np.arange(1, len(rows) + 1)
    begun = np.minimum(so_far, _BEGINNING)
    sums = _sums(rows)
    parts = [_mean(sums, so_far, np.minimum(so_far, span or len(rows))) for span in _MEANS]
    parts.append(sums[begun] / begun[:, np.newaxis])
    weighted = _sums(rows * np.arange(len(rows))[:, np.newaxis])
    parts += [_change(sums, weighted, so_far, np.minimum(so_far, span), span) for span in _TRENDS]
    parts.append(so_far[:, np.newaxis].astype(np.float64))
    return np.concatenate(parts, axis=1)


def _sums(rows: F64) -> F64:
    """Return the sums of the first 0, 1 … n rows."""
    return np.concatenate([np.zeros((1, rows.shape[1])), np.cumsum(rows, axis=0)])


def _mean(sums: F64, end: NDArray[np.int64], count: NDArray[np.int64]) -> F64:
    return np.asarray((sums[end] - sums[end - count]) / count[:, np.newaxis])


def _change(sums: F64, weighted: F64, end: NDArray[np.int64], count: NDArray[np.int64], span: int) -> F64:
    """Return the change over `span` rows of the line through the last `count` ones; 0 for a single row."""
    middle = (end - 1) - (count - 1) / 2.0
    product = weighted[end] - weighted[end - count] - middle[:, np.newaxis] * (sums[end] - sums[end - count])
    spread = count * (count.astype(np.float64) ** 2 - 1.0) / 12.0
    return np.asarray(product / np.maximum(spread, 1.0)[:, np.newaxis] * span)
