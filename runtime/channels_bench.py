"""The benchmark of linear cost: what a sample costs where few channels come in, and where many do.

Every channel has the same sampling rate, and windows count once baselines are learnt: a score costs more from then on.
The few have a longer signal, so that as many samples count of both. The demodulation band is chosen in the first
windows only, before it counts.
"""

import math
import time
from dataclasses import dataclass
from typing import Any, Final

from contracts.assets import WindowSettings
from contracts.errors import ConfigurationError
from loadtests.machine import Cores, Usage, describe_machine
from loadtests.plant import SITE, Load, Plant
from loadtests.results import rounded
from runtime.backlog import Say, check_backlog, drain_backlog, expected_assessments, fill_backlog
from runtime.measured import measured_stack
from runtime.settings import Settings

#: The first windows of every machine don't count: engines are built, bands are chosen, baselines are learnt.
_WARM_UP_WINDOWS: Final = 40
_SAMPLING_RATE_HZ: Final = 12_800.0
_BAND_INTERVAL_S: Final = 3_600.0


@dataclass(frozen=True, slots=True)
class Run:
    """What so many channels took."""

    load: Load
    samples: int
    wall_s: float
    usage: Usage
    #: From SIGKILL until the next worker owned everything, and of that the time for taking partitions and states, s.
    crash_s: float
    restore_s: float

    @property
    def cpu_ns_per_sample(self) -> float:
        """CPU time of the worker, all threads."""
        return self.usage.cpu_s / self.samples * 1e9

    def as_json(self) -> dict[str, Any]:
        """Return the figures for a program."""
        return {
            "channels": self.load.assets * self.load.channels,
            "msamples": rounded(self.samples / 1e6),
            "wall_s": rounded(self.wall_s),
            "msamples_per_s": rounded(self.samples / self.wall_s / 1e6),
            "cpu_us_per_frame": rounded(self.cpu_ns_per_sample * self.load.block_samples / 1e3),
            "cpu_ns_per_sample": rounded(self.cpu_ns_per_sample),
            "rss_mb": rounded(self.usage.rss_mb, 0),
            "crash_recovery_s": rounded(self.crash_s),
            "restore_s": rounded(self.restore_s),
            "cpu_ns_per_sample_by_thread": {
                name: rounded(cpu_s / self.samples * 1e9)
                for name, cpu_s in sorted(self.usage.threads_s.items(), key=lambda entry: -entry[1])[:4]
            },
        }


def measure_channels(
    counts: tuple[int, int], channels: int, seconds: float, rounds: int, settings: Settings, say: Say
) -> dict[str, Any]:
    """Run the benchmark; bounded in load by the arguments, and in time by a limit on every wait.

    Parameters
    ----------
    counts : tuple of int, int
        Channels in all: few and many; rounded up to whole machines.
    channels : int
        Channels of each machine.
    seconds : float
        Signal of each of the many channels, s.
    rounds : int
        How often both are run, in turn.
    settings : Settings
        Of this process.
    say : callable
        Told in a line what is going on.

    Returns
    -------
    result : dict
        The fastest run of each, since other work on the machine only ever adds, and ``cost_ratio``: the CPU time that a
        sample of many channels costs in units of what one of few costs.

    Raises
    ------
    ConfigurationError
        Too short, or too large.
    Unavailable
        A worker ended, or didn't get through its backlog in time.
    """
    few, many = (_load(count, channels) for count in counts)
    if seconds < _WARM_UP_WINDOWS + 2:
        raise ConfigurationError(f"{seconds:g} s of signal, at least {_WARM_UP_WINDOWS + 2} s are needed")
    longer = (seconds - _WARM_UP_WINDOWS) * many.assets / few.assets
    plants = {"few": (few, _WARM_UP_WINDOWS + longer), "many": (many, seconds)}
    for load, signal_s in plants.values():
        check_backlog(load, signal_s)
    runs: dict[str, list[Run]] = {name: [] for name in plants}
    for _ in range(rounds):
        for name, (load, signal_s) in plants.items():
            run = _run(load, signal_s, settings, say)
            cost = f"{run.cpu_ns_per_sample:.1f} CPU ns a sample"
            say(f"{load.assets * channels} channels: {cost}, {run.crash_s:.1f} s from a crash to the next worker")
            runs[name].append(run)
    best = {name: min(taken, key=lambda run: run.cpu_ns_per_sample) for name, taken in runs.items()}
    return {
        **{name: run.as_json() for name, run in best.items()},
        "cost_ratio": rounded(best["many"].cpu_ns_per_sample / best["few"].cpu_ns_per_sample, 3),
        "rounds": {name: [rounded(run.cpu_ns_per_sample) for run in taken] for name, taken in runs.items()},
        "load": f"{channels} channels a machine x {few.block_samples} samples, {few.sampling_rate_hz:g} Hz",
        "machine": describe_machine(),
    }


def _load(count: int, channels: int) -> Load:
    window = WindowSettings(band_interval_s=_BAND_INTERVAL_S)
    return Load(
        assets=math.ceil(count / channels), channels=channels, sampling_rate_hz=_SAMPLING_RATE_HZ, window=window
    )


def _run(load: Load, seconds: float, settings: Settings, say: Say) -> Run:
    expected, warm_up = expected_assessments(load, seconds), _WARM_UP_WINDOWS * load.assets
    with measured_stack(settings, Cores.share(), lambda status: say(str(status))) as stack:
        stack.prepare(SITE, load.configurations())
        fill_backlog(stack, Plant(load, time.time_ns() - round(seconds * 1e9)), seconds, say)
        drained = drain_backlog(stack, expected, warm_up)
        crash_s, restore_s = stack.crash_worker()
    samples = (expected - warm_up) * load.hop_samples * load.channels
    return Run(load, samples, drained.wall_s, drained.usage, crash_s, restore_s)
