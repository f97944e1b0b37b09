"""Child processes that never outlive their parent.

Invariants: a child dies with its parent even on ``kill -9`` (the kernel is asked to signal it), gets no Ctrl-C of its
own (own session), and leaves a pid file from which the next start clears it should it survive after all.

The kernel ties that signal to the *thread* that forked, so one thread, as long-lived as the supervisor, forks all.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from contracts.errors import Unavailable
from runtime.services.identity import ProcessIdentity, wait_until
from runtime.services.places import Account

_LAUNCH: Final = Path(__file__).with_name("launch.py")
_LOG_LIMIT_BYTES: Final = 8 * 1024 * 1024
_TAIL_LINES: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSpec:
    """A child process to be.

    Parameters
    ----------
    name : str
        Unique among its supervisor's children; names the pid file.
    argv : tuple[str, ...]
        Program and arguments.
    log_file : Path
        Gets standard output and error, appended.
    ready : Callable[[], bool]
        Whether it serves; asked over and over, so it must return within a second or so.
    cwd : Path
        Its working folder.
    environment : Mapping[str, str], optional
        Its whole environment; without it, this process's.
    account : Account, optional
        Whom to run it as.
    stop_signal : signal.Signals
        Asks for a clean stop, also when the parent dies.
    start_deadline_s, stop_deadline_s : float
        How long it may take to serve, and to stop before it is killed.
    clean_exits : frozenset[int]
        Exit statuses of a clean stop.
    """

    name: str
    argv: tuple[str, ...]
    log_file: Path
    ready: Callable[[], bool]
    cwd: Path
    environment: Mapping[str, str] | None = None
    account: Account | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    start_deadline_s: float = 60.0
    stop_deadline_s: float = 10.0
    clean_exits: frozenset[int] = frozenset({0, -signal.SIGTERM, 128 + signal.SIGTERM})


class ChildProcess:
    """A running (or exited) child; made by ``Supervisor.start``."""

    def __init__(self, spec: ProcessSpec, process: subprocess.Popen[bytes], log_start: int) -> None:
        self.spec = spec
        #: Where in its log file the child's own part begins.
        self.log_start = log_start
        self._process = process
        self._started_s = time.monotonic()

    @property
    def pid(self) -> int:
        """Its process number."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Its exit status, ``None`` while it runs."""
        return self._process.poll()

    def await_ready(self) -> float:
        """Wait until it serves; return the seconds since it was started.

        Raises
        ------
        Unavailable
            It exited, or didn't serve in time; the message ends with its last log lines.
        """
        ready = wait_until(lambda: self.returncode is not None or self.spec.ready(), self.spec.start_deadline_s, 0.05)
        if self.returncode is not None:
            raise Unavailable(self.spec.name, f"exited with {self.returncode} at start; {self.last_words()}")
        if not ready:
            raise Unavailable(self.spec.name, f"not ready in {self.spec.start_deadline_s:g} s; {self.last_words()}")
        return time.monotonic() - self._started_s

    def stop(self) -> bool:
        """Stop it (its signal, then SIGKILL after the deadline); return whether the exit was clean."""
        if self._process.poll() is None:
            self._process.send_signal(self.spec.stop_signal)
            try:
                self._process.wait(self.spec.stop_deadline_s)
            except subprocess.TimeoutExpired:
                os.killpg(self.pid, signal.SIGKILL)
        return self._process.wait() in self.spec.clean_exits

    def last_words(self) -> str:
        """Return the last lines of the child's part of the log in one line, after the log's name."""
        text = self.spec.log_file.read_bytes()[self.log_start :][-4096:].decode("utf-8", "replace")
        return f"{self.spec.log_file}: " + " | ".join(text.strip().splitlines()[-_TAIL_LINES:])


