"""A choice of settings is worth what it gives on files that it wasn't made on."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pipelines.evaluation.choice import on_other_files

GOALS = (0.8, 0.12)
GOOD, SILENT = (90, 5, 10, 95), (0, 0, 100, 100)


def table(*settings: tuple[tuple[int, int, int, int], ...]) -> NDArray[np.int64]:
    return np.array(settings, dtype=np.int64)


def test_settings_that_suit_every_file_are_worth_the_same_elsewhere() -> None:
    found = on_other_files(table((SILENT,) * 10, (GOOD,) * 10), ("a",) * 6 + ("b",) * 4, GOALS, 0)
    assert found is not None
    assert (found["met"], found["settings"]) == (1.0, 2)
    assert found["f1"] == pytest.approx([180 / 195] * 3)
    assert found["far"] == pytest.approx([0.05] * 3)


def test_settings_of_which_each_suits_one_file_alone_look_good_in_view_and_are_worth_little_elsewhere() -> None:
    counts = table(*(tuple(GOOD if file == own else SILENT for file in range(5)) for own in range(5)))
    found = on_other_files(counts, ("a",) * 5, GOALS, 0)
    assert found is not None
    assert (found["met"], found["f1"]) == (0.0, [0.0, 0.0, 0.0])


def test_every_group_is_measured_in_proportion_and_the_seed_decides() -> None:
    groups = ("a",) * 5 + ("b",) * 5
    # the second group has ten times the rows: the mix of the groups shows in the rate
    counts = np.concatenate([table((GOOD,) * 5), 10 * table(((100, 0, 0, 100),) * 5)], axis=1)
    found = on_other_files(counts, groups, GOALS, 3)
    assert found is not None
    assert found["far"] == pytest.approx([10 / 2200] * 3)
    assert found == on_other_files(counts, groups, GOALS, 3)


def test_a_few_files_say_nothing() -> None:
    assert on_other_files(table((GOOD,) * 4), ("a",) * 4, GOALS, 0) is None
