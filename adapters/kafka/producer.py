"""The producer below everything that writes: for asyncio, idempotent, and without a thread of its own.

Callbacks are served while somebody sends or waits. A record that several wait for has one that polls; the others look
again.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from adapters.kafka.client import FRAME_BYTES, LOGGER, POLL_S, client_settings
from contracts.codec import MAX_VALUE_BYTES
from contracts.errors import Unavailable

Headers = Sequence[tuple[str, bytes | None]]


class _Writer:
    """An idempotent producer whose queue, once full, makes its callers wait."""

    def __init__(
        self,
        bootstrap: str,
        delivery_timeout_s: float,
        max_bytes: int,
        max_messages: int,
        linger_ms: float,
        more: Mapping[str, object],
    ) -> None:
        self._settings = dict(more) | client_settings(
            bootstrap,
            enable_idempotence=True,
            acks="all",
            partitioner="murmur2_random",
            linger_ms=linger_ms,
            message_max_bytes=MAX_VALUE_BYTES + 2 * FRAME_BYTES,
            delivery_timeout_ms=int(delivery_timeout_s * 1000),
            queue_buffering_max_kbytes=max(max_bytes // 1024, 1),
            queue_buffering_max_messages=max_messages,
        )
        self._producer = Producer(self._settings, logger=LOGGER)
        self._polling = asyncio.Lock()

    def _offer(self, topic: str, key: bytes | None, value: bytes | None, partition: int, **more: Any) -> bool:
        """Hand one record over; return whether there was room for it."""
        try:
            self._producer.produce(topic, value, key, partition, **more)
        except BufferError:
            return False
        except KafkaException as error:
            if error.args[0].code() == KafkaError._FATAL:  # noqa: SLF001 -- the client's public name
                # a lost sequence can't be mended inside one producer; what was under way has already failed
                self._producer = Producer(self._settings, logger=LOGGER)
            raise Unavailable("Kafka", f"{topic}: {error.args[0]}") from None
        return True

    async def _serve_until(self, done: Callable[[], bool]) -> None:
        while not done():
            async with self._polling:
                if not done():
                    await asyncio.to_thread(self._producer.poll, POLL_S)

    async def _make_room(self) -> None:
        async with self._polling:
            await asyncio.to_thread(self._producer.poll, POLL_S)


class Deliverer(_Writer):
    """One record after the other, each acknowledged before it counts.

    Parameters
    ----------
    bootstrap : str
        ``host:port``, comma-separated.
    delivery_timeout_s : float
        After this long without an acknowledgement a record has failed.
    max_bytes, max_messages : int
        How much may be under way before ``deliver`` waits.
    """

    def __init__(self, bootstrap: str, delivery_timeout_s: float, max_bytes: int, max_messages: int) -> None:
        super().__init__(bootstrap, delivery_timeout_s, max_bytes, max_messages, 0.0, {})

    async def deliver(
        self, topic: str, key: bytes | None, value: bytes | None, partition: int = -1, headers: Headers = ()
    ) -> None:
        """Return once the broker has acknowledged this one record.

        Raises
        ------
        Unavailable
            If it wasn't acknowledged in time.
        """
        outcome: list[KafkaError | None] = []

        def settle(error: KafkaError | None, _message: object) -> None:
            outcome.append(error)

        while not self._offer(topic, key, value, partition, on_delivery=settle, headers=list(headers)):
            await self._make_room()
        await self._serve_until(lambda: bool(outcome))
        if outcome[0] is not None:
            raise Unavailable("Kafka", f"{topic}: {outcome[0]}")


class KafkaWriter(_Writer):
    """A stream of values into the log: acknowledged by ``flush``, a failure is raised once.

    Only failures come back by callback: outcomes of a high-rate stream would cost more than sending it.

    Parameters
    ----------
    bootstrap : str
        ``host:port``, comma-separated.
    delivery_timeout_s : float
        After this long without an acknowledgement a record has failed.
    max_bytes, max_messages : int
        How much may be under way before ``send`` waits.
    linger_ms : float
        How long a record waits for others to share a request with.
    """

    def __init__(
        self,
        bootstrap: str,
        *,
        delivery_timeout_s: float = 30.0,
        max_bytes: int = 32 * 1024 * 1024,
        max_messages: int = 10_000,
        linger_ms: float = 5.0,
    ) -> None:
        self._failure: tuple[str, KafkaError] | None = None
        super().__init__(
            bootstrap,
            delivery_timeout_s,
            max_bytes,
            max_messages,
            linger_ms,
            {"delivery.report.only.error": True, "on_delivery": self._fail},
        )

    async def send(
        self, topic: str, key: bytes | None, value: bytes | None, partition: int = -1, headers: Headers = ()
    ) -> None:
        """Hand over a value; wait while too much is under way.

        Raises
        ------
        Unavailable
            If an earlier value failed, or this one can't be taken.
        """
        self._raise_failure()
        while not self._offer(topic, key, value, partition, headers=list(headers)):
            await self._make_room()
        self._producer.poll(0)

    async def send_all(self, topic: str, entries: Iterable[tuple[bytes | None, bytes]]) -> None:
        """Hand over many values with their keys; wait while too much is under way.

        Raises
        ------
        Unavailable
            If an earlier value failed, or one can't be taken.
        """
        self._raise_failure()
        for key, value in entries:
            try:
                self._producer.produce(topic, value, key)
            except (BufferError, KafkaException):
                # no room, or a failure: from here on as any other value
                while not self._offer(topic, key, value, -1):
                    await self._make_room()
        self._producer.poll(0)

    async def flush(self) -> None:
        """Return once everything handed over is acknowledged.

        Raises
        ------
        Unavailable
            If a value wasn't acknowledged within the delivery timeout.
        """
        await self._serve_until(lambda: len(self._producer) == 0)
        self._raise_failure()

    def _fail(self, error: KafkaError | None, message: object) -> None:
        if error is not None:
            self._failure = (str(getattr(message, "topic", lambda: "")()), error)

    def _raise_failure(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            topic, error = failure
            raise Unavailable("Kafka", f"{topic}: {error}")
