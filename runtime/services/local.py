"""All local services together: started side by side, waited for, stopped in reverse order.

Invariants: a part whose URL is set is left alone; what this starts it stops, on any way out; of two processes that want
the same folder the second is told so; the search engine is waited for by nobody, and its failure is no failure here.
"""

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Protocol

from contracts.errors import FaultlineError, Unavailable
from runtime.programs import find_java
from runtime.services.folder import ProjectFolder
from runtime.services.jars import JarCache
from runtime.services.kafka import Kafka
from runtime.services.opensearch import OpenSearch
from runtime.services.postgres import Postgres
from runtime.services.processes import ChildProcess, ProcessSpec, Supervisor
from runtime.settings import Settings


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """What happened to a part.

    Parameters
    ----------
    name : str
        Which part.
    state : str
        ``fetching``, ``cleared`` (a leftover process), ``note``, ``ready``, ``external`` (its URL is set), ``failed``,
        ``stopped``, ``killed``.
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
    """Where the services are: Kafka's bootstrap servers, the database's URL (with its password), OpenSearch's URL.

    ``search`` is ``None`` where there is to be none; it is known before OpenSearch serves.
    """

    kafka: str
    database: str = field(repr=False)
    search: str | None = field(default=None, repr=False)


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
    """Kafka and PostgreSQL, and OpenSearch where wanted, in one folder; a context manager that gives their URLs.

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
    search : bool
        Whether there is to be an OpenSearch; it starts beside what comes after it.

    Attributes
    ----------
    search_ready : concurrent.futures.Future
        OpenSearch's URL once it serves, or why it doesn't; cancelled where there is none, or at the end.
    stopping : threading.Event
        Set once everything is to end.
    """

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        report: Callable[[ServiceStatus], None],
        *,
        postgres_options: Mapping[str, str] | None = None,
        search: bool = False,
    ) -> None:
        self.folder = ProjectFolder(folder)
        self.supervisor = Supervisor(self.folder.run)
        self._settings = settings
        self._report = report
        self._cache = JarCache(settings.cache_dir)
        self._postgres_options = postgres_options or {}
        self._search = search
        self.search_ready: Future[str] = Future()
        self.stopping = threading.Event()
        self._starting = threading.Lock()
        self._searching: threading.Thread | None = None
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
        self.stopping.set()
        self.search_ready.cancel()
        names = [child.spec.name for child in reversed(self.supervisor.children)]
        with self._starting:
            unclean = {child.spec.name: child.returncode for child in self.supervisor.stop()}
        if self._searching is not None:
            self._searching.join()
        self._held.close()
        for name in names:
            if name in unclean:
                self._report(ServiceStatus(name, "killed", detail=f"exit status {unclean[name]}"))
            else:
                self._report(ServiceStatus(name, "stopped"))

    def start_beside(self, spec: ProcessSpec) -> ChildProcess:
        """Start a child from another thread; nothing is started any more once the end has begun.

        Raises
        ------
        Unavailable
            The end has begun, or the program can't be started.
        """
        with self._starting:
            if self.stopping.is_set():
                raise Unavailable(spec.name, "everything is being stopped")
            return self.supervisor.start(spec)

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
        return Urls(kafka=urls["kafka"], database=urls["postgres"], search=self._begin_search())

    def _begin_search(self) -> str | None:
        """Return where OpenSearch is or will be; it is brought up by a thread of its own."""
        if not self._search:
            self.search_ready.cancel()
            return None
        if self._settings.opensearch_url is not None:
            self._report(ServiceStatus("opensearch", "external"))
            self.search_ready.set_result(self._settings.opensearch_url)
            return self._settings.opensearch_url
        service = OpenSearch(self.folder, self._cache, find_java(self._settings))
        self._searching = threading.Thread(target=self._bring_up_search, args=(service,), name="search", daemon=True)
        self._searching.start()
        return service.url

    def _bring_up_search(self, service: OpenSearch) -> None:
        try:
            self._cache.fetch(
                lambda: self._report(ServiceStatus(service.name, "fetching", detail="from Maven Central, once")),
                "search",
                self.stopping,
            )
            self._bring_up(service, self.start_beside)
        except (FaultlineError, OSError) as error:
            if not self.stopping.is_set():
                self._report(ServiceStatus(service.name, "failed", detail=f"{error}; the assistant goes on without it"))
            told = error if isinstance(error, FaultlineError) else Unavailable(service.name, str(error))
            if self.search_ready.set_running_or_notify_cancel():
                self.search_ready.set_exception(told)
            return
        if self.search_ready.set_running_or_notify_cancel():
            self.search_ready.set_result(service.url)

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

    def _bring_up(self, service: Service, start: Callable[[ProcessSpec], ChildProcess] | None = None) -> str:
        start_s = time.monotonic()
        spec = service.prepare(lambda text: self._report(ServiceStatus(service.name, "note", detail=text)))
        (start or self.supervisor.start)(spec).await_ready()
        service.finish()
        self._report(ServiceStatus(service.name, "ready", time.monotonic() - start_s, service.address))
        return service.url
