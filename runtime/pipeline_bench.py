"""The benchmark of the whole pipeline: throughput of one worker on a backlog, then latency in real time.

Samples count from the first to the last assessment that a subscriber receives, and so do the worker's CPU time and the
clock: start-up and shutdown are left out on both sides.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from adapters.models import ModelFolder
from contracts.assets import WindowSettings
from contracts.errors import ConfigurationError, Unavailable
from contracts.topics import ALARMS, ASSESSMENTS
from loadtests.in_process import InProcess, run_in_process
from loadtests.log import LoadGenerator, Subscriber, latencies_ms
from loadtests.machine import Cores, Usage, describe_machine, pinned
from loadtests.plant import SITE, Load, Plant
from loadtests.results import quantile, rounded
from runtime.backlog import check_backlog, drain_backlog, expected_assessments, fill_backlog
from runtime.kernels import load_kernels
from runtime.measured import MeasuredStack, measured_stack
from runtime.memory import keep_freed_memory
from runtime.registry import codec_for
from runtime.settings import Settings

#: Real-time load of the latency phase, frames (one channel of one block) a second.
LATENCY_FRAMES_PER_S: Final = 300.0
#: Last results are waited for this long after the last block, s.
_SETTLE_S: Final = 2.0
_IN_PROCESS_S: Final = 30.0
_IN_PROCESS_ASSETS: Final = 4

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is measured.

    Parameters
    ----------
    backlog : Load
        The plant whose signal lies ready for the throughput phase.
    backlog_s : float
        Signal of each of its machines, s.
    latency_s : float
        Duration of the real-time phase, s; 0 leaves it out.

    Raises
    ------
    ConfigurationError
        If there is less than two windows of signal, or more than ``MAX_BACKLOG_BYTES``.
    """

    backlog: Load
    backlog_s: float
    latency_s: float

    def __post_init__(self) -> None:
        check_backlog(self.backlog, self.backlog_s)
        if self.expected_assessments < 2 * self.backlog.assets:
            raise ConfigurationError(f"{self.backlog_s} s of signal, at least two windows are needed")

    @property
    def expected_assessments(self) -> int:
        """Windows in the backlog."""
        return expected_assessments(self.backlog, self.backlog_s)

    @property
    def real_time(self) -> Load:
        """The plant of the latency phase: faults come and go, and the band is chosen as often as by default."""
        one = replace(
            self.backlog,
            assets=1,
            prefix="R",
            period_s=16.0,
            fault_from_s=4.0,
            fault_until_s=12.0,
            window=WindowSettings(length_s=self.backlog.window.length_s, hop_s=self.backlog.window.hop_s),
        )
        return replace(one, assets=max(1, round(LATENCY_FRAMES_PER_S / one.frames_per_s)))


@dataclass(slots=True)
class Measurement:
    """What was measured; None where a phase was left out."""

    in_process: InProcess
    assessments: int = 0
    samples: int = 0
    wall_s: float = 0.0
    usage: Usage = field(default_factory=lambda: Usage(0.0, {}, 0.0))
    latencies_ms: dict[str, list[float]] = field(default_factory=dict)
    late_s: float = 0.0
    real_time_usage: Usage | None = None

    def as_json(self, plan: Plan) -> dict[str, Any]:
        """Return the figures for a program; the ratios to peers are null, since peers aren't run."""
        frames = self.samples / plan.backlog.block_samples
        quantiles = {
            f"{prefix}{name}_ms": rounded(quantile(self.latencies_ms.get(topic, []), share))
            for topic, prefix in ((ASSESSMENTS, ""), (ALARMS, "alarm_"))
            for name, share in (("p50", 0.5), ("p99", 0.99))
        }
        return {
            "msamples_per_s": rounded(self.samples / self.wall_s / 1e6),
            "frames_per_s": rounded(frames / self.wall_s, 0),
            "cpu_us_per_frame": rounded(self.usage.cpu_s / frames * 1e6),
            "ratio_plain": None,
            "ratio_bytewax": None,
            "ratio_quix": None,
            **quantiles,
            "rss_mb": rounded(self.usage.rss_mb, 0),
            "in_process_msamples_per_s": rounded(self.in_process.msamples_per_s),
            "detail": self._detail(plan, frames),
            "machine": describe_machine(),
        }

    def _detail(self, plan: Plan, frames: float) -> dict[str, Any]:
        load = plan.backlog
        busiest = sorted(self.usage.threads_s.items(), key=lambda entry: -entry[1])[:8]
        return {
            "load": f"{load.assets} assets x {load.channels} channels x {load.block_samples} samples",
            "sampling_rate_hz": load.sampling_rate_hz,
            "band_interval_s": load.window.band_interval_s,
            "msamples": rounded(self.samples / 1e6),
            "wall_s": rounded(self.wall_s),
            "msamples_per_cpu_s": rounded(self.samples / self.usage.cpu_s / 1e6),
            "cpu_us_per_frame_by_thread": {name: rounded(cpu_s / frames * 1e6) for name, cpu_s in busiest},
            "in_process_cpu_us_per_frame": rounded(load.block_samples / self.in_process.msamples_per_s),
            "latency_assessments": len(self.latencies_ms.get(ASSESSMENTS, [])),
            "latency_alarms": len(self.latencies_ms.get(ALARMS, [])),
            "worst_send_delay_ms": rounded(self.late_s * 1e3),
            "real_time_cpu_share": None
            if self.real_time_usage is None
            else rounded(self.real_time_usage.cpu_s / plan.latency_s, 3),
        }


