"""Facts from several channels of a machine, and the rule table.

Every signal goes through the features, as in the stream: facts come from them first.
"""

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from contracts.assets import Belt, DriveTrain, Gear, Shaft
from contracts.errors import SignalError
from processors.drive_train import belt_hz, fault_frequencies
from processors.features import FeatureEngine
from processors.machine_diagnosis import measure_all
from processors.machine_readings import Facts, Place, Readings
from processors.machine_rules import Finding, judge
from processors.motor_current import add_rotor_bars
from processors.rule_table import RULES
from processors.velocity import MM_S2_PER_G

RATE_HZ = 12800.0
SHAFT_HZ = 30.0
T_S = np.arange(int(2 * RATE_HZ)) / RATE_HZ
H, V = Place("drive end", "radial_horizontal"), Place("drive end", "radial_vertical")
A1, A2 = Place("drive end", "axial"), Place("coupling", "axial")


def line(order: float, rms_mm_s: float, phase_deg: float = 0.0) -> NDArray[Any]:
    """Return acceleration (g) of a line with this velocity."""
    omega = 2 * np.pi * order * SHAFT_HZ
    wave: NDArray[Any] = np.sin(omega * T_S + math.radians(phase_deg))
    return rms_mm_s * math.sqrt(2) * omega / MM_S2_PER_G * wave


def hum(seed: int, g: float = 0.002, n: int = T_S.size) -> NDArray[Any]:
    return g * np.random.default_rng(seed).standard_normal(n)


def features(samples: NDArray[Any], rate_hz: float = RATE_HZ, speed_rpm: float = 60 * SHAFT_HZ) -> NDArray[np.float32]:
    engine = FeatureEngine(samples.shape[0], samples.shape[1], rate_hz, (None,) * samples.shape[0])
    bands_hz = np.array([[500.0, 5000.0]] * samples.shape[0])
    return engine.compute(np.ascontiguousarray(samples, np.float32), speed_rpm, bands_hz).values


def facts(
    channels: dict[Place, NDArray[Any]],
    train: DriveTrain | None = None,
    healthy: NDArray[np.float32] | None = None,
    speed_rpm: float = 60 * SHAFT_HZ,
    boundary_bc_mm_s: float | None = None,
) -> Facts:
    samples = np.stack([signal + hum(seed, n=signal.size) for seed, signal in enumerate(channels.values())])
    return measure_all(
        Readings(
            samples,
            RATE_HZ,
            features(samples, speed_rpm=speed_rpm),
            list(channels),
            speed_rpm,
            train or DriveTrain(),
            (),
            healthy,
            boundary_bc_mm_s=boundary_bc_mm_s,
        )
    )


def findings(channels: dict[Place, NDArray[Any]], train: DriveTrain | None = None) -> tuple[Finding, ...]:
    return judge(facts(channels, train)).findings


def names(channels: dict[Place, NDArray[Any]], train: DriveTrain | None = None) -> list[str]:
    return [finding.fault for finding in findings(channels, train)]


def stator(bar_db: float, seconds: float = 30.0) -> NDArray[Any]:
    """Return a stator current at 50.1 Hz whose slip of 3 % modulates it, as a broken bar does."""
    t_s = np.arange(int(seconds * 1000)) / 1000.0
    side = 10.0 ** (bar_db / 20.0)
    lines = [(50.1, 1.0), (50.1 - 3.0, side), (50.1 + 3.0, side)]
    waves: NDArray[Any] = np.sum([a * np.cos(2 * np.pi * f * t_s + k) for k, (f, a) in enumerate(lines)], axis=0)
    return waves + 1e-5 * np.random.default_rng(4).standard_normal(t_s.size)


MOTOR = DriveTrain(line_frequency_hz=50.0, poles=4)


