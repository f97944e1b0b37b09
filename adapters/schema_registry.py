"""Schemas from a Confluent-compatible registry by URL.

Writing registers the bundled schema under the topic's subject, whose compatibility is set to BACKWARD first: a registry
that checks nothing by default would take a breaking change. Reading looks a schema up by the id in the frame. Both are
cached: an id never changes its meaning. An id the registry doesn't know is remembered for a while too, so that a flood
of junk isn't a flood of requests.
"""

import json
import time
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote

import httpx

from contracts.codec import schema_for
from contracts.errors import BadRecord, ConfigurationError, Reason, Unavailable
from contracts.topics import TOPICS

COMPATIBILITY: Final = "BACKWARD"
_MEDIA_TYPE: Final = "application/vnd.schemaregistry.v1+json"
_TIMEOUT_S: Final = 5.0
#: How long an id stays unknown (seconds), and how many such ids are remembered.
_UNKNOWN_S: Final = 60.0
_MAX_UNKNOWN: Final = 10_000


class SchemaRegistry:
    """A `contracts.codec.SchemaSource` over a registry.

    Parameters
    ----------
    url : str
        The registry's root, e.g. ``http://localhost:8081`` or ``http://localhost:8080/apis/ccompat/v7``.
    monotonic_s : callable
        Gives seconds that never go back.
    """

    def __init__(self, url: str, *, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        # calls are rare: no connection is kept, so there is none to close
        self._client = httpx.Client(
            base_url=url,
            timeout=_TIMEOUT_S,
            headers={"accept": _MEDIA_TYPE},
            trust_env=False,
            limits=httpx.Limits(max_keepalive_connections=0),
        )
        self._monotonic_s = monotonic_s
        self._ids: dict[tuple[str, type], int] = {}
        self._schemas: dict[int, dict[str, Any]] = {}
        self._unknown: dict[int, float] = {}

    def register_all(self) -> None:
        """Register every schema under its topics, so that no later write waits for the registry.

        Raises
        ------
        ConfigurationError, Unavailable
            As for `id_of`.
        """
        for topic, spec in TOPICS.items():
            for record_type in spec.records:
                self.id_of(topic, record_type)

    def id_of(self, topic: str, record_type: type) -> int:
        """Return the id of `record_type` on `topic`; register it where it isn't known yet.

        Parameters
        ----------
        topic : str
            One of ``contracts.topics.TOPICS``.
        record_type : type
            One of the topic's record types.

        Returns
        -------
        schema_id : int
            The registry's id.

        Raises
        ------
        ConfigurationError
            If the registry finds the schema incompatible with an earlier version.
        Unavailable
            If the registry doesn't answer.
        """
        known = self._ids.get((topic, record_type))
        if known is None:
            subject = TOPICS[topic].subject(record_type)
            known = self._ids[topic, record_type] = self._register(subject, schema_for(record_type))
        return known

    def schema_of(self, schema_id: int) -> dict[str, Any]:
        """Return the schema with an id.

        Parameters
        ----------
        schema_id : int
            As it stands in a frame.

        Returns
        -------
        schema : dict
            The writer's schema.

        Raises
        ------
        BadRecord
            ``unknown_schema`` where the registry has no such Avro schema.
        Unavailable
            If the registry doesn't answer.
        """
        schema = self._schemas.get(schema_id)
        if schema is None:
            if self._unknown.get(schema_id, 0.0) > self._monotonic_s():
                raise BadRecord(Reason.UNKNOWN_SCHEMA, f"schema id {schema_id} isn't in the registry")
            schema = self._schemas[schema_id] = self._look_up(schema_id)
        return schema

    def _register(self, subject: str, schema: dict[str, Any]) -> int:
        place = quote(subject, safe="")
        self._call("PUT", f"/config/{place}", {"compatibility": COMPATIBILITY})
        answer = self._call("POST", f"/subjects/{place}/versions", {"schema": json.dumps(schema)})
        if answer.status_code in {httpx.codes.CONFLICT, httpx.codes.UNPROCESSABLE_ENTITY}:
            raise ConfigurationError(f"the registry refuses {schema['name']} under {subject}: {answer.text[:500]}")
        return int(_json(answer)["id"])

    def _look_up(self, schema_id: int) -> dict[str, Any]:
        answer = self._call("GET", f"/schemas/ids/{schema_id}", None)
        if answer.status_code == httpx.codes.NOT_FOUND:
            self._forget_some()
            self._unknown[schema_id] = self._monotonic_s() + _UNKNOWN_S
            raise BadRecord(Reason.UNKNOWN_SCHEMA, f"schema id {schema_id} isn't in the registry")
        found = _json(answer)
        schema = json.loads(found["schema"]) if found.get("schemaType", "AVRO") == "AVRO" else None
        if not isinstance(schema, dict):
            raise BadRecord(Reason.UNKNOWN_SCHEMA, f"schema id {schema_id} is no Avro record")
        return schema

    def _call(self, method: str, path: str, body: dict[str, str] | None) -> httpx.Response:
        try:
            return self._client.request(method, path, json=body, headers={"content-type": _MEDIA_TYPE})
        except httpx.HTTPError as error:
            raise Unavailable("schema registry", f"{type(error).__name__}: {error}") from None

    def _forget_some(self) -> None:
        if len(self._unknown) >= _MAX_UNKNOWN:
            self._unknown.clear()


def _json(answer: httpx.Response) -> dict[str, Any]:
    """Return the answer's object; whatever else came, a proxy's error page say, means that the registry is away."""
    try:
        found = answer.json() if answer.is_success else None
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Unavailable("schema registry", f"status {answer.status_code} from {answer.request.url.path}")
    return found
