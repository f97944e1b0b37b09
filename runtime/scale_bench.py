"""The benchmark of scaling out: the same plant's backlog by one worker, then by two that share its partitions.

Between the phases the worker stops after a checkpoint; the two that follow go on from its snapshots, and half of the
machines change their owner. Each phase counts from the moment all its workers own partitions to its last assessment.
Over both phases every window must be stored exactly once; on the topic a handover may repeat some, under the same ids.
"""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from contracts import records as r
from contracts.codec import Codec
from contracts.errors import ConfigurationError, Unavailable
from loadtests.log import LoadGenerator, Subscriber
from loadtests.machine import Cores, Usage, describe_machine
from loadtests.plant import SITE, Load, Plant
from loadtests.results import rounded
from runtime.backlog import check_backlog
from runtime.measured import MeasuredStack, measured_stack
from runtime.registry import codec_for
from runtime.settings import Settings

WORKERS: Final = (1, 2)
#: A phase gets this long, s.
_LIMIT_S: Final = 240.0
_WAIT_S: Final = 0.05

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Phase:
    """What so many workers did: samples by the clock and by CPU time."""

    workers: int
    samples: int
    wall_s: float
    usage: Usage
    repeated: int

    def as_json(self, block_samples: int) -> dict[str, Any]:
        """Return the figures for a program."""
        return {
            "workers": self.workers,
            "msamples": rounded(self.samples / 1e6),
            "wall_s": rounded(self.wall_s),
            "msamples_per_s": rounded(self.samples / self.wall_s / 1e6),
            "cpu_us_per_frame": rounded(self.usage.cpu_s / self.samples * block_samples * 1e6),
            "rss_mb": rounded(self.usage.rss_mb, 0),
            "repeated": self.repeated,
        }


@dataclass(slots=True)
class Scaling:
    """Both phases, and how many windows lay in the backlogs and how many are stored."""

    windows: int
    stored: int = 0
    phases: list[Phase] = field(default_factory=list)

    def as_json(self, load: Load) -> dict[str, Any]:
        """Return the figures for a program."""
        one, two = self.phases
        return {
            **{f"workers_{phase.workers}": phase.as_json(load.block_samples) for phase in self.phases},
            "speedup": rounded((two.samples / two.wall_s) / (one.samples / one.wall_s)),
            "windows": self.windows,
            "different": abs(self.windows - self.stored),
            "load": f"{load.assets} assets x {load.channels} channels x {load.block_samples} samples",
            "worker_cores": str([sorted(core) for core in worker_cores()]),
            "machine": describe_machine(),
        }


def worker_cores() -> tuple[frozenset[int], ...]:
    """Return a core for each of two workers: the last ones; the services have the others where there are any."""
    usable = sorted(os.sched_getaffinity(0))
    return tuple(frozenset([usable[-min(number, len(usable))]]) for number in WORKERS)


def measure_scaling(load: Load, seconds: float, settings: Settings, say: Say) -> dict[str, Any]:
    """Run the benchmark; bounded in load by the arguments, and in time by a limit on every wait.

    Parameters
    ----------
    load : Load
        The plant.
    seconds : float
        Signal of each machine in each of both backlogs, s; a whole number of windows and of blocks.
    settings : Settings
        Of this process.
    say : callable
        Told in a line what is going on.

    Returns
    -------
    result : dict
        Figures by number of workers, their ratio, and by how many the stored windows differ from those in the backlogs.

    Raises
    ------
    ConfigurationError
        The backlog isn't whole, or too large.
    Unavailable
        A worker ended, or didn't get through its backlog in time.
    """
    n_samples = round(seconds * load.sampling_rate_hz)
    if n_samples % load.window_samples or n_samples % load.block_samples:
        raise ConfigurationError(f"{seconds:g} s of signal, a whole number of windows and blocks is needed")
    check_backlog(load, len(WORKERS) * seconds)
    windows = load.assets * n_samples // load.window_samples
    scaling = Scaling(len(WORKERS) * windows)
    usable = frozenset(os.sched_getaffinity(0))
    cores = Cores(worker_cores()[0], usable - frozenset().union(*worker_cores()) or usable)
    with measured_stack(settings, cores, lambda status: say(str(status))) as stack:
        stack.prepare(SITE, load.configurations())
        codec = codec_for(stack.settings)
        plant = Plant(load, time.time_ns() - int(len(WORKERS) * seconds * 1e9))
        for number, workers in enumerate(WORKERS):
            blocks = plant.blocks((number + 1) * seconds, number * seconds)
            say(f"backlog: {LoadGenerator(stack.urls.kafka, codec).fill(blocks)} blocks")
            scaling.phases.append(_phase(stack, load, windows, worker_cores()[:workers], codec))
            stack.stop_workers()
            rate = scaling.phases[-1].as_json(load.block_samples)["msamples_per_s"]
            say(f"{workers} of {len(WORKERS)} workers: {rate} Msamples/s")
        scaling.stored = stack.count_assessments()
    return scaling.as_json(load)


def _phase(
    stack: MeasuredStack,
    load: Load,
    windows: int,
    cores: Sequence[frozenset[int]],
    codec: Codec,
) -> Phase:
    with Subscriber(stack.urls.kafka) as subscriber:
        arrived = _Arrived(subscriber, codec)
        stack.start_workers(cores)
        first, began_s, before = len(arrived.look()), time.monotonic(), stack.usage()
        while len(arrived.look()) < windows:
            if stack.ended or time.monotonic() - began_s > _LIMIT_S:
                raise Unavailable("worker", f"{len(arrived.ids)} of {windows} windows; {stack.last_words()}")
            time.sleep(_WAIT_S)
        wall_s, usage = time.monotonic() - began_s, stack.usage().since(before)
    if first >= windows:
        raise ConfigurationError("the backlog was done before all workers had joined: use a longer one")
    samples = (windows - first) * load.hop_samples * load.channels
    return Phase(len(cores), samples, wall_s, usage, arrived.repeated)


@dataclass(slots=True)
class _Arrived:
    """The windows that a subscriber has seen, and how many of them again: a handover may repeat, never leave out."""

    subscriber: Subscriber
    codec: Codec
    ids: set[str] = field(default_factory=set)
    repeated: int = 0
    _looked: int = 0

    def look(self) -> set[str]:
        """Return the ids of all assessments so far."""
        fresh = self.subscriber.arrived()[self._looked :]
        self._looked += len(fresh)
        for arrival in fresh:
            record = self.codec.decode(arrival.value)
            if isinstance(record, r.Assessment):
                self.repeated += record.assessment_id in self.ids
                self.ids.add(record.assessment_id)
        return self.ids
