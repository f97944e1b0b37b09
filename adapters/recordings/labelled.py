"""Series of which the truth is known row by row: what a detector is measured on.

Invariant: values are finite and rows in order; what is labelled lies within the series.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelledSeries:
    """One series of one machine.

    ``values`` has shape (n, n_channels), float64, oldest row first; ``times_s`` (n,) counts from the first row;
    ``abnormal`` (n,) is the truth. ``windows`` are the first and last row of each stretch in which an alarm counts as
    right, where the data set has such; ``quantities`` are those of the channels, where it says.
    """

    name: str
    group: str
    channels: tuple[str, ...]
    interval_s: float
    times_s: NDArray[np.float64]
    values: NDArray[np.float64]
    abnormal: NDArray[np.bool_]
    quantities: tuple[str, ...] = ()
    windows: tuple[tuple[int, int], ...] = field(default=())
