"""A worker never meets a cold kernel: what it loads at its start is all that a stream of any shape calls."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from runtime import kernels
from runtime.kernels import load_kernels
from runtime.settings import PROJECT

#: Runs in a process of its own, since other tests have compiled more than a worker does.
STREAM: Final = """
import dataclasses

import numpy as np

from adapters.models import ModelFolder
from contracts import ports, records as r
from contracts.activations import activation_of
from contracts.assets import RuleSettings
from processors.pipeline import PartitionPipeline
from loadtests.plant import Load, Plant
from runtime.kernels import kernels, load_kernels

START_NS = 1_700_000_000_000_000_000


def signatures():
    return {kernel.py_func.__qualname__: len(kernel.signatures) for kernel in kernels()}


def stream(channels, changes, features):
    load = Load(assets=1, channels=channels)
    (config,) = load.configurations()
    points = tuple(
        dataclasses.replace(point, features=chosen, bearing=point.bearing if number != 1 else None)
        for number, (point, chosen) in enumerate(zip(config.points, features))
    )
    rules = RuleSettings(baseline_windows=2, raise_after=1)
    config = dataclasses.replace(config, points=points, rules=rules)
    pipeline = PartitionPipeline(ModelFolder(), ports.Checkpoint(-1, 0, {}))
    key = config.asset_id.encode()
    pipeline.process(0, key, activation_of(config, START_NS, "test"))
    offset = 0
    for block in Plant(load, START_NS).blocks(6.6):
        offset += 1
        pipeline.process(offset, key, dataclasses.replace(block, **changes(block)))
    for seconds in range(7, 20):  # the rest closes as a partial window
        offset += 1
        at_ns = START_NS + seconds * 1_000_000_000
        pipeline.process(offset, None, r.Tick(topic="measurements", partition=0, at_ns=at_ns, epoch=1))
    assessments = pipeline.take().assessments
    assert {one.partial for one in assessments} == {False, True}


load_kernels(lambda _line: None)
ready = signatures()
everything = (("all",),) * 3
stream(1, lambda block: {}, everything)
stream(3, lambda block: {}, everything)
stream(3, lambda block: {"speed_rpm": None}, everything)
stream(3, lambda block: {}, (("all",), ("overall",), ("bearing",)))
stream(3, lambda block: {"samples": bytes(len(block.samples))}, everything)
stream(3, lambda block: {"samples": np.clip(np.frombuffer(block.samples, "<f4"), -0.1, 0.1).tobytes()}, everything)
# a line far above what moves: its displacement is measured in double precision
line = np.sin(1.5 * np.arange(1 << 16)).astype("<f4")
stream(3, lambda block: {"samples": line[: len(block.samples) // 4].tobytes()}, everything)
late = {name: count - ready[name] for name, count in signatures().items() if count != ready.get(name)}
assert ready and not late, late
print("none was cold")
"""


def test_no_stream_calls_a_kernel_that_the_start_did_not_load() -> None:
    done = subprocess.run(
        [sys.executable, "-c", STREAM], cwd=PROJECT, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.stdout == "none was cold\n", done.stderr


def test_compiling_is_told_and_loading_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    load_kernels(lambda _line: None)
    load_kernels(said.append)
    assert said == []
    counts = iter([0, 2, 2, 2])
    times_s = iter([10.0, 12.5, 20.0])
    monkeypatch.setattr(kernels, "_count_compiled", lambda: next(counts))
    monkeypatch.setattr(kernels, "_monotonic_s", lambda: next(times_s))
    progress = kernels._Progress(said.append)
    progress.begin("features")
    progress.begin("scores")
    progress.end()
    assert said == ["compiled 2 kernels for features in 2.5 s; from now on they are loaded"]


#: Prints the bits of features of windows of several shapes.
BITS: Final = """
import numpy as np

from processors.bearings import bearing
from processors.features import FeatureEngine

for channels, samples in ((1, 2048), (3, 5000)):
    engine = FeatureEngine(channels, samples, 25600.0, [bearing("6205")] * channels)
    window = np.random.default_rng(samples).standard_normal((channels, samples), np.float32)
    print(engine.compute(window, 1780.0, np.tile([2000.0, 5000.0], (channels, 1))).values.tobytes().hex())
"""


def test_new_code_and_code_from_the_cache_give_the_same_bits(tmp_path: Path) -> None:
    def told() -> str:
        environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
        done = subprocess.run(
            [sys.executable, "-c", BITS],
            cwd=PROJECT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=True,
        )
        return done.stdout

    compiled = told()
    assert compiled
    assert told() == compiled


def test_every_kernel_takes_what_it_calls_into_itself() -> None:
    load_kernels(lambda _line: None)
    assert [one.py_func.__qualname__ for one in kernels.kernels() if not one.targetoptions.get("forceinline")] == []
