"""OPC UA: subscriptions to a server's nodes, read only, with the source's time and the status of every value.

Invariants: a value is never better than its status (the top two bits: good, uncertain, bad); what could not be observed
is told by a ``gap`` event of the asset: a value the server has none of, a connection that was lost, values that came
faster than they could be kept; nothing is written to the server.
"""

import asyncio
import contextlib
import datetime as dt
import math
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import structlog
from asyncua import ua
from asyncua.client.client import Client
from asyncua.ua.uaerrors import UaError

from contracts import records as r
from contracts.errors import BadRecord, Reason
from contracts.ports import Clock
from contracts.validation import validate
from edge_forwarder.collectors.opcua_nodes import Node, OpcUaServer
from edge_forwarder.counters import Counters
from edge_forwarder.entries import COLLECTOR_BOOT, Collected, refusal
from edge_forwarder.intake import Arrival

_log = structlog.get_logger(__name__)

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_REQUEST_S: Final = 4.0
_LOOK_S: Final = 1.0
_RETRY_S: Final = 1.0
_MAX_RETRY_S: Final = 30.0
#: Values that wait to be kept, at most; the rest is lost and told.
_WINDOW: Final = 4_096
_QUALITIES: Final = {0: r.Quality.GOOD, 1: r.Quality.UNCERTAIN}


def quality_of(status: int) -> r.Quality:
    """Return the class of a status code.

    Examples
    --------
    >>> quality_of(0x40920000).value
    'uncertain'
    """
    return _QUALITIES.get(status >> 30, r.Quality.BAD)


