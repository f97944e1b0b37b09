"""The benchmark's load and figures: right in shape and count, without timing anything."""

import datetime as dt
import json
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from adapters.models import ModelFolder
from contracts import records as r
from contracts.assets import WindowSettings
from contracts.codec import BundledSchemas, Codec
from contracts.errors import ConfigurationError
from contracts.features import FEATURE_INDEX
from contracts.topics import ALARMS, ASSESSMENTS
from contracts.validation import validate_block
from loadtests import features, results
from loadtests.in_process import InProcess, run_in_process
from loadtests.log import Arrival, latencies_ms, measured_at_ns
from loadtests.machine import Cores, Usage, describe_machine, pinned
from loadtests.plant import Load, Plant
from processors.bearings import bearing
from processors.features import FeatureEngine
from runtime.backlog import MAX_BACKLOG_BYTES
from runtime.burst_bench import BurstPlan
from runtime.commands.bench import bench
from runtime.pipeline_bench import Measurement, Plan
from runtime.soak_bench import Look, Soak

START_NS = 1_700_000_000_000_000_000
SMALL = Load(assets=2, channels=2, block_samples=512, sampling_rate_hz=5_000.0, period_s=1.0)
WINDOW = WindowSettings(length_s=0.5, hop_s=0.5)


def small_plan(load: Load = SMALL, backlog_s: float = 4.0) -> Plan:
    return Plan(backlog=load, backlog_s=backlog_s, latency_s=0.0)


def test_blocks_are_valid_and_follow_on_from_each_other() -> None:
    plant = Plant(SMALL, START_NS)
    by_asset: dict[str, list[r.AcquisitionBlock]] = {}
    for block in plant.blocks(2.0):
        validate_block(block, None)
        by_asset.setdefault(block.asset_id, []).append(block)
    assert [len(blocks) for blocks in by_asset.values()] == [19, 19]
    for blocks in by_asset.values():
        assert [block.sequence for block in blocks] == list(range(19))
        steps = np.diff([block.start_ns for block in blocks])
        assert abs(steps - SMALL.block_s * 1e9).max() <= 1


def test_the_signal_repeats_and_machines_start_at_different_places_of_it() -> None:
    plant = Plant(SMALL, START_NS)
    period = round(SMALL.period_s / SMALL.block_s)
    assert plant.block(0, 3).samples == plant.block(0, 3 + period).samples
    assert plant.block(0, 3).samples != plant.block(0, 4).samples
    assert plant.block(0, 3).samples != plant.block(1, 3).samples


def test_the_fault_is_there_when_it_should_be_and_loud_at_one_channel() -> None:
    load = Load(assets=1, channels=2, sampling_rate_hz=25_600.0, period_s=4.0, fault_from_s=1.0, fault_until_s=3.0)
    plant = Plant(load, START_NS)
    crest = []
    for number in (2, 25):
        samples = np.frombuffer(plant.block(0, number).samples, "<f4").reshape(2, -1)
        crest.append(np.abs(samples).max(axis=1))
    assert crest[1][0] > 3.0 * crest[0][0]
    assert crest[1][1] < 0.5 * crest[1][0]


@pytest.mark.parametrize("wrong", [{"assets": 0}, {"assets": 1, "channels": 0}, {"assets": 1, "sampling_rate_hz": 0.0}])
def test_a_load_of_nothing_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match="must be above 0"):
        Load(**wrong)  # type: ignore[arg-type]  # deliberately from a table


def test_a_window_is_known_when_the_block_with_its_last_sample_is_whole() -> None:
    plant = Plant(Load(assets=2), START_NS)
    second_ns, block_ns = 1_000_000_000, 80_000_000
    for asset in (0, 1):
        first_ns = plant.end_ns(asset, -1)
        # 25,600 samples are 12.5 blocks of 2048: every other window ends in the middle of one
        assert plant.closing_ns(f"L-000{asset}", first_ns + second_ns) == first_ns + 13 * block_ns
        assert plant.closing_ns(f"L-000{asset}", first_ns + 2 * second_ns) == first_ns + 25 * block_ns


