"""``faultline source``: stream the default scenario."""

import asyncio
import signal
import uuid
from typing import Annotated

import typer

from adapters.kafka import KafkaSink
from contracts.errors import ConfigurationError
from runtime.clock import SystemClock
from runtime.demo import demo_records
from runtime.registry import codec_for
from runtime.settings import load_settings
from runtime.sources import send


def source(
    *,
    speed: Annotated[str, typer.Option(help="Event seconds a second, or max.")] = "1",
    duration_s: Annotated[float | None, typer.Option(help="Stop after so many event seconds.")] = None,
) -> None:
    """Stream the default scenario: two pumps, one with a developing bearing fault."""
    settings = load_settings()
    if settings.kafka_url is None:
        raise ConfigurationError("a source needs FAULTLINE_KAFKA_URL; `up` sets it")
    try:
        pace = None if speed == "max" else float(speed)
    except ValueError:
        raise ConfigurationError(f"speed {speed!r}, a number above 0 or max expected") from None
    clock = SystemClock()
    sink = KafkaSink(settings.kafka_url, codec_for(settings))
    records = demo_records(boot_id=uuid.uuid4().hex, start_ns=clock.now_ns(), duration_s=duration_s)

    async def run() -> None:
        task = asyncio.ensure_future(send(records, sink, clock, speed=pace))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, task.cancel)
        try:
            await task
        except asyncio.CancelledError:
            await sink.flush()

    asyncio.run(run())
