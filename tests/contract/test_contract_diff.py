"""The contract diff names what breaks and lets pass what doesn't."""

import copy
import json
import pathlib
import typing

import pytest

from contracts.diff import altered, breaking_changes, breaks_between_versions, main

_ZONE = {"type": "enum", "name": "Zone", "symbols": ["A", "B"]}
_OLD: dict[str, typing.Any] = {
    "type": "record",
    "name": "Pump",
    "namespace": "x",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "count", "type": "int"},
        {"name": "note", "type": ["null", "string"], "default": None},
        {"name": "zone", "type": ["null", _ZONE]},
        {"name": "worst", "type": "Zone"},
        {
            "name": "parts",
            "type": {
                "type": "array",
                "items": {"type": "record", "name": "Part", "fields": [{"name": "mass_kg", "type": "double"}]},
            },
        },
        {"name": "levels", "type": {"type": "map", "values": "float"}},
    ],
}


def changed(change: typing.Callable[[dict[str, typing.Any]], object]) -> list[str]:
    new = copy.deepcopy(_OLD)
    change({field["name"]: field for field in new["fields"]} | {"": new})
    return breaking_changes({"pump": _OLD}, {"pump": new})


def remove(schema: dict[str, typing.Any], name: str) -> None:
    schema["fields"] = [field for field in schema["fields"] if field["name"] != name]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda s: remove(s[""], "id"), ["Pump.id: removed, and it had no default"]),
        (lambda s: s[""]["fields"].append({"name": "new", "type": "int"}), ["Pump.new: added without a default"]),
        (
            lambda s: s["id"].update(name="asset_id"),
            ["Pump.id: removed, and it had no default", "Pump.asset_id: added without a default"],
        ),
        (lambda s: s["id"].update(type="bytes"), ["Pump.id: string became bytes"]),
        (lambda s: s["note"].update(type="string"), ["Pump.note: null became string"]),
        (lambda s: s["note"].pop("default"), ["Pump.note: default removed"]),
        (lambda s: s["zone"]["type"][1].update(symbols=["A"]), ["Zone: symbol B removed"]),
        (
            lambda s: s["zone"]["type"][1].update(name="Grade") or s["worst"].update(type="Grade"),
            ["Pump.zone: enum Zone became null or enum Grade", "Pump.worst: enum Zone became enum Grade"],
        ),
        (
            lambda s: s["parts"]["type"]["items"]["fields"][0].update(type="float"),
            ["Part.mass_kg: double became float"],
        ),
        (lambda s: s["parts"].update(type="string"), ["Pump.parts: array became string"]),
        (lambda s: s["levels"]["type"].update(values="string"), ["Pump.levels[]: float became string"]),
        (lambda s: s["levels"].update(type="float"), ["Pump.levels: map became float"]),
        (lambda s: s[""].update(name="Fan"), ["Pump: record x.Pump became record x.Fan"]),
        (lambda s: s[""].update(namespace="y"), ["Pump: record x.Pump became record y.Pump"]),
    ],
)
def test_a_breaking_change_is_named(change: typing.Callable[[typing.Any], object], named: list[str]) -> None:
    assert changed(change) == named


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s[""],
        lambda s: remove(s[""], "note"),
        lambda s: s[""]["fields"].insert(0, {"name": "new", "type": "int", "default": 0}),
        lambda s: s["count"].update(type="double"),
        lambda s: s["count"].update(type=["null", "long"]),
        lambda s: s["levels"]["type"].update(values=["null", "double"]),
        lambda s: s["zone"]["type"][1]["symbols"].append("C"),
        lambda s: s[""].update(doc="other words"),
    ],
)
def test_what_old_records_survive_passes(change: typing.Callable[[typing.Any], object]) -> None:
    assert changed(change) == []


def test_a_removed_schema_is_named() -> None:
    assert breaking_changes({"pump": _OLD}, {}) == ["pump: schema removed"]


def test_the_schemas_read_what_the_released_ones_wrote(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0, capsys.readouterr().out
    assert "11 schemas" in capsys.readouterr().out


def test_a_break_ends_with_status_1(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    tick = {"type": "record", "name": "Tick", "namespace": "faultline", "fields": [{"name": "leap_s", "type": "int"}]}
    (tmp_path / "tick.v1.avsc").write_text(json.dumps(tick))
    assert main(["--against", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert "Tick.leap_s: removed" in out
    assert "tick.v1.avsc: altered after its release" in out


def test_a_released_schema_keeps_its_form_but_for_its_words() -> None:
    worded, longer = copy.deepcopy(_OLD), copy.deepcopy(_OLD)
    worded["fields"][0]["doc"] = "other words"
    longer["fields"].append({"name": "new", "type": "int", "default": 0})
    assert altered({"pump": _OLD}, {"pump": worded}) == []
    assert [line.split(":")[0] for line in altered({"pump": _OLD}, {"pump": longer})] == ["pump"]


def test_each_version_reads_the_one_before_it() -> None:
    second, tenth = copy.deepcopy(_OLD), copy.deepcopy(_OLD)
    second["fields"].append({"name": "new", "type": "int", "default": 0})
    versions = {"pump.v10.avsc": tenth, "pump.v1.avsc": _OLD, "pump.v2.avsc": second}
    assert breaks_between_versions({"pump.v1.avsc": _OLD, "pump.v2.avsc": second}) == []
    remove(tenth, "id")
    assert breaks_between_versions(versions) == ["pump.v10.avsc: Pump.id: removed, and it had no default"]


def test_nothing_to_compare_with_ends_with_status_2(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--against", str(tmp_path)]) == 2
    assert main(["--against", "no-such-revision"]) == 2
    assert "neither a folder nor a revision" in capsys.readouterr().err
