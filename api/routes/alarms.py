"""Alarms, their life, and what an operator asks of them.

A command is written to the log before it takes effect, so the answer is 202: what follows, if the alarm's state allows
anything, shows up as a transition.
"""

import uuid
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct, field

from api.alarm_payloads import Accepted, Alarm, AlarmList, Note, Transition, TransitionList
from api.operations import Call, Operation, Role
from api.payloads import Identifier
from api.problems import Problem
from api.times import Instant
from api.wire import row_to, rows_to
from contracts import records as r
from contracts.identifiers import stable_id

_LONGEST_SHELVING_NS: Final = 30 * 24 * 3600 * 1_000_000_000


class SomeAlarms(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which alarms: ``standing`` are those not in state normal."""

    state: Literal["standing", "normal"] | None = None
    asset: Identifier | None = None
    limit: Annotated[int, Meta(ge=1, le=5000, description="how many at most")] = 100


class OneAlarm(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An alarm by its id."""

    alarm_id: Identifier


class Ordered(OneAlarm, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An alarm, and the caller's own name for the command, so that asking twice orders once."""

    idempotency_key: Identifier | None = field(name="Idempotency-Key", default=None)


class Remark(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the operator has to say."""

    note: Note | None = None


class Shelving(Remark, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long an alarm is shelved: ``until``, or for this episode without it."""

    until: Instant | None = None


async def list_alarms(call: Call, arguments: SomeAlarms) -> AlarmList:
    """Answer alarms."""
    standing = None if arguments.state is None else arguments.state == "standing"
    rows = await call.services.reader.alarms(
        call.who, asset_id=arguments.asset, standing=standing, limit=arguments.limit
    )
    return AlarmList(alarms=rows_to(Alarm, rows))


async def get_alarm(call: Call, arguments: OneAlarm) -> Alarm:
    """Answer one alarm."""
    return row_to(Alarm, await call.services.reader.alarm(call.who, arguments.alarm_id))


async def list_history(call: Call, arguments: OneAlarm) -> TransitionList:
    """Answer an alarm's transitions."""
    await call.services.reader.alarm(call.who, arguments.alarm_id)
    rows = await call.services.reader.alarm_history(call.who, arguments.alarm_id)
    return TransitionList(transitions=rows_to(Transition, rows))


async def order(call: Call, arguments: Ordered, body: Remark, action: r.CommandAction) -> Accepted:
    """Write a command to the log."""
    alarm = await call.services.reader.alarm(call.who, arguments.alarm_id)
    now_ns = call.services.clock.now_ns()
    until_ns = None
    if isinstance(body, Shelving) and body.until is not None:
        until_ns = body.until.ns
        if not now_ns < until_ns <= now_ns + _LONGEST_SHELVING_NS:
            raise Problem(422, f"until: {body.until} doesn't lie within the next 30 days.")
    key = arguments.idempotency_key or uuid.uuid4().hex
    command = r.Command(
        command_id=stable_id("cmd", call.who.subject, arguments.alarm_id, action.value, key),
        asset_id=alarm["asset_id"],
        alarm_id=arguments.alarm_id,
        action=action,
        actor=call.who.subject,
        at_ns=now_ns,
        until_ns=until_ns,
        note=body.note,
    )
    await call.services.commands.append(command)
    return Accepted(command_id=command.command_id)


def _ordering(action: r.CommandAction, summary: str, role: Role, body: type[Remark] = Remark) -> Operation:
    async def run(call: Call, arguments: Ordered, given: Remark) -> Accepted:
        return await order(call, arguments, given, action)

    return Operation(
        method="POST",
        path=f"/v1/alarms/{{alarm_id}}/{action.value}",
        name=f"{action.value}_alarm",
        summary=summary,
        run=run,
        arguments=Ordered,
        headers=frozenset({"Idempotency-Key"}),
        body=body,
        answer=Accepted,
        status=202,
        role=role,
        problems=_UNKNOWN,
    )


_UNKNOWN: Final = {404: "There is no such alarm within the caller's scope."}
_ACTIONS: Final = r.CommandAction

OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/v1/alarms",
        name="list_alarms",
        summary="Alarms in scope, newest first",
        run=list_alarms,
        arguments=SomeAlarms,
        answer=AlarmList,
    ),
    Operation(
        method="GET",
        path="/v1/alarms/{alarm_id}",
        name="get_alarm",
        summary="One alarm",
        run=get_alarm,
        arguments=OneAlarm,
        answer=Alarm,
        problems=_UNKNOWN,
    ),
    Operation(
        method="GET",
        path="/v1/alarms/{alarm_id}/history",
        name="list_alarm_history",
        summary="The transitions of an alarm, oldest first",
        run=list_history,
        arguments=OneAlarm,
        answer=TransitionList,
        problems=_UNKNOWN,
    ),
    _ordering(_ACTIONS.ACKNOWLEDGE, "Say that the alarm has been seen", Role.TECHNICIAN),
    _ordering(_ACTIONS.RESET, "Return a latched alarm to normal, once its condition has gone", Role.TECHNICIAN),
    _ordering(_ACTIONS.SHELVE, "Put the alarm aside for a while", Role.TECHNICIAN, Shelving),
    _ordering(_ACTIONS.UNSHELVE, "Take a shelved alarm back", Role.TECHNICIAN),
    _ordering(_ACTIONS.SUPPRESS, "Suppress the alarm by design", Role.SUPERVISOR),
    _ordering(_ACTIONS.UNSUPPRESS, "End the suppression", Role.SUPERVISOR),
    _ordering(_ACTIONS.REMOVE_FROM_SERVICE, "Take the alarm out of service", Role.SUPERVISOR),
    _ordering(_ACTIONS.RETURN_TO_SERVICE, "Put the alarm back into service", Role.SUPERVISOR),
)
