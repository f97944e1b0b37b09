"""Records into the log: in order, under back-pressure, and never reported as there before they are."""

from collections.abc import Sequence

from adapters.kafka.producer import Deliverer, KafkaWriter
from contracts import records as r
from contracts.codec import Codec
from contracts.topics import CONDITIONS, MEASUREMENTS


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
        self._writer = KafkaWriter(
            bootstrap,
            delivery_timeout_s=delivery_timeout_s,
            max_bytes=max_bytes,
            max_messages=max_messages,
            linger_ms=linger_ms,
        )

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
        value = self._codec.encode(topic, record)
        await self._writer.send(topic, key.encode() if key else None, value, partition, headers)

    async def flush(self) -> None:
        """Return once everything handed over is acknowledged.

        Raises
        ------
        Unavailable
            If a record wasn't acknowledged within the delivery timeout.
        """
        await self._writer.flush()


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
        self._writer = Deliverer(bootstrap, timeout_s, 4 * 1024 * 1024, 1_000)

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
        self._writer = Deliverer(bootstrap, timeout_s, 8 * 1024 * 1024, 1_000)

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
