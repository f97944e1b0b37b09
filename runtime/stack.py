"""The whole product on one machine: services, schema, topics, assets, and our own processes.

Invariants: everything that is started belongs to one supervisor, which stops it in reverse order; a start after a crash
finds what was left and goes on from there.
"""

import asyncio
import base64
import json
import secrets
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx

from contracts.assets import AssetConfiguration, Site
from contracts.errors import Unavailable
from contracts.ports import Endpoint
from runtime.demo import HEALTHY_ASSET
from runtime.preparation import prepare_services
from runtime.services.local import LocalServices, ServiceStatus, Urls
from runtime.services.mosquitto import Mosquitto, find_mosquitto
from runtime.services.processes import ChildProcess, ProcessSpec
from runtime.settings import PROJECT, Settings, child_environment

_KEY_FILE: Final = "webhook.key"
_KEY_BYTES: Final = 32
_DEMO_ENDPOINT: Final = "local-receiver"
_DOCUMENTS: Final = PROJECT / "docs" / "demo"
_PROBE_S: Final = 1.0
#: A worker compiles its kernels the first time, on a machine that may be busy.
_START_S: Final = 180.0

Report = Callable[[ServiceStatus], None]


@dataclass(slots=True)
class Stack:
    """Start and stop everything; made for one run.

    Parameters
    ----------
    settings : Settings
        What to use and what to start.
    report : callable
        Told one line per part.
    search : bool
        Whether the assistant gets documents to search: then OpenSearch starts beside everything else.
    """

    settings: Settings
    report: Report
    search: bool = True
    services: LocalServices = field(init=False)
    urls: Urls = field(init=False)
    webhook_secret: str = field(init=False, repr=False)
    mqtt_url: str | None = field(init=False, repr=False, default=None)
    _children: dict[str, ChildProcess] = field(default_factory=dict)
    _indexing: ChildProcess | None = None

    def __post_init__(self) -> None:
        self.services = LocalServices(self.settings.data_dir, self.settings, self.report, search=self.search)

    def start(self, site: Site, assets: tuple[AssetConfiguration, ...]) -> None:
        """Start services and processes; return once the stream and the API serve."""
        self.urls = self.services.start()
        self.webhook_secret = self._secret()
        receiver = Endpoint(_DEMO_ENDPOINT, f"{self.receiver_url}/alarms", (self.webhook_secret,))
        asyncio.run(
            prepare_services(self.settings, self.urls, "demo", sites=[site], assets=assets, endpoints=[receiver])
        )
        self.mqtt_url = self._begin_mqtt()
        specs = [self._worker(), self._api(), self._receiver(), self._notify()]
        if self.mqtt_url is not None:
            specs.append(self._forwarder(self.mqtt_url, site.site_id))
        with ThreadPoolExecutor(len(specs)) as pool:
            list(pool.map(self._launch, specs))
        self.services.search_ready.add_done_callback(self._begin_indexing)

    def start_source(self, speed: str) -> None:
        """Start streaming the default scenario."""
        more = {} if self.mqtt_url is None else {"FAULTLINE_MQTT_URL": self.mqtt_url}
        self._launch(self._ours("source", ("--speed", speed), lambda: True, more))

    def stop(self) -> None:
        """Stop everything, newest first: the source before the worker, so that nothing is left half read."""
        self.services.stop()

    def failed(self) -> str | None:
        """Return the last words of a process that ended by itself, if one has."""
        for name, child in self._children.items():
            if child.returncode is not None:
                return f"{name} ended with {child.returncode}; {child.last_words()}"
        return None

    def revive(self) -> None:
        """Start processes that ended by themselves again: they go on from their last checkpoint."""
        if self._indexing is not None and self._indexing.returncode is not None:
            state = "failed" if self._indexing.returncode else "ready"
            self.report(ServiceStatus("documents", state, detail=self._indexing.last_words()))
            self._indexing = None
        for name, child in list(self._children.items()):
            if child.returncode is not None and name != "source":
                self.report(ServiceStatus(name, "restart", detail=child.last_words()))
                self._children[name] = self.services.supervisor.start(child.spec)

    @property
    def api_url(self) -> str:
        """Where the API listens."""
        return f"http://{self.settings.api_host}:{self._port('api')}"

    @property
    def receiver_url(self) -> str:
        """Where the local webhook receiver listens."""
        return f"http://127.0.0.1:{self._port('receiver')}"

    def _port(self, name: str) -> int:
        if name == "api" and self.settings.api_port:
            return self.settings.api_port
        return self.services.folder.port(name)

    # --- processes ----------------------------------------------------------------------------------------------------

    def _begin_mqtt(self) -> str | None:
        """Return where the MQTT broker is, None where there is none: then every asset streams straight to Kafka."""
        if self.settings.mqtt_url is not None:
            self.report(ServiceStatus("mosquitto", "external"))
            return self.settings.mqtt_url
        program = find_mosquitto()
        if program is None:
            missing = f"not installed (Debian: apt-get install mosquitto); {HEALTHY_ASSET} streams straight to Kafka"
            self.report(ServiceStatus("mosquitto", "note", detail=missing))
            return None
        service = Mosquitto(self.services.folder, program)
        self._launch(service.prepare(lambda _text: None))
        return service.url

    def _forwarder(self, mqtt_url: str, site_id: str) -> ProcessSpec:
        status = self.settings.data_dir.absolute() / "forwarder" / "status.json"
        status.unlink(missing_ok=True)
        more = {"FAULTLINE_MQTT_URL": mqtt_url}
        return self._ours("forwarder", ("--site", site_id), lambda: _takes_records(status), more)

    def _worker(self) -> ProcessSpec:
        ready = self.services.folder.run / "worker.ready"
        ready.unlink(missing_ok=True)
        return self._ours("worker", ("--ready-file", str(ready)), ready.exists, stop_s=20.0)

    def _api(self) -> ProcessSpec:
        return self._ours("api", ("--port", str(self._port("api"))), lambda: _answers(f"{self.api_url}/healthz"))

    def _begin_indexing(self, search: Future[str]) -> None:
        """Let the demo's documents be indexed once OpenSearch serves; nothing waits for that."""
        if search.cancelled() or search.exception() is not None:
            return
        with suppress(Unavailable):  # everything is being stopped
            self._indexing = self.services.start_beside(self._ours("index", (str(_DOCUMENTS),), lambda: True))

    def _receiver(self) -> ProcessSpec:
        return self._ours(
            "receiver",
            ("--port", str(self._port("receiver"))),
            lambda: _answers(f"{self.receiver_url}/received"),
            {"FAULTLINE_WEBHOOK_SECRET": self.webhook_secret},
        )

    def _notify(self) -> ProcessSpec:
        return self._ours("notify", ("--allow-loopback",), lambda: True)

    def _ours(
        self,
        name: str,
        arguments: tuple[str, ...],
        ready: Callable[[], bool],
        more: dict[str, str] | None = None,
        stop_s: float = 10.0,
    ) -> ProcessSpec:
        urls = {
            "FAULTLINE_KAFKA_URL": self.urls.kafka,
            "FAULTLINE_DATABASE_URL": self.urls.database,
            "FAULTLINE_OPENSEARCH_URL": self.urls.search or "",  # empty counts as none
        }
        environment = child_environment(urls | (more or {}), self.settings)
        return ProcessSpec(
            name=name,
            argv=(sys.executable, "-m", "runtime", name, *arguments),
            log_file=self.services.folder.logs / f"{name}.log",
            ready=ready,
            cwd=PROJECT,
            environment=environment,
            start_deadline_s=_START_S,
            stop_deadline_s=stop_s,
        )

    def _launch(self, spec: ProcessSpec) -> None:
        child = self.services.supervisor.start(spec)
        self._children[spec.name] = child
        if spec.name == "worker":
            self.report(ServiceStatus(spec.name, "starting", detail="compiles its kernels the first time"))
        elapsed_s = child.await_ready()
        address = {
            "api": self.api_url,
            "receiver": self.receiver_url,
            "forwarder": f"{HEALTHY_ASSET} comes by MQTT",
        }.get(spec.name, "")
        self.report(ServiceStatus(spec.name, "ready", elapsed_s, address))

    def _secret(self) -> str:
        """Return the signing key of the local receiver; it is made once, and read by its owner only."""
        path: Path = self.services.folder.run / _KEY_FILE
        if not path.exists():
            path.touch(0o600)
            key = base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()
            path.write_text(f"whsec_{key}", encoding="ascii")
        return path.read_text(encoding="ascii")


def _takes_records(status: Path) -> bool:
    try:
        told = json.loads(status.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # not yet written, or gone while it was read
        return False
    return bool(told["ready"])


def _answers(url: str) -> bool:
    if urlsplit(url).hostname is None:
        return False
    try:
        return httpx.get(url, timeout=_PROBE_S).is_success
    except httpx.HTTPError:
        return False