def test_sidebands_at_twice_the_slip_are_a_broken_rotor_bar_and_a_healthy_motor_has_none() -> None:
    broken, sound = Facts(), Facts()
    bars = add_rotor_bars(broken, stator(-38.0), 1000.0, MOTOR, 1455.0, 0.9)
    assert (bars.lower_hz, bars.upper_hz) == (47.0, 53.0)
    (found,) = judge(broken).findings
    assert found.fault == "rotor_bar"
    assert found.evidence[0].value == pytest.approx(-38.0, abs=0.5)
    assert found.evidence[0].frequency_hz == pytest.approx(47.1, abs=0.05)
    add_rotor_bars(sound, stator(-60.0), 1000.0, MOTOR, 1455.0, 0.9)
    assert sound.values["rotor_bar_db"] == pytest.approx(-60.0, abs=1.0)
    assert judge(sound).findings == ()
    idle = Facts()
    assert add_rotor_bars(idle, stator(-38.0), 1000.0, MOTOR, 1455.0, 0.2).refused_because
    assert idle.values == {}


def test_unbalance_turns_by_90_degrees() -> None:
    channels = {H: line(1, 5.0), V: line(1, 4.5, 90.0)}
    (round_,) = findings(channels)
    (directed,) = findings({**channels, V: line(1, 4.5)})
    assert round_.fault == directed.fault == "unbalance"
    assert round_.confidence > directed.confidence
    by_name = {evidence.name: evidence for evidence in round_.evidence}
    assert by_name["phase_h_v_deg"].value == pytest.approx(90.0, abs=1.0)
    assert by_name["share_1x"].frequency_hz == pytest.approx(SHAFT_HZ)
    assert by_name["share_1x"].limit == 0.8
    assert "phase_h_v_deg" not in {evidence.name for evidence in directed.evidence}


def test_a_finding_names_the_rivals_that_a_fact_contradicts() -> None:
    (found,) = findings({H: line(1, 5.0), V: line(1, 4.5, 90.0)}, DriveTrain(blades=5))
    assert {"misalignment", "looseness", "rub", "oil_whirl", "blade_pass"} == set(found.excludes)
    (loose,) = findings({H: np.asarray(sum(line(k, 3.0 / k, 35.0 * k) for k in range(1, 8)))})
    assert {"unbalance", "misalignment"} <= set(loose.excludes)
    assert "electrical" not in loose.excludes


def test_unbalance_needs_the_first_order_real_vibration_and_a_radial_sensor() -> None:
    assert names({H: line(1, 1.0)}) == []
    assert names({H: line(1, 3.0) + line(3.4, 3.5)}) == []
    assert names({A1: line(1, 5.0)}) == []


def test_misalignment_silences_unbalance() -> None:
    (found,) = findings({H: line(1, 4.0) + line(2, 3.0, 40.0)})
    assert found.fault == "misalignment"
    ratio = next(evidence for evidence in found.evidence if evidence.name == "ratio_2x_1x")
    assert ratio.value == pytest.approx(0.75, abs=0.01)
    assert ratio.frequency_hz == pytest.approx(2 * SHAFT_HZ)
    assert names({H: line(1, 1.0) + line(2, 0.9) + line(3.4, 5.0)}) == []


COUPLED = DriveTrain(
    shafts=(Shaft(name="motor", locations=("drive end",)), Shaft(name="pump", locations=("coupling",)))
)
ONE_SHAFT = DriveTrain(shafts=(Shaft(name="motor", locations=("drive end", "coupling")),))


def test_angular_misalignment_needs_both_sides_of_the_coupling() -> None:
    both = {H: line(1, 3.5), A1: line(1, 4.0), A2: line(1, 4.0, 175.0)}
    (found,) = findings(both, COUPLED)
    assert found.fault == "angular_misalignment"
    assert any(e.name == "phase_across_deg" and e.value == pytest.approx(175.0, abs=1.0) for e in found.evidence)
    assert "angular_misalignment" not in names({H: line(1, 3.5), A1: line(1, 4.0)}, COUPLED)
    assert "angular_misalignment" not in names({**both, A2: line(1, 4.0, 10.0)}, COUPLED)


def test_the_same_from_end_to_end_of_one_shaft_is_a_bent_shaft_and_without_shafts_is_neither() -> None:
    both = {H: line(1, 3.5), A1: line(1, 4.0), A2: line(1, 4.0, 175.0)}
    (found,) = findings(both, ONE_SHAFT)
    assert found.fault == "bent_shaft"
    assert "run-out" in found.confirm
    assert "bent_shaft" not in names({**both, A2: line(1, 4.0, 10.0)}, ONE_SHAFT)
    assert not {"bent_shaft", "angular_misalignment"} & set(names(both))


