"""All local services together: started side by side, waited for, stopped in reverse order.

Invariants: a part whose URL is set is left alone; what this starts it stops, on any way out; of two processes that want
the same folder the second is told so.
"""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Protocol

from runtime.programs import find_java
from runtime.services.folder import ProjectFolder
from runtime.services.jars import JarCache
from runtime.services.kafka import Kafka
from runtime.services.postgres import Postgres
from runtime.services.processes import ProcessSpec, Supervisor
from runtime.settings import Settings


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """What happened to a part.

    Parameters
    ----------
    name : str
        Which part.
    state : str
        ``fetching``, ``cleared`` (a leftover process), ``note``, ``ready``, ``external`` (its URL is set), ``stopped``,
        ``killed``.
    elapsed_s : float, optional
        How long it took to be ready.
    detail : str
        Address or explanation; never a secret.
    """

    name: str
    state: str
    elapsed_s: float | None = None
    detail: str = ""

    def __str__(self) -> str:
        """Return the line for a person.

        Examples
        --------
        >>> str(ServiceStatus("kafka", "ready", 2.94, "127.0.0.1:29092"))
        'kafka      ready      2.9 s   127.0.0.1:29092'
        """
        elapsed = "" if self.elapsed_s is None else f"{self.elapsed_s:.1f} s"
        return f"{self.name:<10} {self.state:<8} {elapsed:>7}   {self.detail}".rstrip()


@dataclass(frozen=True, slots=True)
class Urls:
    """Where the services are: Kafka's bootstrap servers and the database's URL (with its password)."""

    kafka: str
    database: str = field(repr=False)


class Service(Protocol):
    """A local service, as ``LocalServices`` sees it."""

    name: str

    @property
    def url(self) -> str:
        """How a client reaches it; known once it is prepared."""

    @property
    def address(self) -> str:
        """Host and port, for people."""

    def prepare(self, note: Callable[[str], None]) -> ProcessSpec:
        """Get everything ready but the process; may take seconds."""

    def finish(self) -> None:
        """Do what needs the running service."""


class LocalServices:
    """Kafka and PostgreSQL in one folder; a context manager that gives their URLs.

    Parameters
    ----------
    folder : Path
        The project folder: data, logs, pid files, ports.
    settings : Settings
        Whose URLs say what not to start.
    report : Callable[[ServiceStatus], None]
        Told each step; called from several threads.
    postgres_options : Mapping[str, str], optional
        Server settings, e.g. ``{"fsync": "off"}`` for tests.
    """

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        report: Callable[[ServiceStatus], None],
        *,
        postgres_options: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = ProjectFolder(folder)
        self.supervisor = Supervisor(self.folder.run)
        self._settings = settings
        self._report = report
        self._cache = JarCache(settings.cache_dir)
        self._postgres_options = postgres_options or {}
        self._held = ExitStack()

    def __enter__(self) -> Urls:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> Urls:
        """Start what no URL points to, and return once everything serves.

        Returns
        -------
        urls : Urls

        Raises
        ------
        ConfigurationError
            The folder is another process's, or a program is missing.
        Unavailable
            A service doesn't come up; the message ends with its last log lines. Everything is stopped again.
        """
        self._held.enter_context(self.folder)
        try:
            return self._start()
        except BaseException:  # also Ctrl-C: nothing may stay behind
            self.stop()
            raise

    def stop(self) -> None:
        """Stop what was started (with the supervisor's other children), newest first, and free the folder."""
        names = [child.spec.name for child in reversed(self.supervisor.children)]
        unclean = {child.spec.name: child.returncode for child in self.supervisor.stop()}
        self._held.close()
        for name in names:
            if name in unclean:
                self._report(ServiceStatus(name, "killed", detail=f"exit status {unclean[name]}"))
            else:
                self._report(ServiceStatus(name, "stopped"))

    def _start(self) -> Urls:
        for name in self.supervisor.clear_stale():
            self._report(ServiceStatus(name, "cleared", detail="left over from a run that was killed"))
        external = {"kafka": self._settings.kafka_url, "postgres": self._settings.database_url}
        services = self._wanted(external)
        urls = {name: url for name, url in external.items() if url is not None}
        for name in urls:
            self._report(ServiceStatus(name, "external"))
        if services:
            self._cache.fetch(
                lambda: self._report(ServiceStatus("jars", "fetching", detail="from Maven Central, once"))
            )
            urls |= self._bring_up_all(services)
        return Urls(kafka=urls["kafka"], database=urls["postgres"])

    def _wanted(self, external: Mapping[str, str | None]) -> list[Service]:
        wanted: list[Service] = []
        if external["postgres"] is None:
            wanted.append(Postgres(self.folder, self._cache, self._postgres_options))
        if external["kafka"] is None:
            wanted.append(Kafka(self.folder, self._cache, find_java(self._settings)))
        return wanted

    def _bring_up_all(self, services: list[Service]) -> dict[str, str]:
        """Bring services up side by side; stop all as soon as one fails or the person gives up."""
        with ThreadPoolExecutor(len(services)) as pool:
            started = {pool.submit(self._bring_up, service): service.name for service in services}
            try:
                return {started[future]: future.result() for future in as_completed(started)}
            except BaseException:
                self.supervisor.stop()  # now, or the pool would wait for the others to be ready
                raise

    def _bring_up(self, service: Service) -> str:
        start_s = time.monotonic()
        spec = service.prepare(lambda text: self._report(ServiceStatus(service.name, "note", detail=text)))
        self.supervisor.start(spec).await_ready()
        service.finish()
        self._report(ServiceStatus(service.name, "ready", time.monotonic() - start_s, service.address))
        return service.url
