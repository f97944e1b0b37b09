"""A device that publishes its measurements to an MQTT broker, each acknowledged by the broker before it counts.

Invariants: quality of service 1, in the order of ``put``, also across a lost connection: the client connects again by
itself and repeats what wasn't acknowledged, and nothing new is published before that is through.
"""

import asyncio
import ssl
import threading
from collections.abc import Callable
from typing import Any, Final, Self

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, PayloadType
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from contracts import records as r
from contracts.codec import Codec
from contracts.errors import Unavailable
from contracts.mqtt import MqttAddress, topic_for
from contracts.topics import MEASUREMENTS

_KEEP_ALIVE_S: Final = 15
#: Published and not yet acknowledged, at most.
_WINDOW: Final = 64
_TIMEOUT_S: Final = 30.0


class MqttSink:
    """Measurements to a broker; a context manager that holds the connection.

    Parameters
    ----------
    url : str
        As ``contracts.mqtt.MqttAddress`` takes it.
    site_id : str
        The site that the topics name.
    codec : Codec
        Turns records into bytes.
    timeout_s : float
        After this long without a connection, room or an acknowledgement the broker is unavailable.
    """

    def __init__(self, url: str, site_id: str, codec: Codec, *, timeout_s: float = _TIMEOUT_S) -> None:
        self._address, self._site_id, self._codec = MqttAddress.parse(url), site_id, codec
        self._timeout_s = timeout_s
        self._changed = threading.Condition()
        self._under_way: set[int] = set()
        self._early: set[int] = set()
        self._repeated: set[int] = set()
        self._connected = False
        self._refused: str | None = None
        self._client = self._new_client()

    def __enter__(self) -> Self:
        self._client.connect_async(self._address.host, self._address.port, _KEEP_ALIVE_S)
        self._client.loop_start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    async def put(self, record: r.Measurement) -> None:
        """Publish a record on the topic of its asset; wait while too much is unacknowledged.

        Raises
        ------
        TypeError
            If no device makes such records.
        Unavailable
            If the broker doesn't acknowledge, or refused a record.
        """
        if isinstance(record, r.Tick | r.Activation):
            raise TypeError(f"{type(record).__name__} isn't what a device publishes")
        await self._wait_until(lambda: self._connected and not self._repeated and len(self._under_way) < _WINDOW)
        self._publish(topic_for(self._site_id, record), self._codec.encode(MEASUREMENTS, record))

    async def flush(self) -> None:
        """Return once the broker has acknowledged everything; raise ``Unavailable`` otherwise."""
        await self._wait_until(lambda: not self._under_way)

    def _publish(self, topic: str, payload: PayloadType) -> None:
        mid = self._client.publish(topic, payload, qos=1).mid
        with self._changed:
            if mid in self._early:  # acknowledged before we knew its number
                self._early.remove(mid)
            else:
                self._under_way.add(mid)

    async def _wait_until(self, condition: Callable[[], bool]) -> None:
        done = await asyncio.to_thread(self._wait, condition)
        refused, self._refused = self._refused, None
        if refused is not None:
            raise Unavailable("MQTT broker", refused)
        if not done:
            state = "connected" if self._connected else "not connected"
            told = f"{state}, {len(self._under_way)} messages unacknowledged after {self._timeout_s:g} s"
            raise Unavailable("MQTT broker", told)

    def _wait(self, condition: Callable[[], bool]) -> bool:
        with self._changed:
            return self._changed.wait_for(condition, self._timeout_s)

    # --- in the client's thread ---------------------------------------------------------------------------------------

    def _came(
        self, _client: Client, _data: Any, _flags: ConnectFlags, code: ReasonCode, _properties: Properties | None
    ) -> None:
        with self._changed:
            self._connected = not code.is_failure
            self._repeated = set(self._under_way)
            self._changed.notify_all()

    def _went(
        self, _client: Client, _data: Any, _flags: DisconnectFlags, _code: ReasonCode, _properties: Properties | None
    ) -> None:
        with self._changed:
            self._connected = False

    def _acknowledged(
        self, _client: Client, _data: Any, mid: int, code: ReasonCode, _properties: Properties | None
    ) -> None:
        with self._changed:
            if code.is_failure:
                self._refused = f"message refused: {code}"
            self._repeated.discard(mid)
            if mid in self._under_way:
                self._under_way.remove(mid)
            else:
                self._early.add(mid)
            self._changed.notify_all()

    def _new_client(self) -> Client:
        five = self._address.protocol == "5"
        client = Client(
            CallbackAPIVersion.VERSION2,
            protocol=MQTTProtocolVersion.MQTTv5 if five else MQTTProtocolVersion.MQTTv311,
        )
        if self._address.username is not None:
            client.username_pw_set(self._address.username, self._address.password)
        if self._address.tls:
            client.tls_set_context(ssl.create_default_context())
        client.reconnect_delay_set(1, 5)
        client.on_connect = self._came
        client.on_disconnect = self._went
        client.on_publish = self._acknowledged
        return client
