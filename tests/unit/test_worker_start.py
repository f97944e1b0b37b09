"""A worker is ready soon: it imports nothing that only other commands need."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from runtime.settings import PROJECT
from streams.app import bare_app
from streams.feed import Feed, add_lane

#: Each costs a worker between a tenth of a second and several seconds.
UNNEEDED = (
    "httpx",
    "jax",
    "jsonschema",
    "mlflow",
    "openai",
    "opensearchpy",
    "pandas",
    "requests",
    "river",
    "scipy.interpolate",
    "scipy.optimize",
    "scipy.signal",
    "scipy.sparse",
    "scipy.stats",
    "sklearn",
    "torch",
)
#: Loaded with the kernels, so that no window waits for them: by Numba, and for the reference model.
WITH_KERNELS = {"onnxruntime", "scipy.linalg"}
START = """
import sys
from runtime.__main__ import load_command
from runtime.kernels import load_kernels
load_command("worker")
if "--kernels" in sys.argv:
    load_kernels(lambda _line: None)
print(*sys.modules)
"""


@pytest.mark.parametrize(("kernels", "unneeded"), [((), WITH_KERNELS), (("--kernels",), set())])
def test_the_start_of_a_worker_imports_nothing_it_does_not_need(kernels: tuple[str, ...], unneeded: set[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", START, *kernels], cwd=PROJECT, capture_output=True, text=True, timeout=300, check=True
    )
    imported = set(done.stdout.splitlines()[-1].split())
    assert {"streams.app", "processors.features"} <= imported
    assert sorted(imported & {*UNNEEDED, *unneeded}) == []


def test_bytecode_is_kept_whatever_the_environment_says_of_it(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPYCACHEPREFIX": str(tmp_path)}
    subprocess.run(
        [PROJECT / "faultline", "--help"], env=environment, capture_output=True, text=True, timeout=300, check=True
    )
    assert list(tmp_path.rglob("errors.*.pyc"))


class NoPartitions:
    """What a lane feeds where it is given nothing."""

    async def checkpoint(self, _commit: Any) -> float:
        return 60.0


def test_a_lane_joins_its_group_only_once_everything_is_prepared(tmp_path: Path) -> None:
    assert asyncio.run(joining(str(tmp_path))) == ["began to prepare", "prepared", "began to join", "ended"]


async def joining(folder: str) -> list[str]:
    """Return what a lane's service does, in order."""
    done: list[str] = []
    prepared, joining = asyncio.Event(), asyncio.Event()

    async def prepare() -> None:
        done.append("began to prepare")
        await prepared.wait()
        done.append("prepared")

    def watch() -> Any:
        done.append("began to join")
        joining.set()
        return type("Watchdog", (), {"end": lambda _self: done.append("ended")})()

    app = bare_app("start", "127.0.0.1:1", 1, folder)
    worker: Any = NoPartitions()
    feed = Feed(agent="a", kafka_url="127.0.0.1:1", topic="t", group="g", worker=worker, watch=watch, prepare=prepare)
    add_lane(app, feed)
    [service_type] = app._extra_services
    service: Any = service_type()
    await service.start()
    for _ in range(100):
        await asyncio.sleep(0)
    assert done == ["began to prepare"]
    prepared.set()
    async with asyncio.timeout(10.0):
        await joining.wait()
    await service.stop()
    return done
