"""The simulated machine shows what it says it has, where a plain SciPy reference looks for it, and nothing else."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import signal

from processors.simulator import (
    Accelerometer,
    BearingFault,
    Course,
    GearMesh,
    Machine,
    Scenario,
    SensorFault,
    ShaftFault,
    Simulator,
    Thermometer,
    Truth,
    constant,
)
from processors.simulator.scenario import BearingFaultKind

RATE_HZ = 25_600.0
SHAFT_HZ = 1780.0 / 60.0
#: Published orders of the SKF 6205.
ORDERS = {"outer_race": 3.58478, "inner_race": 5.41522, "rolling_element": 2 * 2.35672}

Samples = NDArray[np.floating]


def machine(**changes: object) -> Machine:
    fields: dict[str, object] = {
        "asset_id": "P-1",
        "speed_rpm": constant(1780.0),
        "nominal_speed_rpm": 1780.0,
        "accelerometers": (Accelerometer(channel_id="P-1.acc"),),
        "unbalance": ShaftFault(residual_mm_s=0.8),
    }
    return Machine(**(fields | changes))  # type: ignore[arg-type]  # the tests pass fields of Machine


def samples(what: Machine, from_s: float = 0.0, length_s: float = 1.0, seed: int = 1) -> Samples:
    simulator = Simulator(Scenario(machines=(what,)), seed)
    first, last = int(from_s / 0.08), int(np.ceil((from_s + length_s) / 0.08))
    blocks = [simulator.block(what.asset_id, number).samples_g for number in range(first, last)]
    return np.concatenate(blocks, axis=1)[:, : int(length_s * RATE_HZ)].astype(np.float64)


def harmonics_db(x: Samples, fundamental_hz: float) -> list[float]:
    """Levels of the first three lines in the squared envelope spectrum of 2-5.5 kHz, over the median around each."""
    band = signal.butter(4, (2000.0, 5500.0), "bandpass", fs=RATE_HZ, output="sos")
    envelope = np.abs(signal.hilbert(signal.sosfiltfilt(band, x))) ** 2
    power = np.abs(np.fft.rfft((envelope - envelope.mean()) * np.hanning(x.size))) ** 2
    at_hz = np.fft.rfftfreq(x.size, 1.0 / RATE_HZ)
    levels = []
    for centre_hz in (fundamental_hz, 2.0 * fundamental_hz, 3.0 * fundamental_hz):
        line = np.abs(at_hz - centre_hz) < 0.02 * centre_hz
        floor = np.abs(at_hz - centre_hz) < 0.4 * fundamental_hz
        levels.append(10.0 * float(np.log10(power[line].max() / np.median(power[floor]))))
    return levels


def velocity_line_mm_s(x: Samples, frequency_hz: float) -> float:
    window = np.hanning(x.size)
    spectrum = np.abs(np.fft.rfft((x - x.mean()) * window)) * 2.0 / window.sum()
    at_hz = np.fft.rfftfreq(x.size, 1.0 / RATE_HZ)
    near = np.abs(at_hz - frequency_hz) < 2.5
    amplitude_g = np.sqrt(np.sum(spectrum[near] ** 2) / 1.5)
    return float(amplitude_g * 9806.65 / (2.0 * np.pi * frequency_hz) / np.sqrt(2.0))


def faulty(kind: BearingFaultKind, severity: float, **changes: object) -> Machine:
    fault = BearingFault(kind=kind, bearing="6205", severity=constant(severity), slip_ratio=0.015)
    return machine(bearing_faults=(fault,), **changes)


@pytest.mark.parametrize("kind", sorted(ORDERS))
@pytest.mark.parametrize("seed", range(12))
def test_a_defect_shows_its_family_in_the_envelope(kind: BearingFaultKind, seed: int) -> None:
    levels = harmonics_db(samples(faulty(kind, 0.5), seed=seed)[0], ORDERS[kind] * 0.985 * SHAFT_HZ)
    assert min(levels) > 12.0, levels


@pytest.mark.parametrize("kind", sorted(ORDERS))
@pytest.mark.parametrize("seed", range(12))
def test_a_healthy_bearing_shows_none(kind: BearingFaultKind, seed: int) -> None:
    levels = harmonics_db(samples(machine(), seed=seed)[0], ORDERS[kind] * 0.985 * SHAFT_HZ)
    assert float(np.median(levels)) < 10.0, levels


def test_the_envelope_shows_more_the_more_severe_the_defect_is() -> None:
    medians = []
    for severity in (0.0, 0.3, 0.45, 0.6):
        x = samples(faulty("outer_race", severity))[0]
        medians.append(float(np.median(harmonics_db(x, ORDERS["outer_race"] * 0.985 * SHAFT_HZ))))
    assert medians == sorted(medians), medians


def test_impacts_ring_the_resonance() -> None:
    quiet = (Accelerometer(channel_id="P-1.acc", noise_g=0.001),)
    x = samples(faulty("outer_race", 1.0, accelerometers=quiet))[0]
    at_hz, density = signal.welch(x, RATE_HZ, nperseg=2048)
    high = at_hz > 1500.0
    assert 3500.0 < at_hz[high][np.argmax(density[high])] < 4100.0
    assert 1.0 < np.abs(x).max() < 2.6


def test_inner_race_impacts_are_modulated_by_the_shaft() -> None:
    x = samples(faulty("inner_race", 1.0), length_s=2.0)[0]
    sideband = harmonics_db(x, (ORDERS["inner_race"] * 0.985 - 1.0) * SHAFT_HZ)
    assert sideband[0] > 12.0


def test_unbalance_has_the_velocity_it_states_and_grows_with_speed_squared() -> None:
    at_nominal = samples(machine(), length_s=4.0)[0]
    assert velocity_line_mm_s(at_nominal, SHAFT_HZ) == pytest.approx(0.8, rel=0.1)
    slow = samples(machine(speed_rpm=constant(890.0)), length_s=4.0)[0]
    assert velocity_line_mm_s(slow, SHAFT_HZ / 2.0) == pytest.approx(0.4, rel=0.2)


def test_misalignment_shows_at_twice_shaft_speed() -> None:
    x = samples(machine(misalignment=ShaftFault(severity=constant(1.0), full_mm_s=3.0)), length_s=4.0)[0]
    assert velocity_line_mm_s(x, 2.0 * SHAFT_HZ) == pytest.approx(0.9 * 3.0 * 0.8, rel=0.05)


def test_gear_mesh_has_sidebands_at_shaft_speed_when_faulty() -> None:
    healthy = machine(gears=(GearMesh(teeth=23, mesh_g=0.5),))
    worn = machine(gears=(GearMesh(teeth=23, mesh_g=0.5, severity=constant(1.0)),))
    sideband_hz = 24.0 * SHAFT_HZ
    ratio = velocity_line_mm_s(samples(worn)[0], sideband_hz) / velocity_line_mm_s(samples(healthy)[0], sideband_hz)
    assert 4.0 < ratio < 12.0


def test_a_worn_bearing_moves_the_velocity_late() -> None:
    fault = BearingFault(
        kind="outer_race",
        bearing="6205",
        severity=constant(1.0),
        late_severity=constant(1.0),
        late_velocity_mm_s=3.0,
    )
    x = samples(machine(bearing_faults=(fault,)), length_s=2.0)[0]
    assert velocity_line_mm_s(x, ORDERS["outer_race"] * 0.985 * SHAFT_HZ) == pytest.approx(0.82 * 3.0, rel=0.1)


def test_sensor_faults_do_to_the_samples_what_they_say() -> None:
    sensors = (
        Accelerometer(channel_id="clip", faults=(SensorFault(kind="clipping", from_s=0.5, limit_g=0.05),)),
        Accelerometer(channel_id="flat", offset_g=0.3, faults=(SensorFault(kind="flat_line", from_s=0.5),)),
        Accelerometer(channel_id="drop", faults=(SensorFault(kind="dropout", from_s=0.5, until_s=0.75),)),
    )
    clipped, flat, dropped = samples(machine(accelerometers=sensors))
    half, three_quarters = int(0.5 * RATE_HZ), int(0.75 * RATE_HZ)
    assert np.abs(clipped[:half]).max() > 0.1
    assert np.abs(clipped[half:]).max() == pytest.approx(0.05)
    assert flat[:half].std() > 0.05
    assert np.ptp(flat[half:]) == 0.0
    assert not (dropped[:half] == 0.0).any()
    assert 0.02 < (dropped[half:three_quarters] == 0.0).mean() < 0.5
    assert not (dropped[three_quarters:] == 0.0).any()


def test_a_standing_machine_is_only_noise() -> None:
    fault = BearingFault(kind="outer_race", bearing="6205", severity=constant(1.0))
    x = samples(machine(speed_rpm=constant(0.0), electrical_mm_s=0.5, bearing_faults=(fault,)))[0]
    assert x.std() == pytest.approx(0.06, rel=0.03)
    assert np.abs(x).max() < 0.06 * 6


def test_the_truth_is_known_at_any_time() -> None:
    what = machine(
        bearing_faults=(BearingFault(kind="outer_race", bearing="6205", severity=Course((10.0, 0.0), (20.0, 1.0))),),
        accelerometers=(
            Accelerometer(channel_id="a", faults=(SensorFault(kind="clipping", from_s=5.0, until_s=6.0),)),
        ),
    )
    simulator = Simulator(Scenario(machines=(what,)), 1)
    assert simulator.truth("P-1", 0.0) == ()
    assert simulator.truth("P-1", 5.5) == (Truth("sensor_clipping", "a", 1.0),)
    assert simulator.truth("P-1", 15.0) == (Truth("outer_race", "6205", 0.5),)


def test_damage_and_load_warm_the_bearing_with_a_lag() -> None:
    fault = BearingFault(kind="outer_race", bearing="6205", severity=Course((10.0, 0.0), (11.0, 1.0)))
    what = machine(thermometers=(Thermometer(channel_id="t"),), bearing_faults=(fault,))
    simulator = Simulator(Scenario(machines=(what,)), 1)
    degc = [dict(simulator.temperatures("P-1", second))["t"] for second in (5, 12, 20, 60)]
    assert degc[0] == pytest.approx(47.6, abs=0.2)
    assert degc[0] < degc[1] < degc[2] < degc[3] == pytest.approx(56.6, abs=0.2)
