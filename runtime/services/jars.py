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
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from contracts.errors import ConfigurationError, Unavailable

POM: Final = Path(__file__).with_name("pom.xml")
_FETCH_DEADLINE_S: Final = 600
_MACHINES: Final = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64v8", "arm64": "arm64v8"}


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
        """Where the jars lie once they are fetched."""
        key = hashlib.sha256(POM.read_bytes() + postgres_platform().encode()).hexdigest()[:16]
        return self.folder / "jars" / key

    def fetch(self, announce: Callable[[], None]) -> Path:
        """Return the folder of jars; fetch them, after `announce`, if they aren't there.

        Raises
        ------
        ConfigurationError
            Maven isn't installed.
        Unavailable
            Maven failed; the message ends with its last error.
        """
        if self.jars.exists():
            return self.jars
        with self._locked():
            if not self.jars.exists():
                announce()
                self._fetch()
        return self.jars

    def _fetch(self) -> None:
        maven = shutil.which("mvn")
        if maven is None:
            raise ConfigurationError(
                "Maven is missing: install it (Debian: apt-get install maven), or set service URLs"
            )
        self.jars.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.jars.parent) as name:
            target = Path(name) / "jars"
            command = [maven, "-B", "-q", "-ntp", "-f", str(POM), "dependency:copy-dependencies"]
            command += [f"-DoutputDirectory={target}", f"-Dpostgres.platform={postgres_platform()}"]
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=_FETCH_DEADLINE_S,
            )
            if done.returncode:
                errors = [line for line in (done.stdout + done.stderr).splitlines() if "ERROR" in line]
                raise Unavailable("Maven Central", " | ".join(errors[:2]) or f"mvn exited with {done.returncode}")
            target.rename(self.jars)

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
        with self._locked():
            if not target.exists():
                place.mkdir(parents=True, exist_ok=True)
                with tempfile.TemporaryDirectory(dir=place) as name:
                    unpacked = Path(name) / "unpacked"
                    _unpack(jar, unpacked)
                    unpacked.rename(target)
        return target

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("a", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


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
