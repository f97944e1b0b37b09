"""``faultline receiver``: the local webhook receiver, for trying things out and for end-to-end checks."""

import socket
from typing import Annotated

import typer
import uvicorn

from contracts.errors import ConfigurationError
from runtime.clock import SystemClock
from runtime.receiver import create_receiver
from runtime.settings import load_settings


def receiver(
    *, port: Annotated[int, typer.Option(min=0, max=65_535, help="Where to listen on 127.0.0.1; 0 picks one.")] = 0
) -> None:
    """Take webhooks signed with FAULTLINE_WEBHOOK_SECRET on loopback; show each alarm once."""
    secret = load_settings().webhook_secret
    if secret is None:
        raise ConfigurationError("the receiver needs FAULTLINE_WEBHOOK_SECRET; `up` sets it")
    try:
        listener = socket.create_server(("127.0.0.1", port))
    except OSError as error:
        raise ConfigurationError(f"the receiver can't listen on 127.0.0.1:{port}: {error.strerror}") from None
    typer.echo(f"Webhook receiver on http://127.0.0.1:{listener.getsockname()[1]}/alarms")
    application = create_receiver([secret.get_secret_value()], SystemClock(), _show)
    config = uvicorn.Config(application, log_config=None, access_log=False, lifespan="off", limit_concurrency=32)
    uvicorn.Server(config).run(sockets=[listener])


def _show(line: str) -> None:
    print(line, flush=True)
