"""The small job of the side-by-side run: its kernels against NumPy, its state, its ratios, and the lane's room."""

import itertools
import threading

import numpy as np
import pytest

from loadtests.peers.frames import HEADER_WORDS, SAMPLES, SAMPLING_RATE_HZ, FrameSource, rows_of
from loadtests.peers.job import SmallJob, State
from loadtests.peers.kernels import BANDS, Kernels
from loadtests.peers.rounds import Figures
from runtime.peers_bench import SideBySide
from streams.room import Room

VALUES = [value for _, _, value in FrameSource().frames(70)]


def plain_features(samples: np.ndarray) -> list[float]:
    x = samples.astype(np.float64) - samples.mean(dtype=np.float64)
    rms, peak = np.sqrt(np.mean(x**2)), np.abs(x).max()
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(SAMPLES) / SAMPLES)
    power = np.abs(np.fft.rfft(x * hann)) ** 2
    edges = [*range(0, SAMPLES // 2, SAMPLES // 2 // BANDS), SAMPLES // 2 + 1]
    bands = [np.sqrt(2 * power[a:b].sum() / (SAMPLES * np.sum(hann**2))) for a, b in itertools.pairwise(edges)]
    dominant_hz = (power[1:].argmax() + 1) * SAMPLING_RATE_HZ / SAMPLES
    return [rms, peak, peak / rms, np.mean(x**4) / rms**4, dominant_hz, *bands]


def test_both_forms_of_the_kernel_agree_with_numpy() -> None:
    records, words = rows_of(VALUES)
    kernels = Kernels()
    expected = [plain_features(row[HEADER_WORDS:]) for row in words]
    np.testing.assert_allclose(kernels.of_many(words, records["sampling_rate_hz"]), expected, rtol=2e-4)
    ones = [kernels.of_one(row[HEADER_WORDS:], SAMPLING_RATE_HZ) for row in words]
    np.testing.assert_allclose(ones, expected, rtol=2e-4)


def test_frames_scored_together_and_one_by_one_give_the_same_states() -> None:
    job, together, one_by_one = SmallJob(), dict[int, State](), dict[int, State]()
    channels, records = job.score(VALUES, together)
    for channel, value in zip(channels, VALUES, strict=True):
        _, one_by_one[channel] = job.score_one(value, one_by_one.get(channel))
    assert len(records) == len(VALUES)
    assert together.keys() == one_by_one.keys()
    for channel, (seen, mean, variance) in one_by_one.items():
        assert together[channel][0] == seen
        assert together[channel][1:] == pytest.approx((mean, variance), rel=1e-5, abs=1e-6)


def test_ratios_take_the_best_form_of_a_peer_and_are_null_without_it() -> None:
    def costing(*rounds: float) -> Figures:
        return Figures(cpu_us_per_frame=list(rounds))

    result = SideBySide(
        {
            "ours": costing(16.0, 90.0, 15.0),  # the machine was slow in the second round
            "plain": costing(16.0, 90.0, 10.0),
            "bytewax-batches": costing(24.0, 135.0, 30.0),
            "bytewax-records": costing(32.0, 180.0, 30.0),
        }
    )
    assert result.ratios() == {"ratio_plain": 1.0, "ratio_bytewax": 1.5, "ratio_quix": None}


def test_a_drained_room_has_no_batch_under_way() -> None:
    room, drained = Room(2), threading.Event()
    assert room.take(0.0)
    room.hand_on()
    assert room.take(0.0)

    def drain() -> None:
        room.drain()
        drained.set()

    thread = threading.Thread(target=drain)
    thread.start()
    assert not drained.is_set()
    room.give()
    thread.join(10.0)
    assert drained.is_set()
    room.hand_on()
    assert room.take(0.0)