def test_many_harmonics_are_looseness_and_subharmonics_a_rub() -> None:
    loose = sum(line(order, 3.0 / order, 35.0 * order) for order in range(1, 8))
    assert names({H: np.asarray(loose)}) == ["looseness"]
    assert names({H: np.asarray(loose) + line(0.5, 1.5) + line(1 / 3, 1.0)}) == ["rub"]


def test_oil_whirl_lies_below_half_order() -> None:
    assert names({H: line(1, 2.0) + line(0.43, 3.5)}) == ["oil_whirl"]


def test_blades_and_line_frequency_need_a_description() -> None:
    blades, electric = {H: line(5, 4.0) + line(1, 1.0)}, {H: line(100.0 / SHAFT_HZ, 4.0) + line(1, 1.0)}
    assert names(blades) == []
    assert names(blades, DriveTrain(blades=5)) == ["blade_pass"]
    assert names(electric, DriveTrain(line_frequency_hz=50.0)) == ["electrical"]
    # 2 x 60 Hz is the fourth order here: it can't be told apart, so it isn't named
    assert names({H: line(4, 4.0) + line(1, 1.0)}, DriveTrain(line_frequency_hz=60.0)) == []


LOOSE_LINES = [line(k, 3.0 / k, 35.0 * k) for k in range(1, 8)]


@pytest.mark.parametrize(
    ("fault", "channels", "train", "fact", "hz"),
    [
        ("looseness", {H: sum(LOOSE_LINES)}, DriveTrain(), "harmonics", None),
        ("rub", {H: line(1, 3.0) + line(0.5, 1.5) + line(1 / 3, 1.0)}, DriveTrain(), "share_third", SHAFT_HZ / 3),
        ("oil_whirl", {H: line(1, 2.0) + line(0.43, 3.5)}, DriveTrain(), "share_whirl", 0.43 * SHAFT_HZ),
        ("blade_pass", {H: line(5, 4.0) + line(1, 1.0)}, DriveTrain(blades=5), "share_blade", 5 * SHAFT_HZ),
        ("electrical", {H: line(100 / SHAFT_HZ, 4.0)}, DriveTrain(line_frequency_hz=50.0), "share_2line", 100.0),
    ],
)
def test_a_finding_shows_its_line_and_the_bound(
    fault: str, channels: Any, train: DriveTrain, fact: str, hz: float | None
) -> None:
    found = next(finding for finding in findings(channels, train) if finding.fault == fault)
    shown = {evidence.name: evidence for evidence in found.evidence}[fact]
    rule = next(rule for rule in RULES if rule.fault == fault)
    assert shown.limit == next(need.low for need in rule.needs if need.fact == fact)
    assert shown.value >= shown.limit
    assert shown.frequency_hz == (None if hz is None else pytest.approx(hz, abs=0.5))
    assert 0.3 <= found.confidence <= 0.9


@pytest.mark.parametrize(
    ("fault", "channels", "train"),
    [
        ("looseness", {H: sum(LOOSE_LINES[:3])}, DriveTrain()),
        ("looseness", {H: 0.2 * sum(LOOSE_LINES)}, DriveTrain()),
        ("rub", {H: line(1, 4.0) + line(0.5, 2.0)}, DriveTrain()),
        ("oil_whirl", {H: line(1, 2.0) + line(0.55, 3.5)}, DriveTrain()),
        ("oil_whirl", {H: line(1, 2.0) + line(0.43, 3.5) + line(0.5, 3.0)}, DriveTrain()),
        ("blade_pass", {H: line(5, 4.0) + line(1, 1.0)}, DriveTrain(blades=6)),
        ("blade_pass", {H: line(5, 1.0) + line(1, 4.0)}, DriveTrain(blades=5)),
        ("electrical", {H: line(100 / SHAFT_HZ, 1.0) + line(1, 4.0)}, DriveTrain(line_frequency_hz=50.0)),
        ("electrical", {H: line(120 / SHAFT_HZ + 0.3, 4.0)}, DriveTrain(line_frequency_hz=50.0)),
    ],
)
def test_what_only_resembles_a_fault_is_not_found(fault: str, channels: Any, train: DriveTrain) -> None:
    assert fault not in names(channels, train)


