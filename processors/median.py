"""The median of a few numbers, by counting.

To sort them takes longer: where they are noise, no branch of a sort can be foretold, while counting is vectorised.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from processors.kernel import kernel

Real = npt.NDArray[np.floating[Any]]


@kernel()
def median(numbers: Real) -> float:
    """Return the median of finite numbers; NaN of none.

    Parameters
    ----------
    numbers : ndarray, shape (n,)
        The numbers; each is compared with a few of the others, so some hundreds at most.

    Examples
    --------
    >>> median(np.array([4.0, 1.0, 3.0, 9.0]))
    3.5
    """
    middle = _ranked(numbers, numbers.size // 2)
    return middle if numbers.size % 2 else 0.5 * (_ranked(numbers, numbers.size // 2 - 1) + middle)


@kernel()
def _ranked(numbers: Real, rank: int) -> float:
    """Return the number that `rank` others come before in order; NaN where there is none."""
    low, high = -np.inf, np.inf
    for number in numbers:
        if low < number < high:
            below, equal = _count(numbers, number)
            if below > rank:
                high = number
            elif below + equal <= rank:
                low = number
            else:
                return np.float64(number)
    return math.nan


@kernel()
def _count(numbers: Real, number: Any) -> tuple[Any, Any]:
    """Return how many numbers are less than one, and how many equal it."""
    below = equal = np.int32(0)
    for i in range(numbers.size):
        below += np.int32(numbers[i] < number)
        equal += np.int32(numbers[i] == number)
    return below, equal
