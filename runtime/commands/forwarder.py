"""``faultline forwarder``: from MQTT and OPC UA through the buffer on disk to Kafka."""

import asyncio
import contextlib
import json
import os
import signal
import uuid
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from adapters.kafka import KafkaSink
from contracts.errors import ConfigurationError
from contracts.mqtt import MqttAddress
from contracts.ports import Clock
from edge_forwarder.buffer import Buffer, Limits
from edge_forwarder.collectors.mqtt import MqttCollector
from edge_forwarder.collectors.opcua_nodes import OpcUaServer, read_nodes
from edge_forwarder.counters import Counters
from edge_forwarder.edge import Collector, Edge
from edge_forwarder.entries import GapRecorder
from edge_forwarder.payloads import Payloads
from runtime.clock import SystemClock
from runtime.registry import codec_for
from runtime.services.folder import ProjectFolder
from runtime.settings import Settings, load_settings

_MIB: Final = 1024 * 1024
_STATUS: Final = "status.json"
#: While Kafka is away, what is under way waits for it: a failed delivery would be sent anew, which costs a repetition.
_DELIVERY_S: Final = 86_400.0


def forwarder(
    *,
    site: Annotated[str, typer.Option(help="The site whose MQTT topics are collected.")] = "demo",
    opcua: Annotated[
        list[Path] | None, typer.Option(help="File with an OPC UA server and its nodes; may be given again.")
    ] = None,
    folder: Annotated[Path | None, typer.Option(help="The buffer; without it, below the data folder.")] = None,
    waveforms_mib: Annotated[int, typer.Option(min=1, help="Waveforms kept at most; then the oldest go.")] = 1024,
    records_mib: Annotated[int, typer.Option(min=1, help="Readings and events kept at most; then they wait.")] = 256,
    segment_mib: Annotated[float, typer.Option(min=0.01, help="Size of the buffer's files.")] = 8.0,
) -> None:
    """Collect measurements, keep them on disk until Kafka has them, and forward them in the order of arrival.

    FAULTLINE_MQTT_URL names the broker whose topics faultline/SITE/ASSET/blocks, …/readings and …/events are collected;
    a message is acknowledged once it is on disk. What is refused goes to the topic `dead-letters`. The file status.json
    in the buffer's folder says once a second whether records are taken, and counts them.

    \b
        FAULTLINE_MQTT_URL=mqtt://127.0.0.1 FAULTLINE_KAFKA_URL=127.0.0.1:9092 ./faultline forwarder --site plant-7
    """
    settings = load_settings()
    if settings.kafka_url is None:
        raise ConfigurationError("a forwarder needs FAULTLINE_KAFKA_URL; `up` sets it")
    if settings.mqtt_url is None and not opcua:
        raise ConfigurationError("a forwarder needs something to collect: FAULTLINE_MQTT_URL or --opcua FILE")
    limits = Limits(
        segment_bytes=int(segment_mib * _MIB), waveforms_bytes=waveforms_mib * _MIB, records_bytes=records_mib * _MIB
    )
    place = ProjectFolder(folder or settings.data_dir / "forwarder")
    with place:
        asyncio.run(_run(settings, settings.kafka_url, site, opcua or [], place.path, limits))


async def _run(settings: Settings, kafka_url: str, site: str, opcua: list[Path], folder: Path, limits: Limits) -> None:
    clock, counters, boot_id, codec = SystemClock(), Counters(), uuid.uuid4().hex, codec_for(settings)
    buffer = Buffer(folder, limits, GapRecorder(f"forwarder-{site}"))
    outlet = KafkaSink(kafka_url, codec, delivery_timeout_s=_DELIVERY_S)
    edge = Edge(buffer, outlet, clock, counters)
    collectors: list[Collector] = []
    if settings.mqtt_url is not None:
        address, payloads = MqttAddress.parse(settings.mqtt_url), Payloads(site, codec, boot_id)
        collectors.append(lambda put: MqttCollector(address, site, payloads, put, clock, counters).running())
    collectors += [_opcua(read_nodes(file), boot_id, clock, counters) for file in opcua]
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    status = folder / _STATUS
    status.unlink(missing_ok=True)
    try:
        await edge.run(collectors, stop, lambda told: _write_status(status, told))
    finally:
        status.unlink(missing_ok=True)
        buffer.close()


def _opcua(server: OpcUaServer, boot_id: str, clock: Clock, counters: Counters) -> Collector:
    # 70 MB that a forwarder without OPC UA needn't spend
    from edge_forwarder.collectors.opcua import OpcUaCollector  # noqa: PLC0415

    return lambda put: OpcUaCollector(server, boot_id, put, clock, counters).running()


def _write_status(file: Path, told: dict[str, Any]) -> None:
    """Replace the status; without room for it there is none, which says that nothing is taken."""
    new = file.with_suffix(".new")
    try:
        new.write_text(json.dumps({**told, "pid": os.getpid()}), encoding="utf-8")
        new.replace(file)
    except OSError:
        for leftover in (new, file):
            with contextlib.suppress(OSError):
                leftover.unlink()
