"""Catches a detector that peeks: what it says of a row must not change when the rows after it are cut or replaced."""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from contracts.errors import LookAhead

F64 = NDArray[np.float64]

#: Rows (n, c), oldest first, to one or more results a row, (n,) or (n, m).
Detector = Callable[[F64], F64]

#: Places at which the future is cut off and replaced.
CUTS: Final = 4


def judged(name: str, detector: Detector, rows: F64, known: int) -> F64:
    """Return what a detector says of the rows, after a proof that it looks at none that is yet to come.

    Parameters
    ----------
    name : str
        For the message.
    detector : callable
        Gives the same bits for the same rows.
    rows : ndarray, shape (n, c), float64
        Oldest first.
    known : int
        Rows that it may learn from as a whole: the first cut lies behind them. At least 1, below n.

    Returns
    -------
    results : ndarray, shape (n,) or (n, m), float64

    Raises
    ------
    LookAhead
        If a result differs by a bit when rows behind it are cut off or replaced.

    Examples
    --------
    >>> rows = np.arange(10.0)[:, np.newaxis]
    >>> judged("honest", lambda seen: np.maximum.accumulate(seen[:, 0]), rows, known=2)[-1].item()
    9.0
    >>> judged("peeking", lambda seen: seen[:, 0] / seen.max(), rows, known=2)
    Traceback (most recent call last):
    contracts.errors.LookAhead: peeking: the result of row 1 changes when the rows from 2 on are cut off
    """
    results = detector(rows)
    for cut in np.unique(np.linspace(known, len(rows) - 1, CUTS).astype(int)).tolist():
        _compare(name, results[:cut], detector(rows[:cut]), f"the rows from {cut} on are cut off")
        _compare(name, results[:cut], detector(_replaced(rows, cut))[:cut], f"the rows from {cut} on are replaced")
    return results


def _replaced(rows: F64, cut: int) -> F64:
    """Return the rows with another future: the true one backwards and three times as large, which keeps its sign."""
    return np.concatenate([rows[:cut], 3.0 * rows[cut:][::-1]])


def _compare(name: str, expected: F64, got: F64, change: str) -> None:
    if got.shape != expected.shape:
        raise LookAhead(f"{name}: {len(expected)} results become {len(got)} when {change}")
    same = np.ascontiguousarray(got).view(np.uint64) == np.ascontiguousarray(expected).view(np.uint64)
    differing = np.flatnonzero(~same.reshape(len(expected), -1).all(axis=1))
    if differing.size:
        raise LookAhead(f"{name}: the result of row {differing[0]} changes when {change}")
