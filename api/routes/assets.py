"""Assets, their newest condition and their condition changes."""

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from api.asset_payloads import (
    AssetDetail,
    AssetHealth,
    AssetList,
    HealthOrigin,
    HealthPoint,
    ListedAsset,
    RemainingLife,
)
from api.operations import Call, Operation
from api.payloads import (
    AssessmentDetail,
    ConditionChange,
    ConditionList,
    Identifier,
)
from api.times import Instant
from api.wire import row_to, rows_to
from contracts.assets import AssetConfiguration
from processors.risk import Risk
from processors.zone_tables import velocity_boundaries


class OneAsset(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An asset by its id."""

    asset_id: Identifier


class SomeConditions(OneAsset, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The newest condition changes of an asset."""

    limit: Annotated[int, Meta(ge=1, le=5000, description="how many at most")] = 100


async def list_assets(call: Call, _arguments: Struct) -> AssetList:
    """Answer the assets in scope."""
    rows = await call.services.reader.assets(call.who)
    risks = await call.services.risks.risks(call.who, [row["asset_id"] for row in rows])
    return AssetList(assets=[_listed(row, risks.get(row["asset_id"])) for row in rows])


async def get_asset(call: Call, arguments: OneAsset) -> AssetDetail:
    """Answer one asset."""
    row = await call.services.reader.asset(call.who, arguments.asset_id)
    configuration = msgspec.convert(row["configuration"], AssetConfiguration)
    return row_to(
        AssetDetail,
        row,
        configuration=configuration,
        velocity_zones_mm_s=_velocity_zones(configuration),
        health=_health(await call.services.risks.risk(call.who, arguments.asset_id)),
    )


async def get_assessment(call: Call, arguments: OneAsset) -> AssessmentDetail:
    """Answer the newest assessment."""
    return row_to(AssessmentDetail, await call.services.reader.latest_assessment(call.who, arguments.asset_id))


async def list_conditions(call: Call, arguments: SomeConditions) -> ConditionList:
    """Answer the newest condition changes."""
    await call.services.reader.asset(call.who, arguments.asset_id)
    rows = await call.services.reader.conditions(call.who, arguments.asset_id, arguments.limit)
    return ConditionList(conditions=rows_to(ConditionChange, rows))


def _listed(row: Mapping[str, Any], risk: Risk | None) -> ListedAsset:
    if risk is None:
        return row_to(ListedAsset, row)
    return row_to(ListedAsset, row, health_index=risk.health_index, health_reason=risk.reason)


def _health(risk: Risk) -> AssetHealth:
    return AssetHealth(
        index=risk.health_index,
        reason=risk.reason,
        worst=None if risk.worst is None else HealthOrigin(**dataclasses.asdict(risk.worst)),
        trend=[HealthPoint(at=Instant(round(time_s * 1e9)), index=index) for time_s, index in risk.trend],
        remaining_life=None if risk.life is None else RemainingLife(**dataclasses.asdict(risk.life)),
        no_life_because=risk.no_life_because,
    )


def _velocity_zones(configuration: AssetConfiguration) -> tuple[float, float, float] | None:
    bounds = velocity_boundaries(configuration)
    return None if bounds is None else (bounds.a_b, bounds.b_c, bounds.c_d)


_UNKNOWN: Final = {404: "There is no such asset within the caller's scope."}

OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/v1/assets",
        name="list_assets",
        summary="The assets in scope, with newest zone, fault, speed, standing alarms and health index",
        run=list_assets,
        answer=AssetList,
    ),
    Operation(
        method="GET",
        path="/v1/assets/{asset_id}",
        name="get_asset",
        summary="One asset with its configuration, its health and the life that is left",
        run=get_asset,
        arguments=OneAsset,
        answer=AssetDetail,
        problems=_UNKNOWN,
    ),
    Operation(
        method="GET",
        path="/v1/assets/{asset_id}/assessment",
        name="get_assessment",
        summary="The newest assessment of an asset: features, scores, zone and diagnoses",
        run=get_assessment,
        arguments=OneAsset,
        answer=AssessmentDetail,
        problems=_UNKNOWN,
    ),
    Operation(
        method="GET",
        path="/v1/assets/{asset_id}/conditions",
        name="list_conditions",
        summary="Condition changes of an asset, newest first",
        run=list_conditions,
        arguments=SomeConditions,
        answer=ConditionList,
        problems=_UNKNOWN,
    ),
)