def test_in_process_every_block_is_processed_and_every_window_assessed() -> None:
    load = Load(assets=2, channels=2, block_samples=512, sampling_rate_hz=5_000.0, period_s=1.0, window=WINDOW)
    result = run_in_process(load, 3.0, ModelFolder(), START_NS, warm_up_s=1.024)
    blocks = 2 * int(4.024 / load.block_s) - 2 * 10
    assert result.blocks == blocks
    assert result.samples == blocks * 1024
    assert result.assessments == Plan(backlog=load, backlog_s=4.024, latency_s=0.0).expected_assessments - 2 * 2


@pytest.mark.parametrize(
    ("load", "backlog_s", "message"),
    [
        (SMALL, 1.0, "at least two windows"),
        (Load(assets=2000), 3600.0, f"at most {MAX_BACKLOG_BYTES >> 30} GiB"),
    ],
)
def test_a_plan_is_bounded(load: Load, backlog_s: float, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        small_plan(load, backlog_s)


def test_the_real_time_phase_has_300_frames_a_second_and_assets_of_its_own() -> None:
    plan = small_plan(Load(assets=8), 10.0)
    assert plan.real_time.frames_per_s == pytest.approx(300.0)
    ids = {config.asset_id for load in (plan.backlog, plan.real_time) for config in load.configurations()}
    assert len(ids) == 8 + 3


def measurement(**more: object) -> Measurement:
    made = Measurement(InProcess(2_000_000, 10, 5, 0.1, 0.2))
    made.samples, made.wall_s = 2048 * 1000, 0.5
    made.usage = Usage(0.25, {"python": 0.2, "rdk:main": 0.05}, 321.4)
    for name, value in more.items():
        setattr(made, name, value)
    return made


def test_the_result_has_the_promised_keys_and_figures() -> None:
    latencies = {ASSESSMENTS: [10.0, 20.0, 30.0], ALARMS: []}
    result = measurement(latencies_ms=latencies).as_json(small_plan(Load(assets=2), 10.0))
    promised = (
        "msamples_per_s frames_per_s cpu_us_per_frame ratio_plain ratio_bytewax ratio_quix p50_ms p99_ms alarm_p50_ms"
        " alarm_p99_ms rss_mb in_process_msamples_per_s"
    )
    assert list(result)[:12] == promised.split()
    assert {"machine", "detail"} <= set(result)
    assert (result["msamples_per_s"], result["frames_per_s"], result["cpu_us_per_frame"]) == (4.1, 2000.0, 250.0)
    assert (result["p50_ms"], result["p99_ms"], result["alarm_p99_ms"]) == (20.0, 30.0, None)
    assert result["in_process_msamples_per_s"] == 20.0
    assert result["ratio_plain"] is None
    json.dumps(result)


def test_latency_counts_from_the_closing_block_and_leaves_other_plants_out() -> None:
    codec, plant = Codec(BundledSchemas()), Plant(Load(assets=1, prefix="R"), START_NS)
    arrivals = []
    for asset_id in ("R-0000", "L-0000"):
        assessment = r.Assessment(
            assessment_id="a",
            asset_id=asset_id,
            site_id="load",
            window_start_ns=START_NS,
            window_end_ns=START_NS + 1_000_000_000,
            sampling_rate_hz=25_600.0,
            n_samples=25_600,
            partial=False,
            speed_rpm=None,
            regime="",
            catalogue_version=1,
            code_version="1",
            configuration_version="1",
            channels=(),
            diagnoses=(),
            zone=None,
        )
        value = codec.encode(ASSESSMENTS, assessment)
        arrivals.append(Arrival(ASSESSMENTS, b"", value, START_NS + 1_040_000_000 + 7_000_000))
    assert latencies_ms(arrivals, codec, plant) == {ASSESSMENTS: [7.0], ALARMS: []}


def test_a_result_is_recorded_with_name_and_date(tmp_path: Path) -> None:
    now = dt.datetime(2026, 1, 2, 3, 4, tzinfo=dt.UTC)
    path = results.record("pipeline", {"p50_ms": 1.5}, now, tmp_path)
    assert path.name == "pipeline-2026-01-02T0304.json"
    assert json.loads(path.read_text()) == {"name": "pipeline", "measured_at": now.isoformat(), "p50_ms": 1.5}


def test_the_machine_is_described_and_usage_read_from_the_kernel() -> None:
    assert {"cpu", "cores", "kernel", "python", "numpy", "numba", "scipy"} <= set(describe_machine())
    before = Usage.of(os.getpid())
    assert before.rss_mb > 1.0
    assert sum(before.threads_s.values()) <= before.cpu_s + 1.0
    assert Usage.of(os.getpid()).since(before).cpu_s >= 0.0


def test_cores_are_shared_out_and_given_back() -> None:
    cores, before = Cores.share(), os.sched_getaffinity(0)
    assert len(cores.measured) == 1
    assert len(before) == 1 or not cores.measured & cores.others
    seen: list[set[int]] = []
    with pinned(cores.measured):
        thread = threading.Thread(target=lambda: seen.append(os.sched_getaffinity(0)))
        thread.start()
        thread.join()
    assert seen == [set(cores.measured)]
    assert os.sched_getaffinity(0) == before


def test_the_naive_features_are_those_of_the_engine() -> None:
    rng = np.random.default_rng(7)
    t_s = np.arange(25_600) / 25_600.0
    samples = (0.1 * rng.standard_normal(t_s.size) + np.sin(2 * np.pi * 100.0 * t_s)).astype(np.float32)
    band_hz = np.array([2_000.0, 6_000.0])
    naive = features.naive_features(samples, 25_600.0, band_hz)
    engine = FeatureEngine(1, samples.size, 25_600.0, (bearing("6205"),))
    values = engine.compute(samples[np.newaxis], 1780.0, band_hz[np.newaxis]).values[0]
    assert len(naive) > 12
    for name, value in naive.items():
        if name != "bpfo_db":
            assert value == pytest.approx(float(values[FEATURE_INDEX[name]]), rel=0.02, abs=1e-3), name


def test_the_fastest_of_at_least_three_runs_counts() -> None:
    runs: list[int] = []
    assert features.best_time_s(lambda: runs.append(1), 0.0) >= 0.0
    assert len(runs) == 1 + 3


def test_bench_features_prints_one_json_object_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "SHAPES", ((2, 2048),))
    done = CliRunner().invoke(bench, ["features", "--seconds", "0.05", "--json"])
    assert done.exit_code == 0, done.output
    result = json.loads(done.output.strip().splitlines()[-1])
    (shape,) = result["shapes"].values()
    assert {"fft_msamples_per_s", "all_features_in_ffts", "choice_of_band_in_ffts", "naive_in_ffts"} <= set(shape)
    assert all(value is not None for value in shape.values())


