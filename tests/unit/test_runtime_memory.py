"""Freed memory is kept, so that the arrays of the next window cost no page faults; the collector has less to do."""

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


_COUNT_COLLECTIONS = """
import gc, sys
from runtime.memory import spare_collector

class Node:
    pass

if sys.argv[1] == "spare":
    spare_collector()
    assert gc.get_freeze_count() > 1_000

before = sum(generation["collections"] for generation in gc.get_stats())
for _ in range(50_000):
    node = Node()
    node.itself = node
after = gc.get_stats()
print(sum(generation["collections"] for generation in after) - before, after[0]["collected"])
"""


def collections(choice: str) -> tuple[int, int]:
    done = subprocess.run(
        [sys.executable, "-c", _COUNT_COLLECTIONS, choice], capture_output=True, text=True, check=True, cwd=PROJECT
    )
    times, objects = done.stdout.split()
    return int(times), int(objects)


def test_a_spared_collector_runs_less_often_and_still_collects_cycles() -> None:
    times, objects = collections("spare")
    assert 1 <= times < collections("default")[0] / 10
    assert objects >= 30_000
