"""From single rows over a limit to a warning: how long it must last, when it ends, and when it is given again.

Invariant: all of these look back only.
"""

import collections

import numpy as np
from numpy.typing import NDArray

from contracts.errors import SignalError

Flags = NDArray[np.bool_]


def persistent(flags: Flags, needed: int = 3, of: int = 3) -> Flags:
    """Return where `needed` of the last `of` rows were flagged; 3 in a row unless told otherwise.

    Raises
    ------
    SignalError
        Unless 1 ≤ `needed` ≤ `of`.

    Examples
    --------
    >>> flags = np.array([1, 1, 0, 1, 1, 1, 0], dtype=bool)
    >>> persistent(flags).astype(int).tolist(), persistent(flags, 3, 5).astype(int).tolist()
    ([0, 0, 0, 0, 0, 1, 0], [0, 0, 0, 1, 1, 1, 1])
    """
    if not 1 <= needed <= of:
        raise SignalError(f"{needed} of {of} rows; at least 1 and at most all of them needed")
    counted = np.cumsum(np.concatenate([np.zeros(of, dtype=np.int64), flags]))
    result: Flags = counted[of:] - counted[:-of] >= needed
    return result


def held(flags: Flags, rows: int) -> Flags:
    """Return the flags, each kept for so many more rows: a warning that has gone isn't over at once.

    Raises
    ------
    SignalError
        If `rows` is negative.

    Examples
    --------
    >>> held(np.array([0, 1, 0, 0, 0], dtype=bool), 2).astype(int).tolist()
    [0, 1, 1, 1, 0]
    """
    if rows < 0:
        raise SignalError(f"held for {rows} rows; at least 0 needed")
    return persistent(flags, 1, rows + 1)


def unrecovered(ratios: NDArray[np.float64], share: float) -> Flags:
    """Return where a deviation is beyond its limit and hasn't come back from its largest to a share of that.

    What has come back so far has begun to mend, and may settle at another level than before. A smoothed deviation
    that a fault has left falls below the limit late after a large fault and soon after a small one; to a share of its
    largest it falls within the same time.

    Parameters
    ----------
    ratios : ndarray, shape (n,) or (n, c), float64
        Deviations as shares of their limits, oldest first; above and below 0 each have their largest.
    share : float
        From 0, where only the limit counts, to below 1.

    Returns
    -------
    flags : ndarray, shape as `ratios`, bool

    Raises
    ------
    SignalError
        If `share` is outside its bounds.

    Examples
    --------
    >>> unrecovered(np.array([0.5, 1.5, 4.0, 2.5, 1.5, 2.5, -1.5, -0.5]), 0.5).astype(int).tolist()
    [0, 1, 1, 1, 0, 1, 1, 0]
    """
    if not 0.0 <= share < 1.0:
        raise SignalError(f"share {share}; from 0 to below 1 needed")
    flags: Flags = np.zeros(ratios.shape, dtype=np.bool_)
    for side in (ratios, -ratios):
        flags |= side > np.maximum(1.0, share * np.maximum.accumulate(side, axis=0))
    return flags


def given_again(scores: NDArray[np.float64], rows: int, factor: float) -> NDArray[np.float64]:
    """Return the scores that are worth telling: those so many times as high as any told in the last rows, else 0.

    Parameters
    ----------
    scores : ndarray, shape (n,), float64
        At least 0.
    rows : int
        How long a score counts as told, at least 1.
    factor : float
        At least 1.

    Returns
    -------
    told : ndarray, shape (n,), float64

    Raises
    ------
    SignalError
        If `rows` or `factor` is too small.

    Examples
    --------
    >>> given_again(np.array([1.0, 1.2, 2.0, 2.5, 1.0, 2.5]), 3, 1.5).tolist()
    [1.0, 0.0, 2.0, 0.0, 0.0, 2.5]
    """
    if rows < 1 or not factor >= 1.0:
        raise SignalError(f"told for {rows} rows, again from a factor {factor}; at least 1 each needed")
    told = np.zeros(scores.size)
    recent: collections.deque[tuple[int, float]] = collections.deque()
    for index, score in enumerate(scores.tolist()):
        while recent and recent[0][0] < index - rows + 1:
            recent.popleft()
        # factors of at least 1 make the last one told the highest
        if score > (factor * recent[-1][1] if recent else 0.0):
            told[index] = score
            recent.append((index, score))
    return told
