"""Text into the dataclasses of ``contracts.assets``: each field by its declared type, unknown keys refused."""

import dataclasses
import datetime as dt
import math
import re
import types
import typing
from collections.abc import Callable
from typing import Any, Final, cast

from adapters.asset_files.tree import Node

#: What stands for "not known" in an optional field.
NOTHING: Final = frozenset({"", "~", "null"})
#: Longest text of a field (characters).
MAX_TEXT: Final = 2_000
_YES_NO: Final = {"true": True, "false": False}

T = typing.TypeVar("T")


def convert(node: Node, wanted: type[T], given: dict[str, Any] | None = None) -> T:
    """Return the dataclass that a mapping describes.

    Parameters
    ----------
    node : Node
        A mapping.
    wanted : type
        A dataclass.
    given : dict, optional
        Fields that don't stand in the mapping, by name.

    Returns
    -------
    value : the dataclass
        Fields that are left out have their defaults.

    Raises
    ------
    ConfigurationError
        For an unknown or a missing key, or a value of another type; with file, line, place, value and what is allowed.
    """
    given = given or {}
    fields = {field.name: field for field in dataclasses.fields(cast("type[Any]", wanted)) if field.name not in given}
    hints = typing.get_type_hints(wanted)
    mapping = node.mapping()
    for name, child in mapping.items():
        if name not in fields:
            child.refuse(f"unknown key; known are {', '.join(fields)}")
    for name, field in fields.items():
        if name not in mapping and field.default is dataclasses.MISSING:
            node.refuse(f"{name} is missing")
    return wanted(**given, **{name: _value(child, hints[name]) for name, child in mapping.items()})


def _value(node: Node, annotation: Any) -> Any:
    arguments = typing.get_args(annotation)
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        (inner,) = (one for one in arguments if one is not type(None))
        return None if isinstance(node.value, str) and node.value in NOTHING else _value(node, inner)
    if typing.get_origin(annotation) is tuple:
        return tuple(_value(item, arguments[0]) for item in node.items())
    if typing.get_origin(annotation) is typing.Literal:
        return _choice(node, arguments)
    if dataclasses.is_dataclass(annotation):
        return convert(node, cast("type[Any]", annotation))
    return _SCALARS[annotation](node)


def _choice(node: Node, allowed: tuple[str, ...]) -> str:
    text = node.text()
    if text not in allowed:
        node.refuse(f"{text!r}, one of {', '.join(allowed)} is needed")
    return text


def _text(node: Node) -> str:
    text = node.text()
    if not text.strip() or not text.isprintable() or len(text) > MAX_TEXT:
        node.refuse(f"{text[:60]!r}, 1 to {MAX_TEXT} printable characters are needed")
    return text


def _whole(node: Node) -> int:
    text = node.text()
    if not re.fullmatch(r"-?[0-9]{1,15}", text):
        node.refuse(f"{text[:60]!r}, a whole number is needed")
    return int(text)


def _number(node: Node) -> float:
    text = node.text()
    if not re.fullmatch(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?", text) or not math.isfinite(float(text)):
        node.refuse(f"{text[:60]!r}, a finite number with a decimal point is needed")
    return float(text)


def _yes_no(node: Node) -> bool:
    text = node.text()
    if text not in _YES_NO:
        node.refuse(f"{text[:60]!r}, true or false is needed")
    return _YES_NO[text]


def _date(node: Node) -> dt.date:
    try:
        return dt.date.fromisoformat(node.text())
    except ValueError:
        node.refuse(f"{node.text()[:60]!r}, a date like 2024-05-31 is needed")


def _time(node: Node) -> dt.datetime:
    try:
        at = dt.datetime.fromisoformat(node.text())
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        node.refuse(f"{node.text()[:60]!r}, a time with its offset like 2024-05-31T08:00:00Z is needed")
    return at.astimezone(dt.UTC)


_SCALARS: Final[dict[Any, Callable[[Node], Any]]] = {
    str: _text,
    int: _whole,
    float: _number,
    bool: _yes_no,
    dt.date: _date,
    dt.datetime: _time,
}