def test_a_burst_is_so_many_times_the_base_and_comes_in_the_order_of_time() -> None:
    plan = BurstPlan(base=3, factor=10, calm_s=2.0, burst_s=3.0)
    blocks = list(plan.blocks(START_NS))
    ends = [measured_at_ns(block) for block in blocks]
    assert ends == sorted(ends)
    seconds = [(end - START_NS) // 1_000_000_000 for end in ends]
    faulty = 4
    assert seconds.count(6) - faulty == 3
    assert seconds.count(4) - faulty == 10 * 3
    assert plan.windows == len(blocks), "a block is a window"


def soaked(rss_mb: list[float], descriptors: list[int], stored: int = 10) -> Soak:
    looks = [
        Look(number * 1_000, rss, open_) for number, (rss, open_) in enumerate(zip(rss_mb, descriptors, strict=True))
    ]
    return Soak(SMALL, 8_000, 10, stored=stored, looks=looks)


def test_a_soak_judges_the_second_half() -> None:
    calm = [50] * 8
    steady = soaked([100.0, 200.0, 250.0, 300.0, 300.0, 301.0, 300.0, 299.0], calm)
    assert steady.steady
    assert steady.as_json()["rss_mb_last"] == 299.0
    growing = soaked([100.0, 200.0, 250.0, 300.0, 301.0, 302.0, 303.0, 304.0], calm)
    assert growing.slope_mb == pytest.approx(1_000.0)
    assert not growing.steady
    assert not soaked([300.0] * 8, [50] * 7 + [55]).steady
    assert not soaked([300.0] * 8, calm, stored=9).steady
