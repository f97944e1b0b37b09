"""Freed memory is kept, so that the arrays of the next window cost no page faults."""

import subprocess
import sys

import pytest

from runtime.memory import keep_freed_memory
from runtime.settings import PROJECT

_COUNT_FAULTS = """
import resource, sys
import numpy as np
from runtime.memory import keep_freed_memory

if sys.argv[1] == "keep":
    assert keep_freed_memory()

def work():
    blocks = [np.ones(100_000) for _ in range(4)]

work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50):
    work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(choice: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", _COUNT_FAULTS, choice], capture_output=True, text=True, check=True, cwd=PROJECT
    )
    return int(done.stdout)


def test_kept_memory_isn_t_faulted_in_again() -> None:
    if not keep_freed_memory():
        pytest.skip("this C library has no mallopt")
    # 50 rounds of 4 blocks of 0.8 MB are 40,000 pages
    assert faults("keep") < 1_000
    assert faults("default") > 2 * faults("keep")
