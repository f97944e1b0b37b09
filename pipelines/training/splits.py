"""Which windows a model learns from, and which it is judged by: by machine, or by time where there is one machine.

Invariants: the held-out part is touched by the last measurement alone; no machine is on both sides of a split, or
everything that is learnt lies before everything that is judged. Machines whose windows are the same bit for bit, as
when one recording lies in two files, count as one. What breaks that, or would make the answer part of the question, is
a leak and ends the training.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from contracts.errors import ConfigurationError, Leak
from pipelines.training.table import FAULTY, HEALTHY, KNOWN_FAULT, FeatureTable

Flags = NDArray[np.bool_]

#: Folds of the search at most; more machines are put together.
MOST_FOLDS: Final = 5
#: Of a single machine the last share is held out, and in the search the last share of the rest is judged.
_LAST_SHARE: Final = 0.3
#: Judged rows that may occur bit for bit among those learnt from.
_TWINS_SHARE: Final = 0.01
_FEWEST_COLUMNS: Final = 4
_FEWEST_WINDOWS: Final = 30


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Rows to learn from and rows to judge by, (n,) each."""

    name: str
    learn: Flags
    judge: Flags


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """The folds of the search, the last split, and both in words."""

    folds: tuple[Split, ...]
    last: Split
    split: str
    held_out: str


def plan(table: FeatureTable, held_out: str | None = None) -> Plan:
    """Return leave-one-machine-out folds, and a machine that none of them sees.

    Parameters
    ----------
    table : FeatureTable
        What is trained on.
    held_out : str, optional
        The machine for the last measurement; the last by name otherwise. A single machine is split by time.

    Raises
    ------
    ConfigurationError
        If there is no such machine, or it is the only one.
    Leak
        As `check_split` and `check_features`.
    """
    groups = same_machines(table)
    if held_out is not None and (held_out not in table.machines or len(groups) == 1):
        raise ConfigurationError(f"machine {held_out!r} can't be held out; there are {', '.join(table.machines)}")
    check_features(table)
    aside = groups[-1] if held_out is None else next(group for group in groups if held_out in group)
    made = _by_time(table) if len(groups) == 1 else _by_machine(table, groups, aside)
    for split in (*made.folds, made.last):
        check_split(table, split)
    return made


def same_machines(table: FeatureTable) -> list[list[str]]:
    """Return the machines in groups: those that share windows bit for bit together, all others alone."""
    group_of = {machine: {machine} for machine in table.machines}
    if table.values.shape[1] >= _FEWEST_COLUMNS:
        owners: dict[bytes, str] = {}
        shared: Counter[tuple[str, str]] = Counter()
        for row, machine in zip(table.values, table.machine.tolist(), strict=True):
            owner = owners.setdefault(row.tobytes(), machine)
            shared[owner, machine] += owner != machine
        for (one, other), count in shared.items():
            if count > _TWINS_SHARE * min((table.machine == one).sum(), (table.machine == other).sum()):
                together = group_of[one] | group_of[other]
                group_of.update(dict.fromkeys(together, together))
    return sorted({tuple(sorted(group)): sorted(group) for group in group_of.values()}.values())


def check_split(table: FeatureTable, split: Split) -> None:
    """Refuse a split whose answer could be learnt by heart.

    Raises
    ------
    Leak
        If a row is on both sides, a machine is on both sides out of the order of time, or rows that are judged occur
        among those learnt from, bit for bit.
    """
    both = np.flatnonzero(split.learn & split.judge)
    if both.size:
        raise Leak(f"split {split.name}: {both.size} windows are learnt from and judged, the first is row {both[0]}")
    for machine in sorted(set(table.machine[split.learn].tolist()) & set(table.machine[split.judge].tolist())):
        own = table.machine == machine
        newest, oldest = table.times_ns[own & split.learn].max(), table.times_ns[own & split.judge].min()
        if newest >= oldest:
            raise Leak(f"split {split.name}: {machine} is learnt from until {newest} ns and judged from {oldest} ns")
    if table.values.shape[1] >= _FEWEST_COLUMNS and split.learn.any() and split.judge.any():
        learnt = {row.tobytes() for row in table.values[split.learn]}
        twins = sum(row.tobytes() in learnt for row in table.values[split.judge])
        if twins > _TWINS_SHARE * split.judge.sum():
            raise Leak(
                f"split {split.name}: {twins} of {split.judge.sum()} judged windows are learnt from, bit for bit"
            )


