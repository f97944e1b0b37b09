"""Stream workers on cores of their own, over services of their own: what the benchmarks measure.

Invariants: nothing of the project's data is touched; services, workers and data are gone at the end, whatever happened.
"""

import asyncio
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from adapters.kafka import KafkaSink, ensure_topics
from adapters.timescale import AssetRegistry, Database, migrate
from contracts.assets import AssetConfiguration, Site
from contracts.errors import Unavailable
from contracts.topics import CONDITIONS, MEASUREMENTS
from loadtests.log import keep_everything
from loadtests.machine import Cores, Usage, open_descriptors, pin_process, pinned
from runtime.activate import activate
from runtime.clock import SystemClock
from runtime.registry import codec_for
from runtime.services.local import LocalServices, ServiceStatus, Urls
from runtime.services.places import outside_of
from runtime.services.processes import ChildProcess, ProcessSpec
from runtime.settings import PROJECT, Settings, child_environment

_STOP_S: Final = 20.0
_WAIT_S: Final = 0.2
#: A worker that was killed is followed by one that owns everything within so long, s.
_CRASH_S: Final = 60.0
#: Every one of several workers owns partitions within so long, s.
_JOIN_S: Final = 60.0
_LOOK_S: Final = 0.02


@dataclass(slots=True)
class MeasuredStack:
    """Services of its own, and the workers once they are started; made by `measured_stack`."""

    settings: Settings
    services: LocalServices
    urls: Urls
    cores: Cores
    _workers: list[ChildProcess] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        """Environment of the workers."""
        urls = {"FAULTLINE_KAFKA_URL": self.urls.kafka, "FAULTLINE_DATABASE_URL": self.urls.database}
        return child_environment(urls, self.settings)

    def prepare(self, site: Site, assets: Sequence[AssetConfiguration]) -> None:
        """Make topics and tables, and put the assets' configurations on the log."""
        asyncio.run(self._prepare(site, assets))

    async def _prepare(self, site: Site, assets: Sequence[AssetConfiguration]) -> None:
        await asyncio.to_thread(ensure_topics, self.urls.kafka, self.settings.partitions)
        keep_everything(self.urls.kafka)
        await migrate(self.urls.database)
        async with Database(self.urls.database) as database:
            registry = AssetRegistry(database)
            await registry.import_assets([site], assets, [], "bench")
            sink = KafkaSink(self.urls.kafka, codec_for(self.settings))
            await activate(registry, sink, SystemClock(), "bench")

    def start_worker(self) -> None:
        """Start the worker on its core; return once it has joined."""
        self.start_workers([self.cores.measured])

    def start_workers(self, cores: Sequence[frozenset[int]]) -> None:
        """Start a worker on each of `cores`, side by side; return once each owns partitions of ``measurements``.

        Raises
        ------
        Unavailable
            If one of them owns none within a minute, or ends.
        """
        for number, core in enumerate(cores):
            name = f"worker-{number}" if number else "worker"
            ready = self.services.folder.run / f"{name}.ready"
            ready.unlink(missing_ok=True)
            spec = ProcessSpec(
                name=name,
                argv=(sys.executable, "-m", "runtime", "worker", "--ready-file", str(ready)),
                log_file=self.services.folder.logs / f"{name}.log",
                ready=ready.exists,
                cwd=PROJECT,
                environment=self.environment,
                stop_deadline_s=_STOP_S,
            )
            worker = self.services.supervisor.start(spec)
            self._workers.append(worker)
            pin_process(worker.pid, core)
        for worker in self._workers:
            worker.await_ready()
        # a worker that joins others is ready before they have given anything up
        deadline_s = time.monotonic() + _JOIN_S
        while not all(map(_claims, self._workers)):
            if self.ended or time.monotonic() > deadline_s:
                raise Unavailable("worker", f"not every one of {len(cores)} owns partitions; {self.last_words()}")
            time.sleep(_LOOK_S)

    def stop_workers(self) -> None:
        """Stop the workers after a last checkpoint."""
        while self._workers:
            self.services.supervisor.stop_child(self._workers.pop())

    def crash_worker(self) -> tuple[float, float]:
        """Kill the worker and start another at once, as an init system would.

        Returns
        -------
        crash_s : float
            From the kill until the new worker owned every partition with the state of all its assets, s.
        restore_s : float
            Of that, how long taking the partitions with their states took, s.

        Raises
        ------
        Unavailable
            If it doesn't within a minute.
        """
        killed = self._workers.pop()
        began_s = time.monotonic()
        os.kill(killed.pid, signal.SIGKILL)
        self.services.supervisor.stop_child(killed)
        self.start_worker()
        while len(claims := _claims(self._workers[-1])) < self.settings.partitions:
            if self.ended or time.monotonic() - began_s > _CRASH_S:
                raise Unavailable("worker", f"{len(claims)} of {self.settings.partitions} partitions owned again")
            time.sleep(_LOOK_S)
        return time.monotonic() - began_s, sum(claims)

    def count_assessments(self) -> int:
        """Return how many windows the database holds."""
        return asyncio.run(self._count_assessments())

    async def _count_assessments(self) -> int:
        async with Database(self.urls.database) as database:
            (row,) = await database.rows("SELECT count(*) AS stored FROM assessment")
            return int(row["stored"])

    def await_alarm_agent(self, timeout_s: float = _STOP_S) -> None:
        """Return once every partition of ``conditions`` has an owner: Faust assigns them after the lane has joined.

        Raises
        ------
        Unavailable
            If they haven't within `timeout_s`.
        """
        deadline_s = time.monotonic() + timeout_s
        while (owned := asyncio.run(self._count_owned())) < self.settings.partitions:
            if time.monotonic() > deadline_s:
                raise Unavailable("worker", f"{owned} of {self.settings.partitions} partitions of {CONDITIONS} owned")
            time.sleep(_WAIT_S)

    async def _count_owned(self) -> int:
        async with Database(self.urls.database) as database:
            (row,) = await database.rows(
                "SELECT count(*) AS owned FROM partition_owner WHERE topic = %(topic)s", topic=CONDITIONS
            )
            return int(row["owned"])

    def usage(self) -> Usage:
        """Return what the workers have used so far, all together."""
        return Usage.total([Usage.of(worker.pid) for worker in self._workers])

    def descriptors(self) -> int:
        """Return how many file descriptors the workers have open, all together."""
        return sum(open_descriptors(worker.pid) for worker in self._workers)

    @contextmanager
    def watched(self, look: Callable[[], None], every_s: float) -> Iterator[None]:
        """Have a thread look every so many seconds, until the block or a worker ends."""
        over = threading.Event()

        def run() -> None:
            while not over.wait(every_s) and not self.ended:
                look()

        thread = threading.Thread(target=run, name="observer", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    @property
    def ended(self) -> bool:
        """Whether a worker has ended by itself."""
        return any(worker.returncode is not None for worker in self._workers)

    def last_words(self) -> str:
        """Return the end of the workers' logs."""
        return "; ".join(worker.last_words() for worker in self._workers)


def read_log(log_file: Path, start: int = 0) -> list[dict[str, Any]]:
    """Return what a worker's log tells from byte `start` on, an entry for each whole line."""
    *lines, _unfinished = log_file.read_bytes()[start:].split(b"\n")
    return [msgspec.json.decode(line) for line in lines if line.startswith(b"{")]


def _claims(worker: ChildProcess) -> list[float]:
    """Return how long each taking of a partition of ``measurements`` took, as the worker's log tells it, s."""
    told = read_log(worker.spec.log_file, worker.log_start)
    return [one["took_s"] for one in told if one["event"] == "claimed_partition" and one["topic"] == MEASUREMENTS]


@contextmanager
def measured_stack(
    settings: Settings, cores: Cores, report: Callable[[ServiceStatus], None]
) -> Iterator[MeasuredStack]:
    """Start services in a temporary folder; stop them, and remove it, at the end.

    Parameters
    ----------
    settings : Settings
        Of this process; URLs and data folder are left out.
    cores : Cores
        Where the worker and everything else run.
    report : callable
        Told one line per part.
    """
    folder = Path(tempfile.mkdtemp(prefix="faultline-bench-"))
    folder.chmod(0o755)  # ours alone; PostgreSQL's user has to enter it
    own = settings.model_copy(
        update={"kafka_url": None, "database_url": None, "registry_url": None, "data_dir": folder}
    )
    try:
        with pinned(cores.others):
            services = LocalServices(folder, own, report)
            with services as urls:
                yield MeasuredStack(own, services, urls, cores)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(outside_of(folder), ignore_errors=True)