class OpcUaCollector:
    """Collects the values of one server's nodes.

    Parameters
    ----------
    server : OpcUaServer
        What to read.
    boot_id : str
        Of this start; values get their numbers under it.
    put : callable
        Takes arrivals, in the event loop.
    clock : Clock
        Dates gaps.
    counters : Counters
        Its ``problems`` say when there is no subscription.
    """

    def __init__(
        self, server: OpcUaServer, boot_id: str, put: Callable[[Arrival], None], clock: Clock, counters: Counters
    ) -> None:
        self._server, self._put, self._clock, self._counters = server, put, clock, counters
        self._device_id = f"opcua-{urlsplit(server.url).netloc}"
        self._boot_id = f"{COLLECTOR_BOOT}{boot_id}"
        self._nodes = {node.node: node for node in server.nodes}
        self._sequence = 0
        self._waiting = 0
        self._lost: set[str] = set()
        self._bad: set[str] = set()
        self._away_since_ns: int | None = None
        self._counters.problems[self._device_id] = "not connected yet"

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Collect while the context is open."""
        task = asyncio.ensure_future(self._run())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _run(self) -> None:
        pause_s = _RETRY_S
        while True:
            try:
                async with Client(self._server.url, timeout=_REQUEST_S) as client:
                    await self._subscribe(client)
                    pause_s = _RETRY_S
                    self._connected()
                    while True:
                        await asyncio.sleep(_LOOK_S)
                        await client.check_connection()
            except (OSError, UaError, TimeoutError) as error:
                self._away(f"{type(error).__name__}: {error}")
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _MAX_RETRY_S)

    async def _subscribe(self, client: Client) -> None:
        subscription = await client.create_subscription(self._server.publishing_interval_ms, self)
        nodes = [client.get_node(name) for name in self._nodes]
        outcomes = await subscription.subscribe_data_change(nodes, queuesize=100)
        refused = [
            f"{name}: {outcome.name}"
            for name, outcome in zip(
                self._nodes, outcomes if isinstance(outcomes, Sequence) else [outcomes], strict=True
            )
            if isinstance(outcome, ua.StatusCode)
        ]
        if refused:
            _log.warning("opcua_nodes_refused", nodes=refused)

    def _connected(self) -> None:
        self._counters.problems.pop(self._device_id, None)
        _log.info("opcua_subscribed", url=self._server.url, nodes=len(self._nodes))
        if self._away_since_ns is not None:
            text = f"no connection to {self._server.url} until {self._clock.now_ns()} ns"
            for asset_id in sorted({node.asset for node in self._nodes.values()}):
                self._hand_over(self._gap(asset_id, self._away_since_ns, "opcua_disconnected", text))
            self._away_since_ns = None

    def _away(self, reason: str) -> None:
        if self._counters.problems.get(self._device_id) is None:
            self._away_since_ns = self._clock.now_ns()
        self._counters.problems[self._device_id] = reason
        _log.warning("opcua_away", reason=reason)

    # --- values -------------------------------------------------------------------------------------------------------

    def datachange_notification(self, node: Any, _value: Any, data: Any) -> None:
        """Take a value; called by the client."""
        known = self._nodes.get(node.nodeid.to_string())
        if known is None:
            return
        if self._waiting >= _WINDOW:
            self._counters.collected_too_fast += 1
            self._lost.add(known.asset)
            return
        for record in self._records(known, data.monitored_item.Value):
            self._hand_over(record)
        for asset_id in sorted(self._lost):
            text = f"more than {_WINDOW} values of {self._server.url} waited to be kept"
            self._hand_over(self._gap(asset_id, self._clock.now_ns(), "opcua_overrun", text))
        self._lost.clear()

    def _records(self, node: Node, value: ua.DataValue) -> list[Collected]:
        """Return the reading in `value`, and a gap event where a channel has just gone bad."""
        status = value.StatusCode  # absent where it is good
        quality = r.Quality.GOOD if status is None else quality_of(status.value)
        at = value.SourceTimestamp or value.ServerTimestamp
        at_ns = 0 if at is None else _ns(at)
        records: list[Collected] = []
        if status is not None and quality is r.Quality.BAD and node.node not in self._bad:
            at_gap_ns = at_ns or self._clock.now_ns()
            text = f"{node.channel} is bad: {status.name}"
            records.append(self._gap(node.asset, at_gap_ns, "opcua_bad", text))
        (self._bad.add if quality is r.Quality.BAD else self._bad.discard)(node.node)
        raw = None if value.Value is None else value.Value.Value
        number = float(raw) if isinstance(raw, int | float) else math.nan
        if math.isfinite(number) or quality is not r.Quality.BAD:
            records.append(self._reading(node, number, quality, at_ns, raw))
        return records

    def _reading(self, node: Node, number: float, quality: r.Quality, at_ns: int, raw: object) -> Collected:
        reading = r.Reading(
            channel_id=node.channel,
            quantity=node.quantity,
            unit=node.unit,
            at_ns=at_ns,
            value=number,
            quality=quality,
        )
        batch = r.ReadingBatch(
            asset_id=node.asset,
            device_id=self._device_id,
            boot_id=self._boot_id,
            sequence=self._number(),
            readings=(reading,),
        )
        try:
            if math.isnan(number):
                raise BadRecord(Reason.NOT_FINITE, f"{node.channel} is {raw!r:.100}")
            validate(batch, None)
        except BadRecord as error:
            source, value = f"{self._server.url}/{node.node}", repr(raw)[:1000].encode()
            return refusal(source, error.reason, error.detail, value, self._clock.now_ns())
        return batch

    def _gap(self, asset_id: str, at_ns: int, code: str, text: str) -> r.MachineEvent:
        return r.MachineEvent(
            asset_id=asset_id,
            device_id=self._device_id,
            boot_id=self._boot_id,
            sequence=self._number(),
            at_ns=at_ns,
            kind="gap",
            code=code,
            text=text,
        )

    def _number(self) -> int:
        self._sequence += 1
        return self._sequence - 1

    def _hand_over(self, record: Collected) -> None:
        self._waiting += 1
        self._put(Arrival(lambda: record, self._kept))

    def _kept(self) -> None:
        self._waiting -= 1


def _ns(at: dt.datetime) -> int:
    """Return UTC nanoseconds of a server's time, which the client gives without a time zone."""
    return (at.replace(tzinfo=dt.UTC) - _EPOCH) // dt.timedelta(microseconds=1) * 1_000