PUMP = DriveTrain(blades=6)


def test_cavitation_is_a_rise_of_the_floor_over_the_healthy_pump() -> None:
    healthy = features(hum(1, 0.1)[np.newaxis])
    noisy = {H: hum(2, 0.5)}
    assert judge(facts(noisy, PUMP)).findings == ()
    assert judge(facts(noisy, healthy=healthy)).findings == ()
    (found,) = judge(facts(noisy, PUMP, healthy)).findings
    assert found.fault == "cavitation"
    assert found.evidence[0].value == pytest.approx(20 * math.log10(5.0), abs=0.2)
    tone = {H: hum(2, 0.1) + 0.7 * np.sin(2 * np.pi * 3000 * T_S)}
    assert judge(facts(tone, PUMP, healthy)).findings == ()


def test_a_change_by_more_than_a_quarter_of_boundary_bc_is_significant() -> None:
    def changed(then_mm_s: float, now_mm_s: float, boundary_bc_mm_s: float | None = 2.8) -> list[str]:
        healthy = features((line(3.4, then_mm_s) + hum(0))[np.newaxis])
        measured = facts({H: line(3.4, now_mm_s)}, healthy=healthy, boundary_bc_mm_s=boundary_bc_mm_s)
        return [evidence.text for finding in judge(measured).findings for evidence in finding.evidence]

    (text,) = changed(1.0, 1.75)
    assert text == "change of the velocity since the baseline, over boundary B/C (from 1 to 1.8 mm/s rms) 0.268"
    assert changed(1.0, 1.65) == []
    assert changed(2.0, 1.25)
    assert changed(2.0, 1.35) == []
    assert changed(1.0, 1.75, None) == []
    healthy = features(np.full((1, T_S.size), np.nan))
    assert judge(facts({H: line(3.4, 2.0)}, healthy=healthy, boundary_bc_mm_s=2.8)).findings == ()


def test_a_change_that_a_fault_explains_is_that_fault() -> None:
    healthy = features((line(1, 1.0) + hum(0))[np.newaxis])
    found = judge(facts({H: line(1, 5.0)}, healthy=healthy, boundary_bc_mm_s=2.8)).findings
    assert [finding.fault for finding in found] == ["unbalance"]


PAIR = DriveTrain(gears=(Gear(name="pinion", teeth=23), Gear(name="wheel", teeth=69, shaft_ratio=1 / 3)))


def mesh(depth: float, ratio: float, carrier_g: float = 0.5, t_s: NDArray[Any] = T_S) -> NDArray[Any]:
    """Return a mesh at 690 Hz that a gear with this speed ratio modulates."""
    wave: NDArray[Any] = carrier_g * np.sin(2 * np.pi * 690.0 * t_s)
    return wave * (1.0 + depth * np.cos(2 * np.pi * SHAFT_HZ * ratio * t_s))


def test_sidebands_name_the_gear_and_a_loud_mesh_alone_names_nothing() -> None:
    (found,) = findings({H: mesh(0.9, 1 / 3)}, PAIR)
    assert found.fault == "gear_mesh"
    sidebands = next(evidence for evidence in found.evidence if evidence.name == "sideband_ratio")
    assert "wheel" in sidebands.text
    assert sidebands.frequency_hz == pytest.approx(10.0)
    assert sidebands.value == pytest.approx(0.9 / math.sqrt(2), rel=0.03)
    assert "pinion" in findings({H: mesh(0.9, 1.0)}, PAIR)[0].evidence[1].text
    assert names({H: mesh(0.1, 1 / 3, 5.0)}, PAIR) == []
    assert names({H: mesh(0.9, 1 / 3, 0.01)}, PAIR) == []
    assert names({H: mesh(0.9, 1 / 3)}) == []


def test_a_mesh_whose_sidebands_the_window_cannot_tell_apart_is_not_decided() -> None:
    short = {H: mesh(0.9, 1 / 3)[: int(0.3 * RATE_HZ)]}
    judged = judge(facts(short, PAIR))
    assert judged.findings == ()
    assert [(one.fault, round(one.needed_s, 3)) for one in judged.undecided] == [("gear_mesh", 0.4)]


