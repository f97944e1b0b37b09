"""The OPC UA collector against a real server in this process, and its file of nodes."""

import asyncio
import contextlib
import datetime as dt
import json
import socket
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from asyncua import ua
from asyncua.server.server import Server

from contracts import records as r
from contracts.errors import ConfigurationError
from edge_forwarder.collectors import opcua
from edge_forwarder.collectors.opcua import OpcUaCollector, quality_of
from edge_forwarder.collectors.opcua_nodes import Node, OpcUaServer, read_nodes
from edge_forwarder.counters import Counters
from edge_forwarder.entries import Collected
from edge_forwarder.intake import Arrival
from tests.edge_samples import START_NS, FixedClock, until

AT = dt.datetime(2026, 1, 31, 12, 0, 0, 250_000, tzinfo=dt.UTC)
AT_NS = 1_769_860_800_250_000_000
NODES = (
    Node("ns=2;s=temperature", "P-1", "P-1-DE-H.temp", "temperature", "degC"),
    Node("ns=2;s=pressure", "P-2", "P-2.pressure", "pressure", "bar"),
)


class Plant:
    """A server with two variables, in a thread of its own: asyncua takes seconds to build one."""

    def __init__(self) -> None:
        self.port = _free_port()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="plant", daemon=True)
        self._thread.start()
        self._server = Server()
        self._variables: dict[str, Any] = {}
        self._do(self._start())

    def stop(self) -> None:
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def set(self, name: str, value: float | None, status: int = 0, at: dt.datetime = AT) -> None:
        variant: Any = None if value is None else ua.Variant(value)
        time: Any = at.replace(tzinfo=None)
        data = ua.DataValue(variant, ua.StatusCode(ua.UInt32(status)), SourceTimestamp=time)
        self._do(self._variables[name].write_value(data))

    async def _start(self) -> None:
        await self._server.init()
        self._server.set_endpoint(f"opc.tcp://127.0.0.1:{self.port}/plant")
        index: Any = await self._server.register_namespace("urn:plant")
        assert index == 2
        for name in ("temperature", "pressure"):
            node: Any = ua.NodeId(name, index)  # type: ignore[arg-type]  # asyncua's own types for plain ones
            self._variables[name] = await self._server.nodes.objects.add_variable(node, name, 20.0)
        await self._server.start()

    async def _end(self) -> None:
        await self._server.stop()
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in left:  # asyncua forgets the sessions of clients that were cut off
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(120.0)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def server() -> Iterator[Plant]:
    made = Plant()
    yield made
    made.stop()


@pytest.fixture
def plant(server: Plant) -> Plant:
    """Give the server with good values."""
    server.set("temperature", 20.0)
    server.set("pressure", 20.0)
    return server


@contextlib.asynccontextmanager
async def way_to(plant: Plant, port: int) -> AsyncIterator[None]:
    """Listen on `port` and pass everything on to the server; on the way out cut every connection."""
    under_way: set[asyncio.StreamWriter] = set()

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        under_way.add(writer)
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", plant.port)
        await asyncio.gather(copy(reader, far_writer), copy(far_reader, writer))

    listener = await asyncio.start_server(serve, "127.0.0.1", port)
    try:
        yield
    finally:
        listener.close()
        for writer in under_way:
            writer.transport.abort()
        await asyncio.sleep(0)  # the aborted ones end


class Inbox:
    """What a collector handed over."""

    def __init__(self, *, acknowledges: bool = True) -> None:
        self.records: list[Collected] = []
        self._unacknowledged: list[Arrival] = []
        self._acknowledges = acknowledges

    def put(self, arrival: Arrival) -> None:
        self.records.append(arrival.collect())
        self._unacknowledged.append(arrival)
        if self._acknowledges:
            self.acknowledge()

    def acknowledge(self) -> None:
        for arrival in self._unacknowledged:
            arrival.acknowledge()
        self._unacknowledged.clear()

    def has(self, channel: str, value: float) -> bool:
        return value in [reading.value for reading in self.readings(channel)]

    def readings(self, channel: str) -> list[r.Reading]:
        batches = [one for one in self.records if isinstance(one, r.ReadingBatch)]
        return [reading for batch in batches for reading in batch.readings if reading.channel_id == channel]

    def gaps(self, code: str) -> list[r.MachineEvent]:
        return [one for one in self.records if isinstance(one, r.MachineEvent) and one.code == code]


