"""MQTT: the topics on which devices publish, and how a broker is named.

Topics are ``faultline/{site}/{asset}/blocks``, ``…/readings`` and ``…/events``; an asset and a kind have one topic.
"""

from dataclasses import dataclass, field
from typing import Final, Literal, Self, cast
from urllib.parse import parse_qs, unquote, urlsplit

from contracts import records as r
from contracts.errors import BadRecord, ConfigurationError, Reason

ROOT: Final = "faultline"
#: The kinds of topic, and what may come on each.
KINDS: Final[dict[str, type[r.AcquisitionBlock | r.ReadingBatch | r.MachineEvent]]] = {
    "blocks": r.AcquisitionBlock,
    "readings": r.ReadingBatch,
    "events": r.MachineEvent,
}

_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}
_VERSIONS: Final = ("5", "3.1.1")
_MAX_CHARACTERS: Final = 128
_FORBIDDEN: Final = frozenset("+#/\0")


def check_level(what: str, name: str) -> str:
    """Return `name` if it can be one level of a topic.

    Raises
    ------
    BadRecord
        ``bad_topic`` if it is empty, over 128 characters long, or has a wildcard, a NUL or a slash in it.
    """
    if not 0 < len(name) <= _MAX_CHARACTERS or not _FORBIDDEN.isdisjoint(name):
        shown = name[:_MAX_CHARACTERS]
        raise BadRecord(Reason.BAD_TOPIC, f"{what} {shown!r}: 1 to {_MAX_CHARACTERS} characters, none of + # / and NUL")
    return name


def topic_for(site_id: str, record: r.AcquisitionBlock | r.ReadingBatch | r.MachineEvent) -> str:
    """Return the topic on which `record` is published.

    Examples
    --------
    >>> event = r.MachineEvent(asset_id="P-102", device_id="plc", boot_id="1", sequence=0, at_ns=0, kind="plc_alarm",
    ...     code="E1", text="")
    >>> topic_for("demo", event)
    'faultline/demo/P-102/events'
    """
    kind = next(name for name, cls in KINDS.items() if isinstance(record, cls))
    return "/".join((ROOT, check_level("site", site_id), check_level("asset", record.asset_id), kind))


def parse_topic(topic: str) -> tuple[str, str, str]:
    """Return site, asset and kind of a topic.

    Raises
    ------
    BadRecord
        ``bad_topic`` if it isn't one of ours.

    Examples
    --------
    >>> parse_topic("faultline/demo/P-102/blocks")
    ('demo', 'P-102', 'blocks')
    """
    levels = topic.split("/")
    if len(levels) != 4 or levels[0] != ROOT or levels[3] not in KINDS:
        shown = topic[: 4 * _MAX_CHARACTERS]
        raise BadRecord(Reason.BAD_TOPIC, f"{shown!r}: {ROOT}/SITE/ASSET/({'|'.join(KINDS)}) expected")
    return check_level("site", levels[1]), check_level("asset", levels[2]), levels[3]


@dataclass(frozen=True, slots=True)
class MqttAddress:
    """Where a broker is; made by ``parse`` from ``mqtt[s]://[user:password@]host[:port][?protocol=5|3.1.1]``."""

    host: str
    port: int
    tls: bool
    protocol: Literal["5", "3.1.1"]
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, url: str) -> Self:
        """Return the address in `url`.

        Raises
        ------
        ConfigurationError
            If it isn't a broker's; the message doesn't quote it, since it may hold a password.

        Examples
        --------
        >>> MqttAddress.parse("mqtt://127.0.0.1?protocol=3.1.1")
        MqttAddress(host='127.0.0.1', port=1883, tls=False, protocol='3.1.1', username=None)
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise ConfigurationError("the MQTT URL has no valid port") from None
        protocol = parse_qs(parts.query).get("protocol", ["5"])[0]
        if parts.scheme not in _PORTS or not parts.hostname or protocol not in _VERSIONS:
            raise ConfigurationError("an MQTT URL is mqtt[s]://[user:password@]host[:port][?protocol=5|3.1.1]")
        return cls(
            host=parts.hostname,
            port=_PORTS[parts.scheme] if port is None else port,
            tls=parts.scheme == "mqtts",
            protocol=cast("Literal['5', '3.1.1']", protocol),
            username=None if parts.username is None else unquote(parts.username),
            password=None if parts.password is None else unquote(parts.password),
        )
