"""A worker is ready soon: it imports nothing that only other commands need."""

import subprocess
import sys

import pytest

from runtime.settings import PROJECT

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
