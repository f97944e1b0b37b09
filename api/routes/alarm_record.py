"""False alarms: what the user allows an asset, what its calibration lets expect, and what came."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from api.alarm_payloads import AlarmRecord, LimitState, RuleRecord
from api.operations import Call, Operation
from api.payloads import Identifier
from api.times import Instant
from api.wire import rows_to
from contracts.assets import AssetConfiguration

_DAY_NS: Final = 86_400 * 10**9
_MONTH_DAYS: Final = 30.44


class Recently(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An asset, and how far to look back."""

    asset_id: Identifier
    days: Annotated[float, Meta(gt=0, le=366, description="how far to look back")] = _MONTH_DAYS


async def get_alarm_record(call: Call, arguments: Recently) -> AlarmRecord:
    """Answer the alarms of an asset beside its budget."""
    asset = await call.services.reader.asset(call.who, arguments.asset_id)
    budget = msgspec.convert(asset["configuration"], AssetConfiguration).rules.false_alarms_per_month
    since_ns = call.services.clock.now_ns() - round(arguments.days * _DAY_NS)
    row = await call.services.reader.alarm_record(call.who, arguments.asset_id, since_ns)
    rules = rows_to(RuleRecord, row["rules"])
    limits = rows_to(LimitState, row["limits"])
    alarms = sum(rule.alarms for rule in rules)
    called_false = sum(rule.called_false for rule in rules)
    days = 0.0 if row["observed_from_ns"] is None else (row["observed_to_ns"] - row["observed_from_ns"]) / _DAY_NS
    present = [limit for limit in limits if limit.regime == row["regime"]]
    last = min(present, key=_progress, default=None)
    return AlarmRecord(
        asset_id=arguments.asset_id,
        since=Instant(since_ns),
        observed_days=days,
        regime=row["regime"],
        budget_per_month=budget,
        expected_per_month=sum(limit.expected_per_month for limit in present),
        alarms=alarms,
        called_false=called_false,
        followed_by_maintenance=sum(rule.followed_by_maintenance for rule in rules),
        alarms_per_month=_monthly(alarms, days),
        false_per_month=_monthly(called_false, days),
        learning=budget > 0.0 and (not present or any(limit.alarm_limit is None for limit in present)),
        windows=None if last is None else last.windows,
        windows_needed=None if last is None else last.windows_needed,
        rules=rules,
        limits=limits,
    )


def _progress(limit: LimitState) -> float:
    return limit.windows / limit.windows_needed


def _monthly(count: int, days: float) -> float | None:
    return None if days < 1.0 else count * _MONTH_DAYS / days


OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/v1/assets/{asset_id}/alarm-record",
        name="get_alarm_record",
        summary="False alarms of an asset: the budget, what the calibration lets expect, and what came",
        run=get_alarm_record,
        arguments=Recently,
        answer=AlarmRecord,
        problems={404: "There is no such asset within the caller's scope."},
    ),
)
