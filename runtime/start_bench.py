"""The benchmark of the start: how long a worker takes until it is ready, when its kernels have been compiled before.

A worker is ready when its kernels are loaded and it owns its partitions of both topics. Broker and database are real
and run already; the worker may use every core, as in production.
"""

import datetime as dt
import signal
import statistics
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from contracts.errors import Unavailable
from contracts.topics import CONDITIONS, MEASUREMENTS
from loadtests.machine import Cores, describe_machine, usable_cores
from loadtests.plant import SITE, Load
from loadtests.results import rounded
from runtime.backlog import Say
from runtime.measured import MeasuredStack, measured_stack, read_log
from runtime.services.identity import wait_until
from runtime.settings import PROJECT, Settings

#: The first start on a machine compiles.
_FIRST_S: Final = 300.0
_POLL_S: Final = 0.002
_STOP_S: Final = 20.0
#: What the worker logs, and what has been done then; of partitions the last one counts.
_STAGES: Final = {
    "began_worker": "imported_s",
    "loaded_kernels": "kernels_s",
    f"claimed_partition {CONDITIONS}": "conditions_s",
    f"claimed_partition {MEASUREMENTS}": "measurements_s",
}


@dataclass(frozen=True, slots=True)
class Start:
    """One start: seconds from the execution of the command until ready, and until each stage was done."""

    ready_s: float
    stages_s: dict[str, float]


def measure_start(starts: int, settings: Settings, say: Say) -> dict[str, Any]:
    """Start a worker over and over, each time from nothing; bounded by a limit on every wait.

    Parameters
    ----------
    starts : int
        How many starts count; one before them makes sure that kernels and bytecode are kept.
    settings : Settings
        Of this process.
    say : callable
        Told in a line what is going on.

    Returns
    -------
    result : dict
        ``median_s``, every start's ``ready_s``, and the median of when each stage was done, all from the execution of
        ``./faultline worker`` on.

    Raises
    ------
    Unavailable
        A worker ended, or wasn't ready in time.
    """
    everywhere = Cores(usable_cores(), usable_cores())
    with measured_stack(settings, everywhere, lambda status: say(str(status))) as stack:
        stack.prepare(SITE, Load(assets=1).configurations())
        first = _start(stack)
        say(f"first start: {first.ready_s:.2f} s")
        taken = []
        for number in range(starts):
            taken.append(_start(stack))
            say(f"start {number + 1} of {starts}: {taken[-1].ready_s:.2f} s")
    return {
        "median_s": rounded(statistics.median(start.ready_s for start in taken)),
        "ready_s": [rounded(start.ready_s) for start in taken],
        "stages_s": {
            stage: rounded(statistics.median(start.stages_s[stage] for start in taken)) for stage in _STAGES.values()
        },
        "first_s": rounded(first.ready_s),
        "machine": describe_machine(),
    }


def _start(stack: MeasuredStack) -> Start:
    ready, log_file = stack.services.folder.run / "start.ready", stack.services.folder.logs / "start.log"
    ready.unlink(missing_ok=True)
    command = [str(PROJECT / "faultline"), "worker", "--ready-file", str(ready)]
    with log_file.open("wb") as log:
        began_at_s, began_s = time.time(), time.monotonic()
        worker = subprocess.Popen(
            command,
            env=stack.environment,
            cwd=stack.services.folder.path,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        try:
            wait_until(lambda: ready.exists() or worker.poll() is not None, _FIRST_S, _POLL_S)
            ready_s = time.monotonic() - began_s
        finally:
            worker.send_signal(signal.SIGTERM)
            try:
                worker.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()
    if not ready.exists():
        raise Unavailable("worker", f"not ready; {log_file.read_text(encoding='utf-8', errors='replace')[-1000:]}")
    return Start(ready_s, _stages_s(log_file, began_at_s))


def _stages_s(log_file: Path, began_at_s: float) -> dict[str, float]:
    """Return when each stage was done, from the times in the worker's log."""
    done_s: dict[str, float] = {}
    for said in read_log(log_file):
        stage = _STAGES.get(f"{said['event']} {said.get('topic', '')}".strip())
        if stage is not None:
            done_s[stage] = dt.datetime.fromisoformat(said["timestamp"]).timestamp() - began_at_s
    return done_s
