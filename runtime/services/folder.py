"""The project folder: one live owner, its ports, and where things lie in it.

Invariants: at most one process holds the folder (an advisory lock, which the kernel frees whatever happens to the
holder), so whoever holds it knows that every process its pid files name is a leftover. Ports are kept from run to run
and chosen anew only when somebody else has taken them.
"""

import contextlib
import fcntl
import json
import os
import secrets
import socket
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from contracts.errors import ConfigurationError

LOOPBACK: Final = "127.0.0.1"
_FIRST_PORT: Final = 20_000  # below the range from which kernels give ports to outgoing connections
_N_PORTS: Final = 12_000
_ATTEMPTS: Final = 1_000


def port_is_free(port: int) -> bool:
    """Return whether a server could listen on the loopback `port` now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def port_answers(port: int) -> bool:
    """Return whether something accepts connections on the loopback `port`."""
    try:
        socket.create_connection((LOOPBACK, port), timeout=1.0).close()
    except OSError:
        return False
    return True


class ProjectFolder:
    """The folder that holds everything Faultline writes; a context manager that owns it.

    Parameters
    ----------
    path : Path
        Made if absent, readable by its owner and others as the umask says.

    Raises
    ------
    ConfigurationError
        On entering: another process owns it (the message names its pid), or it can't be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._lock: IO[str] | None = None
        self._given: dict[str, int] = {}
        self._choosing = threading.Lock()

    @property
    def run(self) -> Path:
        """Pid files, ports, lock."""
        return self.path / "run"

    @property
    def logs(self) -> Path:
        """Log files."""
        return self.path / "logs"

    def __enter__(self) -> Self:
        try:
            self.run.mkdir(parents=True, exist_ok=True)
            self.logs.mkdir(exist_ok=True)
            lock = (self.run / "lock").open("a+", encoding="ascii")
        except OSError as error:
            raise ConfigurationError(f"{self.path} can't be written: {error.strerror}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            pid = lock.read().strip() or "unknown"
            lock.close()
            raise ConfigurationError(
                f"{self.path} is in use by process {pid}: wait until it is up or stop it, or set FAULTLINE_DATA_DIR to"
                " another folder"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock
        self._given.clear()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lock is not None:
            self._lock.truncate(0)
            self._lock.close()
            self._lock = None

    def port(self, name: str) -> int:
        """Return the port kept for `name`, or a new one where there is none or a stranger has taken it.

        It stays the same for as long as this process owns the folder, also once a server of ours listens on it.

        Raises
        ------
        ConfigurationError
            No free port was found.
        """
        with self._choosing:  # services are prepared side by side
            return self._port(name)

    def _port(self, name: str) -> int:
        if name in self._given:
            return self._given[name]
        ports = self.ports()
        kept = ports.get(name)
        if kept is not None and port_is_free(kept):
            self._given[name] = kept
            return kept
        for _ in range(_ATTEMPTS):
            port = _FIRST_PORT + secrets.randbelow(_N_PORTS)
            if port not in ports.values() and port_is_free(port):
                self._write_ports({**ports, name: port})
                self._given[name] = port
                return port
        raise ConfigurationError(f"no free port from {_FIRST_PORT} to {_FIRST_PORT + _N_PORTS - 1} on {LOOPBACK}")

    def ports(self) -> dict[str, int]:
        """Return the ports kept, by name; unreadable state counts as none."""
        with contextlib.suppress(OSError, ValueError, AttributeError, TypeError, KeyError):
            state = json.loads((self.run / "state.json").read_text(encoding="utf-8"))
            return {str(name): int(port) for name, port in state["ports"].items()}
        return {}

    def _write_ports(self, ports: Mapping[str, int]) -> None:
        new = self.run / "state.json.new"
        new.write_text(json.dumps({"ports": dict(ports)}, indent=1), encoding="utf-8")
        new.replace(self.run / "state.json")
