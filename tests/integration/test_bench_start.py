"""The benchmark of the start, on a real broker and database: a worker is ready once it owns all partitions."""

import pytest

from runtime.settings import Settings
from runtime.start_bench import measure_start


@pytest.mark.services
def test_a_worker_is_ready_when_its_kernels_are_loaded_and_it_owns_its_partitions() -> None:
    said: list[str] = []
    result = measure_start(1, Settings(), said.append)
    stages_s = result["stages_s"]
    assert 0.0 < stages_s["imported_s"] < stages_s["kernels_s"] < stages_s["measurements_s"]
    assert max(stages_s.values()) <= result["median_s"] + 0.05
    assert result["ready_s"] == [result["median_s"]]
    assert "start 1 of 1" in " ".join(said)
