"""Live changes: alarm transitions, and each asset's newest condition."""

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct, field
from starlette.responses import Response

from api import sse
from api.operations import Call, Operation
from api.problems import SECURITY_HEADERS

_Position = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class Following(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where to begin: after ``Last-Event-ID`` (a browser sends it), else after ``after``, else now."""

    after: _Position | None = None
    last_event_id: _Position | None = field(name="Last-Event-ID", default=None)
    types: Annotated[
        Literal["alarm", "alarm,assessment"], Meta(description="alarm transitions alone, or newest conditions too")
    ] = "alarm,assessment"


async def follow(call: Call, arguments: Following) -> Response:
    """Answer a stream."""
    if call.request.method == "HEAD":
        return Response(None, headers=SECURITY_HEADERS, media_type=sse.MEDIA_TYPE)
    after = arguments.after if arguments.last_event_id is None else arguments.last_event_id
    return await call.services.streams.open(call.who, after, assessments="assessment" in arguments.types)


OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/v1/events",
        name="follow_events",
        summary="Server-sent events: `alarm` (a transition, id = position) and `assessment` (newest condition)",
        run=follow,
        arguments=Following,
        headers=frozenset({"Last-Event-ID"}),
        answer=None,
        media_type=sse.MEDIA_TYPE,
    ),
)
