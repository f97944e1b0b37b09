"""Records to bytes and back: Avro in the Confluent wire format (byte 0, four bytes of schema id, body).

The schemas in ``schemas/avro`` are the contract; the dataclasses of ``contracts.records`` are their twins. Schema ids
come from a ``SchemaSource``: the bundled one needs no registry.
"""

import functools
import io
import json
import pathlib
import struct
from typing import Any, Final, Protocol

import fastavro
import msgspec

from contracts import records as r
from contracts.errors import BadRecord, Reason

SCHEMA_FOLDER: Final = pathlib.Path(__file__).resolve().parent.parent / "schemas" / "avro"
#: Larger values are refused before they are decoded (bytes).
MAX_VALUE_BYTES: Final = 4 * 1024 * 1024

_HEADER: Final = struct.Struct(">bI")
_NAMESPACE: Final = "faultline"

#: Bundled schema ids; a number is never given a second meaning.
BUNDLED_IDS: Final[dict[type, int]] = {
    r.AcquisitionBlock: 1,
    r.ReadingBatch: 2,
    r.MachineEvent: 3,
    r.Tick: 4,
    r.Activation: 5,
    r.Assessment: 6,
    r.Condition: 7,
    r.Command: 8,
    r.AlarmTransition: 9,
    r.DeadLetter: 10,
}
_TYPE_BY_NAME: Final = {f"{_NAMESPACE}.{cls.__name__}": cls for cls in BUNDLED_IDS}


class SchemaSource(Protocol):
    """Where schema ids come from."""

    def id_of(self, topic: str, record_type: type) -> int:
        """Return the id under which values of `record_type` are written to `topic`."""

    def schema_of(self, schema_id: int) -> dict[str, Any]:
        """Return the writer's schema; raise ``BadRecord(unknown_schema)`` where there is none."""


class BundledSchemas:
    """The schemas that come with the code, under fixed ids."""

    def id_of(self, topic: str, record_type: type) -> int:  # noqa: ARG002 -- the ids don't depend on the topic
        """Return the fixed id of `record_type`."""
        return BUNDLED_IDS[record_type]

    def schema_of(self, schema_id: int) -> dict[str, Any]:
        """Return the bundled schema with `schema_id`."""
        for record_type, known in BUNDLED_IDS.items():
            if known == schema_id:
                return schema_for(record_type)
        raise BadRecord(Reason.UNKNOWN_SCHEMA, f"schema id {schema_id} is none of 1 to {max(BUNDLED_IDS.values())}")


@functools.cache
def schema_for(record_type: type) -> dict[str, Any]:
    """Return the schema of `record_type` as it stands in ``schemas/avro``."""
    name = "".join("_" + c.lower() if c.isupper() else c for c in record_type.__name__).lstrip("_")
    schema: dict[str, Any] = json.loads((SCHEMA_FOLDER / f"{name}.v1.avsc").read_text(encoding="utf-8"))
    return schema


class Codec:
    """Encode records for a topic and decode what lies on it.

    Parameters
    ----------
    source : SchemaSource
        Where schema ids come from.

    Examples
    --------
    >>> codec = Codec(BundledSchemas())
    >>> tick = r.Tick(topic="measurements", partition=0, at_ns=1, epoch=1)
    >>> codec.decode(codec.encode("measurements", tick)) == tick
    True
    """

    def __init__(self, source: SchemaSource) -> None:
        self._source = source
        self._parsed: dict[type, Any] = {cls: fastavro.parse_schema(schema_for(cls)) for cls in BUNDLED_IDS}
        self._prefixes: dict[tuple[str, type], bytes] = {}
        self._writers: dict[int, tuple[Any, type]] = {}

    def encode(self, topic: str, record: r.Record) -> bytes:
        """Return `record` in the Confluent wire format, under its id for `topic`."""
        record_type = type(record)
        prefix = self._prefixes.get((topic, record_type))
        if prefix is None:
            prefix = _HEADER.pack(0, self._source.id_of(topic, record_type))
            self._prefixes[topic, record_type] = prefix
        out = io.BytesIO()
        out.write(prefix)
        fields = msgspec.to_builtins(record, builtin_types=(bytes,))
        fastavro.schemaless_writer(out, self._parsed[record_type], fields)
        return out.getvalue()

    def decode(self, value: bytes | None) -> r.Record:
        """Return the record in `value`.

        Raises
        ------
        BadRecord
            ``oversize`` beyond ``MAX_VALUE_BYTES``; ``bad_frame`` for a wrong magic byte or no body;
            ``unknown_schema``; ``undecodable`` when the body doesn't fit its schema.
        """
        if value is None or len(value) < _HEADER.size:
            raise BadRecord(Reason.BAD_FRAME, f"{len(value or b'')} bytes, at least {_HEADER.size} needed")
        if len(value) > MAX_VALUE_BYTES:
            raise BadRecord(Reason.OVERSIZE, f"{len(value)} bytes, at most {MAX_VALUE_BYTES} allowed")
        magic, schema_id = _HEADER.unpack_from(value)
        if magic != 0:
            raise BadRecord(Reason.BAD_FRAME, f"magic byte {magic}, 0 expected")
        writer, record_type = self._writer(schema_id)
        reader = self._parsed[record_type]
        body = io.BytesIO(value)
        body.seek(_HEADER.size)
        try:
            fields = fastavro.schemaless_reader(body, writer, None if writer == reader else reader)
            record: r.Record = msgspec.convert(fields, record_type, builtin_types=(bytes,))
        except Exception as error:  # noqa: BLE001 -- fastavro raises whatever its C code met: the body is bad
            raise BadRecord(Reason.UNDECODABLE, f"{record_type.__name__}: {type(error).__name__}: {error}") from None
        if body.tell() != len(value):
            raise BadRecord(Reason.UNDECODABLE, f"{len(value) - body.tell()} bytes left after {record_type.__name__}")
        return record

    def _writer(self, schema_id: int) -> tuple[Any, type]:
        known = self._writers.get(schema_id)
        if known is None:
            schema = self._source.schema_of(schema_id)
            record_type = _TYPE_BY_NAME.get(f"{schema.get('namespace', '')}.{schema.get('name')}")
            if record_type is None:
                raise BadRecord(Reason.UNKNOWN_SCHEMA, f"schema id {schema_id} is {schema.get('name')!r}")
            known = (fastavro.parse_schema(schema), record_type)
            self._writers[schema_id] = known
        return known
