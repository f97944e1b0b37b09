"""The registry adapter, one suite over a stub of the Confluent REST calls and over a real registry.

The real one is whatever ``FAULTLINE_TEST_REGISTRY_URL`` names, e.g. Apicurio's ``…/apis/ccompat/v7``.
"""

import dataclasses
import json
import os
import re
import socket
import threading
import typing
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from adapters import schema_registry
from adapters.schema_registry import SchemaRegistry
from contracts import records as r
from contracts.codec import BUNDLED, BUNDLED_IDS, SCHEMA_FOLDER, BundledSchemas, Codec, schema_for
from contracts.diff import breaking_changes
from contracts.errors import BadRecord, ConfigurationError, Reason, Unavailable
from contracts.topics import ALARMS, CONDITIONS, MEASUREMENTS, TOPICS

TICK: typing.Final = r.Tick(topic=MEASUREMENTS, partition=0, at_ns=1_700_000_000_000_000_000, epoch=1)


@dataclasses.dataclass
class Registry:
    """What a Confluent-compatible registry keeps, and how it answers the calls the adapter makes."""

    schemas: list[str] = dataclasses.field(default_factory=list)
    subjects: dict[str, list[int]] = dataclasses.field(default_factory=dict)
    levels: dict[str, str] = dataclasses.field(default_factory=dict)
    calls: list[str] = dataclasses.field(default_factory=list)

    def answer(self, method: str, path: str, body: dict[str, typing.Any]) -> tuple[int, dict[str, typing.Any]]:
        path = path.split("?", maxsplit=1)[0]
        self.calls.append(f"{method} {path}")
        if found := re.fullmatch(r"/config/(.+)", path):
            self.levels[found[1]] = body["compatibility"]
            return 200, body
        if found := re.fullmatch(r"/subjects/(.+)/versions", path):
            return self._register(found[1], body["schema"])
        if (found := re.fullmatch(r"/schemas/ids/(\d+)", path)) and 0 < int(found[1]) <= len(self.schemas):
            return 200, {"schema": self.schemas[int(found[1]) - 1]}
        return 404, {"error_code": 40403, "message": "not found"}

    def _register(self, subject: str, schema: str) -> tuple[int, dict[str, typing.Any]]:
        versions = self.subjects.setdefault(subject, [])
        if versions and self.levels.get(subject) == "BACKWARD":
            before = json.loads(self.schemas[versions[-1] - 1])
            if breaking_changes({"": before}, {"": json.loads(schema)}):
                return 409, {"error_code": 409, "message": "incompatible"}
        if schema not in self.schemas:
            self.schemas.append(schema)
        schema_id = self.schemas.index(schema) + 1
        versions.append(schema_id)
        return 200, {"id": schema_id}


