"""The machine that is measured on, and what a process or thread uses of it.

Figures mean little without the machine, so every result carries it. CPU time is read from the kernel's own accounts:
on a machine with other work it is far steadier than the clock on the wall.
"""

import importlib.metadata
import os
import platform
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_PACKAGES: Final = ("numpy", "numba", "scipy", "confluent-kafka", "faust-streaming", "fastavro", "msgspec")
_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
#: Fields of ``/proc/PID/stat`` after the program's name: user and system time in ticks.
_USER, _SYSTEM = 11, 12


def describe_machine() -> dict[str, Any]:
    """Return the machine and the versions that decide its speed, ready for JSON."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "usable_cores": len(usable_cores()),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_average": [round(value, 2) for value in os.getloadavg()],
        **{name: importlib.metadata.version(name) for name in _PACKAGES},
    }


def _cpu_model() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    return found[1].strip() if found else platform.machine()


@dataclass(frozen=True, slots=True)
class Cores:
    """Who runs where: the process that is measured on one core, everything else on the others.

    Parameters
    ----------
    measured : frozenset of int
        The core of what is measured; all cores where there is only one.
    others : frozenset of int
        The cores of broker, database and load generator.
    """

    measured: frozenset[int]
    others: frozenset[int]

    @classmethod
    def share(cls) -> "Cores":
        """Return the last usable core for what is measured and the rest for everything else."""
        usable = sorted(usable_cores())
        if len(usable) == 1:
            return cls(frozenset(usable), frozenset(usable))
        return cls(frozenset(usable[-1:]), frozenset(usable[:-1]))


def usable_cores() -> frozenset[int]:
    """Return the cores that this process may use."""
    return frozenset(os.sched_getaffinity(0))


@contextmanager
def pinned(cores: frozenset[int]) -> Iterator[None]:
    """Keep this thread, and the threads and processes it starts, on `cores`."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def pin_process(pid: int, cores: frozenset[int]) -> None:
    """Move every thread of a running process to `cores`; those it starts later inherit that."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            os.sched_setaffinity(int(task.name), cores)
        except ProcessLookupError:  # a thread that has just ended
            continue


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU time of a process (s) in total and by thread (``main`` or its name), and its resident memory (MiB)."""

    cpu_s: float
    threads_s: dict[str, float]
    rss_mb: float

    @classmethod
    def of(cls, pid: int) -> "Usage":
        """Return what the process has used since its start.

        Raises
        ------
        FileNotFoundError
            If there is no such process.
        """
        process = Path(f"/proc/{pid}")
        threads_s: dict[str, float] = {}
        for task in (process / "task").iterdir():
            try:
                name, cpu_s = _stat(task / "stat")
                name = "main" if task.name == process.name else name
            except (FileNotFoundError, ProcessLookupError):  # a thread that has just ended
                continue
            threads_s[name] = threads_s.get(name, 0.0) + cpu_s
        pages = int((process / "statm").read_text(encoding="ascii").split()[1])
        return cls(_stat(process / "stat")[1], threads_s, pages * os.sysconf("SC_PAGE_SIZE") / 2**20)

    @classmethod
    def total(cls, parts: Iterable["Usage"]) -> "Usage":
        """Return what several processes have used together."""
        cpu_s, rss_mb = 0.0, 0.0
        threads_s: dict[str, float] = {}
        for part in parts:
            cpu_s, rss_mb = cpu_s + part.cpu_s, rss_mb + part.rss_mb
            for name, used_s in part.threads_s.items():
                threads_s[name] = threads_s.get(name, 0.0) + used_s
        return cls(cpu_s, threads_s, rss_mb)

    def since(self, earlier: "Usage") -> "Usage":
        """Return what was used after `earlier`; memory as it is now."""
        threads_s = {name: cpu_s - earlier.threads_s.get(name, 0.0) for name, cpu_s in self.threads_s.items()}
        return Usage(self.cpu_s - earlier.cpu_s, threads_s, self.rss_mb)


def open_descriptors(pid: int) -> int:
    """Return how many file descriptors a process has open.

    Raises
    ------
    FileNotFoundError
        If there is no such process.
    """
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def _stat(path: Path) -> tuple[str, float]:
    """Return name and CPU time of a process or thread; the name stands in parentheses and may hold blanks."""
    text = path.read_text(encoding="utf-8", errors="replace")
    name = text[text.index("(") + 1 : text.rindex(")")]
    fields = text[text.rindex(")") + 2 :].split()
    return name, (int(fields[_USER]) + int(fields[_SYSTEM])) / _TICKS_PER_S
