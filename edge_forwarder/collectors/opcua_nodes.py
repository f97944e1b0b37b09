"""Which OPC UA nodes are read, and which channels they are: one YAML or JSON file a server.

::

    url: opc.tcp://127.0.0.1:4840
    publishing_interval_ms: 500
    nodes:
      - {node: "ns=2;s=P-102.DE.Temperature", asset: P-102, channel: P-102-DE-H.temp, quantity: temperature, unit: degC}
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import msgspec

from contracts.errors import BadRecord, ConfigurationError
from contracts.units import factor_to_canonical


class Node(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One node and the channel it is."""

    node: Annotated[str, msgspec.Meta(min_length=1)]
    asset: Annotated[str, msgspec.Meta(min_length=1)]
    channel: Annotated[str, msgspec.Meta(min_length=1)]
    quantity: str
    unit: str


class _File(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    url: str
    nodes: Annotated[list[Node], msgspec.Meta(min_length=1, max_length=10_000)]
    publishing_interval_ms: Annotated[float, msgspec.Meta(gt=0.0, le=60_000.0)] = 500.0


@dataclass(frozen=True, slots=True)
class OpcUaServer:
    """A server and what is read there."""

    url: str
    publishing_interval_ms: float
    nodes: tuple[Node, ...]


def read_nodes(file: Path) -> OpcUaServer:
    """Return what `file` says.

    Parameters
    ----------
    file : Path
        YAML, of which JSON is a part.

    Returns
    -------
    server : OpcUaServer

    Raises
    ------
    ConfigurationError
        If it can't be read, or isn't as described above; the message names the place.
    """
    try:
        found = msgspec.yaml.decode(file.read_bytes(), type=_File)
    except OSError as error:
        raise ConfigurationError(f"{file} can't be read: {error.strerror}") from None
    except msgspec.MsgspecError as error:
        raise ConfigurationError(f"{file}: {error}") from None
    if urlsplit(found.url).scheme != "opc.tcp":
        raise ConfigurationError(f"{file}: url {found.url!r}, opc.tcp://HOST:PORT expected")
    for node in found.nodes:
        try:
            factor_to_canonical(node.quantity, node.unit)
        except BadRecord as error:
            raise ConfigurationError(f"{file}: node {node.node}: {error.detail}") from None
    names = [node.node for node in found.nodes]
    if len(set(names)) < len(names):
        raise ConfigurationError(f"{file}: a node occurs twice")
    return OpcUaServer(found.url, found.publishing_interval_ms, tuple(found.nodes))
