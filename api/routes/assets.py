"""Assets, their newest condition and their condition changes."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from api.operations import Call, Operation
from api.payloads import (
    AssessmentDetail,
    AssetDetail,
    AssetList,
    AssetSummary,
    ConditionChange,
    ConditionList,
    Identifier,
)
from api.wire import row_to, rows_to
from contracts.assets import AssetConfiguration
from processors.zone_tables import velocity_boundaries


class OneAsset(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An asset by its id."""

    asset_id: Identifier


class SomeConditions(OneAsset, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The newest condition changes of an asset."""

    limit: Annotated[int, Meta(ge=1, le=5000, description="how many at most")] = 100


async def list_assets(call: Call, _arguments: Struct) -> AssetList:
    """Answer the assets in scope."""
    return AssetList(assets=rows_to(AssetSummary, await call.services.reader.assets(call.who)))


async def get_asset(call: Call, arguments: OneAsset) -> AssetDetail:
    """Answer one asset."""
    row = await call.services.reader.asset(call.who, arguments.asset_id)
    configuration = msgspec.convert(row["configuration"], AssetConfiguration)
    return row_to(AssetDetail, row, configuration=configuration, velocity_zones_mm_s=_velocity_zones(configuration))


async def get_assessment(call: Call, arguments: OneAsset) -> AssessmentDetail:
    """Answer the newest assessment."""
    return row_to(AssessmentDetail, await call.services.reader.latest_assessment(call.who, arguments.asset_id))


async def list_conditions(call: Call, arguments: SomeConditions) -> ConditionList:
    """Answer the newest condition changes."""
    await call.services.reader.asset(call.who, arguments.asset_id)
    rows = await call.services.reader.conditions(call.who, arguments.asset_id, arguments.limit)
    return ConditionList(conditions=rows_to(ConditionChange, rows))


def _velocity_zones(configuration: AssetConfiguration) -> tuple[float, float, float] | None:
    bounds = velocity_boundaries(configuration)
    return None if bounds is None else (bounds.a_b, bounds.b_c, bounds.c_d)


_UNKNOWN: Final = {404: "There is no such asset within the caller's scope."}

OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/v1/assets",
        name="list_assets",
        summary="The assets in scope, with newest zone, fault, speed and standing alarms",
        run=list_assets,
        answer=AssetList,
    ),
    Operation(
        method="GET",
        path="/v1/assets/{asset_id}",
        name="get_asset",
        summary="One asset with its configuration",
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
