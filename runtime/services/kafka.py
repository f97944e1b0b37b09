"""A local Kafka on loopback: one KRaft node, broker and controller in one process.

Invariants: topics are created on purpose (never by a client's typing error); what it keeps on disk is bounded; a log
folder is formatted whole or not at all.
"""

import base64
import logging
import shutil
import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from contracts.errors import ConfigurationError, Unavailable
from runtime.services.folder import LOOPBACK, ProjectFolder, port_answers
from runtime.services.jars import JarCache
from runtime.services.processes import ProcessSpec

_PROPERTIES: Final = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=PLAINTEXT://{host}:{port}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs={logs}
auto.create.topics.enable=false
num.partitions=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
log.segment.bytes=67108864
log.retention.bytes=1073741824
log.cleaner.dedupe.buffer.size=16777216
num.network.threads=2
num.io.threads=4
"""
# Compiling with C1 alone brings the start from 3.9 to 2.1 s on two cores; the broker is far from being the bottleneck.
_QUICK_START: Final = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Djava.awt.headless=true")
_LOGGING: Final = (
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
)
_HEAP: Final = ("-Xms128m", "-Xmx384m", "-XX:+ExitOnOutOfMemoryError")
_SILENT: Final = logging.getLogger("runtime.services.kafka.probe")


class Kafka:
    """Kafka in a project folder.

    Parameters
    ----------
    folder : ProjectFolder
        Owned by this process.
    cache : JarCache
        Where its jars come from.
    java : str, optional
        The Java program, 17 or newer.
    """

    name = "kafka"

    def __init__(self, folder: ProjectFolder, cache: JarCache, java: str | None) -> None:
        self._folder = folder
        self._cache = cache
        self._java = java
        self._port = 0
        self._probe: AdminClient | None = None

    @property
    def url(self) -> str:
        """Bootstrap servers."""
        return f"{LOOPBACK}:{self._port}"

    @property
    def address(self) -> str:
        """Host and port."""
        return self.url

    def prepare(self, note: Callable[[str], None]) -> ProcessSpec:
        """Write the configuration, format the log folder if it is new; return what to start.

        Parameters
        ----------
        note : Callable[[str], None]
            Told what a person should know, in one line.

        Returns
        -------
        spec : ProcessSpec

        Raises
        ------
        ConfigurationError
            Java isn't installed.
        Unavailable
            Formatting failed.
        """
        del note  # nothing to say
        if self._java is None:
            raise ConfigurationError(
                "Java is missing: install 17 or newer (Debian: apt-get install openjdk-17-jre-headless), "
                "or set FAULTLINE_KAFKA_URL"
            )
        home = self._folder.path / "kafka"
        home.mkdir(exist_ok=True)
        self._port = self._folder.port(self.name)
        logs = home / "logs"
        properties = home / "server.properties"
        properties.write_text(
            _PROPERTIES.format(
                host=LOOPBACK, port=self._port, controller_port=self._folder.port("kafka-controller"), logs=logs
            ),
            encoding="utf-8",
        )
        if not (home / "formatted").exists():
            self._format(self._java, logs, properties)
            (home / "formatted").touch()
        return ProcessSpec(
            name=self.name,
            argv=(
                self._java,
                *_HEAP,
                *_QUICK_START,
                *_LOGGING,
                "-cp",
                self._class_path,
                "kafka.Kafka",
                str(properties),
            ),
            log_file=self._folder.logs / "kafka.log",
            ready=self._answers,
            cwd=home,
            stop_deadline_s=20.0,
        )

    def finish(self) -> None:
        """Let go of the client that asked whether it serves."""
        self._probe = None

    @property
    def _class_path(self) -> str:
        return str(self._cache.jars / "*")

    def _format(self, java: str, logs: Path, properties: Path) -> None:
        shutil.rmtree(logs, ignore_errors=True)
        command = [java, "-Xmx128m", *_QUICK_START, *_LOGGING, "-cp", self._class_path, "kafka.tools.StorageTool"]
        command += ["format", "-t", _cluster_id(uuid.uuid4()), "-c", str(properties)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Unavailable(
                self.name, f"formatting exited with {done.returncode}: {(done.stderr or done.stdout)[-400:]}"
            )

    def _answers(self) -> bool:
        if not port_answers(self._port):
            return False
        if self._probe is None:
            self._probe = AdminClient({"bootstrap.servers": self.url, "log_level": 0}, logger=_SILENT)
        try:
            return bool(self._probe.list_topics(timeout=2.0).brokers)
        except KafkaException:
            return False


def _cluster_id(value: uuid.UUID) -> str:
    """Return Kafka's way of writing a UUID, without the first bit: the text must not look like an option (``-…``)."""
    first, *rest = value.bytes
    return base64.urlsafe_b64encode(bytes([first & 0x7F, *rest])).rstrip(b"=").decode("ascii")
