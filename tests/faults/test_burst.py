"""The burst in short: ten times the base load for some seconds, with alarms and commands all the while."""

import pytest

from runtime.burst_bench import BurstPlan, measure_burst
from runtime.settings import Settings

pytestmark = pytest.mark.services

#: Prefetched records and batches, and what a few dozen machines more take.
MEMORY_MB = 256.0


def test_a_burst_loses_nothing_is_no_matter_of_memory_and_alarms_are_answered() -> None:
    said: list[str] = []
    burst = measure_burst(BurstPlan(base=8, calm_s=2.0, burst_s=5.0), Settings(), said.append)
    figures = burst.as_json()
    assert (burst.different, burst.unanswered) == (0, 0), figures
    assert len(burst.commands_ms) >= 12
    assert len(burst.conditions_ms) >= 4
    assert max(burst.rss_mb) - burst.rss_mb[0] <= MEMORY_MB, figures
    # `./faultline bench burst` measures the 99th percentile; here they must not wait for the burst's end
    assert max(burst.commands_ms + burst.conditions_ms) < 5_000.0, figures
