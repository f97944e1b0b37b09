"""MQTT messages to records: the topic says site, asset and kind; the payload is Avro or, for simple devices, JSON.

Avro comes in the Confluent wire format. A JSON reading, alone or in an array, may also state its ``"quality"``::

    {"channel": "P-101-DE-H.temp", "unit": "degC", "at": "2026-01-31T12:00:00Z", "value": 61.5}

A message passes whole or is refused whole.
"""

import datetime as dt
import itertools
from collections import defaultdict
from collections.abc import Iterator
from typing import Final

import msgspec

from contracts import records as r
from contracts.codec import MAX_VALUE_BYTES, Codec
from contracts.errors import BadRecord, Reason
from contracts.mqtt import KINDS, check_level, parse_topic
from contracts.units import UNITS
from contracts.validation import validate
from edge_forwarder.entries import COLLECTOR_BOOT, Collected

_MAX_JSON_BYTES: Final = 256 * 1024
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_QUANTITIES: Final = {unit: quantity for quantity, units in UNITS.items() for unit in units}


class _Reading(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A reading as simple devices send it; a time in whole nanoseconds will do too."""

    channel: str
    unit: str
    at: dt.datetime | int
    value: float
    quality: r.Quality = r.Quality.GOOD


_JSON: Final = msgspec.json.Decoder(list[_Reading] | _Reading)


class Payloads:
    """Decodes the messages of one site.

    Parameters
    ----------
    site_id : str
        The only site whose messages are taken.
    codec : Codec
        For Avro payloads.
    boot_id : str
        Of this start of the collector: devices that don't number their readings get numbers under it.
    """

    def __init__(self, site_id: str, codec: Codec, boot_id: str) -> None:
        self._site_id = check_level("site", site_id)
        self._codec = codec
        self._boot_id = f"{COLLECTOR_BOOT}{boot_id}"
        self._sequences: defaultdict[str, Iterator[int]] = defaultdict(itertools.count)

    def decode(self, topic: str, payload: bytes) -> Collected:
        """Return the record in a message.

        Parameters
        ----------
        topic : str
            The message's.
        payload : bytes
            The message's.

        Returns
        -------
        record : Collected

        Raises
        ------
        BadRecord
            ``bad_topic``, ``oversize``, ``undecodable``, ``wrong_key`` where topic and record name different assets,
            and what ``contracts.validation`` finds.
        Unavailable
            If a schema can't be had now.
        """
        site_id, asset_id, kind = parse_topic(topic)
        if site_id != self._site_id:
            raise BadRecord(Reason.BAD_TOPIC, f"site {site_id!r}, {self._site_id!r} expected")
        if len(payload) > MAX_VALUE_BYTES:
            raise BadRecord(Reason.OVERSIZE, f"{len(payload)} bytes, at most {MAX_VALUE_BYTES} allowed")
        simple = kind == "readings" and payload.lstrip()[:1] in {b"{", b"["}
        record = self._readings(asset_id, payload) if simple else self._codec.decode(payload)
        if not isinstance(record, KINDS[kind]):
            raise BadRecord(Reason.UNDECODABLE, f"{type(record).__name__} on a topic for {kind}")
        if record.asset_id != asset_id:
            raise BadRecord(Reason.WRONG_KEY, f"asset {record.asset_id!r} on the topic of {asset_id!r}")
        if record.boot_id.startswith(COLLECTOR_BOOT) and not simple:
            raise BadRecord(
                Reason.BAD_SEQUENCE, f"boot {record.boot_id!r}: only collectors begin one with {COLLECTOR_BOOT!r}"
            )
        validate(record, None)  # how far it may be ahead is judged by the log's clock, downstream
        return record

    def _readings(self, asset_id: str, payload: bytes) -> r.ReadingBatch:
        if len(payload) > _MAX_JSON_BYTES:
            raise BadRecord(Reason.OVERSIZE, f"{len(payload)} bytes of JSON, at most {_MAX_JSON_BYTES} allowed")
        try:
            found = _JSON.decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BadRecord(Reason.UNDECODABLE, f"JSON: {error}") from None
        readings = tuple(_reading(one) for one in (found if isinstance(found, list) else [found]))
        return r.ReadingBatch(
            asset_id=asset_id,
            device_id=f"mqtt-{self._site_id}-{asset_id}",
            boot_id=self._boot_id,
            sequence=next(self._sequences[asset_id]),
            readings=readings,
        )


def _reading(given: _Reading) -> r.Reading:
    if not given.unit:
        raise BadRecord(Reason.MISSING_UNIT, f"{given.channel!r} has no unit")
    quantity = _QUANTITIES.get(given.unit)
    if quantity is None:
        raise BadRecord(Reason.UNKNOWN_UNIT, f"{given.channel!r} in {given.unit!r}; known are {', '.join(_QUANTITIES)}")
    return r.Reading(
        channel_id=given.channel,
        quantity=quantity,
        unit=given.unit,
        at_ns=_ns(given.at),
        value=given.value,
        quality=given.quality,
    )


def _ns(at: dt.datetime | int) -> int:
    if isinstance(at, int):
        return at
    if at.tzinfo is None:
        raise BadRecord(Reason.BAD_TIME, f"{at.isoformat()} has no time zone")
    return (at - _EPOCH) // dt.timedelta(microseconds=1) * 1_000
