"""The small job by our lane and by its peers, in turn on one core: the ratios that the platform is held to.

Peers are optional. Each has a virtual environment of its own with the versions of its requirements file in
``loadtests/peers``, made when it is first asked for; where one can't be made its ratio is null.
"""

import asyncio
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from adapters.timescale import migrate
from loadtests.machine import Cores, describe_machine
from loadtests.peers.rounds import Bench, Figures, run_rounds
from loadtests.peers.running import Program
from loadtests.results import rounded
from runtime.measured import measured_stack
from runtime.settings import PROJECT, Settings, child_environment

ROUNDS: Final = 5
#: So many that each program meets checkpoints, and Faust has started, in the two thirds that count.
FRAMES: Final = 240_000
LATENCY_S: Final = 20.0
_UV: Final = PROJECT / ".tools" / "bin" / "uv"
_INSTALL_S: Final = 300.0
_OURS: Final = "ours"
_PLAIN: Final = "plain"
#: The programs of each peer: the best of them counts.
_PEERS: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "bytewax": {
        "bytewax-batches": ("loadtests.peers.bytewax_flow", "batches"),
        "bytewax-records": ("loadtests.peers.bytewax_flow", "records"),
    },
    "quix": {"quix": ("loadtests.peers.quix_app",)},
}

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class SideBySide:
    """What the rounds gave, by program."""

    figures: Mapping[str, Figures]

    def ratio(self, peer: str) -> float | None:
        """Return a peer's CPU time per frame in units of ours; None where it wasn't run.

        That of ``plain`` is the other way round: how much of it we need, at best 1. It is the median of the rounds'
        ratios, so that a machine which slows down for some rounds doesn't count for one program alone.
        """
        if peer == _PLAIN:
            return rounded(self._median_ratio(_OURS, _PLAIN), 3)
        ratios = [self._median_ratio(name, _OURS) for name in _PEERS[peer] if name in self.figures]
        return rounded(min(ratios), 3) if ratios else None

    def _median_ratio(self, name: str, other: str) -> float:
        rounds = zip(self.figures[name].cpu_us_per_frame, self.figures[other].cpu_us_per_frame, strict=True)
        return statistics.median(cost / other_cost for cost, other_cost in rounds)

    def ratios(self) -> dict[str, float | None]:
        """Return all ratios under their names in the results."""
        return {f"ratio_{peer}": self.ratio(peer) for peer in (_PLAIN, *_PEERS)}

    def as_json(self) -> dict[str, Any]:
        """Return the figures for a program."""
        return {
            **self.ratios(),
            "frames": FRAMES,
            "programs": {name: figures.as_json() for name, figures in self.figures.items()},
            "machine": describe_machine(),
        }


def measure_peers(settings: Settings, say: Say, *, rounds: int = ROUNDS, latency_s: float = LATENCY_S) -> SideBySide:
    """Run the small job by every program there is, in turn.

    Parameters
    ----------
    settings : Settings
        Of this process.
    say : callable
        Told in a line what is going on.
    rounds : int
        Throughput runs of each program.
    latency_s : float
        Seconds in real time of each; 0 leaves them out.

    Returns
    -------
    result : SideBySide
        Figures by program.

    Raises
    ------
    Unavailable
        A program ended, took too long, or wrote wrong records.
    """
    interpreters = {peer: interpreter(peer, settings, say) for peer in _PEERS}
    cores = Cores.share()
    folder = Path(tempfile.mkdtemp(prefix="faultline-peers-"))
    try:
        with measured_stack(settings, cores, lambda status: say(str(status))) as stack:
            asyncio.run(migrate(stack.urls.database))
            urls = {"FAULTLINE_KAFKA_URL": stack.urls.kafka, "FAULTLINE_DATABASE_URL": stack.urls.database}
            environment = child_environment(urls, stack.settings) | {
                "PYTHONPATH": str(PROJECT),
                "OMP_NUM_THREADS": "1",
                "NUMBA_NUM_THREADS": "1",
            }
            bench = Bench(stack.urls.kafka, cores, folder, FRAMES)
            return SideBySide(run_rounds(bench, _programs(interpreters, environment), rounds, latency_s, say))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs(interpreters: Mapping[str, Path | None], environment: Mapping[str, str]) -> Sequence[Program]:
    programs = [
        Program(_OURS, (sys.executable, "-m", "runtime.small_job"), environment),
        Program(_PLAIN, (sys.executable, "-m", "loadtests.peers.plain"), environment),
    ]
    for peer, forms in _PEERS.items():
        python = interpreters[peer]
        if python is not None:
            programs += [
                Program(name, (str(python), "-m", module), environment, options)
                for name, (module, *options) in forms.items()
            ]
    return programs


def interpreter(peer: str, settings: Settings, say: Say) -> Path | None:
    """Return the Python of a peer's environment, made where it isn't there; None where it can't be made."""
    requirements = PROJECT / "loadtests" / "peers" / f"requirements-{peer}.txt"
    folder = settings.data_dir.absolute() / "peers" / peer
    python, done = folder / "bin" / "python", folder / "installed.txt"
    if done.exists() and done.read_bytes() == requirements.read_bytes():
        return python
    say(f"{peer}: making its environment")
    for command in (
        (_UV, "venv", "-q", "--clear", "-p", sys.executable, folder),
        (_UV, "pip", "install", "-q", "-p", python, "-r", requirements),
    ):
        try:
            subprocess.run([str(part) for part in command], check=True, timeout=_INSTALL_S, capture_output=True)
        except (OSError, subprocess.SubprocessError) as error:
            detail = getattr(error, "stderr", None) or b""
            say(f"{peer}: left out, its environment can't be made: {error} {detail.decode(errors='replace')[-300:]}")
            return None
    shutil.copyfile(requirements, done)
    return python
