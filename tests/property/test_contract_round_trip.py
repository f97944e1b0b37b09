"""Whatever a record holds, it comes back from its bytes unchanged; whatever bytes come, they are read or refused."""

import dataclasses
import enum
import types
import typing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import records as r
from contracts.codec import BUNDLED_IDS, BundledSchemas, Codec
from contracts.errors import BadRecord
from contracts.topics import TOPICS

_CODEC = Codec(BundledSchemas())
_LEAVES: dict[typing.Any, st.SearchStrategy[typing.Any]] = {
    str: st.text(max_size=20),
    int: st.integers(-(2**63), 2**63 - 1),
    float: st.floats(allow_nan=False),
    bool: st.booleans(),
    bytes: st.binary(max_size=40),
}
_NARROWED = {
    (r.ChannelAssessment, "features"): st.lists(st.none() | st.floats(allow_nan=False, width=32), max_size=40).map(
        tuple
    ),
    (r.ChannelAssessment, "own_features"): st.dictionaries(
        st.text(max_size=20), st.none() | st.floats(allow_nan=False, width=32), max_size=3
    ),
}


def values(annotation: typing.Any) -> st.SearchStrategy[typing.Any]:
    if annotation in _LEAVES:
        return _LEAVES[annotation]
    arguments = typing.get_args(annotation)
    if isinstance(annotation, types.UnionType):
        (inner,) = (one for one in arguments if one is not type(None))
        return st.none() | values(inner)
    if typing.get_origin(annotation) is tuple:
        return st.lists(values(arguments[0]), max_size=3).map(tuple)
    if issubclass(annotation, enum.StrEnum):
        return st.sampled_from(annotation)
    hints = typing.get_type_hints(annotation)
    names = [field.name for field in dataclasses.fields(annotation)]
    chosen = {n: _NARROWED[annotation, n] if (annotation, n) in _NARROWED else values(hints[n]) for n in names}
    return st.builds(annotation, **chosen)


@pytest.mark.parametrize("record_type", BUNDLED_IDS, ids=lambda cls: cls.__name__)
@given(data=st.data())
def test_a_record_comes_back_unchanged(record_type: type, data: st.DataObject) -> None:
    record = data.draw(values(record_type))
    topic = next(name for name, spec in TOPICS.items() if record_type in spec.records)
    frame = _CODEC.encode(topic, record)
    assert _CODEC.decode(frame) == record
    # a frame that was cut or goes on is refused, never half read
    for broken in (frame[:-1], frame + b"\x00"):
        with pytest.raises(BadRecord):
            _CODEC.decode(broken)


@given(schema_id=st.integers(0, 12), body=st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(schema_id: int, body: bytes) -> None:
    frame = b"\x00" + schema_id.to_bytes(4, "big") + body
    try:
        record = _CODEC.decode(frame)
    except BadRecord:
        return
    assert type(record) in BUNDLED_IDS
