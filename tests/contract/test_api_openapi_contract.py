"""The OpenAPI description is true: every route is in it, every operation answers, and answers fit their schemas."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from starlette.routing import Route

from adapters.identity import DevelopmentLogin
from api import openapi
from contracts.ports import Principal
from tests.api_doubles import Bench, FakeClock, bench

ADMIN = Principal("root", frozenset({"admin"}))
ASSET, CHANNEL, ALARM = "P-101", "P-101-DE-H.acc", "alm_n"
NAMES = {"asset_id": ASSET, "channel_id": CHANNEL, "alarm_id": ALARM, "start": "latest"}
BODIES = {"/v1/chat": {"question": "Why?"}}
_DESCRIPTIVE = {"title", "description", "examples", "format", "default", "contentEncoding", "$ref"}


def full_bench() -> Bench:
    return bench(ADMIN, login=DevelopmentLogin(FakeClock()))


def description() -> dict[str, Any]:
    answer = full_bench().ask("GET", openapi.PATH)
    assert answer.status_code == 200
    document: dict[str, Any] = answer.json()
    return document


DOCUMENT = description()
OPERATIONS = [(path, method) for path, item in DOCUMENT["paths"].items() for method in item]


_TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "number": (int, float),
    "integer": int,
    "null": type(None),
}
_BOUNDS: dict[str, Callable[[Any, Any], bool]] = {
    "type": lambda v, b: isinstance(v, _TYPES[b]) and (b == "boolean" or not isinstance(v, bool)),
    "required": lambda v, b: set(b) <= set(v),
    "enum": lambda v, b: v in b,
    "minItems": lambda v, b: len(v) >= b,
    "maxItems": lambda v, b: len(v) <= b,
    "minLength": lambda v, b: len(v) >= b,
    "maxLength": lambda v, b: len(v) <= b,
    "minimum": lambda v, b: v >= b,
    "maximum": lambda v, b: v <= b,
    "exclusiveMinimum": lambda v, b: v > b,
    "pattern": lambda v, b: re.search(b, v) is not None,
}


def fits(value: Any, schema: dict[str, Any], where: str = "$") -> None:
    """Raise where `value` doesn't fit `schema`: the part of JSON Schema 2020-12 that the description uses, no more."""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix("#/components/schemas/")
        fits(value, DOCUMENT["components"]["schemas"][name], where)
        return
    for key, bound in schema.items():
        if key in _BOUNDS:
            assert _BOUNDS[key](value, bound), f"{where}: {value!r} breaks {key} {bound}"
        elif key == "anyOf":
            assert any(_does_fit(value, one, where) for one in bound), f"{where}: {value!r} fits none of {bound}"
        elif key not in _DESCRIPTIVE:
            for inner, inner_schema, inside in _inner(key, bound, value, schema):
                fits(inner, inner_schema, f"{where}{inside}")


def _inner(key: str, bound: Any, value: Any, schema: dict[str, Any]) -> Iterator[tuple[Any, dict[str, Any], str]]:
    """Give what lies within `value`, with its schema and place."""
    if key == "properties":
        yield from ((value[name], inner, f".{name}") for name, inner in bound.items() if name in value)
    elif key == "additionalProperties":
        more = set(value) - set(schema.get("properties", {}))
        assert bound is not False or not more, f"unknown {more}"
        yield from ((value[name], bound, f".{name}") for name in more)
    elif key == "items":
        rest = value[len(schema.get("prefixItems", ())) :]
        assert bound is not False or not rest, f"more items: {rest}"
        yield from ((item, bound, "[]") for item in rest)
    elif key == "prefixItems":
        yield from ((item, inner, "[]") for item, inner in zip(value, bound, strict=False))
    else:
        raise AssertionError(f"the schema says {key}, which this check doesn't know")


def _does_fit(value: Any, schema: dict[str, Any], where: str) -> bool:
    try:
        fits(value, schema, where)
    except AssertionError:
        return False
    return True


def ask(path: str, method: str, **options: Any) -> Any:
    return full_bench().ask(method.upper(), path.format(**NAMES), **options)


def test_api_every_route_is_described_and_the_other_way_round() -> None:
    routes = [route for route in full_bench().app.routes if isinstance(route, Route) and route.path != openapi.PATH]
    assert all(route.methods is not None for route in routes)
    routed = {(r.path, m.lower()) for r in routes for m in r.methods or () if m != "HEAD"}
    assert routed == set(OPERATIONS)


def test_api_description_is_well_formed() -> None:
    assert DOCUMENT["openapi"] == "3.1.0"
    identifiers = [DOCUMENT["paths"][path][method]["operationId"] for path, method in OPERATIONS]
    assert len(set(identifiers)) == len(identifiers)
    for path, method in OPERATIONS:
        described = DOCUMENT["paths"][path][method]
        in_path = {p["name"] for p in described["parameters"] if p["in"] == "path"}
        assert in_path == set(re.findall(r"{(\w+)}", path))
        assert all(p["required"] == (p["in"] == "path") for p in described["parameters"])
        assert {"401", "403", "422", "500", "503"} <= set(described["responses"])
    references = set(re.findall(r"'\$ref': '#/components/schemas/(\w+)'", str(DOCUMENT)))
    assert references <= set(DOCUMENT["components"]["schemas"])


@pytest.mark.parametrize(("path", "method"), [o for o in OPERATIONS if o[0] != "/v1/events"])
def test_api_described_operations_answer_as_described(path: str, method: str) -> None:
    described = DOCUMENT["paths"][path][method]
    (status,) = [code for code in described["responses"] if code.startswith("2")]
    (media_type, content) = next(iter(described["responses"][status]["content"].items()))
    answer = ask(path, method, **({"json": BODIES[path]} if path in BODIES else {}))
    assert str(answer.status_code) == status, answer.text
    assert answer.headers["content-type"] == media_type
    fits(answer.json(), content["schema"])


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_api_refusals_answer_as_described(path: str, method: str) -> None:
    answer = ask(path, method, params={"nonsense": "1"})
    assert answer.status_code == 422
    content = DOCUMENT["paths"][path][method]["responses"]["422"]["content"]
    fits(answer.json(), content[answer.headers["content-type"]]["schema"])


def test_api_the_check_itself_refuses() -> None:
    schema = DOCUMENT["paths"]["/v1/assets"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    good = ask("/v1/assets", "get").json()
    fits(good, schema)
    for name, wrong in (("zone", "E"), ("standing_alarms", "1"), ("asset_id", None), ("speed_rpm", "fast")):
        bad = {"assets": [good["assets"][0] | {name: wrong}]}
        with pytest.raises(AssertionError):
            fits(bad, schema)
