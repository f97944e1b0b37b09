"""Scoring models: every version with its stage, and who took it there, when and why."""

from typing import Final

from msgspec import Struct

from api.asset_payloads import ModelList, ModelState
from api.operations import Call, Operation
from api.wire import row_to


async def list_models(call: Call, _arguments: Struct) -> ModelList:
    """Answer the versions in scope."""
    current = call.services.feature_hashes
    rows = await call.services.reader.models(call.who)
    return ModelList(models=[row_to(ModelState, row, current=row["feature_hash"] in current) for row in rows])


OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/v1/models",
        name="list_models",
        summary="Versions of scoring models: stage, newest step with who and why, and the assets they score for",
        run=list_models,
        answer=ModelList,
    ),
)
