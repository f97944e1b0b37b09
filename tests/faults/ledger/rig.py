"""The product as the ledger test runs it: services, two workers behind a proxy, a sender with a ledger."""

import asyncio
import hashlib
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from confluent_kafka import KafkaError, Message, Producer

from adapters.kafka import KafkaSink, ensure_topics
from adapters.timescale import AssetRegistry, Database, migrate
from contracts import topics
from contracts.assets import AssetConfiguration, Site
from contracts.codec import BundledSchemas, Codec
from runtime.activate import activate
from runtime.clock import SystemClock
from runtime.services.local import LocalServices, ServiceStatus, Urls
from runtime.services.processes import ChildProcess, ProcessSpec
from runtime.settings import PROJECT, Settings, child_environment
from tests.faults.ledger.load import Sending
from tests.faults.ledger.proxy import CuttingProxy

PARTITIONS: Final = 4
WORKERS: Final = ("worker-1", "worker-2")
_WATCH_S: Final = 0.2
_DELIVERY_S: Final = 240_000


@dataclass(slots=True)
class Rig:
    """Everything under test; a context manager.

    Parameters
    ----------
    folder : Path
        Data of this run.
    report : callable
        Told one line per event.
    """

    folder: Path
    report: Callable[[str], None]
    codec: Codec = field(default_factory=lambda: Codec(BundledSchemas()))
    urls: Urls = field(init=False)
    services: LocalServices = field(init=False)
    proxy: CuttingProxy = field(init=False)
    restarts: Counter[str] = field(default_factory=Counter)
    _settings: Settings = field(init=False)
    _workers: dict[str, ChildProcess] = field(default_factory=dict)
    _ending: threading.Event = field(default_factory=threading.Event)
    _guard: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self._settings = Settings(data_dir=self.folder, kafka_url=None, database_url=None, partitions=PARTITIONS)
        self.services = LocalServices(self.folder, self._settings, self._said)

    def start(self, site: Site, assets: tuple[AssetConfiguration, ...]) -> None:
        """Start services and workers; return once every worker owns partitions."""
        self.urls = self.services.start()
        port = urlsplit(self.urls.database).port
        if port is None:
            raise ValueError(f"the database's URL names no port: {urlsplit(self.urls.database).hostname}")
        self.proxy = CuttingProxy(port)
        asyncio.run(self._prepare(site, assets))
        for name in WORKERS:
            self._workers[name] = self.services.supervisor.start(self._spec(name))
        for child in self._workers.values():
            child.await_ready()
        self._guard = threading.Thread(target=self._revive, name="guard", daemon=True)
        self._guard.start()

    async def _prepare(self, site: Site, assets: tuple[AssetConfiguration, ...]) -> None:
        await asyncio.to_thread(ensure_topics, self.urls.kafka, PARTITIONS)
        await migrate(self.urls.database)
        async with Database(self.urls.database) as database:
            registry = AssetRegistry(database)
            await registry.import_assets([site], assets, [], "ledger")
            await activate(registry, KafkaSink(self.urls.kafka, self.codec), SystemClock(), "ledger")

    def _spec(self, name: str) -> ProcessSpec:
        ready = self.services.folder.run / f"{name}.ready"
        parts = urlsplit(self.urls.database)
        by_proxy = parts.netloc.rsplit(":", 1)[0] + f":{self.proxy.port}"
        environment = child_environment(
            {
                "FAULTLINE_KAFKA_URL": self.urls.kafka,
                "FAULTLINE_DATABASE_URL": urlunsplit(parts._replace(netloc=by_proxy)),
                "FAULTLINE_PARTITIONS": str(PARTITIONS),
            },
            self._settings,
        )
        return ProcessSpec(
            name=name,
            argv=(sys.executable, "-m", "runtime", "worker", "--ready-file", str(ready)),
            log_file=self.services.folder.logs / f"{name}.log",
            ready=ready.exists,
            cwd=PROJECT,
            environment=environment,
            start_deadline_s=180.0,
            stop_deadline_s=30.0,
        )

    def worker(self, name: str) -> ChildProcess:
        """Return the process that is this worker now."""
        return self._workers[name]

    @contextmanager
    def another_worker(self) -> Iterator[None]:
        """Have one more worker, which is stopped in an orderly way at the end."""
        child = self.services.supervisor.start(self._spec("worker-3"))
        try:
            yield
        finally:
            self.services.supervisor.stop_child(child)

    def service(self, name: str) -> ChildProcess:
        """Return the newest process of a service (``kafka``, ``postgres``)."""
        return next(child for child in reversed(self.services.supervisor.children) if child.spec.name == name)

    def restart_service(self, name: str) -> None:
        """Start a service again that was killed or stopped, and wait until it serves."""
        self.services.supervisor.start(self.service(name).spec).await_ready()

    def _revive(self) -> None:
        """Start workers again that have ended, as an init system would."""
        while not self._ending.wait(_WATCH_S):
            for name, child in list(self._workers.items()):
                if child.returncode is not None and not self._ending.is_set():
                    self.restarts[name] += 1
                    self.report(f"{name} ended with {child.returncode}: started again")
                    self._workers[name] = self.services.supervisor.start(child.spec)

    def stop_workers(self) -> list[float]:
        """Stop the workers in an orderly way; return how long each took, s."""
        self._ending.set()
        self._guard.join()
        took = []
        for name in WORKERS:
            began_s = time.monotonic()
            child = self._workers[name]
            if child.returncode is None:
                self.services.supervisor.stop_child(child)
            took.append(time.monotonic() - began_s)
        return took

    def stop(self) -> None:
        """Stop everything."""
        self._ending.set()
        self.services.stop()
        if hasattr(self, "proxy"):
            self.proxy.close()

    def _said(self, status: ServiceStatus) -> None:
        self.report(str(status))