@pytest.fixture
def stub() -> Iterator[tuple[str, Registry]]:
    registry = Registry()

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            raw = self.rfile.read(int(self.headers.get("content-length") or 0))
            status, answer = registry.answer(self.command, self.path, json.loads(raw or b"{}"))
            payload = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-type", "application/vnd.schemaregistry.v1+json")
            self.send_header("content-length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        do_GET = do_POST = do_PUT = _serve  # noqa: N815 -- the server's names

        def log_message(self, *_arguments: object) -> None:
            """Stay silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", registry
        server.shutdown()
        thread.join()


@pytest.fixture(params=["stub", "real"])
def url(request: pytest.FixtureRequest) -> str:
    if request.param == "stub":
        return str(request.getfixturevalue("stub")[0])
    real = os.environ.get("FAULTLINE_TEST_REGISTRY_URL")
    if real is None:
        pytest.skip("no registry: set FAULTLINE_TEST_REGISTRY_URL")
    return real


def test_what_one_process_writes_another_reads(url: str) -> None:
    writer, reader = Codec(SchemaRegistry(url)), Codec(SchemaRegistry(url))
    frame = writer.encode(MEASUREMENTS, TICK)
    assert reader.decode(frame) == TICK
    assert reader.encode(MEASUREMENTS, TICK) == frame


def test_every_schema_registers_and_keeps_its_id(url: str) -> None:
    first, second = SchemaRegistry(url), SchemaRegistry(url)
    first.register_all()
    second.register_all()
    for topic, spec in TOPICS.items():
        for record_type in spec.records:
            schema_id = first.id_of(topic, record_type)
            assert second.id_of(topic, record_type) == schema_id
            assert second.schema_of(schema_id)["name"] == record_type.__name__


def test_an_unknown_id_is_a_bad_record(url: str) -> None:
    with pytest.raises(BadRecord) as caught:
        Codec(SchemaRegistry(url)).decode(b"\x00\x7f\xff\xff\xffjunk")
    assert caught.value.reason is Reason.UNKNOWN_SCHEMA


def test_a_breaking_schema_is_refused_by_name(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    unique = f"Probe{uuid.uuid4().hex}"
    monkeypatch.setattr(
        type(TOPICS[MEASUREMENTS]), "subject", lambda _self, _record: f"measurements-faultline.{unique}"
    )
    schema = {"type": "record", "name": unique, "namespace": "faultline", "fields": [{"name": "a", "type": "long"}]}
    monkeypatch.setattr(schema_registry, "schema_for", lambda _cls: schema)
    SchemaRegistry(url).id_of(MEASUREMENTS, r.Tick)
    schema = {**schema, "fields": [{"name": "b", "type": "string"}]}
    with pytest.raises(ConfigurationError, match=unique):
        SchemaRegistry(url).id_of(MEASUREMENTS, r.Tick)


def test_the_compatibility_is_set_before_the_schema(stub: tuple[str, Registry]) -> None:
    url, registry = stub
    SchemaRegistry(url).id_of(ALARMS, r.AlarmTransition)
    assert registry.levels == {"alarms-value": "BACKWARD"}
    assert registry.calls == ["PUT /config/alarms-value", "POST /subjects/alarms-value/versions"]
    assert json.loads(registry.schemas[0]) == schema_for(r.AlarmTransition)


def test_an_id_is_asked_for_once_and_junk_seldom(stub: tuple[str, Registry]) -> None:
    url, registry = stub
    now_s = [0.0]
    source = SchemaRegistry(url, monotonic_s=lambda: now_s[0])
    schema_id = source.id_of(MEASUREMENTS, r.Tick)
    registry.calls.clear()
    for _ in range(10):
        source.id_of(MEASUREMENTS, r.Tick)
        source.schema_of(schema_id)
        with pytest.raises(BadRecord):
            source.schema_of(999)
    assert len(registry.calls) == 2
    registry.schemas += ['{"type": "record", "name": "Late", "fields": []}'] * 999
    now_s[0] = 61.0  # and later it may be there
    assert source.schema_of(999)["name"] == "Late"


def test_an_avro_schema_of_no_record_of_ours_is_a_bad_record(stub: tuple[str, Registry]) -> None:
    url, registry = stub
    registry.schemas += ['"string"', '{"type": "record", "name": "Foreign", "namespace": "x", "fields": []}']
    for schema_id in (1, 2):
        with pytest.raises(BadRecord) as caught:
            Codec(SchemaRegistry(url)).decode(b"\x00" + schema_id.to_bytes(4, "big") + b"\x00")
        assert caught.value.reason is Reason.UNKNOWN_SCHEMA


def test_a_registry_that_is_away_is_unavailable() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        source = SchemaRegistry(f"http://127.0.0.1:{probe.getsockname()[1]}")
    with pytest.raises(Unavailable):
        source.id_of(MEASUREMENTS, r.Tick)
    with pytest.raises(Unavailable):
        source.schema_of(1)


def test_an_error_page_means_unavailable(stub: tuple[str, Registry], monkeypatch: pytest.MonkeyPatch) -> None:
    url, registry = stub
    answers: tuple[tuple[int, object], ...] = ((500, {}), (200, []))
    for answer in answers:
        monkeypatch.setattr(registry, "answer", lambda *_call, answer=answer: answer)
        with pytest.raises(Unavailable):
            SchemaRegistry(url).id_of(MEASUREMENTS, r.Tick)
        with pytest.raises(Unavailable):
            SchemaRegistry(url).schema_of(1)


def test_a_writer_with_an_older_schema_is_read(stub: tuple[str, Registry]) -> None:
    url, registry = stub
    old = json.loads(json.dumps(schema_for(r.Command)))
    old["fields"] = [field for field in old["fields"] if "default" not in field]
    registry.schemas.append(json.dumps(old))
    command = r.Command(command_id="c", asset_id="a", alarm_id="m", action=r.CommandAction.RESET, actor="x", at_ns=1)
    frame = Codec(_Fixed(1)).encode(CONDITIONS, command)
    # both defaulted fields are null: one byte each at the end, which the older writer didn't have
    assert Codec(SchemaRegistry(url)).decode(frame[:-2]) == command
    assert len(BUNDLED_IDS) == 10


def test_a_reader_of_today_takes_every_bundled_version_through_the_registry(stub: tuple[str, Registry]) -> None:
    url, registry = stub
    registry.schemas += [json.dumps(schema_for(*version)) for version in BUNDLED.values()]
    paths = {int.from_bytes(path.read_bytes()[1:5], "big"): path for path in (SCHEMA_FOLDER / "golden").glob("*.bin")}
    for position, bundled_id in enumerate(BUNDLED, start=1):
        golden = paths[bundled_id].read_bytes()
        framed = golden[:1] + position.to_bytes(4, "big") + golden[5:]
        assert Codec(SchemaRegistry(url)).decode(framed) == Codec(BundledSchemas()).decode(golden)


class _Fixed:
    """Every type under one id."""

    def __init__(self, schema_id: int) -> None:
        self._schema_id = schema_id

    def id_of(self, topic: str, record_type: type) -> int:
        return self._schema_id

    def schema_of(self, schema_id: int) -> dict[str, typing.Any]:
        raise BadRecord(Reason.UNKNOWN_SCHEMA, "none")
