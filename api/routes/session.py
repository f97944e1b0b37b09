"""The development login: a token for another role or scope, for whoever sits at the machine."""

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from api.operations import Call, Operation, Role
from api.payloads import Identifier
from api.problems import Problem
from api.times import Instant
from contracts.ports import Principal

PATH: Final = "/v1/login"
_Scope = Annotated[list[Identifier], Meta(max_length=100)]


class Login(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who to be: a role, and the sites and assets to see (all without them)."""

    subject: Identifier = "development"
    role: Literal["technician", "supervisor", "admin"] = "technician"
    sites: _Scope | None = None
    assets: _Scope | None = None


class LoginToken(Struct, frozen=True, kw_only=True):
    """A bearer token of the development login."""

    token: str
    expires_at: Instant


async def log_in(call: Call, _arguments: Struct, body: Login) -> LoginToken:
    """Answer a token."""
    who = Principal(
        body.subject,
        frozenset({body.role}),
        None if body.sites is None else frozenset(body.sites),
        None if body.assets is None else frozenset(body.assets),
    )
    client = call.request.client.host if call.request.client else None
    login = call.services.login
    issued = login.issue(who, call.request.headers, client) if login is not None else None
    if issued is None:
        raise Problem(403, "The development login is for the machine's own user alone.")
    return LoginToken(token=issued[0], expires_at=Instant(issued[1]))


OPERATIONS: Final = (
    Operation(
        method="POST",
        path=PATH,
        name="log_in",
        summary="A bearer token of the development login (this machine only)",
        run=log_in,
        body=Login,
        answer=LoginToken,
        role=Role.NOBODY,
    ),
)
