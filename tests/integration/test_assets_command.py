"""Assets from files into the database and onto the log, by the command line."""

import json
import typing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from adapters.kafka import read_log
from contracts.activations import configuration_of
from contracts.codec import BundledSchemas, Codec
from contracts.errors import NotFound
from contracts.records import Activation, MachineEvent
from contracts.topics import CONDITIONS, MEASUREMENTS
from runtime.commands.assets import assets
from runtime.settings import PROJECT

EXAMPLE: typing.Final = PROJECT / "docs" / "examples" / "assets.yaml"


@pytest.fixture
def call(
    monkeypatch: pytest.MonkeyPatch, database_url: str, kafka_bootstrap: str
) -> typing.Callable[..., dict[str, typing.Any]]:
    monkeypatch.setenv("FAULTLINE_DATABASE_URL", database_url)
    monkeypatch.setenv("FAULTLINE_KAFKA_URL", kafka_bootstrap)
    monkeypatch.setenv("FAULTLINE_PARTITIONS", "1")

    def run(*arguments: str) -> dict[str, typing.Any]:
        result = CliRunner().invoke(assets, [*arguments, "--json"], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        printed: dict[str, typing.Any] = json.loads(result.stdout)
        return printed

    return run


def activations(bootstrap: str, topic: str, asset_id: str) -> list[Activation]:
    codec = Codec(BundledSchemas())
    mine = [entry for entry in read_log(bootstrap, topic) if entry.key == asset_id.encode()]
    found = [codec.decode(entry.value) for entry in mine]
    return [record for record in found if isinstance(record, Activation)]


def test_an_import_is_stored_and_put_into_force_once(
    call: typing.Callable[..., dict[str, typing.Any]],
    kafka_bootstrap: str,
    tmp_path: Path,
    topic_name: typing.Callable[[str], str],
) -> None:
    asset_id = topic_name("P")  # the log is shared with other tests
    text = EXAMPLE.read_text(encoding="utf-8").replace("RW-P-201", asset_id)
    file = tmp_path / "assets.yaml"
    file.write_text(text, encoding="utf-8")
    imported = {"sites": 1, "assets": 1, "events": 2, "changed": [asset_id], "activated": [asset_id]}
    assert call("import", str(file)) == imported
    assert call("import", str(file)) == {**imported, "changed": [], "activated": []}
    file.write_text(text.replace("rigid ", "flexible "), encoding="utf-8")
    assert call("import", str(file)) == imported

    (listed,) = call("list")["assets"]
    assert (listed["asset_id"], listed["in_force"], listed["support"]) == (asset_id, True, "flexible")
    shown = call("show", asset_id)
    assert [event["kind"] for event in shown["service_history"]] == ["alignment", "bearing replaced"]
    for topic in (MEASUREMENTS, CONDITIONS):
        records = activations(kafka_bootstrap, topic, asset_id)
        assert [configuration_of(record).support for record in records] == ["rigid", "flexible"]


def test_maintenance_goes_onto_the_log_of_a_known_asset(
    call: typing.Callable[..., dict[str, typing.Any]], kafka_bootstrap: str
) -> None:
    call("import", str(EXAMPLE))
    told = call("maintained", "RW-P-201", "--code", "bearing_replaced", "--text", "WO 4711")
    codec = Codec(BundledSchemas())
    found = [codec.decode(one.value) for one in read_log(kafka_bootstrap, MEASUREMENTS) if one.key == b"RW-P-201"]
    (event,) = [one for one in found if isinstance(one, MachineEvent) and one.boot_id == told["boot_id"]]
    assert (event.kind, event.code, event.text) == ("maintenance", "bearing_replaced", "WO 4711")
    with pytest.raises(NotFound, match="P-999"):
        CliRunner().invoke(assets, ["maintained", "P-999"], catch_exceptions=False)


def test_people_get_tables(call: typing.Callable[..., dict[str, typing.Any]]) -> None:
    call("import", str(EXAMPLE))
    for arguments, named in (
        (["list"], "RW-P-201"),
        (["show", "RW-P-201"], "Drive-end bearing replaced"),
        (["import", str(EXAMPLE)], "now in force: nothing new"),
    ):
        result = CliRunner().invoke(assets, arguments, catch_exceptions=False)
        assert result.exit_code == 0
        assert named in result.stdout
