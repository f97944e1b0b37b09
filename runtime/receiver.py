"""A webhook receiver for trying Faultline out: it believes only what is signed, and shows each alarm once.

It is what a subscriber would write: the signature is checked over the raw bytes before anything is parsed, a repetition
of a message is answered like the first and counted once, and nothing grows without a bound.
"""

import json
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from adapters.notify.message import MAX_BODY_BYTES
from adapters.notify.signing import BadSignature, verify
from contracts.ports import Clock

MAX_REMEMBERED: Final = 1_000
_NS_PER_S: Final = 1e9


@dataclass(frozen=True, slots=True)
class ReceivedAlarm:
    """One believed message; ``repeated`` counts how often it came again."""

    message_id: str
    body: bytes
    received_at_ns: int
    message: dict[str, Any]
    repeated: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return what ``GET /received`` shows of it."""
        times = {"received_at_ns": self.received_at_ns, "repeated": self.repeated}
        return {"id": self.message_id, **times, "message": self.message}


def create_receiver(
    secrets: Sequence[str], clock: Clock, show: Callable[[str], None], *, keep: int = MAX_REMEMBERED
) -> Starlette:
    """Return the receiver: ``POST /alarms`` takes webhooks, ``GET /received`` shows what came, oldest first.

    Parameters
    ----------
    secrets : sequence of str
        Signing secrets that are accepted.
    clock : Clock
        Time of arrival, and what signatures are compared with.
    show : callable
        Gets one line for each new alarm transition.
    keep : int
        How many messages are remembered; the oldest beyond are forgotten.

    Returns
    -------
    application : Starlette
        An ASGI application.
    """
    received: OrderedDict[str, ReceivedAlarm] = OrderedDict()

    async def take(request: Request) -> Response:
        body = await _read(request)
        if body is None:
            return _problem(413, f"a webhook has at most {MAX_BODY_BYTES} bytes")
        at_ns = clock.now_ns()
        try:
            message_id = verify(secrets, request.headers, body, at_ns / _NS_PER_S)
        except BadSignature as error:
            return _problem(401, str(error))
        known = received.get(message_id)
        if known is not None:
            return _repeat(received, known, body)
        try:
            alarm = ReceivedAlarm(message_id, body, at_ns, _parse(body))
        except (ValueError, RecursionError) as error:
            return _problem(400, f"not a webhook: {error}")
        received[message_id] = alarm
        if len(received) > keep:
            received.popitem(last=False)
        show(_line(alarm.message))
        return Response(status_code=204)

    async def list_received(_request: Request) -> Response:
        return JSONResponse({"received": [alarm.as_json() for alarm in received.values()]})

    return Starlette(
        routes=[Route("/alarms", take, methods=["POST"]), Route("/received", list_received, methods=["GET"])]
    )


async def _read(request: Request) -> bytes | None:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            return None
    return bytes(body)


def _repeat(received: OrderedDict[str, ReceivedAlarm], known: ReceivedAlarm, body: bytes) -> Response:
    if body != known.body:
        return _problem(409, f"{known.message_id} came before with another body")
    received[known.message_id] = ReceivedAlarm(
        known.message_id, body, known.received_at_ns, known.message, known.repeated + 1
    )
    return Response(status_code=204)


def _parse(body: bytes) -> dict[str, Any]:
    message = json.loads(body)
    if not isinstance(message, dict) or not isinstance(message.get("data"), dict):
        raise ValueError("an object with type, timestamp and data is needed")  # noqa: TRY004 -- the value is wrong
    return message


def _line(message: dict[str, Any]) -> str:
    data = message["data"]
    words = (data.get(name) for name in ("asset_id", "point_id", "state", "priority", "fault", "reason"))
    # what a sender wrote must not steer a terminal
    return "  ".join("".join(c if c.isprintable() else "?" for c in str(word)) for word in words if word)


def _problem(status: int, detail: str) -> Response:
    return JSONResponse({"status": status, "detail": detail}, status, media_type="application/problem+json")