@contextlib.asynccontextmanager
async def collecting(url: str, inbox: Inbox) -> AsyncIterator[Counters]:
    counters = Counters()
    collector = OpcUaCollector(OpcUaServer(url, 20.0, NODES), "1", inbox.put, FixedClock(), counters)
    async with collector.running():
        await until(lambda: counters.ready and len(inbox.records) >= 2)  # a subscription begins with what is there
        yield counters


def url_of(port: int) -> str:
    return f"opc.tcp://127.0.0.1:{port}/plant"


def test_values_come_with_the_sources_time_and_their_quality(plant: Plant) -> None:
    inbox = Inbox()

    async def go() -> None:
        async with collecting(url_of(plant.port), inbox):
            for place, status in enumerate((0, 0x40920000), start=1):
                at, wanted = AT + dt.timedelta(seconds=place), 60.0 + place
                await asyncio.to_thread(plant.set, "temperature", wanted, status, at)
                await until(partial(inbox.has, "P-1-DE-H.temp", wanted))

    asyncio.run(go())
    told = [(one.value, one.quality, one.at_ns) for one in inbox.readings("P-1-DE-H.temp")]
    assert told == [
        (20.0, r.Quality.GOOD, AT_NS),
        (61.0, r.Quality.GOOD, AT_NS + 1_000_000_000),
        (62.0, r.Quality.UNCERTAIN, AT_NS + 2_000_000_000),
    ]
    sequences = [one.sequence for one in inbox.records if not isinstance(one, r.DeadLetter)]
    assert sequences == list(range(len(sequences)))


def test_a_bad_status_is_told_once_as_a_gap_and_what_is_no_number_is_refused(plant: Plant) -> None:
    inbox = Inbox()

    async def go() -> None:
        async with collecting(url_of(plant.port), inbox):
            for place in (1, 2):
                at = AT + dt.timedelta(seconds=place)
                await asyncio.to_thread(plant.set, "temperature", None, 0x80050000, at)
            await until(lambda: inbox.gaps("opcua_bad"))
            await asyncio.to_thread(plant.set, "pressure", float("inf"))
            await until(lambda: any(isinstance(one, r.DeadLetter) for one in inbox.records))

    asyncio.run(go())
    assert len(inbox.readings("P-1-DE-H.temp")) == 1
    (gap,) = inbox.gaps("opcua_bad")
    assert (gap.asset_id, gap.kind) == ("P-1", "gap")
    assert gap.at_ns in {AT_NS + 1_000_000_000, AT_NS + 2_000_000_000}
    assert "BadCommunicationError" in gap.text
    (letter,) = [one for one in inbox.records if isinstance(one, r.DeadLetter)]
    assert (letter.topic, letter.reason) == (f"{url_of(plant.port)}/ns=2;s=pressure", "not_finite")


def test_a_bad_value_that_is_a_number_is_kept_as_bad() -> None:
    inbox = Inbox()
    collector = OpcUaCollector(OpcUaServer(url_of(1), 20.0, NODES), "1", inbox.put, FixedClock(), Counters())
    time: Any = AT.replace(tzinfo=None)
    gap, batch = collector._records(
        NODES[0], ua.DataValue(ua.Variant(63.0), ua.StatusCode(ua.UInt32(0x80000000)), SourceTimestamp=time)
    )
    assert isinstance(gap, r.MachineEvent)
    assert isinstance(batch, r.ReadingBatch)
    assert (batch.readings[0].value, batch.readings[0].quality) == (63.0, r.Quality.BAD)
    (refused,) = collector._records(NODES[1], ua.DataValue(ua.Variant(1.0)))  # no time at all
    assert isinstance(refused, r.DeadLetter)
    assert refused.reason == "bad_time"


