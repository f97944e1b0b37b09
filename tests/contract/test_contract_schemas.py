"""The dataclasses and the Avro schemas are twins: names, order, types, nullability, defaults, symbols."""

import dataclasses
import enum
import types
import typing

import pytest
from fastavro.schema import parse_schema

from contracts import records as r
from contracts.codec import BUNDLED, BUNDLED_IDS, SCHEMA_FOLDER, schema_for
from contracts.features import FEATURES

_PRIMITIVES = {str: "string", int: "long", float: "double", bool: "boolean", bytes: "bytes"}
#: Half the bytes where the catalogue promises float32.
_NARROWED = {
    ("ChannelAssessment", "features"): {"type": "array", "items": ["null", "float"]},
    ("ChannelAssessment", "own_features"): {"type": "map", "values": ["null", "float"]},
}


def expected_type(annotation: typing.Any, known: set[str]) -> typing.Any:
    if annotation in _PRIMITIVES:
        return _PRIMITIVES[annotation]
    arguments = typing.get_args(annotation)
    if isinstance(annotation, types.UnionType):
        (inner,) = (one for one in arguments if one is not type(None))
        return ["null", expected_type(inner, known)]
    if typing.get_origin(annotation) is tuple:
        return {"type": "array", "items": expected_type(arguments[0], known)}
    if annotation.__name__ in known:
        return annotation.__name__
    known.add(annotation.__name__)
    if issubclass(annotation, enum.StrEnum):
        return {"type": "enum", "name": annotation.__name__, "symbols": [member.value for member in annotation]}
    return expected_record(annotation, known)


def expected_record(record_type: typing.Any, known: set[str]) -> dict[str, typing.Any]:
    hints = typing.get_type_hints(record_type)
    fields = []
    for field in dataclasses.fields(record_type):
        narrowed = _NARROWED.get((record_type.__name__, field.name))
        entry = {"name": field.name, "type": narrowed or expected_type(hints[field.name], known)}
        if field.default is not dataclasses.MISSING:
            entry["default"] = [] if field.default == () else field.default
        elif field.default_factory is not dataclasses.MISSING:
            entry["default"] = field.default_factory()
        fields.append(entry)
    return {"type": "record", "name": record_type.__name__, "fields": fields}


def without_docs(schema: typing.Any) -> typing.Any:
    if isinstance(schema, list):
        return [without_docs(one) for one in schema]
    if isinstance(schema, dict):
        return {key: without_docs(value) for key, value in schema.items() if key not in {"doc", "namespace"}}
    return schema


def parts(schema: typing.Any) -> list[dict[str, typing.Any]]:
    """Return every record, enum and field in a schema."""
    if isinstance(schema, list):
        return [part for one in schema for part in parts(one)]
    if not isinstance(schema, dict):
        return []
    own = [schema] if "name" in schema else []
    return own + [part for key in ("fields", "items", "type") for part in parts(schema.get(key))]


@pytest.mark.parametrize("record_type", BUNDLED_IDS, ids=lambda cls: cls.__name__)
def test_dataclass_and_schema_say_the_same(record_type: type) -> None:
    schema = schema_for(record_type)
    assert without_docs(schema) == expected_record(record_type, {record_type.__name__})
    assert schema["namespace"] == "faultline"
    parse_schema(schema)  # and Avro agrees that it is one


@pytest.mark.parametrize("record_type", BUNDLED_IDS, ids=lambda cls: cls.__name__)
def test_every_part_says_what_it_is(record_type: type) -> None:
    undocumented = [part["name"] for part in parts(schema_for(record_type)) if len(part.get("doc", "")) < 8]
    assert undocumented == []


def test_a_named_type_is_the_same_in_every_schema() -> None:
    seen: dict[str, typing.Any] = {}
    for record_type in BUNDLED_IDS:
        for part in parts(schema_for(record_type)):
            if "symbols" in part or "fields" in part:
                assert seen.setdefault(part["name"], part) == part
    assert {"Evidence", "Zone", "Priority"} <= set(seen)


def test_every_record_has_one_schema_and_every_schema_a_record() -> None:
    files = {path.name for path in SCHEMA_FOLDER.glob("*.avsc")}
    assert len(BUNDLED_IDS) == len(typing.get_args(r.Record)) == 10
    assert set(BUNDLED_IDS) == set(typing.get_args(r.Record))
    assert len(files) == len(BUNDLED) == len(set(BUNDLED.values()))
    assert {schema_for(*version)["name"] for version in BUNDLED.values()} == {cls.__name__ for cls in BUNDLED_IDS}


def test_the_newest_version_is_written() -> None:
    for record_type, schema_id in BUNDLED_IDS.items():
        versions = [version for known, version in BUNDLED.values() if known is record_type]
        assert versions == list(range(1, len(versions) + 1))
        assert BUNDLED[schema_id] == (record_type, versions[-1])
        assert schema_for(record_type) == schema_for(record_type, versions[-1])


def test_units_end_the_names_of_what_has_one() -> None:
    dimensionless = {"value", "limit", "confidence", "threshold", "load_ratio"}
    for record_type in BUNDLED_IDS:
        for part in parts(schema_for(record_type)):
            if part.get("type") in ("double", ["null", "double"]):
                assert part["name"].endswith(("_hz", "_rpm", "_s")) or part["name"] in dimensionless
    assert len({feature.name for feature in FEATURES}) == len(FEATURES)