class Supervisor:
    """Starts children, and stops them in reverse order.

    Parameters
    ----------
    run_folder : Path
        Holds a pid file for each child. One supervisor at a time may use it: see ``folder.ProjectFolder``.

    Notes
    -----
    Keep a reference: when the supervisor is forgotten, so is the thread that forked, and the children stop.
    """

    def __init__(self, run_folder: Path) -> None:
        self._run_folder = run_folder
        self._children: list[ChildProcess] = []
        self._spawner = ThreadPoolExecutor(1, "spawner")

    @property
    def children(self) -> tuple[ChildProcess, ...]:
        """All children that haven't been stopped, in the order of their start."""
        return tuple(self._children)

    def clear_stale(self) -> list[str]:
        """Stop what an earlier, killed supervisor left in the run folder; return the names of those that still ran."""
        cleared = []
        for file in sorted(self._run_folder.glob("*.pid")):
            try:
                entry = json.loads(file.read_text(encoding="utf-8"))
                identity = ProcessIdentity(int(entry["pid"]), str(entry["started"]))
                stop_signal, deadline_s = int(entry["stop_signal"]), float(entry["stop_deadline_s"])
            except (ValueError, KeyError, TypeError):  # the machine went down while it was written
                file.unlink()
                continue
            if identity.stop(stop_signal, deadline_s):
                cleared.append(file.stem)
            file.unlink()
        return cleared

    def start(self, spec: ProcessSpec) -> ChildProcess:
        """Start a child; see ``ChildProcess.await_ready`` for waiting until it serves.

        It takes the place of an earlier one of its name that has exited.

        Raises
        ------
        Unavailable
            The program can't be started.
        """
        return self._spawner.submit(self._spawn, spec).result()

    def stop(self) -> list[ChildProcess]:
        """Stop all children, newest first, and take no more; return those whose exit wasn't clean."""
        unclean = []
        while self._children:
            child = self._children.pop()
            if not child.stop():
                unclean.append(child)
            self._pid_file(child.spec.name).unlink(missing_ok=True)
        self._spawner.shutdown()
        return unclean

    def stop_child(self, child: ChildProcess) -> bool:
        """Stop one child before the others, e.g. to start it anew; return whether the exit was clean."""
        clean = child.stop()
        self._children.remove(child)
        self._pid_file(child.spec.name).unlink(missing_ok=True)
        return clean

    def _spawn(self, spec: ProcessSpec) -> ChildProcess:
        spec.log_file.parent.mkdir(parents=True, exist_ok=True)
        if spec.log_file.exists() and spec.log_file.stat().st_size > _LOG_LIMIT_BYTES:
            spec.log_file.replace(spec.log_file.with_suffix(".log.1"))
        account = spec.account or Account(-1, -1)
        prefix = [os.getpid(), int(spec.stop_signal), account.uid, account.gid]
        argv = [sys.executable, "-I", "-S", str(_LAUNCH), *map(str, prefix), *spec.argv]
        with spec.log_file.open("ab") as log:
            log_start = log.tell()
            try:
                process = subprocess.Popen(
                    argv,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=spec.cwd,
                    env=spec.environment,
                    start_new_session=True,
                )
            except OSError as error:
                raise Unavailable(spec.name, f"can't be started: {error}") from error
        child = ChildProcess(spec, process, log_start)
        others = [old for old in self._children if old.spec.name != spec.name or old.returncode is None]
        self._children = [*others, child]
        self._write_pid_file(spec, process.pid)
        return child

    def _write_pid_file(self, spec: ProcessSpec, pid: int) -> None:
        identity = ProcessIdentity.of(pid)
        if identity is None:  # gone already; whoever waits for it will say so
            return
        entry = {
            "pid": pid,
            "started": identity.started,
            "stop_signal": int(spec.stop_signal),
            "stop_deadline_s": spec.stop_deadline_s,
        }
        file = self._pid_file(spec.name)
        new = file.with_suffix(".new")
        new.write_text(json.dumps(entry), encoding="utf-8")
        new.replace(file)  # whoever reads it finds all of it

    def _pid_file(self, name: str) -> Path:
        return self._run_folder / f"{name}.pid"
