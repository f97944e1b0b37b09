"""Whether the process runs, and whether everything it needs answers."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from msgspec import Struct

from api.operations import Call, Operation, Role
from api.problems import Problem
from contracts.errors import Unavailable

PATHS: Final = frozenset({"/healthz", "/readyz"})
_WAIT_S: Final = 2.0


class Health(Struct, frozen=True, kw_only=True):
    """The process runs."""

    status: str


class Readiness(Struct, frozen=True, kw_only=True):
    """Every part that the API needs answers."""

    status: str
    parts: dict[str, str]


async def healthy(_call: Call, _arguments: Struct) -> Health:
    """Answer that the process runs."""
    return Health(status="ok")


async def ready(call: Call, _arguments: Struct) -> Readiness:
    """Answer whether all parts answer, each within two seconds; 503 names those that don't."""
    checks = call.services.ready
    states = await asyncio.gather(*(_state(check) for check in checks.values()))
    parts = dict(zip(checks, states, strict=True))
    if all(state == "ok" for state in states):
        return Readiness(status="ready", parts=parts)
    red = ", ".join(name for name, state in parts.items() if state != "ok")
    raise Problem(503, f"Not ready: {red}.", headers={"retry-after": "1"}, members={"parts": parts})


async def _state(check: Callable[[], Awaitable[None]]) -> str:
    try:
        async with asyncio.timeout(_WAIT_S):
            await check()
    except TimeoutError:
        return "silent"
    except Unavailable:
        return "unavailable"
    return "ok"


OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/healthz",
        name="get_health",
        summary="Whether the process runs",
        run=healthy,
        answer=Health,
        role=Role.NOBODY,
    ),
    Operation(
        method="GET",
        path="/readyz",
        name="get_readiness",
        summary="Whether database and broker answer",
        run=ready,
        answer=Readiness,
        role=Role.NOBODY,
    ),
)
