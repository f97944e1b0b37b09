"""``faultline bench``: throughput and latency of the pipeline, and the cost of the features; bounded."""

import datetime as dt
import json
import sys
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import typer

from adapters.models import ModelFolder
from adapters.recordings import Known, Waveform, read_recording
from contracts.assets import WindowSettings
from contracts.errors import ConfigurationError
from loadtests import features as feature_bench
from loadtests import results
from loadtests import scores as score_bench
from loadtests.machine import describe_machine
from loadtests.plant import Load
from runtime.burst_bench import BASE_SHARE, BurstPlan, measure_burst, measure_capacity
from runtime.channels_bench import measure_channels
from runtime.command_line import model_named
from runtime.memory import keep_freed_memory
from runtime.peers_bench import LATENCY_S, ROUNDS, measure_peers
from runtime.pipeline_bench import Plan, measure
from runtime.scale_bench import measure_scaling
from runtime.settings import load_settings
from runtime.soak_bench import measure_soak
from runtime.start_bench import measure_start

bench: Final = typer.Typer(add_completion=False, no_args_is_help=True, help="Measure; bounded in load and time.")

_AsJson = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object, as the last line.")]
_Record = Annotated[bool, typer.Option("--record", help="Keep the result in loadtests/results.")]


@bench.command("pipeline")
def pipeline(
    *,
    assets: Annotated[int, typer.Option(min=1, max=2000, help="Machines in the backlog.")] = 8,
    channels: Annotated[int, typer.Option(min=1, max=64, help="Channels of each machine.")] = 8,
    block: Annotated[int, typer.Option(min=64, max=65_536, help="Samples of a channel in a block.")] = 2048,
    seconds: Annotated[float, typer.Option(min=3, max=3600, help="Signal of each machine in the backlog.")] = 120.0,
    latency_seconds: Annotated[float, typer.Option(min=0, max=600, help="Real-time phase; 0 leaves it out.")] = 48.0,
    band_interval_s: Annotated[float, typer.Option(min=1, help="How often the demodulation band is chosen.")] = 60.0,
    peers: Annotated[bool, typer.Option("--peers", help="Also run the small job of `bench peers`.")] = False,
    as_json: _AsJson = False,
    record: _Record = False,
) -> None:
    """Measure one worker on one core, over a real broker and database on the others.

    First a backlog as fast as the worker can: samples and frames (one channel of one block) a second. Then 300 frames a
    second in real time, with bearing faults that come and go: the time from the last sample of a window to its
    assessment and its alarm at a subscriber. Everything lies in a temporary folder and is gone afterwards.
    """
    load = Load(
        assets=assets,
        channels=channels,
        block_samples=block,
        window=WindowSettings(band_interval_s=band_interval_s),
    )
    plan = Plan(backlog=load, backlog_s=seconds, latency_s=latency_seconds)
    result = measure(plan, load_settings(), _say).as_json(plan)
    if peers:
        result |= measure_peers(load_settings(), _say, latency_s=0.0).ratios()
    _finish("pipeline", result, as_json=as_json, record=record)


@bench.command("peers")
def peers(
    *,
    rounds: Annotated[int, typer.Option(min=1, max=20, help="Throughput runs of each program.")] = ROUNDS,
    latency_seconds: Annotated[float, typer.Option(min=0, max=120, help="In real time; 0 leaves it out.")] = LATENCY_S,
    as_json: _AsJson = False,
    record: _Record = False,
) -> None:
    """Measure the small job by our lane, a plain confluent-kafka loop, Bytewax and Quix Streams, in turn.

    Frames of 2,048 float32: features, a state per channel, one record each, a checkpoint every two seconds. The program
    has one core, broker and database the others. Peers are installed into environments of their own when first asked
    for; where that fails their ratios are null.
    """
    result = measure_peers(load_settings(), _say, rounds=rounds, latency_s=latency_seconds).as_json()
    _finish("peers", result, as_json=as_json, record=record)