@dataclass(slots=True)
class Ledger:
    """What was sent, and what the broker acknowledged."""

    sent: int = 0
    poison: int = 0
    acknowledged: Counter[tuple[str, str, str, int]] = field(default_factory=Counter)
    digests: dict[tuple[str, str, str, int], str] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    last_offsets: dict[int, int] = field(default_factory=dict)

    def send_all(self, kafka_url: str, load: list[Sending], progress: Callable[[float], None]) -> None:
        """Send the load at its pace; return once the broker has acknowledged everything or given up."""
        producer = Producer(
            {
                "bootstrap.servers": kafka_url,
                "enable.idempotence": True,
                "acks": "all",
                "linger.ms": 5,
                "partitioner": "murmur2_random",
                "delivery.timeout.ms": _DELIVERY_S,
                "reconnect.backoff.max.ms": 1_000,
                "log_level": 0,
            }
        )
        began_s = time.monotonic()
        for sending in load:
            while (wait_s := began_s + sending.at_s - time.monotonic()) > 0:
                producer.poll(min(wait_s, 0.1))
            producer.produce(topics.MEASUREMENTS, sending.value, sending.key, on_delivery=self._settled(sending))
            self.sent += 1
            progress(sending.at_s)
        producer.flush(_DELIVERY_S / 1e3)

    def _settled(self, sending: Sending) -> Callable[[KafkaError | None, Message], None]:
        def settle(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                self.failed.append(error.str())
                return
            partition, offset = message.partition(), message.offset()
            if partition is not None and offset is not None:
                self.last_offsets[partition] = max(offset, self.last_offsets.get(partition, -1))
            if sending.identity is None:
                self.poison += 1
                return
            self.acknowledged[sending.identity] += 1
            self.digests[sending.identity] = hashlib.sha256(sending.value).hexdigest()

        return settle


def digest(value: bytes | None) -> str:
    """Return the SHA-256 of a value on the log."""
    return hashlib.sha256(value or b"").hexdigest()
