"""One declaration per operation: the route, its parsing, its documentation and its permission all follow from it.

Invariants: a handler sees only arguments that fit their declared type, and a caller whose role allows the operation;
unknown or repeated parameters are refused, never ignored.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import fields as fields_of
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, compile_path

from api.problems import SECURITY_HEADERS, Problem
from api.risks import RiskBook
from api.sse import Streams
from api.wire import arguments_to, encode, read_json
from contracts.ports import Assistant, Clock, CommandLog, HistoryReader, Principal, TokenIssuer

#: Larger bodies are refused unread (bytes).
MAX_BODY_BYTES: Final = 64 * 1024


class Role(IntEnum):
    """What a caller may do; each role may do what the ones before it may."""

    NOBODY = 0
    TECHNICIAN = 1
    SUPERVISOR = 2
    ADMIN = 3


class NoArguments(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An operation without parameters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What the handlers work with, bound by ``runtime``; ``feature_hashes`` name the feature code that runs here."""

    reader: HistoryReader
    commands: CommandLog
    clock: Clock
    streams: Streams
    risks: RiskBook
    feature_hashes: frozenset[str] = frozenset()
    login: TokenIssuer | None = None
    assistant: Assistant | None = None
    ready: Mapping[str, Callable[[], Awaitable[None]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request: who asks, with what, from where."""

    services: Services
    who: Principal
    request: Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One operation of the API.

    ``run`` is awaited with the call, the arguments and, where ``body`` is given, the decoded body; it returns an
    ``answer`` or a whole response. ``headers`` names the argument fields that come from request headers.
    """

    method: Literal["GET", "POST"]
    path: str
    name: str
    summary: str
    run: Callable[..., Awaitable[Struct | Response]]
    answer: type | None
    arguments: type[Struct] = NoArguments
    headers: frozenset[str] = frozenset()
    body: type[Struct] | None = None
    status: int = 200
    role: Role = Role.TECHNICIAN
    media_type: str = "application/json"
    problems: Mapping[int, str] = field(default_factory=dict)

    @property
    def in_path(self) -> frozenset[str]:
        """The names in the path."""
        return frozenset(compile_path(self.path)[2])

    @property
    def in_query(self) -> frozenset[str]:
        """The names that may stand in the query."""
        names = {item.encode_name for item in fields_of(self.arguments)}
        return frozenset(names - self.in_path - self.headers)

    def route(self, services: Services) -> Route:
        """Return the Starlette route."""

        async def endpoint(request: Request) -> Response:
            call = Call(services=services, who=request.scope["principal"], request=request)
            require(call.who, self.role)
            arguments = arguments_to(self.arguments, self._texts(request))
            body = () if self.body is None else (read_json(await read_body(request), self.body),)
            given = await self.run(call, arguments, *body)
            if isinstance(given, Response):
                return given
            return Response(encode(given), self.status, SECURITY_HEADERS, media_type=self.media_type)

        return Route(self.path, endpoint, methods=[self.method], name=self.name)

    def _texts(self, request: Request) -> dict[str, str]:
        texts: dict[str, str] = dict(request.path_params)
        for name, value in request.query_params.multi_items():
            if name not in self.in_query:
                allowed = ", ".join(sorted(self.in_query)) or "none"
                raise Problem(422, f"{name[:80]}: unknown parameter; known here: {allowed}.")
            if name in texts:
                raise Problem(422, f"{name}: given twice.")
            texts[name] = value
        return texts | {name: request.headers[name] for name in self.headers if name in request.headers}


def require(who: Principal, role: Role) -> None:
    """Raise 403 unless one of the caller's roles covers `role`."""
    if role is Role.NOBODY:
        return
    held = max((Role[name.upper()] for name in who.roles if name.upper() in Role.__members__), default=Role.NOBODY)
    if held < role:
        raise Problem(403, f"This needs the role {role.name.lower()}.")


async def read_body(request: Request) -> bytes:
    """Return the body of a JSON request, ``{}`` for an empty one.

    Raises
    ------
    Problem
        413 beyond ``MAX_BODY_BYTES``, 415 unless it is JSON.
    """
    declared = request.headers.get("content-length", "")
    too_large = Problem(413, f"The body is larger than {MAX_BODY_BYTES} bytes.", headers={"connection": "close"})
    if declared.isascii() and declared.isdigit() and (len(declared) > 12 or int(declared) > MAX_BODY_BYTES):
        raise too_large
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise too_large
    if not body:
        return b"{}"
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
        raise Problem(415, "The body must be application/json.", headers={"accept": "application/json"})
    return bytes(body)


#: What every operation may answer besides its success.
COMMON_PROBLEMS: Final = {
    401: "The request proves nobody.",
    403: "The caller's role, or the page the request came from, isn't allowed this.",
    422: "A parameter or the body doesn't fit.",
    500: "Something went wrong inside.",
    503: "A part doesn't answer now; Retry-After says when to try again.",
}