@bench.command("features")
def features(
    *,
    seconds: Annotated[float, typer.Option(min=0.05, max=60, help="Time for each figure.")] = 1.0,
    recording: Annotated[
        list[Path] | None, typer.Option(help="Recordings (.npz) of acceleration in g: their first 8 seconds too.")
    ] = None,
    as_json: _AsJson = False,
    record: _Record = False,
) -> None:
    """Measure the feature set on one core, beside the bare FFT of the same data and a plain NumPy version.

    Of white noise, of ringing near a bearing, and of recordings; and what the diagnosis of a machine costs beside its
    features.

    \b
        ./faultline bench features --json
        ./faultline bench features --recording cwru/105_de12k_inner_007_load0.npz
    """
    keep_freed_memory()  # as the worker does
    result = {
        "shapes": feature_bench.measure(seconds, _say),
        "recordings": {path.stem: _measure_recording(path, seconds) for path in recording or ()},
        "diagnosis_of_8_channels": feature_bench.measure_diagnosis(seconds),
        "machine": describe_machine(),
    }
    _finish("features", result, as_json=as_json, record=record)


def _measure_recording(path: Path, seconds: float) -> dict[str, Any]:
    """Measure the first channel of a recording in windows of a second, eight of them."""
    wave = read_recording(path, None, Known(unit="g")).signal
    if not isinstance(wave, Waveform):
        raise ConfigurationError(f"{path} has no waveform")
    n = round(wave.sampling_rate_hz)
    count = min(8, wave.samples.shape[1] // n)
    if count < 1:
        raise ConfigurationError(f"{path} has {wave.samples.shape[1]} samples; a second, {n}, needed")
    windows = np.ascontiguousarray(wave.samples[0, : count * n].reshape(count, n), dtype=np.float32)
    _say(f"{count} windows of {path.name}")
    return feature_bench.measure_recording(windows, wave.sampling_rate_hz, seconds)


@bench.command("channels")
def channels(
    *,
    few: Annotated[int, typer.Option(min=1, max=10_000, help="Channels in the small run.")] = 100,
    many: Annotated[int, typer.Option(min=1, max=10_000, help="Channels in the large run.")] = 2_000,
    channels: Annotated[int, typer.Option(min=1, max=64, help="Channels of each machine.")] = 8,
    seconds: Annotated[float, typer.Option(min=42, max=3600, help="Signal of each of the many.")] = 60.0,
    rounds: Annotated[int, typer.Option(min=1, max=20, help="How often both are run, in turn.")] = 3,
    as_json: _AsJson = False,
    record: _Record = False,
) -> None:
    """Measure what a sample costs with few channels, and with many at the same sampling rate.

    `cost_ratio` is the worker's CPU time for a sample of many channels in units of that of few: 1 where the cost grows
    linearly with the number of channels.

    \b
        ./faultline bench channels --json
        ./faultline bench channels --few 200 --many 1000 --seconds 80 --rounds 1
    """
    result = measure_channels((few, many), channels, seconds, rounds, load_settings(), _say)
    _finish("channels", result, as_json=as_json, record=record)


@bench.command("score")
def score(
    *,
    seconds: Annotated[float, typer.Option(min=0.05, max=60, help="Time for each figure.")] = 2.0,
    batch: Annotated[int, typer.Option(min=1, max=4096, help="Windows that are scored together.")] = 256,
    models: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VERSION", help="Model of the folder to measure, too; repeatable.")
    ] = None,
    as_json: _AsJson = False,
    record: _Record = False,
) -> None:
    """Measure scorers: CPU time of a window's scores by baseline, half-space forest and ONNX model; then each other.

    \b
    Examples:
        ./faultline bench score --json
        ./faultline bench score --models tcn=1
    """
    more = [model_named(text) for text in models or ()]
    keep_freed_memory()  # as the worker does
    result = score_bench.measure(seconds, ModelFolder(), _say, batch, more) | {"machine": describe_machine()}
    _finish("score", result, as_json=as_json, record=record)