def test_a_server_that_goes_and_comes_back_is_read_again_and_the_gap_told(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opcua, "_LOOK_S", 0.05)
    monkeypatch.setattr(opcua, "_RETRY_S", 0.05)
    inbox, port = Inbox(), _free_port()

    async def go() -> None:
        async with contextlib.AsyncExitStack() as collectors:
            async with way_to(plant, port):
                counters = await collectors.enter_async_context(collecting(url_of(port), inbox))
            await until(lambda: not counters.ready)
            async with way_to(plant, port):
                await until(lambda: counters.ready)
                await asyncio.to_thread(plant.set, "pressure", 2.5)
                await until(partial(inbox.has, "P-2.pressure", 2.5))

    asyncio.run(go())
    assert sorted(gap.asset_id for gap in inbox.gaps("opcua_disconnected")) == ["P-1", "P-2"]
    assert all(gap.at_ns == START_NS for gap in inbox.gaps("opcua_disconnected"))


def test_values_that_come_faster_than_they_are_kept_are_counted_and_told(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opcua, "_WINDOW", 2)
    inbox = Inbox(acknowledges=False)

    async def go() -> None:
        async with collecting(url_of(plant.port), inbox) as counters:
            await asyncio.to_thread(plant.set, "temperature", 61.0)
            await until(lambda: counters.collected_too_fast == 1)
            assert len(inbox.records) == 2
            inbox.acknowledge()
            await asyncio.to_thread(plant.set, "pressure", 3.0)
            await until(lambda: inbox.gaps("opcua_overrun"))

    asyncio.run(go())
    (gap,) = inbox.gaps("opcua_overrun")
    assert gap.asset_id == "P-1"


@pytest.mark.parametrize(
    ("status", "quality"),
    [(0, "good"), (0x3FFFFFFF, "good"), (0x40000000, "uncertain"), (0x80000000, "bad"), (0xC0000000, "bad")],
)
def test_the_top_two_bits_are_the_quality(status: int, quality: str) -> None:
    assert quality_of(status).value == quality


def test_nodes_are_read_from_yaml_and_json(tmp_path: Path) -> None:
    node = {"node": "ns=2;s=a", "asset": "P-1", "channel": "P-1.t", "quantity": "temperature", "unit": "degC"}
    yaml, json_file = tmp_path / "a.yaml", tmp_path / "a.json"
    yaml.write_text("url: opc.tcp://h:4840\nnodes:\n  - " + json.dumps(node) + "\n")
    json_file.write_text(json.dumps({"url": "opc.tcp://h:4840", "nodes": [node]}))
    assert read_nodes(yaml) == read_nodes(json_file) == OpcUaServer("opc.tcp://h:4840", 500.0, (Node(**node),))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"unit": "degF"}, "unknown|temperature in 'degF'"),
        ({"channel": ""}, "length >= 1"),
        ({"colour": "red"}, "colour"),
        ({"node": "ns=2;s=b"}, "occurs twice"),
    ],
)
def test_a_wrong_file_of_nodes_is_refused_with_the_place(tmp_path: Path, change: dict[str, str], message: str) -> None:
    node = {"node": "ns=2;s=a", "asset": "P-1", "channel": "P-1.t", "quantity": "temperature", "unit": "degC"}
    nodes = [{**node, **change}, {**node, **({"node": "ns=2;s=b"} if "node" in change else {"node": "ns=2;s=c"})}]
    file = tmp_path / "nodes.json"
    file.write_text(json.dumps({"url": "opc.tcp://h:4840", "nodes": nodes}))
    with pytest.raises(ConfigurationError, match=message):
        read_nodes(file)


@pytest.mark.parametrize("content", ["", "url: http://x\nnodes: [{node: a}]", "{", "url: 1"])
def test_a_file_that_is_no_file_of_nodes_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "nodes.yaml"
    file.write_text(content)
    with pytest.raises(ConfigurationError, match=r"nodes\.yaml"):
        read_nodes(file)
    with pytest.raises(ConfigurationError, match="can't be read"):
        read_nodes(tmp_path / "absent")
