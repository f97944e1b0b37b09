"""Rows to answers, and texts to arguments: everything that crosses the border is converted here.

Invariants: a row's ``..._ns`` column becomes a moment, and columns that the answer's type doesn't name stay inside;
a number that isn't finite goes out as null; loose JSON (a key twice, NaN, endless nesting or digits) is refused.
"""

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct

from api.problems import Problem
from api.times import Instant

_INSTANT_SCHEMA: Final = {
    "type": "string",
    "format": "date-time",
    "description": "RFC 3339 in UTC with nine decimals; taken with any offset, or as nanoseconds since 1970",
    "examples": ["2026-01-01T00:00:00.000000000Z"],
}

T = TypeVar("T")
S = TypeVar("S", bound=Struct)


def row_to(payload_type: type[S], row: Mapping[str, Any], **more: Any) -> S:
    """Return `row` as an answer: ``..._ns`` columns become moments, columns without a field stay inside.

    Examples
    --------
    >>> class Seen(Struct):
    ...     at: Instant
    >>> row_to(Seen, {"at_ns": 5, "hidden": True})
    Seen(at=Instant(5))
    """
    fields = {
        name.removesuffix("_ns"): Instant(value) if name.endswith("_ns") and value is not None else value
        for name, value in row.items()
    }
    return msgspec.convert(fields | more, payload_type, dec_hook=_decode_hook)


def rows_to(payload_type: type[S], rows: Iterable[Mapping[str, Any]]) -> list[S]:
    """Return `rows` as answers."""
    return [row_to(payload_type, row) for row in rows]


def encode(payload: Any) -> bytes:
    """Return `payload` as JSON."""
    return msgspec.json.encode(payload, enc_hook=_encode_hook)


def read_json(text: bytes, payload_type: type[T]) -> T:
    """Return the JSON in `text` as `payload_type`, refusing all that is loose about JSON.

    Raises
    ------
    Problem
        400 for text that isn't JSON, has NaN, a key twice, or is nested too deeply; 422 where a value isn't what it
        should be or a field is unknown.
    """
    try:
        json.loads(text, object_pairs_hook=_once)
        return msgspec.json.decode(text, type=payload_type, dec_hook=_decode_hook)
    except msgspec.ValidationError as error:
        raise Problem(422, f"The body doesn't fit: {error}.") from None
    except (ValueError, RecursionError) as error:
        detail = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise Problem(400, f"The body isn't acceptable JSON: {detail}.") from None


def arguments_to(arguments_type: type[T], given: Mapping[str, str]) -> T:
    """Return the texts of a URL and its headers as `arguments_type`.

    Raises
    ------
    Problem
        422 with the name, the value and the bound.
    """
    try:
        return msgspec.convert(given, arguments_type, strict=False, dec_hook=_decode_hook)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$.")
        name = where.rstrip("`")
        value = f", not {given[name][:80]!r}" if name in given else ""
        raise Problem(422, f"{name or 'parameters'}: {what}{value}.") from None


def schemas(types: Iterable[type]) -> tuple[dict[type, Any], dict[str, Any]]:
    """Return the JSON schema (2020-12) of each of `types`, and the components they refer to."""
    listed = list(types)
    found, components = msgspec.json.schema_components(
        listed, schema_hook=_schema_hook, ref_template="#/components/schemas/{name}"
    )
    return dict(zip(listed, found, strict=True)), components


def finite(value: float | None) -> float | None:
    """Return `value`, or ``None`` where it isn't a finite number."""
    return value if value is not None and math.isfinite(value) else None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("an object has a key twice")
    return fields


def _decode_hook(wanted: type, value: Any) -> Any:
    if wanted is Instant:
        return value if isinstance(value, Instant) else Instant.parse(value)
    raise NotImplementedError(f"{wanted} has no decoder")


def _encode_hook(value: Any) -> Any:
    if isinstance(value, Instant):
        return str(value)
    raise NotImplementedError(f"{type(value)} has no encoder")


def _schema_hook(wanted: type) -> dict[str, Any]:
    if wanted is Instant:
        return dict(_INSTANT_SCHEMA)
    raise NotImplementedError(f"{wanted} has no schema")