@bench.command("scale")
def scale(
    *,
    assets: Annotated[int, typer.Option(min=2, max=2000, help="Machines.")] = 24,
    channels: Annotated[int, typer.Option(min=1, max=64, help="Channels of each machine.")] = 8,
    seconds: Annotated[float, typer.Option(min=2, max=3600, help="Signal of each machine in each phase.")] = 90.0,
    as_json: _AsJson = False,
    record: _Record = False,
) -> None:
    """Measure one worker, then two that go on from its snapshots and share its partitions.

    Each worker has a core of its own; broker and database have the others, and share the workers' where there are only
    two. Status 1 if the windows that are stored in the end aren't those of the backlogs.
    """
    load = Load(assets=assets, channels=channels, window=WindowSettings(band_interval_s=60.0))
    result = measure_scaling(load, seconds, load_settings(), _say)
    _finish("scale", result, as_json=as_json, record=record)
    raise typer.Exit(1 if result["different"] else 0)


@bench.command("burst")
def burst(
    *,
    base: Annotated[int | None, typer.Option(min=1, max=2000, help="Machines that send all the time.")] = None,
    seconds: Annotated[float, typer.Option(min=1, max=600, help="How long the burst lasts.")] = 60.0,
    as_json: _AsJson = False,
    record: _Record = False,
) -> None:
    """Send ten times the base load for a minute; time what happens to conditions and operators' commands meanwhile.

    Without `--base` the base load is a fifth of what one worker manages, which is measured first. Status 1 if a window
    is lost or a condition or command isn't answered.

    \b
        ./faultline bench burst --json --record
        ./faultline bench burst --base 20 --seconds 10
    """
    settings = load_settings()
    capacity = None if base is not None else measure_capacity(settings, _say)
    machines = base or max(1, round(BASE_SHARE * (capacity or 0.0)))
    seen = measure_burst(BurstPlan(base=machines, burst_s=seconds), settings, _say)
    result = {"capacity_machines": results.rounded(capacity, 0), **seen.as_json()}
    _finish("burst", result, as_json=as_json, record=record)
    raise typer.Exit(1 if seen.different or seen.unanswered else 0)


@bench.command("start")
def start(
    *,
    starts: Annotated[int, typer.Option(min=1, max=100, help="Starts that count; one more comes before them.")] = 7,
    as_json: _AsJson = False,
    record: _Record = False,
) -> None:
    """Measure how long a worker takes from `./faultline worker` until it owns its partitions, kernels loaded.

    \b
        ./faultline bench start --json --record
        ./faultline bench start --starts 3
    """
    _finish("start", measure_start(starts, load_settings(), _say), as_json=as_json, record=record)


@bench.command("soak")
def soak(
    *,
    blocks: Annotated[int, typer.Option(min=1_000, max=100_000_000, help="Blocks in all.")] = 2_000_000,
    assets: Annotated[int, typer.Option(min=1, max=2000, help="Machines.")] = 50,
    channels: Annotated[int, typer.Option(min=1, max=64, help="Channels of each machine.")] = 1,
    block: Annotated[int, typer.Option(min=64, max=65_536, help="Samples of a channel in a block.")] = 256,
    as_json: _AsJson = False,
    record: _Record = False,
) -> None:
    """Send small blocks in real time, with faults that come and go, and watch the worker's memory and descriptors.

    Two million blocks take 400 s at 25.6 kHz. Status 1 if a window is lost, memory grows in the second half, or
    descriptors do.

    \b
        ./faultline bench soak --json --record
        ./faultline bench soak --blocks 100000              # 20 s
    """
    load = Load(
        assets=assets, channels=channels, block_samples=block, period_s=16.0, fault_from_s=4.0, fault_until_s=12.0
    )
    seen = measure_soak(load, blocks, load_settings(), _say)
    _finish("soak", seen.as_json(), as_json=as_json, record=record)
    raise typer.Exit(0 if seen.steady else 1)


def _finish(name: str, result: dict[str, Any], *, as_json: bool, record: bool) -> None:
    if record:
        path = results.record(name, result, dt.datetime.now(dt.UTC))
        _say(f"recorded in {path}")
    if as_json:
        print(json.dumps(result))
    else:
        _print(result)


def _print(values: dict[str, Any], indent: str = "") -> None:
    for name, value in values.items():
        if isinstance(value, dict):
            print(f"{indent}{name}")
            _print(value, indent + "  ")
        else:
            print(f"{indent}{name:<32} {'-' if value is None else value}")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