def belt_lines(*rms_mm_s: float) -> NDArray[Any]:
    order = belt_hz(200.0, 2200.0, 1800.0) / SHAFT_HZ
    lines: NDArray[Any] = np.sum([line(k * order, rms) for k, rms in enumerate(rms_mm_s, start=1)], axis=0)
    return lines


def test_a_belt_shows_below_1x_with_its_multiples() -> None:
    train = DriveTrain(belts=(Belt(name="fan belt", pulley_diameter_mm=200.0, length_mm=2200.0),))
    rows = {row.name: row for row in fault_frequencies(train, 1800.0)}
    assert rows["belt fan belt"].frequency_hz == pytest.approx(8.568, abs=1e-3)
    (found,) = findings({H: belt_lines(3.0, 3.5)}, train)
    assert found.fault == "belt"
    assert "fan belt" in found.evidence[0].text
    assert found.evidence[0].value == pytest.approx(math.hypot(3.0, 3.5), rel=0.03)
    assert "belt" not in names({H: belt_lines(3.0, 3.5)})
    assert "belt" not in names({H: belt_lines(4.0)}, train)
    assert "belt" not in names({H: belt_lines(1.0, 1.0)}, train)
    short = facts({H: belt_lines(3.0, 3.5)[: int(0.3 * RATE_HZ)]}, train)
    assert short.needed_s["belt_mm_s"] > 0.3


def test_a_quiet_machine_has_nothing() -> None:
    assert names({H: line(1, 1.0), V: line(1, 1.0, 90.0)}) == []
    silent = np.zeros((1, 4096), np.float32)
    assert judge(measure_all(Readings(silent, RATE_HZ, features(silent), [H], 1800.0))).findings == ()


def test_a_broken_channel_takes_no_part() -> None:
    samples = np.stack([line(1, 5.0), hum(1)])
    values = features(samples)
    whole = measure_all(Readings(samples, RATE_HZ, values, [H, V], 1800.0))
    trusted = measure_all(Readings(samples, RATE_HZ, values, [H, V], 1800.0, trusted=(False, True)))
    assert [finding.fault for finding in judge(whole).findings] == ["unbalance"]
    assert judge(trusted).findings == ()
    assert trusted.rows["radial_mm_s"] == 1


def test_every_rule_says_what_would_confirm_it_and_excludes_known_faults() -> None:
    known = {rule.fault for rule in RULES}
    for rule in RULES:
        assert rule.confirm
        assert set(rule.excludes) <= known - {rule.fault}


def test_too_short_a_window_decides_nothing_and_names_the_length_it_needs() -> None:
    shaking = {H: line(2, 5.0)[: int(0.12 * RATE_HZ)]}
    judged = judge(facts(shaking))
    assert judged.findings == ()
    needed_s = {one.fault: one.needed_s for one in judged.undecided}
    assert needed_s["unbalance"] == needed_s["looseness"] == pytest.approx(4.0 / SHAFT_HZ)
    assert needed_s["rub"] == pytest.approx(24.0 / SHAFT_HZ)
    assert judge(facts({H: line(2, 0.5)[: int(0.12 * RATE_HZ)]})).undecided == ()


def test_twice_the_line_frequency_beside_an_order_names_the_length_that_tells_them_apart() -> None:
    found = facts({H: line(4.05, 5.0)}, DriveTrain(line_frequency_hz=60.75))
    assert found.needed_s["share_2line"] == pytest.approx(4.0 / 1.5)


@pytest.mark.parametrize(
    ("shape", "places", "speed_rpm", "rate_hz"),
    [((2, 4096), [H], 1800.0, RATE_HZ), ((1, 4096), [H], -1.0, RATE_HZ), ((1, 4096), [H], 1800.0, 0.0)],
)
def test_unusable_readings_are_refused(shape: Any, places: Any, speed_rpm: float, rate_hz: float) -> None:
    values = np.zeros((len(places), features(np.zeros((1, 64))).shape[1]), np.float32)
    with pytest.raises(SignalError):
        Readings(np.ones(shape), rate_hz, values, places, speed_rpm)
