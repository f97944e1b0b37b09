"""A table of feature vectors to train on: one row a window, with what is known of it.

Rows come from a history, from recordings or from a file; from here on they are the same. Invariants: rows lie in the
order of machine, channel, span and time; a span ends where the machine was worked on, and what is normal is learnt in
each by itself, as in the stream; a row that mustn't be learnt from says why, and nothing takes the reason away; what
isn't defined is NaN, nothing is infinite.
"""

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from contracts.errors import ConfigurationError, SignalError
from contracts.features import FEATURE_NAMES

F32 = NDArray[np.float32]
I64 = NDArray[np.int64]
Flags = NDArray[np.bool_]
Words = NDArray[np.str_]

#: What is known of a machine at a window.
HEALTHY: Final = 0
FAULTY: Final = 1
UNKNOWN: Final = -1
#: Why a window isn't learnt from; the empty word where it may be.
LEARNABLE: Final = ""
PARTIAL: Final = "partial"
STANDING_STILL: Final = "standing still"
IN_TRANSITION: Final = "in transition"
BAD_QUALITY: Final = "bad or uncertain quality"
SUSPECTED: Final = "fault suspected"
KNOWN_FAULT: Final = "known fault"
NOT_KNOWN_HEALTHY: Final = "not known to be healthy"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FeatureTable:
    """Feature vectors of windows; made by `table_of`.

    Parameters
    ----------
    features : tuple of str
        Names of the columns.
    values : ndarray, shape (n, F), float32
        NaN where undefined.
    times_ns : ndarray, shape (n,), int64
        Starts of the windows, UTC.
    machine, channel, regime, excluded : ndarray, shape (n,), str
        Whose window it is, in which regime, and why it isn't learnt from (empty where it may be).
    state : ndarray, shape (n,), int8
        `HEALTHY`, `FAULTY` or `UNKNOWN`.
    span : ndarray, shape (n,), int32
        How often the machine had been worked on before.
    code_hash : str
        The feature code that computed the values; empty where they aren't vibration features.
    source : str
        Where the rows come from, for the model card.
    """

    features: tuple[str, ...]
    values: F32
    times_ns: I64
    machine: Words
    channel: Words
    regime: Words
    excluded: Words
    state: NDArray[np.int8]
    span: NDArray[np.int32]
    code_hash: str
    source: str

    def __len__(self) -> int:
        return len(self.values)

    @property
    def learnable(self) -> Flags:
        """Return which rows may be learnt from as healthy, (n,)."""
        return np.asarray(self.excluded == LEARNABLE)

    @property
    def machines(self) -> list[str]:
        """Return the machines, sorted."""
        return sorted(set(self.machine.tolist()))

    @property
    def is_catalogue(self) -> bool:
        """Whether the columns are the catalogue's, so that the stream can score with what is learnt here."""
        return self.features == FEATURE_NAMES

    def series(self) -> list[I64]:
        """Return the rows of each channel of each machine and span, oldest first."""
        keys = np.char.add(np.char.add(self.machine, "\x1f"), np.char.add(self.channel, "\x1f"))
        keys = np.char.add(keys, self.span.astype(np.str_))
        _, starts = np.unique(keys, return_index=True)
        return [np.asarray(rows, dtype=np.int64) for rows in np.split(np.arange(len(self)), np.sort(starts)[1:])]

    def rows(self, chosen: I64, values: F32) -> "FeatureTable":
        """Return some rows as a table of their own, with other values, (m, F)."""
        facts = ("times_ns", "machine", "channel", "regime", "excluded", "state", "span")
        return replace(self, values=values, **{name: getattr(self, name)[chosen] for name in facts})

    def reasons(self) -> dict[str, int]:
        """Return how many rows aren't learnt from, by reason."""
        return dict(Counter(reason for reason in self.excluded.tolist() if reason != LEARNABLE))


def table_of(
    features: tuple[str, ...],
    values: NDArray[Any],
    times_ns: NDArray[Any],
    facts: dict[str, Any],
    *,
    code_hash: str,
    source: str,
) -> FeatureTable:
    """Return rows as a table, sorted.

    Parameters
    ----------
    features : tuple of str
        Names of the columns.
    values : ndarray, shape (n, F)
        What isn't finite counts as undefined.
    times_ns : ndarray, shape (n,)
        Starts of the windows, UTC ns.
    facts : dict
        ``machine``, ``channel``, ``regime``, ``excluded`` and ``state``, and ``span`` where machines were worked on:
        one entry a row, or one for all.
    code_hash, source : str
        As in `FeatureTable`.

    Returns
    -------
    table : FeatureTable

    Raises
    ------
    SignalError
        Without a row, for other shapes, for a machine's channel with two windows at one time, and for spans that aren't
        in the order of time.

    Examples
    --------
    >>> facts = {"machine": "P-1", "channel": "DE", "regime": "", "excluded": "", "state": HEALTHY}
    >>> table = table_of(("level",), np.array([[2.0], [1.0]]), np.array([20, 10]), facts, code_hash="", source="a test")
    >>> table.values[:, 0].tolist(), table.machines
    ([1.0, 2.0], ['P-1'])
    """
    n = len(times_ns)
    if n == 0 or values.shape != (n, len(features)):
        raise SignalError(
            f"{source}: values of shape {values.shape}; at least one row of {len(features)} values needed"
        )
    full = {name: np.broadcast_to(np.asarray(one), (n,)) for name, one in {"span": 0, **facts}.items()}
    words = {name: full[name].astype(np.str_) for name in ("machine", "channel", "regime", "excluded")}
    order = np.lexsort((times_ns, full["span"], words["channel"], words["machine"]))
    clean = np.where(np.isfinite(values), values, np.nan).astype(np.float32)[order]
    table = FeatureTable(
        features=features,
        values=clean,
        times_ns=np.asarray(times_ns, dtype=np.int64)[order],
        state=full["state"].astype(np.int8)[order],
        span=full["span"].astype(np.int32)[order],
        code_hash=code_hash,
        source=source,
        **{name: column[order] for name, column in words.items()},
    )
    same = (table.machine[1:] == table.machine[:-1]) & (table.channel[1:] == table.channel[:-1])
    wrong = np.flatnonzero(same & (np.diff(table.times_ns) <= 0))
    if wrong.size:
        row = int(wrong[0]) + 1
        what = (
            "two windows"
            if table.span[row] == table.span[row - 1]
            else f"a window of span {table.span[row]} too early,"
        )
        raise SignalError(
            f"{source}: {table.machine[row]}, {table.channel[row]} has {what} at {table.times_ns[row]} ns"
        )
    return table


def check_code(table: FeatureTable, code_hash: str) -> None:
    """Refuse vibration features that other code has computed than the code that will score.

    Raises
    ------
    ConfigurationError
        With both hashes.
    """
    if table.is_catalogue and table.code_hash != code_hash:
        raise ConfigurationError(
            f"{table.source}: features of code {table.code_hash or 'unknown'}, this is {code_hash}; a model scores what"
            " it was trained on only: compute the features again"
        )
