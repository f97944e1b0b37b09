"""A local MQTT broker on loopback, where the program is installed.

Invariants: it listens on 127.0.0.1 alone, and as root runs as ``nobody``; while it runs, it drops nothing that it
has acknowledged: a full memory ends the publisher's connection; a full queue would drop silently and has no bound.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from contracts.codec import MAX_VALUE_BYTES
from runtime.services.folder import LOOPBACK, ProjectFolder, port_answers
from runtime.services.places import place_for, unprivileged_account
from runtime.services.processes import ProcessSpec

_MEMORY_BYTES: Final = 256 * 1024 * 1024
_SBIN: Final = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin")


def find_mosquitto() -> str | None:
    """Return the path of the program, None where it isn't installed."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path=os.pathsep.join(_SBIN))


class Mosquitto:
    """Mosquitto in a project folder.

    Parameters
    ----------
    folder : ProjectFolder
        Held by the caller.
    program : str
        Path of the program.
    """

    name: Final = "mosquitto"

    def __init__(self, folder: ProjectFolder, program: str) -> None:
        self._folder = folder
        self._program = program
        self._account = unprivileged_account()

    @property
    def address(self) -> str:
        """Host and port."""
        return f"{LOOPBACK}:{self._folder.port(self.name)}"

    @property
    def url(self) -> str:
        """How a client reaches it."""
        return f"mqtt://{self.address}"

    def prepare(self, _note: Callable[[str], None]) -> ProcessSpec:
        """Write its configuration.

        Returns
        -------
        spec : ProcessSpec
            What to start.
        """
        place = place_for(self._folder.path, self._account, self.name)
        port = self._folder.port(self.name)
        configuration = place / "mosquitto.conf"
        configuration.write_text(_configuration(place, port), encoding="utf-8")
        configuration.chmod(0o644)
        return ProcessSpec(
            name=self.name,
            argv=(self._program, "-c", str(configuration)),
            log_file=self._folder.logs / f"{self.name}.log",
            ready=lambda: port_answers(port),
            cwd=place,
            account=self._account,
        )

    def finish(self) -> None:
        """Do nothing: it serves."""


def _configuration(place: Path, port: int) -> str:
    return "\n".join(
        (
            f"listener {port} {LOOPBACK}",
            "allow_anonymous true",
            "set_tcp_nodelay true",
            f"max_packet_size {2 * MAX_VALUE_BYTES}",
            "max_queued_messages 0",
            f"memory_limit {_MEMORY_BYTES}",
            "persistence true",
            f"persistence_location {place}/",
            "autosave_interval 60",
            "log_type error",
            "log_type warning",
            "",
        )
    )
