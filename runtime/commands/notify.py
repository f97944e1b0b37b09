"""``faultline notify``: deliver alarms to webhooks."""

import asyncio
import contextlib
import random
import signal
from typing import Annotated

import typer

from adapters.notify.dispatcher import Dispatcher
from adapters.notify.sender import WebhookSender
from adapters.timescale import Database, DeliveryQueue
from contracts.errors import ConfigurationError
from runtime.clock import SystemClock
from runtime.settings import load_settings

_POLL_S = 0.1


def notify(
    *,
    allow_loopback: Annotated[
        bool, typer.Option("--allow-loopback", help="Also deliver to http://127.0.0.1, for trying things out.")
    ] = False,
) -> None:
    """Deliver what is due in the queue, signed, with retries, until SIGTERM."""
    settings = load_settings()
    database_url = settings.database_url
    if database_url is None:
        raise ConfigurationError("notify needs FAULTLINE_DATABASE_URL; `up` sets it")

    async def run() -> None:
        async with Database(database_url) as database:
            dispatcher = Dispatcher(
                DeliveryQueue(database),
                WebhookSender(allow_loopback=allow_loopback),
                SystemClock(),
                random.Random(),  # noqa: S311 -- jitter, no secret
                poll_s=_POLL_S,
            )
            task = asyncio.ensure_future(dispatcher.run())
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, task.cancel)
            with contextlib.suppress(asyncio.CancelledError):
                await task

    asyncio.run(run())
