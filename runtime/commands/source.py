"""``faultline source``: stream the default scenario."""

import asyncio
import signal
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Annotated

import typer

from adapters.kafka import KafkaSink
from adapters.mqtt import MqttSink
from contracts.errors import ConfigurationError
from contracts.ports import BlockSink, Clock
from runtime.clock import SystemClock
from runtime.demo import HEALTHY_ASSET, demo_assets, demo_records
from runtime.registry import codec_for
from runtime.settings import load_settings
from runtime.sources import Due, SplitSink, send


def source(
    *,
    speed: Annotated[str, typer.Option(help="Event seconds a second, or max.")] = "1",
    duration_s: Annotated[float | None, typer.Option(help="Stop after so many event seconds.")] = None,
) -> None:
    """Stream the default scenario: two pumps, one with a developing bearing fault.

    Where FAULTLINE_MQTT_URL is set, the healthy pump P-102 is published there, for the forwarder to collect.
    """
    settings = load_settings()
    if settings.kafka_url is None:
        raise ConfigurationError("a source needs FAULTLINE_KAFKA_URL; `up` sets it")
    try:
        pace = None if speed == "max" else float(speed)
    except ValueError:
        raise ConfigurationError(f"speed {speed!r}, a number above 0 or max expected") from None
    clock, codec = SystemClock(), codec_for(settings)
    direct = KafkaSink(settings.kafka_url, codec)
    records = demo_records(boot_id=uuid.uuid4().hex, start_ns=clock.now_ns(), duration_s=duration_s)
    with ExitStack() as connections:
        sink: BlockSink = direct
        if settings.mqtt_url is not None:
            gateway = connections.enter_context(MqttSink(settings.mqtt_url, demo_assets()[0].site_id, codec))
            sink = SplitSink(direct, {HEALTHY_ASSET: gateway})
        asyncio.run(_stream(records, sink, clock, pace))


async def _stream(records: Iterator[Due], sink: BlockSink, clock: Clock, pace: float | None) -> None:
    task = asyncio.ensure_future(send(records, sink, clock, speed=pace))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        await sink.flush()
