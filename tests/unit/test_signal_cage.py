"""The cage's comb, pre-whitening, and what the second look makes of a diagnosis."""

from typing import Any

import numpy as np
import pytest
import scipy.fft
from numpy.typing import NDArray

from contracts.assets import MeasurementPoint, RuleSettings
from processors.bearings import bearing
from processors.cage import find_cage_comb, prewhiten
from processors.whole_recording import RecordingJudgement, judge_recording

RATE_HZ = 12000.0
SECONDS = 10.0
N = int(RATE_HZ * SECONDS)
T_S = np.arange(N) / RATE_HZ
SHAFT_HZ = 29.5
GEOMETRY = bearing("6205")
CAGE_HZ = 0.992 * GEOMETRY.orders.ftf * SHAFT_HZ
POINT = MeasurementPoint(point_id="bearing", location="bearing", direction="axial")


def judge(signal: NDArray[Any]) -> RecordingJudgement:
    samples = signal.astype(np.float32)
    return judge_recording(samples, RATE_HZ, 60.0 * SHAFT_HZ, GEOMETRY, POINT, RuleSettings())


def noise(seed: int) -> NDArray[Any]:
    return np.random.default_rng(seed).standard_normal(N)


def swell(depth: float) -> NDArray[Any]:
    """Return how a damaged element passes the load zone: once a turn of the cage, for a tenth of it."""
    angle = 2.0 * np.pi * CAGE_HZ * T_S
    passing: NDArray[Any] = np.exp(-0.5 * (np.angle(np.exp(1j * angle)) / 0.4) ** 2)
    return 1.0 + depth * passing


def test_an_element_that_modulates_the_noise_at_the_cage_frequency_is_found() -> None:
    found = judge(swell(0.35) * noise(1)).diagnosis
    assert found is not None
    assert found.fault == "rolling_element"
    assert found.evidence[0].name == "FTF"
    assert found.evidence[0].frequency_hz == pytest.approx(CAGE_HZ, rel=0.005)
    assert 0.5 <= found.confidence <= 0.75
    assert "cage is worn" in found.evidence[0].text


@pytest.mark.parametrize("seed", range(8))
def test_noise_has_no_cage(seed: int) -> None:
    shaft = 1.0 + 0.4 * np.sin(2 * np.pi * SHAFT_HZ * T_S) + 0.2 * np.sin(4 * np.pi * SHAFT_HZ * T_S)
    assert judge(shaft * noise(seed)).diagnosis is None


def test_a_strong_race_is_not_taken_for_an_element() -> None:
    ring_s = np.arange(300) / RATE_HZ
    ring = np.exp(-700 * ring_s) * np.sin(2 * np.pi * 3000 * ring_s)
    train = np.zeros(N)
    hits = np.arange(0, SECONDS, 1.0 / (9.0 * CAGE_HZ))
    train[(hits * RATE_HZ).astype(int)] = 6.0
    found = judge(np.convolve(swell(0.5) * train, ring)[:N] + noise(3)).diagnosis
    assert found is not None
    assert found.fault == "outer_race"


def test_prewhitening_keeps_phases_and_nothing_else() -> None:
    spectrum = scipy.fft.rfft(noise(4)[np.newaxis, :1000], axis=1)
    spectrum[0, 7] = 0.0
    white = prewhiten(spectrum)
    assert white[0, 7] == 0.0
    kept = np.delete(white[0], 7)
    np.testing.assert_allclose(np.abs(kept), 1.0, rtol=1e-12)
    np.testing.assert_allclose(np.angle(kept), np.angle(np.delete(spectrum[0], 7)), atol=1e-12)


def test_a_steady_line_sinks_into_the_prewhitened_noise() -> None:
    signal = noise(5) + 30.0 * np.sin(2 * np.pi * 1000.0 * T_S)
    white = scipy.fft.irfft(prewhiten(scipy.fft.rfft(signal[np.newaxis], axis=1)), axis=1)[0]
    spectrum = np.abs(scipy.fft.rfft(white))
    assert spectrum[int(1000 * SECONDS)] == pytest.approx(np.median(spectrum), rel=1e-6)


def test_too_coarse_a_spectrum_has_no_answer() -> None:
    amplitudes = np.random.default_rng(6).rayleigh(size=2000)
    assert find_cage_comb(amplitudes, 0.5, GEOMETRY, 60.0 * SHAFT_HZ) is None
    assert find_cage_comb(amplitudes[:300], 0.1, GEOMETRY, 60.0 * SHAFT_HZ) is None
    assert find_cage_comb(amplitudes, 0.1, GEOMETRY, 60.0 * SHAFT_HZ) is not None


def test_one_strong_line_is_no_comb() -> None:
    amplitudes = np.random.default_rng(7).rayleigh(size=2000)
    amplitudes[round(CAGE_HZ * 10)] *= 100.0
    comb = find_cage_comb(amplitudes, 0.1, GEOMETRY, 60.0 * SHAFT_HZ)
    assert comb is not None
    assert not comb.stands
    for harmonic in range(1, 7):
        amplitudes[round(harmonic * CAGE_HZ * 10)] = 6.0
    comb = find_cage_comb(amplitudes, 0.1, GEOMETRY, 60.0 * SHAFT_HZ)
    assert comb is not None
    assert comb.stands
    assert comb.found_hz == pytest.approx(CAGE_HZ, rel=0.005)


def strokes(rhythm_hz: float, height: float, seed: int) -> NDArray[Any]:
    """Return impacts at a steady rhythm, which ring at 3 kHz."""
    ring_s = np.arange(600) / RATE_HZ
    ring = np.exp(-300 * ring_s) * np.sin(2 * np.pi * 3000 * ring_s)
    train = np.zeros(N)
    train[(np.arange(0.2 / rhythm_hz, SECONDS, 1.0 / rhythm_hz) * RATE_HZ).astype(int)] = height
    signal: NDArray[Any] = np.convolve(train, ring)[:N] + noise(seed)
    return signal


@pytest.mark.parametrize("height", [3.0, 20.0])
@pytest.mark.parametrize("rhythm_hz", [GEOMETRY.orders.ftf * SHAFT_HZ / 6, 2.0, 3.3, 7.0, 17.0, 41.0])
def test_strokes_at_another_rhythm_are_no_bearing_fault(rhythm_hz: float, height: float) -> None:
    judged = judge(strokes(rhythm_hz, height, 7))
    assert judged.diagnosis is None
    # where the strokes hardly stand out, only every second line may be seen
    times = [family.foreign_hz / rhythm_hz for family in judged.families if family.foreign_hz is not None]
    assert times == pytest.approx([1.0 if height == 20.0 else round(each) for each in times], rel=0.005)
    assert times or height < 20.0


def test_an_outer_race_is_found_beside_stronger_strokes() -> None:
    line_hz = 0.99 * GEOMETRY.orders.bpfo * SHAFT_HZ
    judged = judge(strokes(2.0, 15.0, 8) + strokes(line_hz, 3.0, 9))
    (cage,) = [family for family in judged.families if family.name == "FTF"]
    assert cage.foreign_hz == pytest.approx(2.0, rel=0.002)
    found = judged.diagnosis
    assert found is not None
    assert found.fault == "outer_race"
    assert found.evidence[0].frequency_hz == pytest.approx(line_hz, rel=0.003)
