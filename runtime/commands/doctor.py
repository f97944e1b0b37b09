"""``faultline doctor``: what this machine lacks, one line each, with the way to get it.

A check never changes anything, never shows a secret and takes at most a few seconds.
"""

import dataclasses
import json
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import psycopg
import typer
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from contracts.errors import ConfigurationError
from runtime.bootstrap import in_step
from runtime.programs import JAVA_VERSION, find_java, java_version, total_memory_bytes
from runtime.services.folder import LOOPBACK, ProjectFolder, port_is_free
from runtime.services.identity import ProcessIdentity
from runtime.services.jars import JarCache, postgres_platform
from runtime.services.mosquitto import find_mosquitto
from runtime.services.places import unprivileged_account
from runtime.settings import PROJECT, Settings, load_settings

_GIB: Final = 1024**3
_NEEDED_DISK_BYTES: Final = 2 * _GIB
_NEEDED_MEMORY_BYTES: Final = 2 * _GIB


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    Parameters
    ----------
    name : str
        What was looked at.
    ok : bool
        Whether it will do.
    detail : str
        What is there.
    remedy : str
        How to get what is missing; empty when nothing is.
    """

    name: str
    ok: bool
    detail: str
    remedy: str = ""

    def __str__(self) -> str:
        """Return the line for a person.

        Examples
        --------
        >>> str(Finding("java", False, "not found", "apt-get install openjdk-17-jre-headless"))
        'MISSING  java          not found: apt-get install openjdk-17-jre-headless'
        """
        text = f"{self.detail}: {self.remedy}" if self.remedy else self.detail
        return f"{'ok' if self.ok else 'MISSING':<8} {self.name:<13} {text}"


def doctor(*, as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """Say what this machine lacks, one line each, and how to get it; exit status 1 if anything is missing."""
    findings = list(examine(load_settings()))
    if as_json:
        print(json.dumps({"ok": all(f.ok for f in findings), "checks": [dataclasses.asdict(f) for f in findings]}))
    else:
        for finding in findings:
            print(finding)
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


def examine(settings: Settings) -> Iterator[Finding]:
    """Look at everything that `settings` make necessary; what a set URL replaces is not.

    Yields
    ------
    finding : Finding
    """
    checks: list[Callable[[Settings], Finding]] = [_python, _environment, _data_folder, _disk, _memory]
    if settings.kafka_url is None:
        checks.append(_java)
    if settings.kafka_url is None or settings.database_url is None:
        checks += [_jars, _ports]
    if settings.database_url is None:
        checks.append(_postgres)
    if settings.kafka_url is not None:
        checks.append(_kafka_url)
    if settings.database_url is not None:
        checks.append(_database_url)
    if settings.mqtt_url is None:
        checks.append(_mosquitto)
    for check in checks:
        yield check(settings)


def _python(_settings: Settings) -> Finding:
    version = ".".join(str(part) for part in sys.version_info[:3])
    return Finding(
        "python", sys.version_info >= (3, 11), version, "" if sys.version_info >= (3, 11) else "install 3.11"
    )


def _environment(_settings: Settings) -> Finding:
    if in_step(PROJECT, set()):
        return Finding("environment", True, "in step with uv.lock")
    return Finding("environment", False, "not in step with uv.lock", "run ./faultline bootstrap")


def _java(settings: Settings) -> Finding:
    program = find_java(settings)
    version = java_version(program) if program else None
    if version is not None and version >= JAVA_VERSION:
        return Finding("java", True, f"{version}, {program}")
    remedy = (
        f"install {JAVA_VERSION} or newer (Debian: apt-get install openjdk-17-jre-headless), or set FAULTLINE_KAFKA_URL"
    )
    return Finding("java", False, f"version {version}" if program else "not found", remedy)


def _jars(settings: Settings) -> Finding:
    try:
        jars = JarCache(settings.cache_dir).jars
    except ConfigurationError as error:
        return Finding("jars", False, str(error), "")
    if jars.exists():
        return Finding("jars", True, f"{len(list(jars.glob('*.jar')))} in {jars}")
    if shutil.which("mvn"):
        return Finding("jars", True, "not yet here, Maven fetches them at the first start")
    return Finding("jars", False, "not here, and no Maven to fetch them", "apt-get install maven, or set service URLs")


def _postgres(_settings: Settings) -> Finding:
    try:
        platform, account = postgres_platform(), unprivileged_account()
    except ConfigurationError as error:
        return Finding("postgres", False, str(error))
    runs_as = f"user {account.uid}, since root may not" if account else "this user"
    return Finding("postgres", True, f"programs for {platform}, to run as {runs_as}")


def _ports(settings: Settings) -> Finding:
    try:
        with socket.socket() as probe:
            probe.bind((LOOPBACK, 0))
    except OSError as error:
        return Finding(
            "loopback", False, f"can't listen on {LOOPBACK}: {error.strerror}", "bring the loopback interface up"
        )
    folder = ProjectFolder(settings.data_dir)
    taken = [f"{name} {port}" for name, port in folder.ports().items() if not port_is_free(port)]
    running = [file.stem for file in folder.run.glob("*.pid") if _runs(file)]
    if running:
        return Finding("loopback", True, f"running now: {', '.join(sorted(running))}")
    return Finding(
        "loopback", True, f"{', '.join(taken)} taken, new ones will be chosen" if taken else "ports are free"
    )


def _runs(pid_file: Path) -> bool:
    try:
        entry = json.loads(pid_file.read_text(encoding="utf-8"))
        return ProcessIdentity(int(entry["pid"]), str(entry["started"])).alive()
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _data_folder(settings: Settings) -> Finding:
    folder = _existing(settings.data_dir)
    try:
        with tempfile.TemporaryFile(dir=folder):
            return Finding("data folder", True, f"{settings.data_dir} can be written")
    except OSError as error:
        remedy = "set FAULTLINE_DATA_DIR to a folder that can be"
        return Finding("data folder", False, f"{settings.data_dir} can't be written ({error.strerror})", remedy)


def _disk(settings: Settings) -> Finding:
    free = shutil.disk_usage(_existing(settings.data_dir)).free
    remedy = "" if free >= _NEEDED_DISK_BYTES else f"at least {_NEEDED_DISK_BYTES // _GIB} GiB are needed"
    return Finding("disk", not remedy, f"{free / _GIB:.1f} GiB free", remedy)


def _memory(_settings: Settings) -> Finding:
    total = total_memory_bytes()
    remedy = "" if total >= _NEEDED_MEMORY_BYTES else f"at least {_NEEDED_MEMORY_BYTES // _GIB} GiB are needed"
    return Finding("memory", not remedy, f"{total / _GIB:.1f} GiB, {os.cpu_count()} processors", remedy)


def _mosquitto(_settings: Settings) -> Finding:
    program = find_mosquitto()
    without = "not installed, every asset streams straight to Kafka (Debian: apt-get install mosquitto)"
    return Finding("mosquitto", True, program or without)


def _kafka_url(settings: Settings) -> Finding:
    client = AdminClient({"bootstrap.servers": settings.kafka_url or "", "log_level": 0})
    try:
        n_brokers = len(client.list_topics(timeout=3.0).brokers)
    except KafkaException as error:
        return Finding("kafka", False, f"no answer ({error.args[0].str()})", "start it, or unset FAULTLINE_KAFKA_URL")
    return Finding("kafka", True, f"{n_brokers} brokers answer")


def _database_url(settings: Settings) -> Finding:
    try:
        with psycopg.connect(settings.database_url or "", connect_timeout=3) as connection:
            version = connection.info.parameter_status("server_version")
    except psycopg.Error as error:
        kind = type(error).__name__  # its text may quote the URL
        return Finding("database", False, f"no connection ({kind})", "start it, or unset FAULTLINE_DATABASE_URL")
    return Finding("database", True, f"PostgreSQL {version} answers")


def _existing(folder: Path) -> Path:
    """Return `folder`, or its nearest parent that exists."""
    folder = folder.absolute()
    return next(candidate for candidate in (folder, *folder.parents) if candidate.exists())
