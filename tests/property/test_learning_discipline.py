"""What the stream learns from, and what never: told through the whole core, from the log to the scores."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest

from adapters.models import ModelFolder
from contracts import ports
from contracts import records as r
from contracts.activations import activation_of
from contracts.assets import ModelReference, WindowSettings
from contracts.codec import BundledSchemas, Codec
from contracts.topics import MEASUREMENTS
from loadtests.plant import Load, Plant
from processors.pipeline import PartitionPipeline

CODEC = Codec(BundledSchemas())
START_NS = 1_700_000_000_000_000_000
BASELINE_WINDOWS = 5
HOP_S = 0.4
PLAIN = Load(
    assets=1,
    channels=1,
    block_samples=4096,
    sampling_rate_hz=20_480.0,
    period_s=8.0,
    window=WindowSettings(length_s=HOP_S, hop_s=HOP_S),
)
FAULTY = dataclasses.replace(PLAIN, period_s=16.0, fault_from_s=4.0, fault_until_s=8.0)
MAINTENANCE = r.MachineEvent(
    asset_id="L-0000",
    device_id="cmms",
    boot_id="1",
    sequence=1,
    at_ns=START_NS,
    kind="maintenance",
    code="work_order_closed",
    text="WO 4711: drive-end bearing replaced",
)


def course(load: Load, seconds: float) -> list[r.Measurement]:
    (config,) = load.configurations()
    rules = dataclasses.replace(config.rules, baseline_windows=BASELINE_WINDOWS)
    config = dataclasses.replace(config, rules=rules, models=(ModelReference(name="half-space-trees", version="1"),))
    return [activation_of(config, START_NS, "test"), *Plant(load, START_NS).blocks(seconds)]


def run(course: Sequence[r.Measurement], restart_after: int | None = None) -> ports.HistoryRows:
    pipeline = PartitionPipeline(ModelFolder(), ports.Checkpoint(-1, 0, {}))
    rows = ports.HistoryRows()
    for offset, record in enumerate(course):
        feed(pipeline, offset, record)
        rows.extend(pipeline.take())
        if offset == restart_after:
            checkpoint = pipeline.checkpoint()
            pipeline = PartitionPipeline(ModelFolder(), checkpoint)
            for again in range(checkpoint.resume_offset, offset + 1):
                feed(pipeline, again, course[again])
    return rows


def feed(pipeline: PartitionPipeline, offset: int, record: r.Measurement) -> None:
    assert not isinstance(record, r.Tick)
    assert pipeline.feed(CODEC, offset, record.asset_id.encode(), CODEC.encode(MEASUREMENTS, record)) is None


def learning(rows: ports.HistoryRows) -> list[bool]:
    """Return of each window whether the baseline was learning."""
    return [one.channels[0].scores[0].learning for one in rows.assessments]


def test_learning_is_visible_and_ends() -> None:
    assert learning(run(course(PLAIN, 6.0))) == [True] * BASELINE_WINDOWS + [False] * (15 - BASELINE_WINDOWS)


def test_nothing_is_learnt_while_a_fault_is_suspected() -> None:
    early = dataclasses.replace(FAULTY, fault_from_s=0.9)
    rows = run(course(early, 16.0))
    faulty = [bool(one.diagnoses) for one in rows.assessments]
    assert sum(faulty) > 10
    known_at = learning(rows).index(False)
    assert sum(faulty[:known_at]) >= 10  # seen, but not learnt from
    assert sum(not one for one in faulty[:known_at]) >= BASELINE_WINDOWS
    assert not any(faulty[known_at:])


def test_a_fault_does_not_move_the_baseline() -> None:
    rows = run(course(FAULTY, 16.0))
    scores = [one.channels[0].scores[0].value for one in rows.assessments]
    while_faulty = [score for one, score in zip(rows.assessments, scores, strict=True) if one.diagnoses]
    assert min(score for score in while_faulty if score is not None) > 3.5
    assert all(score is not None and score < 12.0 for score in scores[-8:])


@pytest.mark.parametrize("how", ["clipped", "held", "offset"])
def test_data_of_a_bad_sensor_are_never_learnt(how: str) -> None:
    stream = course(PLAIN, 6.0)
    rows = run([spoilt(one, how) if isinstance(one, r.AcquisitionBlock) else one for one in stream])
    assert all(learning(rows))
    assert all(found.fault.startswith("sensor_") for one in rows.assessments for found in one.diagnoses)
    assert rows.alarm_limits == []


def spoilt(block: r.AcquisitionBlock, how: str) -> r.AcquisitionBlock:
    samples = np.frombuffer(block.samples, dtype="<f4").copy()
    if how == "clipped":
        samples = np.clip(samples, -0.05, 0.05)
    elif how == "held":
        samples[:] = samples[0]
    else:
        samples += 4.0
    return dataclasses.replace(block, samples=samples.astype("<f4").tobytes())


@pytest.mark.parametrize("quality", [r.Quality.UNCERTAIN, r.Quality.BAD])
def test_a_speed_that_is_not_good_decides_no_regime(quality: r.Quality) -> None:
    stream = [
        dataclasses.replace(one, speed_rpm=None) if isinstance(one, r.AcquisitionBlock) else one
        for one in course(PLAIN, 4.0)
    ]
    activation = stream[0]
    assert isinstance(activation, r.Activation)
    (config,) = PLAIN.configurations()
    point = config.points[0]
    speed = dataclasses.replace(point.channels[0], channel_id="speed", quantity="speed", unit="rpm")
    config = dataclasses.replace(config, points=(dataclasses.replace(point, channels=(*point.channels, speed)),))

    def reading(given: r.Quality) -> r.ReadingBatch:
        one = r.Reading(channel_id="speed", quantity="speed", unit="rpm", at_ns=START_NS, value=1800.0, quality=given)
        return r.ReadingBatch(asset_id="L-0000", device_id="plc", boot_id="1", sequence=1, readings=(one,))

    def regimes(given: r.Quality) -> set[str]:
        whole = [activation_of(config, START_NS, "test"), reading(given), *stream[1:]]
        return {one.regime for one in run(whole).assessments}

    assert regimes(quality).isdisjoint(regimes(r.Quality.GOOD))
    assert {one.speed_rpm for one in run([*stream]).assessments} == {None}


def test_maintenance_opens_the_baseline_again() -> None:
    stream = course(PLAIN, 8.0)
    stream.insert(25, MAINTENANCE)
    got = learning(run(stream))
    reopened = got.index(True, BASELINE_WINDOWS)
    assert got[BASELINE_WINDOWS:reopened] == [False] * (reopened - BASELINE_WINDOWS)
    assert got[reopened:] == [True] * BASELINE_WINDOWS + [False] * (len(got) - reopened - BASELINE_WINDOWS)
    assert reopened > BASELINE_WINDOWS


def test_other_events_leave_the_baseline_alone() -> None:
    stream = course(PLAIN, 8.0)
    stream.insert(25, dataclasses.replace(MAINTENANCE, kind="line_stop"))
    assert not any(learning(run(stream))[BASELINE_WINDOWS:])


def test_maintenance_takes_alarm_limits_along() -> None:
    stream = course(PLAIN, 8.0)
    stream.insert(25, MAINTENANCE)
    windows = [one.windows for one in run(stream).alarm_limits if one.model == "baseline"]
    assert 0 in windows
    assert windows[windows.index(0) + 1] == 1


@pytest.mark.parametrize("restart_after", [20, 24, 25, 26, 30])
def test_a_restart_around_maintenance_changes_nothing(restart_after: int) -> None:
    stream = course(PLAIN, 8.0)
    stream.insert(25, MAINTENANCE)
    expected, got = run(stream), run(stream, restart_after)
    assert got.assessments == expected.assessments
    assert got.alarm_limits == expected.alarm_limits
