"""What every Kafka client shares: quick reconnects, log lines through ``logging``, one poll interval."""

import logging
from typing import Any, Final

#: Room for key, headers and framing around the largest value (bytes).
FRAME_BYTES: Final = 64 * 1024
#: How long one poll may block (seconds).
POLL_S: Final = 0.1
LOGGER: Final = logging.getLogger("kafka.librdkafka")


def client_settings(bootstrap: str, **more: object) -> dict[str, Any]:
    """Return librdkafka's settings.

    Parameters
    ----------
    bootstrap : str
        ``host:port``, comma-separated.
    **more : object
        Further settings, underscores for dots.

    Returns
    -------
    settings : dict
        What a client's constructor takes.
    """
    return {
        "bootstrap.servers": bootstrap,
        "reconnect.backoff.ms": 50,
        "reconnect.backoff.max.ms": 1_000,
        **{name.replace("_", "."): value for name, value in more.items()},
    }
