"""MQTT: a persistent session at quality of service 1, whose messages are acknowledged by hand.

Invariants: the broker is acknowledged only when the intake says that a message is kept, so it repeats everything else
after any break; a broker that is away is tried again for ever; nothing is published.

The client's network loop has a thread of its own; messages cross over to the event loop one by one.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import structlog
from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from contracts.codec import MAX_VALUE_BYTES
from contracts.errors import BadRecord, Reason
from contracts.mqtt import ROOT, MqttAddress
from contracts.ports import Clock
from edge_forwarder.counters import Counters
from edge_forwarder.entries import Collected, refusal
from edge_forwarder.intake import Arrival
from edge_forwarder.payloads import Payloads

_log = structlog.get_logger(__name__)

_KEEP_ALIVE_S: Final = 15
#: Messages that may be on their way here unacknowledged: the bound of what waits in memory.
_WINDOW: Final = 32
#: For how long a broker keeps the session of a forwarder that is away (a week).
_SESSION_S: Final = 7 * 86_400
#: Larger messages never leave the broker; between this and what a record may have they are refused here, and counted.
_MAX_PACKET_BYTES: Final = 2 * MAX_VALUE_BYTES
_PART: Final = "mqtt"


class MqttCollector:
    """Collects the messages of one site.

    Parameters
    ----------
    address : MqttAddress
        The broker.
    site_id : str
        Whose topics to read; names the session too, so one forwarder a site.
    payloads : Payloads
        Decodes messages.
    put : callable
        Takes arrivals, in the event loop.
    clock : Clock
        Dates refusals.
    counters : Counters
        Its ``problems`` say when there is no subscription.
    """

    def __init__(
        self,
        address: MqttAddress,
        site_id: str,
        payloads: Payloads,
        put: Callable[[Arrival], None],
        clock: Clock,
        counters: Counters,
    ) -> None:
        self._address, self._filter = address, f"{ROOT}/{site_id}/#"
        self._payloads, self._put, self._clock, self._counters = payloads, put, clock, counters
        self._five = address.protocol == "5"
        self._client = self._new_client(f"faultline-forwarder-{site_id}")
        self._client.on_connect = self._connected
        self._client.on_subscribe = self._subscribed
        self._client.on_disconnect = self._disconnected
        self._client.on_message = self._came
        self._counters.problems[_PART] = "not connected yet"

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Collect while the context is open; the session stays at the broker."""
        self._loop = asyncio.get_running_loop()
        session: dict[str, Any] = {"clean_start": False, "properties": _session()} if self._five else {}
        self._client.connect_async(self._address.host, self._address.port, _KEEP_ALIVE_S, **session)
        self._client.loop_start()
        try:
            yield
        finally:
            self._client.disconnect()
            await asyncio.to_thread(self._client.loop_stop)

    def _new_client(self, client_id: str) -> Client:
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=None if self._five else False,
            protocol=MQTTProtocolVersion.MQTTv5 if self._five else MQTTProtocolVersion.MQTTv311,
            manual_ack=True,
        )
        if self._address.username is not None:
            client.username_pw_set(self._address.username, self._address.password)
        if self._address.tls:
            client.tls_set_context(ssl.create_default_context())
        client.reconnect_delay_set(1, 30)
        return client

    # --- in the client's thread ---------------------------------------------------------------------------------------

    def _connected(
        self, client: Client, _data: Any, _flags: ConnectFlags, code: ReasonCode, _properties: Properties | None
    ) -> None:
        if code.is_failure:
            self._problem(f"refused: {code}")
        elif self._five:
            # retained messages once, when the subscription is new: they are refused, but not at every reconnect
            client.subscribe(self._filter, options=SubscribeOptions(qos=1, retainHandling=1))
        else:
            client.subscribe(self._filter, qos=1)

    def _subscribed(
        self, _client: Client, _data: Any, _mid: int, codes: list[ReasonCode], _properties: Properties | None
    ) -> None:
        failed = [str(code) for code in codes if code.is_failure]
        self._problem(f"subscription refused: {', '.join(failed)}" if failed else None)

    def _disconnected(
        self, _client: Client, _data: Any, _flags: DisconnectFlags, code: ReasonCode, _properties: Properties | None
    ) -> None:
        if code.is_failure:
            self._problem(f"connection lost: {code}")

    def _came(self, client: Client, _data: Any, message: MQTTMessage) -> None:
        mid, qos, at_ns = message.mid, message.qos, self._clock.now_ns()
        arrival = Arrival(lambda: self._collect(message, at_ns), lambda: _acknowledge(client, mid, qos))
        self._loop.call_soon_threadsafe(self._put, arrival)

    def _problem(self, problem: str | None) -> None:
        self._loop.call_soon_threadsafe(self._set_problem, problem)

    # --- elsewhere ----------------------------------------------------------------------------------------------------

    def _set_problem(self, problem: str | None) -> None:
        if problem is None:
            self._counters.problems.pop(_PART, None)
            _log.info("mqtt_subscribed", topics=self._filter)
        else:
            self._counters.problems[_PART] = problem
            _log.warning("mqtt_away", reason=problem)

    def _collect(self, message: MQTTMessage, at_ns: int) -> Collected:
        topic, payload = f"{ROOT}/?", bytes(message.payload)
        try:
            topic = message.topic
            if message.retain:
                raise BadRecord(Reason.RETAINED, "a retained message is of unknown age")
            return self._payloads.decode(topic, payload)
        except UnicodeDecodeError as error:
            refused = BadRecord(Reason.BAD_TOPIC, f"the topic isn't UTF-8: {error}")
        except BadRecord as error:
            refused = error
        return refusal(f"mqtt/{topic}", refused.reason, refused.detail, payload, at_ns)


def _session() -> Properties:
    # paho leaves the constructor untyped
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = _SESSION_S
    properties.ReceiveMaximum = _WINDOW
    properties.MaximumPacketSize = _MAX_PACKET_BYTES
    return properties


def _acknowledge(client: Client, mid: int, qos: int) -> None:
    client.ack(mid, qos)  # lost with the connection: then the message comes again, and is known
