"""Blocks of the simulated machine: a function of (scenario, seed, number), joined without a seam."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.errors import ConfigurationError, NotFound
from processors.simulator import (
    Accelerometer,
    BearingFault,
    Course,
    GearMesh,
    Machine,
    Scenario,
    ShaftFault,
    Simulator,
    constant,
)

#: Everything at once, through a run-up, at a sensor without noise: what is left is the continuous signal.
RICH = Machine(
    asset_id="M-1",
    speed_rpm=Course((0.0, 0.0), (4.0, 1800.0), (20.0, 1750.0), (24.0, 0.0)),
    nominal_speed_rpm=1780.0,
    accelerometers=(Accelerometer(channel_id="a", noise_g=0.0), Accelerometer(channel_id="b", noise_g=0.05)),
    load_ratio=Course((0.0, 0.2), (10.0, 1.0)),
    unbalance=ShaftFault(residual_mm_s=0.6, severity=constant(0.5), full_mm_s=2.0),
    misalignment=ShaftFault(residual_mm_s=0.4),
    blades=6,
    blade_pass_mm_s=0.2,
    electrical_mm_s=0.1,
    gears=(GearMesh(teeth=23, mesh_g=0.1),),
    bearing_faults=tuple(
        BearingFault(
            kind=kind, bearing="6205", severity=constant(1.0), late_severity=constant(1.0), late_velocity_mm_s=1.0
        )
        for kind in ("outer_race", "inner_race", "rolling_element")
    ),
)
SCENARIO = Scenario(machines=(RICH,))


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 400), min_size=1, max_size=4), st.integers(0, 2**31))
def test_a_block_does_not_depend_on_what_was_asked_before(numbers: list[int], seed: int) -> None:
    simulator = Simulator(SCENARIO, seed)
    for number in numbers:
        again = Simulator(SCENARIO, seed).block("M-1", number)
        assert simulator.block("M-1", number).samples_g.tobytes() == again.samples_g.tobytes()


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 320), st.sampled_from([256, 500, 1024, 4096]))
def test_neighbouring_blocks_join_without_a_seam(border: int, block_samples: int) -> None:
    """The signal around a border is the one that a machine sampled in blocks four times as long has inside a block."""
    start = border * 2048
    short = Simulator(dataclasses.replace(SCENARIO, block_samples=block_samples), 1)
    whole = Simulator(dataclasses.replace(SCENARIO, block_samples=3 * block_samples), 1)
    first = start // block_samples // 3 * 3
    pieces = np.concatenate([short.block("M-1", first + k).samples_g[0] for k in range(3)])
    assert np.abs(pieces - whole.block("M-1", first // 3).samples_g[0]).max() < 2e-5


def test_other_assets_and_seeds_have_other_noise_and_the_rest_stays() -> None:
    twin = dataclasses.replace(RICH, asset_id="M-2")
    alone, together = Simulator(SCENARIO, 1), Simulator(Scenario(machines=(twin, RICH)), 1)
    assert alone.block("M-1", 3).samples_g.tobytes() == together.block("M-1", 3).samples_g.tobytes()
    assert not np.array_equal(together.block("M-1", 3).samples_g, together.block("M-2", 3).samples_g)
    assert not np.array_equal(alone.block("M-1", 3).samples_g, Simulator(SCENARIO, 2).block("M-1", 3).samples_g)


def test_noise_of_neighbouring_blocks_is_uncorrelated() -> None:
    simulator = Simulator(Scenario(machines=(dataclasses.replace(RICH, speed_rpm=constant(0.0)),)), 1)
    rows = np.array([simulator.block("M-1", number).samples_g[1] for number in range(12)])
    correlation = np.corrcoef(rows) - np.eye(12)
    assert np.abs(correlation).max() < 5.0 / np.sqrt(2048)


@given(st.lists(st.tuples(st.floats(0.1, 20.0), st.floats(0.0, 3000.0)), min_size=1, max_size=6))
def test_the_integral_of_a_course_is_that_of_its_values(steps: list[tuple[float, float]]) -> None:
    times = np.cumsum([step for step, _ in steps])
    course = Course(*((float(t), value) for t, (_, value) in zip(times, steps, strict=True)))
    grid = np.unique(np.concatenate([times, np.linspace(-1.0, times[-1] + 5.0, 200)]))
    by_trapezoid = np.concatenate(
        [[0.0], np.cumsum(np.diff(grid) * (course.at(grid)[1:] + course.at(grid)[:-1]) / 2.0)]
    )
    exact = course.integral(grid) - course.integral(grid[:1])
    assert np.allclose(exact, by_trapezoid, rtol=1e-9, atol=1e-6)


@pytest.mark.parametrize("knots", [(), ((0.0, 1.0), (0.0, 2.0)), ((1.0, 1.0), (0.0, 2.0)), ((0.0, float("nan")),)])
def test_a_course_that_is_none_is_refused(knots: tuple[tuple[float, float], ...]) -> None:
    with pytest.raises(ConfigurationError):
        Course(*knots)


@pytest.mark.parametrize(
    "changes",
    [
        {"accelerometers": ()},
        {"nominal_speed_rpm": 0.0},
        {"speed_rpm": constant(-1.0)},
        {"unbalance": ShaftFault(severity=constant(1.5))},
    ],
)
def test_a_machine_that_cannot_be_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match="M-1"):
        dataclasses.replace(RICH, **changes)  # type: ignore[arg-type]  # fields of Machine


def test_a_scenario_that_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="different ids"):
        Scenario(machines=(RICH, RICH))
    with pytest.raises(ConfigurationError, match="sampling rate 0"):
        Scenario(machines=(RICH,), sampling_rate_hz=0.0)
    with pytest.raises(ConfigurationError, match="0 samples"):
        Scenario(machines=(RICH,), block_samples=0)
    with pytest.raises(NotFound, match="M-9"):
        Simulator(SCENARIO, 1).block("M-9", 0)
