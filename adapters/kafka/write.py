"""Records into the log: in order, under back-pressure, and never reported as there before they are."""

import asyncio
from collections.abc import Callable, Sequence

from confluent_kafka import KafkaError, KafkaException, Producer

from adapters.kafka.client import FRAME_BYTES, LOGGER, POLL_S, client_settings
from contracts import records as r
from contracts.codec import MAX_VALUE_BYTES, Codec
from contracts.errors import Unavailable
from contracts.topics import CONDITIONS, MEASUREMENTS


class _Writer:
    """An idempotent producer for asyncio: no thread of its own, callbacks are served while somebody waits."""

    def __init__(
        self, bootstrap: str, delivery_timeout_s: float, max_bytes: int, max_messages: int, linger_ms: float
    ) -> None:
        self._settings = client_settings(
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

    async def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        partition: int,
        done: Callable[[KafkaError | None], None],
        headers: Sequence[tuple[str, bytes | None]] = (),
    ) -> None:
        """Hand one record over; wait while the queue is full. `done` gets the outcome while somebody polls."""
        while True:
            try:
                self._producer.produce(
                    topic,
                    value,
                    key,
                    partition,
                    on_delivery=lambda error, _message: done(error),
                    headers=list(headers),
                )
            except BufferError:
                await self._make_room()
            except KafkaException as error:
                if error.args[0].code() == KafkaError._FATAL:  # noqa: SLF001 -- the client's public name
                    # a lost sequence can't be mended inside one producer; what was under way has already failed
                    self._producer = Producer(self._settings, logger=LOGGER)
                raise Unavailable("Kafka", f"{topic}: {error.args[0]}") from None
            else:
                self._producer.poll(0)
                return

    async def deliver(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        partition: int = -1,
        headers: Sequence[tuple[str, bytes | None]] = (),
    ) -> None:
        """Return once the broker has acknowledged this one record; raise ``Unavailable`` if it wasn't in time."""
        outcome: list[KafkaError | None] = []
        await self.send(topic, key, value, partition, outcome.append, headers)
        await self.serve_until(lambda: bool(outcome))
        if outcome[0] is not None:
            raise Unavailable("Kafka", f"{topic}: {outcome[0]}")

    async def serve_until(self, done: Callable[[], bool]) -> None:
        """Serve outcomes until `done`; of several that wait, one polls and the others look again."""
        while not done():
            async with self._polling:
                if not done():
                    await asyncio.to_thread(self._producer.poll, POLL_S)

    async def _make_room(self) -> None:
        async with self._polling:
            await asyncio.to_thread(self._producer.poll, POLL_S)

    @property
    def under_way(self) -> int:
        """Records without an outcome."""
        return len(self._producer)


class KafkaSink:
    """Measurements into the log, in order, under back-pressure.

    A failed delivery is raised once, by the next ``put`` or ``flush``; what was put since the last good ``flush`` may
    then be missing and has to be put again.

    Parameters
    ----------
    bootstrap : str
        ``host:port``, comma-separated.
    codec : Codec
        Turns records into bytes.
    topic : str
        Where records go; ticks go to the topic and partition they name.
    delivery_timeout_s : float
        After this long without an acknowledgement a record has failed.
    max_bytes, max_messages : int
        How much may be under way before ``put`` waits.
    linger_ms : float
        How long a record waits for others to share a request with; 0 for results that somebody waits for.
    """

    def __init__(
        self,
        bootstrap: str,
        codec: Codec,
        *,
        topic: str = MEASUREMENTS,
        delivery_timeout_s: float = 30.0,
        max_bytes: int = 32 * 1024 * 1024,
        max_messages: int = 10_000,
        linger_ms: float = 5.0,
    ) -> None:
        self._codec = codec
        self._topic = topic
        self._writer = _Writer(bootstrap, delivery_timeout_s, max_bytes, max_messages, linger_ms)
        self._failure: KafkaError | None = None

    async def put(self, record: r.Measurement) -> None:
        """Hand over a record; wait while too much is under way.

        Parameters
        ----------
        record : Measurement
            What to append; its asset id is the key.

        Raises
        ------
        Unavailable
            If an earlier record failed, or this one can't be taken.
        """
        if isinstance(record, r.Tick):
            await self.send(record.topic, None, record, partition=record.partition)
        else:
            await self.send(self._topic, record.asset_id, record)

    async def send(
        self,
        topic: str,
        key: str | None,
        record: r.Record,
        *,
        partition: int = -1,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> None:
        """Hand over a record for any topic; wait while too much is under way.

        Parameters
        ----------
        topic : str
            Where it goes.
        key : str or None
            What decides the partition, where none is given.
        record : Record
            What to append.
        partition : int
            The partition, or -1.
        headers : sequence of (str, bytes)
            Kafka headers.

        Raises
        ------
        Unavailable
            If an earlier record failed, or this one can't be taken.
        """
        self._raise_failure()
        value = self._codec.encode(topic, record)
        await self._writer.send(topic, key.encode() if key else None, value, partition, self._settle, headers)

    async def flush(self) -> None:
        """Return once everything handed over is acknowledged.

        Raises
        ------
        Unavailable
            If a record wasn't acknowledged within the delivery timeout.
        """
        await self._writer.serve_until(lambda: self._writer.under_way == 0)
        self._raise_failure()

    def _settle(self, error: KafkaError | None) -> None:
        if error is not None:
            self._failure = error

    def _raise_failure(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            raise Unavailable("Kafka", f"{self._topic}: {failure}")


class KafkaCommandLog:
    """Operator commands into the log, each acknowledged before it counts.

    Parameters
    ----------
    bootstrap : str
        ``host:port``, comma-separated.
    codec : Codec
        Turns commands into bytes.
    timeout_s : float
        After this long without an acknowledgement a command has failed.
    """

    def __init__(self, bootstrap: str, codec: Codec, *, timeout_s: float = 10.0) -> None:
        self._codec = codec
        self._writer = _Writer(bootstrap, timeout_s, 4 * 1024 * 1024, 1_000, linger_ms=0.0)

    async def append(self, command: r.Command) -> None:
        """Return once the broker has acknowledged the command.

        Parameters
        ----------
        command : Command
            What to append to ``conditions`` under its asset's key.

        Raises
        ------
        Unavailable
            If it wasn't acknowledged in time; it may still be on the log, so repeat it under the same id.
        """
        await self._writer.deliver(CONDITIONS, command.asset_id.encode(), self._codec.encode(CONDITIONS, command))


class KafkaReturn:
    """Refused records back onto their topic, byte for byte, each acknowledged before it counts.

    Parameters
    ----------
    bootstrap : str
        ``host:port``, comma-separated.
    timeout_s : float
        After this long without an acknowledgement a record has failed.
    """

    def __init__(self, bootstrap: str, *, timeout_s: float = 10.0) -> None:
        self._writer = _Writer(bootstrap, timeout_s, 8 * 1024 * 1024, 1_000, linger_ms=0.0)

    async def put_back(self, letter: r.DeadLetter, headers: Sequence[tuple[str, bytes]]) -> None:
        """Append the record to the partition it was refused on; return once the broker has acknowledged it.

        Parameters
        ----------
        letter : DeadLetter
            The refused record.
        headers : sequence of (str, bytes)
            Further headers, after its own.

        Raises
        ------
        Unavailable
            If it wasn't acknowledged in time; it may still be on the log.
        """
        all_headers = [*((header.name, header.value) for header in letter.headers), *headers]
        await self._writer.deliver(letter.topic, letter.key, letter.value, letter.partition, all_headers)
