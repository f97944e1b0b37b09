"""Who is behind a request: the development login, for the machine's own user alone.

Invariants: only a connection from this machine, not handed on by a proxy, is known without a token; a token that is
wrong in any way proves nobody, wherever it comes from; tokens die with the process, since their key does.
"""

import ipaddress
import secrets
from collections.abc import Mapping
from typing import Final

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from contracts.ports import Clock, Principal

_ISSUER: Final = "faultline-development"
_AUDIENCE: Final = "faultline-api"
_ALGORITHM: Final = "HS256"
_TYPE: Final = "faultline-login+jwt"
_MAX_TOKEN_CHARACTERS: Final = 8192
_NS_PER_S: Final = 1_000_000_000
_FORWARDED: Final = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip")


class _Claims(msgspec.Struct, frozen=True, kw_only=True):
    iss: str
    aud: str
    sub: str
    iat: int
    exp: int
    roles: frozenset[str]
    sites: frozenset[str] | None
    assets: frozenset[str] | None


class Nobody:
    """Knows nobody: every request that needs a caller is refused."""

    async def authenticate(self, headers: Mapping[str, str], client_host: str | None) -> Principal | None:  # noqa: ARG002 -- the port's signature
        """Return ``None``."""
        return None


class DevelopmentLogin:
    """Takes the machine's own user for a technician, and signs tokens for other roles and scopes.

    Parameters
    ----------
    clock : Clock
    lifetime_s : int
        How long a token holds.

    Examples
    --------
    >>> import asyncio
    >>> class Noon:
    ...     def now_ns(self): return 1_767_268_800_000_000_000
    ...     def monotonic_s(self): return 0.0
    >>> login = DevelopmentLogin(Noon())
    >>> asyncio.run(login.authenticate({}, "127.0.0.1")).subject
    'development'
    >>> asyncio.run(login.authenticate({}, "192.0.2.7")) is None
    True
    """

    def __init__(self, clock: Clock, lifetime_s: int = 8 * 3600) -> None:
        self._clock = clock
        self._lifetime_s = lifetime_s
        self._key = OctKey.import_key(secrets.token_bytes(32))

    async def authenticate(self, headers: Mapping[str, str], client_host: str | None) -> Principal | None:
        """Return whom the bearer token names, or the development technician for a local request without one."""
        authorization = headers.get("authorization")
        if authorization is None:
            return Principal("development", frozenset({"technician"})) if _is_local(headers, client_host) else None
        scheme, _, token = authorization.partition(" ")
        return self._holder(token.strip()) if scheme.lower() == "bearer" else None

    def issue(self, who: Principal, headers: Mapping[str, str], client_host: str | None) -> tuple[str, int] | None:
        """Return a signed token for `who` and when it expires (UTC nanoseconds); ``None`` for a caller elsewhere."""
        if not _is_local(headers, client_host):
            return None
        now_s = self._clock.now_ns() // _NS_PER_S
        claims = _Claims(
            iss=_ISSUER,
            aud=_AUDIENCE,
            sub=who.subject,
            iat=now_s,
            exp=now_s + self._lifetime_s,
            roles=who.roles,
            sites=who.sites,
            assets=who.assets,
        )
        header = {"alg": _ALGORITHM, "typ": _TYPE}
        return jwt.encode(header, msgspec.to_builtins(claims), self._key, [_ALGORITHM]), claims.exp * _NS_PER_S

    def _holder(self, token: str) -> Principal | None:
        if len(token) > _MAX_TOKEN_CHARACTERS:
            return None
        try:
            signed = jwt.decode(token, self._key, [_ALGORITHM])
            claims = msgspec.convert(signed.claims, _Claims)
        except (JoseError, ValueError, msgspec.ValidationError):
            return None
        now_s = self._clock.now_ns() / _NS_PER_S
        genuine = signed.header.get("typ") == _TYPE and claims.iss == _ISSUER and claims.aud == _AUDIENCE
        if not genuine or not claims.iat <= now_s < claims.exp:
            return None
        return Principal(claims.sub, claims.roles, claims.sites, claims.assets)


def _is_local(headers: Mapping[str, str], client_host: str | None) -> bool:
    """Return whether the request was made on this machine: from loopback, and not handed on for somebody else."""
    try:
        address = ipaddress.ip_address(client_host or "")
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback and not any(name in headers for name in _FORWARDED)
