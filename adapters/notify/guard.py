"""Where a webhook may go: a public https address, or loopback where a setting says so.

An endpoint's URL comes from outside and must not turn the sender into a tool against its own network. The name is
resolved once, every address it has is checked, and the connection goes to the checked address: a name that resolves
differently a moment later (rebinding) changes nothing. Decimal, octal and short forms of an address are covered too:
what is checked is what the resolver made of them.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import httpx

from contracts.errors import FaultlineError

MAX_URL_CHARACTERS: Final = 2048
IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolver = Callable[[str, int], Awaitable[list[str]]]

#: Not public, though `ipaddress` says so (some of it depends on Python's version): protocol assignments, 6to4 relays,
#: a cloud's host agent, Teredo and other protocols, 6to4, documentation.
_NOT_PUBLIC: Final = tuple(
    ipaddress.ip_network(text)
    for text in ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32", "2001::/23", "2002::/16", "3fff::/20")
)
#: The only IPv6 space that is routed world-wide; leaves out translation prefixes, which embed any IPv4 address.
_GLOBAL_IPV6: Final = ipaddress.IPv6Network("2000::/3")


class ForbiddenTarget(FaultlineError):
    """The URL must not be called; the message says why."""


@dataclass(frozen=True, slots=True)
class Target:
    """A checked endpoint: the URL by address, and the name for ``Host`` and TLS."""

    url: httpx.URL
    host_header: str
    server_name: str


async def resolve(host: str, port: int) -> list[str]:
    """Return every address of a host.

    Parameters
    ----------
    host : str
        Name or address.
    port : int
        Port that will be used.

    Returns
    -------
    addresses : list of str
        Numeric addresses, in the resolver's order.

    Raises
    ------
    OSError
        If the name doesn't resolve.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


async def check(url: str, *, allow_loopback: bool = False, resolver: Resolver = resolve) -> Target:
    """Return what to connect to for `url`.

    Parameters
    ----------
    url : str
        The endpoint's URL.
    allow_loopback : bool
        Whether loopback addresses are allowed, and http to them.
    resolver : callable
        Gives the addresses of (host, port).

    Returns
    -------
    target : Target
        Pinned to the first address.

    Raises
    ------
    ForbiddenTarget
        If the scheme, the form or one of the addresses isn't allowed, or the name doesn't resolve.
    """
    parsed = _parse(url, allow_loopback=allow_loopback)
    port = parsed.port or (443 if parsed.scheme == "https" else 80)
    try:
        found = await resolver(parsed.raw_host.decode("ascii"), port)
    except OSError as error:
        raise ForbiddenTarget(f"{parsed.host} doesn't resolve: {error.strerror or error}") from None
    addresses = [_address(text) for text in found]
    if not addresses:
        raise ForbiddenTarget(f"{parsed.host} has no address")
    for address in addresses:
        _check_address(address, parsed, allow_loopback=allow_loopback)
    return Target(
        url=parsed.copy_with(host=str(addresses[0])),
        host_header=parsed.netloc.decode("ascii"),
        server_name=parsed.raw_host.decode("ascii"),
    )


def _parse(url: str, *, allow_loopback: bool) -> httpx.URL:
    if len(url) > MAX_URL_CHARACTERS:
        raise ForbiddenTarget(f"the URL has {len(url)} characters, {MAX_URL_CHARACTERS} are allowed")
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, ValueError) as error:
        raise ForbiddenTarget(f"not a URL: {error}") from None
    if parsed.scheme != "https" and not (parsed.scheme == "http" and allow_loopback):
        raise ForbiddenTarget(f"scheme {parsed.scheme!r}, https is needed")
    if parsed.userinfo or "@" in parsed.netloc.decode("ascii"):
        raise ForbiddenTarget("a URL with user information isn't allowed")
    if not parsed.host:
        raise ForbiddenTarget("the URL names no host")
    if parsed.port is not None and not 1 <= parsed.port <= 65_535:
        raise ForbiddenTarget(f"port {parsed.port}, 1 to 65535 are allowed")
    return parsed


def _address(text: str) -> IpAddress:
    address = ipaddress.ip_address(text)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _check_address(address: IpAddress, url: httpx.URL, *, allow_loopback: bool) -> None:
    if address.is_loopback and allow_loopback:
        return
    if url.scheme != "https":
        raise ForbiddenTarget(f"http to {address}, https is needed outside loopback")
    routed = address.is_global and not address.is_multicast and not any(address in network for network in _NOT_PUBLIC)
    if isinstance(address, ipaddress.IPv6Address):
        routed = routed and address in _GLOBAL_IPV6
    if not routed:
        raise ForbiddenTarget(f"{url.host} is {address}, which isn't a public address")
