"""A local PostgreSQL on loopback.

Invariants: it listens on 127.0.0.1 alone and on no socket file; its superuser has a random password, kept in a
file that only its account reads and never logged; a data folder appears whole or not at all; it never runs as root.
"""

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import psycopg
from psycopg import sql

from contracts.errors import ConfigurationError, Unavailable
from runtime.services.folder import LOOPBACK, ProjectFolder, port_answers
from runtime.services.identity import ProcessIdentity
from runtime.services.jars import JarCache
from runtime.services.places import place_for, reachable, unprivileged_account
from runtime.services.processes import ProcessSpec

_USER: Final = "faultline"
_ENVIRONMENT: Final = {"PATH": "/usr/bin:/bin", "LANG": "C", "LC_ALL": "C"}  # no PG* variable of ours may reach it
_OPTIONS: Final = {"unix_socket_directories": "", "timezone": "UTC", "log_timezone": "UTC", "shared_buffers": "64MB"}


class Postgres:
    """PostgreSQL in a project folder.

    Parameters
    ----------
    folder : ProjectFolder
        Owned by this process.
    cache : JarCache
        Where its programs come from.
    options : Mapping[str, str]
        Server settings besides the built-in ones, e.g. ``{"fsync": "off"}`` for tests.
    """

    name = "postgres"

    def __init__(self, folder: ProjectFolder, cache: JarCache, options: Mapping[str, str]) -> None:
        self._folder = folder
        self._cache = cache
        self._options = {**_OPTIONS, **options}
        self._account = unprivileged_account()
        self._password = ""
        self._port = 0

    @property
    def url(self) -> str:
        """The database's URL, password included: never log it."""
        return self._url_of(_USER)

    @property
    def address(self) -> str:
        """Host and port."""
        return f"{LOOPBACK}:{self._port}"

    def prepare(self, note: Callable[[str], None]) -> ProcessSpec:
        """Unpack, initialise and clear locks as needed; return what to start.

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
            The data are another major version's, or there is nobody to run it as.
        Unavailable
            ``initdb`` failed.
        """
        place = place_for(self._folder.path, self._account)
        if place.parent != self._folder.path:
            note(f"its unprivileged user can't enter {self._folder.path}: files in {place}")
        bin_folder = self._programs(place) / "bin"
        data = place / "data"
        if not data.exists():
            self._initialise(bin_folder, place, data)
        _check_version(data, bin_folder.parent.name)
        _clear_lock(data)
        self._password = (place / "password").read_text(encoding="ascii").strip()
        self._port = self._folder.port(self.name)
        options = {**self._options, "listen_addresses": LOOPBACK, "port": str(self._port)}
        arguments = [part for key, value in options.items() for part in ("-c", f"{key}={value}")]
        return ProcessSpec(
            name=self.name,
            argv=(str(bin_folder / "postgres"), "-D", str(data), *arguments),
            log_file=self._folder.logs / "postgres.log",
            ready=self._answers,
            cwd=place,
            environment=_ENVIRONMENT,
            account=self._account,
            stop_signal=signal.SIGINT,  # fast shutdown: sessions are ended, data are written
            clean_exits=frozenset({0}),
        )

    def finish(self) -> None:
        """Create the product's database if it is absent; called once the server answers."""
        with psycopg.connect(self._url_of("postgres"), autocommit=True) as connection:
            known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [_USER]).fetchone()
            if known is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(_USER)))

    def _programs(self, place: Path) -> Path:
        shared = reachable(self._cache.folder, self._account)
        return self._cache.unpack_postgres(self._cache.folder / "postgres" if shared else place.parent)

    def _initialise(self, bin_folder: Path, place: Path, data: Path) -> None:
        """Make the data folder under another name first, so that a half-made one is never taken for a whole one."""
        draft = place / "data.new"
        shutil.rmtree(draft, ignore_errors=True)
        password = place / "password"
        password.unlink(missing_ok=True)
        with os.fdopen(os.open(password, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(24))
        if self._account is not None:
            os.chown(password, self._account.uid, self._account.gid)
        command = [str(bin_folder / "initdb"), "-D", str(draft), "-U", _USER, f"--pwfile={password}"]
        command += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8"]
        if self._options.get("fsync") == "off":
            command.append("--no-sync")
        done = subprocess.run(
            command,
            env=_ENVIRONMENT,
            cwd=place,
            capture_output=True,
            text=True,
            check=False,
            user=self._account.uid if self._account else None,
            group=self._account.gid if self._account else None,
            extra_groups=[] if self._account else None,
        )
        if done.returncode:
            words = " | ".join(done.stderr.splitlines()[:5])
            raise Unavailable(self.name, f"initdb exited with {done.returncode}: {words}")
        draft.rename(data)

    def _answers(self) -> bool:
        if not port_answers(self._port):
            return False
        with (
            contextlib.suppress(psycopg.OperationalError),
            psycopg.connect(self._url_of("postgres"), connect_timeout=2),
        ):
            return True
        return False

    def _url_of(self, database: str) -> str:
        return f"postgresql://{_USER}:{self._password}@{self.address}/{database}"


def _check_version(data: Path, programs: str) -> None:
    have = (data / "PG_VERSION").read_text(encoding="ascii").strip()
    want = programs.rpartition("-")[2].partition(".")[0]
    if have != want:
        raise ConfigurationError(
            f"{data} is of PostgreSQL {have}, this version runs {want}: "
            "move that folder away, or set FAULTLINE_DATABASE_URL"
        )


def _clear_lock(data: Path) -> None:
    """Clear a lock file whose pid now belongs to a stranger; stop the server if it really still runs.

    A lock whose process is gone is left to PostgreSQL, which also checks for backends that survived it.
    """
    lock = data / "postmaster.pid"
    with contextlib.suppress(OSError, ValueError):
        pid = int(lock.read_text(encoding="utf-8").splitlines()[0])
        identity = ProcessIdentity.of(pid)
        if identity is None:
            return
        if Path(f"/proc/{pid}/cwd").resolve() == data.resolve():
            identity.stop(signal.SIGINT, 10.0)
        else:
            lock.unlink()