def measure(plan: Plan, settings: Settings, say: Say) -> Measurement:
    """Run the benchmark; bounded in load by `plan`, and in time by a limit on every wait.

    Parameters
    ----------
    plan : Plan
        What to measure.
    settings : Settings
        Of this process.
    say : callable
        Told in a line what is going on.

    Returns
    -------
    measurement : Measurement
        The figures.

    Raises
    ------
    Unavailable
        If the worker ends or doesn't get through the backlog in time.
    """
    cores = Cores.share()
    say("in process: computing")
    keep_freed_memory()  # as the worker does
    with pinned(cores.measured):
        load_kernels(say)
        load = replace(plan.backlog, assets=min(plan.backlog.assets, _IN_PROCESS_ASSETS))
        measurement = Measurement(run_in_process(load, _IN_PROCESS_S, ModelFolder(), time.time_ns()))
    with measured_stack(settings, cores, lambda status: say(str(status))) as stack:
        stack.prepare(SITE, [*plan.backlog.configurations(), *plan.real_time.configurations()])
        _fill(plan, stack, say)
        _throughput(plan, stack, measurement, say)
        if plan.latency_s > 0.0:
            _latency(plan, stack, measurement, say)
    return measurement


def _fill(plan: Plan, stack: MeasuredStack, say: Say) -> None:
    plant = Plant(plan.backlog, time.time_ns() - int(plan.backlog_s * 1e9))
    fill_backlog(stack, plant, plan.backlog_s, say)


def _throughput(plan: Plan, stack: MeasuredStack, measurement: Measurement, say: Say) -> None:
    expected = plan.expected_assessments
    drained = drain_backlog(stack, expected)
    measurement.assessments = expected
    measurement.samples = (expected - 1) * plan.backlog.hop_samples * plan.backlog.channels
    measurement.wall_s = drained.wall_s
    measurement.usage = drained.usage
    say(f"throughput: {measurement.samples / measurement.wall_s / 1e6:.1f} Msamples/s")


def _latency(plan: Plan, stack: MeasuredStack, measurement: Measurement, say: Say) -> None:
    load, codec = plan.real_time, codec_for(stack.settings)
    say(f"latency: {load.frames_per_s:.0f} frames/s for {plan.latency_s:.0f} s")
    generator = LoadGenerator(stack.urls.kafka, codec)
    plant = Plant(load, time.time_ns() + int(_SETTLE_S * 1e9))
    with Subscriber(stack.urls.kafka) as subscriber:
        before = stack.usage()
        measurement.late_s = generator.pace(plant.blocks(plan.latency_s))
        measurement.real_time_usage = stack.usage().since(before)
        time.sleep(_SETTLE_S)
        if stack.ended:
            raise Unavailable("worker", f"it has ended; {stack.last_words()}")
        measurement.latencies_ms = dict(latencies_ms(subscriber.arrived(), codec, plant))
