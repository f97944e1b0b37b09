"""What the API gives of alarms, their record and their transitions; see ``api.payloads``."""

from typing import Annotated

from msgspec import Meta, Struct

from api.times import Instant
from contracts import records as r

#: Free text of an operator.
Note = Annotated[str, Meta(max_length=2000, pattern=r"^[^\x00]*$", description="what the operator has to say")]


class Alarm(Struct, frozen=True, kw_only=True):
    """An alarm with its present state; cause, actor and note are those of its newest transition."""

    alarm_id: str
    asset_id: str
    site_id: str
    point_id: str
    rule: str
    state: r.AlarmState
    priority: r.Priority
    zone: r.Zone | None
    fault: str | None
    confidence: float | None
    reason: str
    evidence: list[r.Evidence]
    started_at: Instant
    changed_at: Instant
    sequence: int
    cause: str
    actor: str | None = None
    note: str | None = None
    acknowledged_by: str | None = None
    acknowledged_at: Instant | None = None


class AlarmList(Struct, frozen=True, kw_only=True):
    """Alarms, newest first."""

    alarms: list[Alarm]


class RuleRecord(Struct, frozen=True, kw_only=True):
    """How often a rule has raised an alarm; which of these an operator called false, and which maintenance followed."""

    rule: str
    alarms: int
    called_false: int
    followed_by_maintenance: int


class LimitState(Struct, frozen=True, kw_only=True):
    """How far a model's scores must stay over their threshold to raise an alarm, in one operating regime.

    ``alarm_limit`` is a ratio to the threshold; it is null, and there is no alarm, until ``windows`` normal windows
    reach ``windows_needed``.
    """

    point_id: str
    model: str
    regime: str
    at: Instant
    windows: int
    windows_needed: int
    alarm_limit: float | None
    expected_per_month: float


class AlarmRecord(Struct, frozen=True, kw_only=True):
    """False alarms of an asset: budget, what the calibration lets expect, and what came.

    Alarms count from ``since``, by the start of their episode; rates are per 30.44 days of ``observed_days``, and null
    before a day was observed. ``learning`` tells that scores of the present ``regime`` can't raise an alarm yet:
    ``windows`` of ``windows_needed`` are those of the calibration that has farthest to go. Both are null while the
    models themselves still learn.
    """

    asset_id: str
    since: Instant
    observed_days: float
    regime: str | None
    budget_per_month: float
    expected_per_month: float
    alarms: int
    called_false: int
    followed_by_maintenance: int
    alarms_per_month: float | None
    false_per_month: float | None
    learning: bool
    windows: int | None
    windows_needed: int | None
    rules: list[RuleRecord]
    limits: list[LimitState]


class Transition(Struct, frozen=True, kw_only=True):
    """One step of an alarm's life cycle."""

    transition_id: str
    alarm_id: str
    asset_id: str
    site_id: str
    point_id: str
    rule: str
    sequence: int
    from_state: r.AlarmState
    state: r.AlarmState
    cause: str
    at: Instant
    started_at: Instant
    priority: r.Priority
    zone: r.Zone | None
    fault: str | None
    confidence: float | None
    reason: str
    evidence: list[r.Evidence]
    actor: str | None = None
    note: str | None = None


class TransitionList(Struct, frozen=True, kw_only=True):
    """An alarm's transitions, oldest first."""

    transitions: list[Transition]


class Accepted(Struct, frozen=True, kw_only=True):
    """A command is on the log; its effect, if the alarm's state allows one, follows as a transition."""

    command_id: str
