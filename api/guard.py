"""The gate before every route: which host was meant, which page asked, and who it was.

Invariants: no request reaches a route without a ``Principal``, the public paths apart; a page of another origin can
neither read nor change anything, even where the caller is known by the connection alone (the development login).
"""

from typing import Final

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from api.problems import Problem, problem_of
from contracts.errors import Unavailable
from contracts.ports import Identity, Principal

LOOPBACK_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
NOBODY: Final = Principal("nobody", frozenset(), frozenset(), frozenset())
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class Guard:
    """ASGI middleware that refuses, or sets ``scope["principal"]``.

    Parameters
    ----------
    app : ASGIApp
        What lies behind the gate.
    identity : Identity
        Tells who a caller is.
    hosts : frozenset of str or None
        Host names under which the API is reached; a page that rebinds its own name to this address names another
        (DNS rebinding). ``None`` accepts every name, for a server behind a proxy that checks.
    public : frozenset of str
        Paths that anybody may ask for.
    """

    def __init__(self, app: ASGIApp, identity: Identity, hosts: frozenset[str] | None, public: frozenset[str]) -> None:
        self._app = app
        self._identity = identity
        self._hosts = hosts
        self._public = public

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it with a problem."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        try:
            self._check_host(request)
            check_origin(request)
            scope["principal"] = NOBODY if scope["path"] in self._public else await self._authenticate(request)
        except (Problem, Unavailable) as error:
            await problem_of(error).response()(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _check_host(self, request: Request) -> None:
        named = request.headers.getlist("host")
        if len(named) != 1:
            raise Problem(400, f"The request has {len(named)} Host headers, 1 needed.")
        if self._hosts is not None and host_name(named[0]) not in self._hosts:
            raise Problem(421, "This server doesn't answer for the host that the request names.")

    async def _authenticate(self, request: Request) -> Principal:
        client = request.client.host if request.client else None
        who = await self._identity.authenticate(request.headers, client)
        if who is None:
            raise Problem(
                401, "The request proves nobody; send a bearer token.", headers={"www-authenticate": "Bearer"}
            )
        return who


def host_name(authority: str) -> str:
    """Return the name in ``name:port``, in lower case.

    Examples
    --------
    >>> host_name("LocalHost:8000"), host_name("[::1]:80")
    ('localhost', '[::1]')
    """
    name, colon, port = authority.rpartition(":")
    return (name if colon and port.isdigit() else authority).lower()


def check_origin(request: Request) -> None:
    """Refuse what a page of another origin asks for.

    Raises
    ------
    Problem
        403 where ``Origin`` differs from the host, or the browser says that the request comes from another site
        (following a link to something that changes nothing apart).
    """
    safe = request.method in _SAFE_METHODS
    origin = request.headers.get("origin")
    if origin is not None and origin.partition("://")[2].lower() != request.headers["host"].lower():
        raise Problem(403, "The request comes from a page of another origin.")
    site = request.headers.get("sec-fetch-site", "none")
    followed_link = safe and request.headers.get("sec-fetch-mode") == "navigate"
    if site not in {"none", "same-origin"} and not followed_link:
        raise Problem(403, "The request comes from a page of another site.")
