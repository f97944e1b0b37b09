"""From feature vectors to what models see: robust z's of each series' own normal, one window or several at a time.

The baseline is the stream's own, fed with the windows that may be learnt from in the order of time, and begun anew
after maintenance; so a model is trained on the numbers that it will score. Invariants: a row's z's depend on rows
before it alone; an example that is learnt from holds no window that mustn't be, and none from either side of an end of
a span.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from contracts.errors import SignalError
from pipelines.evaluation.causality import judged
from pipelines.training.table import FeatureTable
from processors.scoring.baseline import Baseline, robust_z
from processors.scoring.reconstruction import as_seen
from processors.scoring.succession import Succession

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Flags = NDArray[np.bool_]

#: From the table and the rows of one of its series to z's of these rows, (n, F), NaN while nothing is known.
Preparation = Callable[[FeatureTable, I64, int], F64]

_MAD_TO_SIGMA: Final = 1.4826
#: A spread below this share of the median's size is taken for too small to be true.
_RELATIVE_FLOOR: Final = 1e-3
#: Series of which the preparation is proven to look at no later row.
_PROVEN: Final = 4
_PROVEN_ROWS: Final = 2000


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """What models see: ``x`` (m, F) or (m, T, F), float32; ``rows`` (m,) are the newest window's rows in the table.

    ``learnable`` (m,) tells which may be learnt from as healthy.
    """

    x: F32
    rows: I64
    learnable: Flags

    @property
    def newest(self) -> F32:
        """Return the newest window of each example, (m, F)."""
        return self.x if self.x.ndim == 2 else np.ascontiguousarray(self.x[:, -1])

    def of(self, chosen: Flags) -> "Examples":
        """Return the examples all of whose windows are chosen rows of the table, (n,)."""
        depth = 1 if self.x.ndim == 2 else self.x.shape[1]
        kept = chosen[self.rows[:, np.newaxis] - np.arange(depth)].all(axis=1)  # a series' rows follow one another
        return Examples(self.x[kept], self.rows[kept], self.learnable[kept])

    def __len__(self) -> int:
        return len(self.x)


def baseline_z(table: FeatureTable, rows: I64, baseline_windows: int) -> F64:
    """Return the robust z's of one series as the stream has them.

    Parameters
    ----------
    table : FeatureTable
        The table.
    rows : ndarray, shape (n,), int64
        The series' rows, oldest first.
    baseline_windows : int
        Windows from which a regime is learnt.

    Returns
    -------
    z : ndarray, shape (n, F), float64
        NaN while the regime is learnt and where a value is undefined.
    """
    values, learnable = table.values[rows].astype(np.float64), table.learnable[rows]
    if not table.is_catalogue:
        return _plain_z(values, learnable, baseline_windows)
    baseline = Baseline(baseline_windows)
    z = np.full(values.shape, np.nan)
    for place, regime in enumerate(table.regime[rows].tolist()):
        known = baseline.visit(regime)
        if known is not None:
            z[place] = robust_z(known, values[place])
        elif learnable[place]:
            baseline.learn(regime, values[place])
    return z


def prepared(
    table: FeatureTable, baseline_windows: int, window_count: int, prepare: Preparation = baseline_z
) -> Examples:
    """Return all examples of a table, after a proof on some series that none looks ahead.

    Parameters
    ----------
    table : FeatureTable
        The table.
    baseline_windows : int
        Windows from which each series' own normal is learnt.
    window_count : int
        Windows a model looks at.
    prepare : callable
        Makes z's of a series' values.

    Raises
    ------
    LookAhead
        If an example changes with windows that come after it.
    SignalError
        If there is none, since no series is long enough.
    """
    z = np.full(table.values.shape, np.nan)
    every = table.series()
    for rows in sorted(every, key=len, reverse=True)[:_PROVEN]:
        _prove(table, rows, baseline_windows, window_count, prepare)
    for rows in every:
        z[rows] = prepare(table, rows, baseline_windows)
    examples = examples_of(table, z, window_count)
    if not len(examples):
        longest = max(int(table.learnable[rows].sum()) for rows in every)
        raise SignalError(
            f"{table.source}: no channel has more than {baseline_windows} + {window_count} windows to learn its normal"
            f" and a model from; the longest has {longest}"
        )
    return examples


def examples_of(table: FeatureTable, z: F64, window_count: int = 1) -> Examples:
    """Return every window whose z's are known, with as many windows before it as a model looks at.

    Parameters
    ----------
    table : FeatureTable
        The table.
    z : ndarray, shape (n, F), float64
        Of `normalised`.
    window_count : int
        Windows a model looks at; 1 gives (m, F), more (m, T, F). They follow one another in a row, as in the stream.
    """
    known: Flags = np.asarray(~np.isnan(z).all(axis=1))
    learnable: Flags = np.asarray(known & table.learnable)
    if window_count == 1:
        rows = np.flatnonzero(known)
        return Examples(as_seen(z[rows]), rows, np.asarray(learnable[rows]))
    newest = np.concatenate([_newest(table, rows, known, window_count) for rows in table.series()])
    rows_of = newest[:, np.newaxis] + np.arange(1 - window_count, 1)
    return Examples(as_seen(z[rows_of]), newest, np.asarray(learnable[rows_of].all(axis=1)))


def _newest(table: FeatureTable, rows: I64, known: Flags, window_count: int) -> I64:
    """Return the rows of a series at which so many windows are in a row."""
    row, found = Succession(window_count), []
    facts = (rows, table.times_ns[rows], table.regime[rows], known[rows], table.learnable[rows])
    for place, start_ns, regime, is_known, may in zip(*(fact.tolist() for fact in facts), strict=True):
        row.take(start_ns, regime, known=is_known, learnable=may)
        if row.length == window_count:
            found.append(place)
    return np.array(found, dtype=np.int64)


def _prove(table: FeatureTable, rows: I64, baseline_windows: int, window_count: int, prepare: Preparation) -> None:
    """Let the harness replace what is yet to come, and see whether an example changes."""
    known, rows = baseline_windows + window_count, rows[:_PROVEN_ROWS]
    if len(rows) <= known:
        return

    def seen(values: F64) -> F64:
        alone = table.rows(rows[: len(values)], values.astype(np.float32))
        z = prepare(alone, np.arange(len(alone)), baseline_windows)
        examples = examples_of(alone, z, window_count)
        result = np.full((len(alone), window_count * len(table.features)), np.nan)
        result[examples.rows] = examples.x.reshape(len(examples), result.shape[1])
        return result

    name = f"{table.machine[rows[0]]}, {table.channel[rows[0]]}"
    judged(name, seen, table.values[rows].astype(np.float64), known=known)


def _plain_z(values: F64, learnable: Flags, baseline_windows: int) -> F64:
    """Return z's by median and MAD of the first learnable rows; for series that are no vibration features."""
    first = np.flatnonzero(learnable)[:baseline_windows]
    z = np.full(values.shape, np.nan)
    if len(first) < baseline_windows:
        return z
    centre = np.nanmedian(values[first], axis=0)
    spread = _MAD_TO_SIGMA * np.nanmedian(np.abs(values[first] - centre), axis=0)
    floor = np.maximum(_RELATIVE_FLOOR * np.abs(centre), np.nanstd(values[first], axis=0))
    scale = np.maximum(spread, np.maximum(floor, np.finfo(np.float32).tiny))
    after = int(first[-1]) + 1
    z[after:] = (values[after:] - centre) / scale
    return z
