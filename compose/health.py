"""Whether servers answer and processes work, for a health check: ``python -m compose.health ADDRESS...``.

Standard library only: a look every few seconds has to cost little.
"""

import http.client
import json
import socket
import sys
import time
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

_TIMEOUT_S: Final = 3.0
#: A status is written once a second; an older one is that of a process that hangs.
_STATUS_AGE_S: Final = 15.0
_PORTS: Final = {"http": 80, "postgresql": 5432, "mqtt": 1883, "mqtts": 8883, "kafka": 9092}


def look(address: str) -> None:
    """Return if the server at `address` answers.

    Parameters
    ----------
    address : str
        ``http://…`` is asked for; ``file:///…`` is a status in JSON that has to be ``ready`` and new; of any other URL,
        and of ``host:port[,host:port]``, the first server is connected to.

    Raises
    ------
    OSError
        It doesn't answer, or not with success.
    ValueError
        The status isn't JSON.
    """
    first = address.partition(",")[0]
    parts = urlsplit(first if "://" in first else f"kafka://{first}")
    if parts.scheme == "file":
        _look_at_status(Path(parts.path))
        return
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    if parts.scheme != "http":
        socket.create_connection((host, port), _TIMEOUT_S).close()
        return
    connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", parts.path or "/")
        status = connection.getresponse().status
    finally:
        connection.close()
    if status != http.client.OK:
        raise ConnectionError(f"{host}:{port} answers {status}")


def _look_at_status(file: Path) -> None:
    age_s = time.time() - file.stat().st_mtime  # another process's file: there is no clock but the wall's
    ready = json.loads(file.read_text(encoding="utf-8"))["ready"]
    if not ready or age_s > _STATUS_AGE_S:
        raise ConnectionError(f"{file.name} says ready: {ready}, {age_s:.0f} s ago")


def main(addresses: list[str]) -> int:
    """Return 0 if every server that is named answers, 1 otherwise.

    Parameters
    ----------
    addresses : list of str
        Empty ones are passed over: that server isn't used.
    """
    try:
        for address in filter(None, addresses):
            look(address)
    except (OSError, ValueError, LookupError, http.client.HTTPException) as error:
        sys.stderr.write(f"unhealthy: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
