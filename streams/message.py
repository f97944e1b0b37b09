"""A record as it lay on the log, apart from any client library."""

import msgspec


class LogMessage(msgspec.Struct, frozen=True, gc=False):
    """One Kafka record; ``timestamp_ns`` is the broker's or producer's (ns, UTC)."""

    topic: str
    partition: int
    offset: int
    timestamp_ns: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()
