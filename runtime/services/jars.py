"""Jars from Maven Central, fetched once and kept.

Invariants: a folder of jars is named for the content of the pom that asked for them and appears whole or not at all;
several processes may ask at once.
"""

import fcntl
import hashlib
import io
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Literal

from contracts.errors import ConfigurationError, Unavailable

POM: Final = Path(__file__).with_name("pom.xml")
_FETCH_DEADLINE_S: Final = 600
_LOOK_S: Final = 0.2
_MACHINES: Final = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64v8", "arm64": "arm64v8"}

#: The class paths that the pom knows: Kafka with PostgreSQL's programs, and OpenSearch.
Profile = Literal["core", "search"]


def postgres_platform(system: str = sys.platform, machine: str | None = None) -> str:
    """Return the platform's name in the PostgreSQL artifact.

    Raises
    ------
    ConfigurationError
        There are no binaries for this platform.

    Examples
    --------
    >>> postgres_platform("linux", "aarch64")
    'linux-arm64v8'
    """
    machine = machine or platform.machine()
    if system not in {"linux", "darwin"} or machine.lower() not in _MACHINES:
        raise ConfigurationError(f"no PostgreSQL binaries for {system} on {machine}: set FAULTLINE_DATABASE_URL")
    return f"{system}-{_MACHINES[machine.lower()]}"


class JarCache:
    """Fetched jars and unpacked PostgreSQL binaries, below one folder.

    Parameters
    ----------
    folder : Path
        Shared by every project folder that is given it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def jars(self) -> Path:
        """Where the jars of Kafka and PostgreSQL lie once they are fetched."""
        return self.jars_of("core")

    def jars_of(self, profile: Profile) -> Path:
        """Return where the jars of a profile lie once they are fetched."""
        key = hashlib.sha256(POM.read_bytes() + profile.encode() + postgres_platform().encode()).hexdigest()[:16]
        return self.folder / "jars" / key

    def fetch(
        self, announce: Callable[[], None], profile: Profile = "core", cancelled: threading.Event | None = None
    ) -> Path:
        """Return the folder of jars; fetch them, after `announce`, if they aren't there.

        Parameters
        ----------
        announce : Callable[[], None]
            Called before anything is fetched.
        profile : str
            Which jars.
        cancelled : threading.Event, optional
            Ends the fetching early once it is set.

        Returns
        -------
        folder : Path

        Raises
        ------
        ConfigurationError
            Maven isn't installed.
        Unavailable
            Maven failed or was cancelled; the message ends with its last error.
        """
        target = self.jars_of(profile)
        if target.exists():
            return target
        with self.locked(profile):
            if not target.exists():
                announce()
                self._fetch(profile, target, cancelled or threading.Event())
        return target

    def _fetch(self, profile: Profile, place: Path, cancelled: threading.Event) -> None:
        maven = shutil.which("mvn")
        if maven is None:
            raise ConfigurationError(
                "Maven is missing: install it (Debian: apt-get install maven), or set service URLs"
            )
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent) as name:
            target = Path(name) / "jars"
            command = [maven, "-B", "-q", "-ntp", "-f", str(POM), "-P", profile, "dependency:copy-dependencies"]
            command += [f"-DoutputDirectory={target}", f"-Dpostgres.platform={postgres_platform()}"]
            said, status = _run(command, cancelled)
            if status:
                errors = [line for line in said.splitlines() if "ERROR" in line]
                raise Unavailable("Maven Central", " | ".join(errors[:2]) or f"mvn exited with {status}")
            target.rename(place)

    def unpack_postgres(self, place: Path) -> Path:
        """Return the folder of PostgreSQL's programs below `place`; unpack the fetched jar if they aren't there.

        Raises
        ------
        ConfigurationError
            The jar doesn't hold what it should.
        """
        jar = next(self.jars.glob("embedded-postgres-binaries-*.jar"), None)
        if jar is None:
            raise ConfigurationError(f"{self.jars} holds no PostgreSQL binaries: remove that folder and start again")
        target = place / jar.stem
        if target.exists():
            return target
        with self.locked("core"):
            if not target.exists():
                place.mkdir(parents=True, exist_ok=True)
                with tempfile.TemporaryDirectory(dir=place) as name:
                    unpacked = Path(name) / "unpacked"
                    _unpack(jar, unpacked)
                    unpacked.rename(target)
        return target

    @contextmanager
    def locked(self, profile: Profile) -> Iterator[None]:
        """Hold the folder for changes to what belongs to `profile`, against other processes too."""
        self.folder.mkdir(parents=True, exist_ok=True)
        name = "lock" if profile == "core" else f"lock-{profile}"
        with (self.folder / name).open("a", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _run(command: list[str], cancelled: threading.Event) -> tuple[str, int]:
    """Run a program to its end; return what it said and its exit status."""
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said,
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT) as process,
    ):
        for _ in range(round(_FETCH_DEADLINE_S / _LOOK_S)):
            with suppress(subprocess.TimeoutExpired):
                process.wait(_LOOK_S)
                break
            if cancelled.is_set():
                break
        if process.poll() is None:
            process.terminate()
            process.wait()
        said.seek(0)
        return said.read(), process.returncode


def _unpack(jar: Path, target: Path) -> None:
    """Unpack the one ``.txz`` in `jar`; the tar filter refuses whatever would land outside `target`."""
    with zipfile.ZipFile(jar) as archive:
        inner = [name for name in archive.namelist() if name.endswith(".txz")]
        if len(inner) != 1:
            raise ConfigurationError(f"{jar.name} should hold one .txz, holds {len(inner)}")
        content = archive.read(inner[0])
    target.mkdir(mode=0o755)
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:xz") as tar:
        tar.extractall(target, filter="data")
