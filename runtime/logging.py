"""Logs: one event a line, with ids as keys; JSON for machines, colours for a person at a terminal.

Library loggers (Faust, aiokafka and the like) are heard from WARNING on, and bounded: while a broker is away aiokafka
alone writes 4,500 lines a second, and building Faust's debug records costs 11 % of a core.
"""

import logging
import sys
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any, Final

import structlog

_LIBRARIES: Final = (
    "faust",
    "mode",
    "aiokafka",
    "kafka",
    "asyncio",
    "asyncua",
    "uvicorn",
    "httpx",
    "httpcore",
    "httpx2",
    "httpcore2",
    "openai",
    "psycopg",
    "opensearch",
)
_BURST: Final = 10
_WINDOW_S: Final = 10.0


class RateLimit(logging.Filter):
    """Let at most a burst of records of each library logger through in a window of time.

    The first record after a window that was cut says in ``suppressed`` how many were.

    Parameters
    ----------
    burst : int
        Records let through per window and logger.
    window_s : float
        Length of the window, seconds; a record's own time counts.
    """

    def __init__(self, burst: int = _BURST, window_s: float = _WINDOW_S) -> None:
        super().__init__()
        self._burst = burst
        self._window_s = window_s
        self._seen: dict[str, tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to write the record."""
        if record.name.partition(".")[0] not in _LIBRARIES:
            return True
        start, count = self._seen.get(record.name, (record.created, 0))
        if record.created - start >= self._window_s:
            if count > self._burst:
                record.suppressed = count - self._burst
            start, count = record.created, 0
        self._seen[record.name] = (start, count + 1)
        return count < self._burst


def configure_logging(level: str, log_file: Path | None = None) -> None:
    """Set up structlog and the standard library's logging, to one handler.

    Parameters
    ----------
    level : str
        ``debug``, ``info``, ``warning`` or ``error``: the lowest that is written.
    log_file : Path, optional
        Where to write, as JSON; without it, standard error (colours at a terminal, JSON otherwise).
    """
    handler = logging.StreamHandler(sys.stderr) if log_file is None else _file_handler(log_file)
    pretty = log_file is None and sys.stderr.isatty()
    renderer: Any = structlog.dev.ConsoleRenderer() if pretty else structlog.processors.JSONRenderer()
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    closing: list[Any] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if not pretty:
        closing.append(structlog.processors.format_exc_info)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder(allow=["suppressed"]), _name_foreign_event],
            processors=[*closing, renderer],
        )
    )
    handler.addFilter(RateLimit())
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    number = logging.getLevelNamesMapping()[level.upper()]
    root.setLevel(number)
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(max(number, logging.WARNING))
    # its warnings are of things that it mends itself (a broker that is still starting); what it can't mend is an error
    logging.getLogger("kafka.librdkafka").setLevel(max(number, logging.ERROR))
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def _file_handler(log_file: Path) -> logging.StreamHandler[Any]:
    log_file.parent.mkdir(parents=True, exist_ok=True)
    return logging.FileHandler(log_file, encoding="utf-8")


def _name_foreign_event(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Give a library's free text a constant event name, so that our events can be searched by theirs."""
    event["message"] = event["event"]
    event["event"] = "library_said"
    return event
