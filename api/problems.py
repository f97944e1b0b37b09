"""Every error as ``application/problem+json`` (RFC 9457), and the headers that every answer carries.

Invariants: nothing of the inside (a host, a query, a traceback) reaches a caller, and what lies outside a caller's
scope answers exactly like what doesn't exist.
"""

import http
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from contracts.errors import FaultlineError, NotFound, SignalError, Unavailable

#: The answers are data: nothing in them is to be run, kept, sniffed or embedded.
SECURITY_HEADERS: Final = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
MEDIA_TYPE: Final = "application/problem+json"


class Problem(FaultlineError):
    """An answer that isn't what was asked for.

    Parameters
    ----------
    status : int
        HTTP status code, 400 to 599.
    detail : str
        What was wrong with this request, with the value and the bound; shown to the caller.
    headers : mapping of str to str, optional
        Further headers, such as ``Retry-After``.
    members : mapping of str to object, optional
        Extension members (RFC 9457, section 3.2).
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        members: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})
        self.members = dict(members or {})

    def response(self) -> Response:
        """Return the answer to send."""
        body = {
            "type": "about:blank",
            "title": http.HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            **self.members,
        }
        headers = SECURITY_HEADERS | self.headers
        return Response(msgspec.json.encode(body), self.status, headers, media_type=MEDIA_TYPE)


def problem_of(error: Exception) -> Problem:
    """Return what the caller may know of `error`."""
    match error:
        case Problem():
            problem = error
        case HTTPException():
            problem = _of_http(error)
        case NotFound():
            problem = Problem(404, "There is no such thing within your scope.")
        case Unavailable():
            after = {"retry-after": str(max(1, math.ceil(error.retry_after_s)))}
            problem = Problem(503, f"The {error.part} doesn't answer now; try again later.", headers=after)
        case SignalError():
            problem = Problem(422, f"{error}.")
        case ClientDisconnect():
            problem = Problem(400, "The connection was closed before the request was complete.")
        case _:
            problem = Problem(500, "Something went wrong on our side; it has been logged.")
    return problem


def _of_http(error: HTTPException) -> Problem:
    details = {404: "There is no such resource.", 405: "The resource doesn't know this method."}
    return Problem(error.status_code, details.get(error.status_code, error.detail), headers=error.headers)


async def answer(_request: Request, error: Exception) -> Response:
    """Answer `error` (a Starlette exception handler)."""
    return problem_of(error).response()


Handler = Callable[[Request, Exception], Awaitable[Response]]
#: Starlette's table; the entry for ``Exception`` answers 500 and leaves the traceback to the server's log.
HANDLERS: Final[dict[Any, Handler]] = dict.fromkeys(
    (Problem, NotFound, Unavailable, SignalError, HTTPException, ClientDisconnect, Exception), answer
)
