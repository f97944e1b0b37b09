"""One stream worker on a core of its own, over services of its own: what the benchmark measures.

Invariants: nothing of the project's data is touched; services, worker and data are gone at the end, whatever happened.
"""

import asyncio
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from adapters.kafka import KafkaSink, ensure_topics
from adapters.timescale import AssetRegistry, Database, migrate
from contracts.assets import AssetConfiguration, Site
from loadtests.machine import Cores, Usage, pin_process, pinned
from runtime.activate import activate
from runtime.clock import SystemClock
from runtime.registry import codec_for
from runtime.services.local import LocalServices, ServiceStatus, Urls
from runtime.services.places import outside_of
from runtime.services.processes import ChildProcess, ProcessSpec
from runtime.settings import PROJECT, Settings, child_environment

_STOP_S: Final = 20.0


@dataclass(slots=True)
class MeasuredStack:
    """Services of its own, and the worker once it is started; made by `measured_stack`."""

    settings: Settings
    services: LocalServices
    urls: Urls
    cores: Cores
    _worker: ChildProcess | None = None

    def prepare(self, site: Site, assets: Sequence[AssetConfiguration]) -> None:
        """Make topics and tables, and put the assets' configurations on the log."""
        asyncio.run(self._prepare(site, assets))

    async def _prepare(self, site: Site, assets: Sequence[AssetConfiguration]) -> None:
        await asyncio.to_thread(ensure_topics, self.urls.kafka, self.settings.partitions)
        await migrate(self.urls.database)
        async with Database(self.urls.database) as database:
            registry = AssetRegistry(database)
            await registry.import_assets([site], assets, [], "bench")
            sink = KafkaSink(self.urls.kafka, codec_for(self.settings))
            await activate(registry, sink, SystemClock(), "bench")

    def start_worker(self) -> None:
        """Start the worker on its core; return once it has joined."""
        ready = self.services.folder.run / "worker.ready"
        urls = {"FAULTLINE_KAFKA_URL": self.urls.kafka, "FAULTLINE_DATABASE_URL": self.urls.database}
        environment = child_environment(urls, self.settings)
        spec = ProcessSpec(
            name="worker",
            argv=(sys.executable, "-m", "runtime", "worker", "--ready-file", str(ready)),
            log_file=self.services.folder.logs / "worker.log",
            ready=ready.exists,
            cwd=PROJECT,
            environment=environment,
            stop_deadline_s=_STOP_S,
        )
        self._worker = self.services.supervisor.start(spec)
        pin_process(self._worker.pid, self.cores.measured)
        self._worker.await_ready()

    def usage(self) -> Usage:
        """Return what the worker has used so far."""
        return Usage.of(0 if self._worker is None else self._worker.pid)

    @property
    def ended(self) -> bool:
        """Whether the worker has ended by itself."""
        return self._worker is not None and self._worker.returncode is not None

    def last_words(self) -> str:
        """Return the end of the worker's log."""
        return "" if self._worker is None else self._worker.last_words()


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
