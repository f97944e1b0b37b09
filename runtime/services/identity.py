"""Which process is it, really: a pid together with the time its process started.

A pid file outlives a ``kill -9`` of its writer, and the kernel gives pids out again; the start time tells the process
that was meant from a stranger. A zombie counts as gone.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """A process, told from others that had or will have its pid.

    Parameters
    ----------
    pid : int
        Its number.
    started : str
        The kernel's word for when it started; compared, never read.
    """

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> "ProcessIdentity | None":
        """Return the identity of the running process `pid`, or ``None``.

        Examples
        --------
        >>> import os
        >>> ProcessIdentity.of(os.getpid()).alive()
        True
        """
        started = _started(pid)
        return None if started is None else cls(pid, started)

    def alive(self) -> bool:
        """Return whether this very process still runs."""
        return _started(self.pid) == self.started

    def stop(self, stop_signal: int, deadline_s: float) -> bool:
        """Stop the process if it runs: `stop_signal`, and after `deadline_s` SIGKILL to its group.

        Returns
        -------
        stopped : bool
            Whether it was running.
        """
        if not self.alive():
            return False
        _signal(self.pid, stop_signal)
        if not wait_until(lambda: not self.alive(), deadline_s):
            _signal(self.pid, signal.SIGKILL)
            wait_until(lambda: not self.alive(), 5.0)
        return True


def wait_until(condition: Callable[[], bool], deadline_s: float, poll_s: float = 0.02) -> bool:
    """Wait for `condition`, at most `deadline_s` seconds; return its last answer."""
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() >= end:
            return condition()
        time.sleep(poll_s)
    return True


def _signal(pid: int, number: int) -> None:
    try:
        if number == signal.SIGKILL and os.getpgid(pid) == pid:
            os.killpg(pid, number)
        else:
            os.kill(pid, number)
    except ProcessLookupError:
        pass


def _started(pid: int) -> str | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None if _BOOT_ID.exists() else _started_by_ps(pid)
    fields = stat.rpartition(")")[2].split()  # the name before it may hold anything, blanks and brackets included
    return None if fields[0] in "ZX" else f"{_BOOT_ID.read_text(encoding='ascii').strip()}/{fields[19]}"


def _started_by_ps(pid: int) -> str | None:
    """Return the start time where there is no ``/proc``."""
    command = ["ps", "-o", "stat=,lstart=", "-p", str(pid)]
    status, _, started = (
        subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip().partition(" ")
    )
    return started.strip() if started and not status.startswith("Z") else None
