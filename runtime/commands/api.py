"""``faultline api``: the REST interface and the live page over the services of the environment."""

import asyncio
import ipaddress
import signal
import socket
from types import FrameType
from typing import Annotated, Final

import typer
import uvicorn
import uvloop
from starlette.applications import Starlette

from adapters.identity import DevelopmentLogin, Nobody
from adapters.kafka import KafkaCommandLog, wait_for_broker
from adapters.timescale import Database, HistoryReader
from api.app import create_app
from api.guard import LOOPBACK_HOSTS
from contracts.errors import ConfigurationError
from contracts.ports import Assistant
from runtime.assistant import open_assistant
from runtime.clock import SystemClock
from runtime.feature_code import code_hash, load_feature_code
from runtime.registry import codec_for
from runtime.settings import PROJECT, Settings, load_settings

_CONNECTIONS: Final = 8
#: Longest wait for a connection, and longest query: then the caller is told to come back.
_QUERY_S: Final = 5.0
_BROKER_S: Final = 1.5
_GRACE_S: Final = 3
_MOST_CONNECTIONS: Final = 256


def api(
    *,
    port: Annotated[int | None, typer.Option(min=0, max=65_535, help="Where to listen; 0 picks a free port.")] = None,
) -> None:
    """Serve the API.

    FAULTLINE_KAFKA_URL and FAULTLINE_DATABASE_URL say where the services are. SIGTERM ends open event streams, then the
    process.
    """
    settings = load_settings()
    if settings.kafka_url is None or settings.database_url is None:
        raise ConfigurationError("the API needs FAULTLINE_KAFKA_URL and FAULTLINE_DATABASE_URL; `up` sets both")
    listener = _listener(settings.api_host, settings.api_port if port is None else port)
    for number in (signal.SIGTERM, signal.SIGINT):
        # uvicorn raises the signal again when it is done; what is open must still be closed after that
        signal.signal(number, lambda _number, _frame: None)
    uvloop.run(_serve(settings, settings.kafka_url, settings.database_url, listener))


def application(
    settings: Settings, kafka_url: str, database: Database, assistant: Assistant | None = None
) -> Starlette:
    """Return the API bound to the real parts.

    Parameters
    ----------
    settings : Settings
        Who may log in, and which host names are ours, follow from where the API listens.
    kafka_url : str
        The broker that commands go to.
    database : Database
        Open.
    assistant : Assistant, optional
        Who answers questions.

    Returns
    -------
    app : Starlette
    """
    clock = SystemClock()
    local = is_loopback(settings.api_host)
    login = DevelopmentLogin(clock) if settings.development_login and local else None
    reader = HistoryReader(database)

    async def broker_answers() -> None:
        await asyncio.to_thread(wait_for_broker, kafka_url, _BROKER_S)

    return create_app(
        reader,
        KafkaCommandLog(kafka_url, codec_for(settings)),
        login or Nobody(),
        clock,
        ready={"database": reader.ready, "kafka": broker_answers},
        login=login,
        hosts=LOOPBACK_HOSTS if local else None,
        pages=PROJECT / "web",
        assistant=assistant,
        feature_hashes=frozenset({load_feature_code(settings).code_hash, code_hash()}),
    )


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches a server that listens on `host`.

    Examples
    --------
    >>> is_loopback("localhost"), is_loopback("127.0.0.2"), is_loopback("192.0.2.7")
    (True, True, False)
    """
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def _serve(settings: Settings, kafka_url: str, database_url: str, listener: socket.socket) -> None:
    async with (
        Database(database_url, max_connections=_CONNECTIONS, timeout_s=_QUERY_S) as database,
        open_assistant(settings, HistoryReader(database)) as assistant,
    ):
        app = application(settings, kafka_url, database, assistant)
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=_MOST_CONNECTIONS,
            timeout_graceful_shutdown=_GRACE_S,
        )
        host, port = listener.getsockname()[:2]
        typer.echo(f"API on http://{f'[{host}]' if ':' in host else host}:{port}")
        await _Server(config, app).serve(sockets=[listener])


class _Server(uvicorn.Server):
    """A server that ends event streams first: they would outlast any grace."""

    def __init__(self, config: uvicorn.Config, app: Starlette) -> None:
        super().__init__(config)
        self._app = app

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._app.state.streams.close()
        super().handle_exit(sig, frame)


def _listener(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=128)
    except OSError as error:
        raise ConfigurationError(f"the API can't listen on {host}:{port}: {error.strerror}") from None
