"""When a run to failure is first noticed."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from adapters.recordings import read_recordings
from contracts.errors import SignalError
from processors.first_detection import first_rise
from runtime.life_evaluation import judge_life


def levels(seed: int, n: int = 600) -> NDArray[Any]:
    scatter: NDArray[Any] = np.exp(0.05 * np.random.default_rng(seed).standard_normal((2, n)))
    return scatter


@pytest.mark.parametrize("seed", range(5))
def test_a_steady_machine_is_never_noticed(seed: int) -> None:
    assert first_rise(levels(seed)) is None


def test_a_rise_in_every_direction_is_noticed_from_the_past_alone() -> None:
    rising = levels(1) * np.exp(np.clip(np.arange(600) - 400, 0, None) / 50.0)
    found = first_rise(rising)
    assert found is not None
    assert 400 < found < 450
    assert first_rise(rising[:, : found + 1]) == found
    assert first_rise(rising[:, :found]) is None


def test_one_direction_or_a_short_burst_is_not_enough() -> None:
    one = levels(2)
    one[0, 300:] *= 5.0
    assert first_rise(one) is None
    for windows, factor in ((4, 2.0), (2, 5.0)):
        burst = levels(3)
        burst[:, 300 : 300 + windows] *= factor
        assert first_rise(burst) is None


def test_a_steep_rise_needs_fewer_windows() -> None:
    steep = levels(4)
    steep[:, 300:] *= 5.0
    assert first_rise(steep) == 302


@pytest.mark.parametrize("bad", [np.ones(100), np.ones((1, 60)), np.zeros((1, 100)), np.full((1, 100), np.nan)])
def test_unusable_levels_are_refused(bad: NDArray[Any]) -> None:
    with pytest.raises(SignalError):
        first_rise(bad)


def test_no_real_run_is_noticed_in_its_first_third_and_all_before_their_end(data_folder: Path) -> None:
    if not (data_folder / "femto_pronostia").is_dir():
        pytest.skip(f"no PRONOSTIA runs in {data_folder}")
    runs = [judge_life(recording) for recording in read_recordings(data_folder / "femto_pronostia", "femto")]
    assert len(runs) >= 4
    for run in runs:
        assert not run.false_alarm, run
        assert run.share is not None, run
