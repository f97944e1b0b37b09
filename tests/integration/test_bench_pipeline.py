"""The benchmark of the whole pipeline runs through on a small load, and leaves nothing behind."""

import tempfile
from pathlib import Path

import pytest

from contracts.topics import ASSESSMENTS
from loadtests.plant import Load
from runtime.pipeline_bench import Plan, measure
from runtime.settings import Settings


@pytest.mark.services
def test_a_small_run_gives_every_figure_and_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    load = Load(assets=2, channels=2, sampling_rate_hz=12_800.0)
    plan = Plan(backlog=load, backlog_s=6.4, latency_s=3.0)
    made: list[Path] = []
    make = tempfile.mkdtemp

    def remembered(*, prefix: str) -> str:
        made.append(Path(make(prefix=prefix)))
        return str(made[-1])

    monkeypatch.setattr(tempfile, "mkdtemp", remembered)
    said: list[str] = []
    measured = measure(plan, Settings(), said.append)
    result = measured.as_json(plan)
    assert measured.assessments == 12
    assert len(measured.latencies_ms[ASSESSMENTS]) >= plan.real_time.assets
    for name in ("msamples_per_s", "frames_per_s", "cpu_us_per_frame", "p50_ms", "p99_ms", "rss_mb"):
        assert result[name] > 0, name
    assert "worker" in " ".join(said)
    assert made
    assert not any(folder.exists() for folder in made)
