"""Speed and regime of a window: from its blocks or from readings; what decides nothing leaves nothing behind."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest

from adapters.models import ModelFolder
from contracts import ports
from contracts import records as r
from contracts.activations import activation_of
from contracts.assets import WindowSettings
from loadtests.plant import Load, Plant
from processors.cutting import CORRECTED, GroupWindow
from processors.operation import Operation
from processors.pipeline import PartitionPipeline
from processors.regime import STOPPED, TRANSIENT

SECOND_NS = 1_000_000_000
START_NS = 1_700_000_000 * SECOND_NS
NOMINAL_RPM = 1500.0
LOAD = Load(
    assets=1,
    channels=1,
    block_samples=4096,
    sampling_rate_hz=20_480.0,
    period_s=8.0,
    window=WindowSettings(length_s=0.4, hop_s=0.4),
)


def window(second: int, speed_rpm: float | None = None, span_rpm: float = 0.0) -> GroupWindow:
    start_ns = START_NS + second * SECOND_NS
    empty = np.zeros((1, 16), dtype=np.float32)
    return GroupWindow(
        start_ns, start_ns + SECOND_NS, empty, speed_rpm, None, partial=False, number=1, speed_span_rpm=span_rpm
    )


def test_readings_give_the_speed_and_how_far_it_moved_within_the_window() -> None:
    operation = Operation()
    for tenth in range(40):
        rpm = 1500.0 if tenth < 25 else 1500.0 - 15.0 * (tenth - 24)
        operation.read(START_NS + tenth * SECOND_NS // 10, rpm)
    assert operation.of(window(1), NOMINAL_RPM) == (1500.0, "running 1500 rpm")
    assert operation.of(window(2), NOMINAL_RPM) == (1410.0, "running 1500 rpm")  # the reading at its very end
    assert operation.of(window(3), NOMINAL_RPM)[1] == TRANSIENT
    assert operation.of(window(30), NOMINAL_RPM) == (None, "speed unknown")  # the newest is too old


def test_the_speed_of_the_blocks_goes_before_a_reading() -> None:
    operation = Operation()
    operation.read(START_NS, 900.0)
    assert operation.of(window(0, 1500.0), NOMINAL_RPM) == (1500.0, "running 1500 rpm")
    assert operation.of(window(1, 1500.0, span_rpm=300.0), NOMINAL_RPM)[1] == TRANSIENT
    assert operation.of(window(2, 20.0), NOMINAL_RPM)[1] == STOPPED


@pytest.mark.parametrize("change", [{"partial": True}, {"version": CORRECTED}])
def test_windows_cut_short_or_late_are_told_their_regime_and_lead_none(change: dict[str, object]) -> None:
    operation = Operation()
    operation.of(window(0, 1500.0), NOMINAL_RPM)
    before = operation.snapshot()
    for rpm, name in ((1510.0, "running 1500 rpm"), (700.0, "running 700 rpm"), (20.0, STOPPED)):
        odd = dataclasses.replace(window(1, rpm), **change)  # type: ignore[arg-type]
        assert operation.of(odd, NOMINAL_RPM) == (rpm, name)
    assert operation.snapshot() == before


def run(stream: list[r.Measurement]) -> tuple[ports.HistoryRows, bytes]:
    pipeline = PartitionPipeline(ModelFolder(), ports.Checkpoint(-1, 0, {}))
    rows = ports.HistoryRows()
    for offset, record in enumerate(stream):
        assert not isinstance(record, r.Tick)
        pipeline.process(offset, record.asset_id.encode(), record)
        rows.extend(pipeline.take())
    return rows, pipeline.checkpoint().states["L-0000"]


def with_speeds(speeds_rpm: Sequence[float]) -> list[r.Measurement]:
    """Return the stream of a machine with a speed in each block; two blocks are a window."""
    (config,) = LOAD.configurations()
    blocks = Plant(LOAD, START_NS).blocks(0.2 * len(speeds_rpm))
    timed = [dataclasses.replace(block, speed_rpm=rpm) for block, rpm in zip(blocks, speeds_rpm, strict=True)]
    return [activation_of(config, START_NS, "test"), *timed]


def test_nothing_is_learnt_from_a_run_up_in_the_stream() -> None:
    ramp = [float(rpm) for rpm in np.linspace(0.0, 1800.0, 20)]
    rows, _ = run(with_speeds([1800.0] * 24 + ramp[::-1] + ramp + [1800.0] * 20))
    regimes = [one.regime for one in rows.assessments]
    learning = [one.channels[0].scores[0].learning for one in rows.assessments]
    assert set(regimes) == {"running 1800 rpm, load 0.80", TRANSIENT, STOPPED}
    assert learning[:12] == [True] * 10 + [False] * 2
    assert all(learning[k] for k, regime in enumerate(regimes) if regime in (TRANSIENT, STOPPED))
    assert not any(learning[-8:])  # back in the regime that was learnt before