def check_features(table: FeatureTable) -> None:
    """Refuse features that are the answer, or tell how much time has passed.

    Raises
    ------
    Leak
        If a feature takes one value where a machine is known to be healthy and another where it is known to be faulty,
        or rises (or falls) from every window of every series to the next.
    """
    state = table.state
    for column, name in enumerate(table.features):
        values = table.values[:, column]
        healthy, faulty = np.unique(values[state == HEALTHY]), np.unique(values[state == FAULTY])
        if healthy.size == faulty.size == 1 and np.isfinite([healthy[0], faulty[0]]).all() and healthy[0] != faulty[0]:
            raise Leak(f"feature {name} is the label: {healthy[0]:g} wherever healthy, {faulty[0]:g} wherever faulty")
    long = [rows for rows in table.series() if len(rows) >= _FEWEST_WINDOWS]
    for column, name in enumerate(table.features):
        steps = [np.diff(table.values[rows, column]) for rows in long]
        if steps and (all((step > 0).all() for step in steps) or all((step < 0).all() for step in steps)):
            raise Leak(f"feature {name} counts the time: it goes one way in all {len(steps)} series")


def check_learning(table: FeatureTable, rows: NDArray[np.int64], *, faults_too: bool) -> None:
    """Refuse to learn from windows that mustn't be learnt from.

    Parameters
    ----------
    table : FeatureTable
        What is trained on.
    rows : ndarray, shape (m,), int64
        Every row that the model is about to see.
    faults_too : bool
        Whether known faults may be among them, as for a classifier.

    Raises
    ------
    Leak
        With the reason that the first such row was excluded for.
    """
    excluded = table.excluded[rows]
    wrong = (excluded != "") & ~((excluded == KNOWN_FAULT) & faults_too)
    if wrong.any():
        first = int(np.argmax(wrong))
        raise Leak(f"{wrong.sum()} windows mustn't be learnt from; row {rows[first]} is excluded: {excluded[first]}")


def _by_machine(table: FeatureTable, groups: list[list[str]], aside: list[str]) -> Plan:
    folds: tuple[Split, ...]
    rest = [group for group in groups if group != aside]
    held_out = " + ".join(aside)
    seen = ~np.isin(table.machine, aside)
    if len(rest) == 1:
        name = " + ".join(rest[0])
        folds = (_in_time(table, seen, f"{name}, by time"),)
        split = f"one machine to learn from, {name}; the search is judged by its last {_LAST_SHARE:.0%}"
    else:
        n_folds = min(len(rest), MOST_FOLDS)
        together = [[machine for group in rest[start::n_folds] for machine in group] for start in range(n_folds)]
        folds = tuple(
            Split(" + ".join(machines), seen & ~np.isin(table.machine, machines), np.isin(table.machine, machines))
            for machines in together
        )
        split = f"leave-one-machine-out over {len(rest)} machines in {len(folds)} folds"
    return Plan(folds, Split(held_out, seen, ~seen), split, f"machine {held_out}")


def _by_time(table: FeatureTable) -> Plan:
    everything = np.ones(len(table), dtype=np.bool_)
    last = _in_time(table, everything, "the last part")
    fold = _in_time(table, last.learn, "the last part of the first")
    share = f"{_LAST_SHARE:.0%}"
    return Plan(
        (fold,), last, f"one machine, by time: what is judged comes after what is learnt ({share})", f"the last {share}"
    )


def _in_time(table: FeatureTable, among: Flags, name: str) -> Split:
    """Return the first part of the machine's time to learn from, the last to judge by."""
    times_ns = table.times_ns[among]
    cut_ns = np.quantile(times_ns, 1.0 - _LAST_SHARE)
    return Split(name, among & (table.times_ns < cut_ns), among & (table.times_ns >= cut_ns))
