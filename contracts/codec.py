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

#: Record type and version of its schema under each bundled id. A number is never given a second meaning: a changed
#: record is a new version under a new id, and what was written under the old one is read for ever.
BUNDLED: Final[dict[int, tuple[type, int]]] = {
    1: (r.AcquisitionBlock, 1),
    2: (r.ReadingBatch, 1),
    3: (r.MachineEvent, 1),
    4: (r.Tick, 1),
    5: (r.Activation, 1),
    6: (r.Assessment, 1),
    7: (r.Condition, 1),
    8: (r.Command, 1),
    9: (r.AlarmTransition, 1),
    10: (r.DeadLetter, 1),
    11: (r.Assessment, 2),
}
#: The id under which each record type is written: that of its newest version, which comes last.
BUNDLED_IDS: Final[dict[type, int]] = {record_type: schema_id for schema_id, (record_type, _) in BUNDLED.items()}
_TYPE_BY_NAME: Final = {f"{_NAMESPACE}.{cls.__name__}": cls for cls in BUNDLED_IDS}


class SchemaSource(Protocol):
    """Where schema ids come from."""

    def id_of(self, topic: str, record_type: type) -> int:
        """Return the id under which values of `record_type` are written to `topic`."""

    def schema_of(self, schema_id: int) -> dict[str, Any]:
        """Return the writer's schema; raise ``BadRecord(unknown_schema)`` where there is none."""


class BundledSchemas:
    """The schemas that come with the code, every version of them, under fixed ids."""

    def id_of(self, topic: str, record_type: type) -> int:  # noqa: ARG002 -- the ids don't depend on the topic
        """Return the fixed id of the newest version of `record_type`."""
        return BUNDLED_IDS[record_type]

    def schema_of(self, schema_id: int) -> dict[str, Any]:
        """Return the bundled schema with `schema_id`."""
        if schema_id not in BUNDLED:
            raise BadRecord(Reason.UNKNOWN_SCHEMA, f"schema id {schema_id} is none of 1 to {max(BUNDLED)}")
        return schema_for(*BUNDLED[schema_id])


@functools.cache
def schema_for(record_type: type, version: int | None = None) -> dict[str, Any]:
    """Return the schema of `record_type` as it stands in ``schemas/avro``: that of `version`, or the newest."""
    if version is None:
        _, version = BUNDLED[BUNDLED_IDS[record_type]]
    name = "".join("_" + c.lower() if c.isupper() else c for c in record_type.__name__).lstrip("_")
    schema: dict[str, Any] = json.loads((SCHEMA_FOLDER / f"{name}.v{version}.avsc").read_text(encoding="utf-8"))
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
        #: Record type under each schema id, the schema it was written with, and ours where that is another one.
        self._known: dict[int, tuple[type, Any, Any]] = {}

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
        record_type, writer, reader = self._schemas(schema_id)
        body = io.BytesIO(value)
        body.seek(_HEADER.size)
        try:
            fields = fastavro.schemaless_reader(body, writer, reader)
            record: r.Record = msgspec.convert(fields, record_type, builtin_types=(bytes,))
        except Exception as error:  # noqa: BLE001 -- fastavro raises whatever its C code met: the body is bad
            raise BadRecord(Reason.UNDECODABLE, f"{record_type.__name__}: {type(error).__name__}: {error}") from None
        if body.tell() != len(value):
            raise BadRecord(Reason.UNDECODABLE, f"{len(value) - body.tell()} bytes left after {record_type.__name__}")
        return record

    def _schemas(self, schema_id: int) -> tuple[type, Any, Any]:
        known = self._known.get(schema_id)
        if known is None:
            schema = self._source.schema_of(schema_id)
            record_type = _TYPE_BY_NAME.get(f"{schema.get('namespace', '')}.{schema.get('name')}")
            if record_type is None:
                raise BadRecord(Reason.UNKNOWN_SCHEMA, f"schema id {schema_id} is {schema.get('name')!r}")
            writer, reader = fastavro.parse_schema(schema), self._parsed[record_type]
            known = (record_type, writer, None if writer == reader else reader)
            self._known[schema_id] = known
        return known
