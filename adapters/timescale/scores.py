"""Stored scores of chosen models, those in shadow among them, window by window."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final

from adapters.timescale.database import Database
from contracts.assets import AssetConfiguration

_BATCH: Final = 2000
_LONGEST_S: Final = 3600.0
#: Partial windows raise nothing, so they tell nothing here.
_SCORES: Final = """
    SELECT f.point_id, s.channel_id, s.window_start_ns, s.window_end_ns, s.key, s.value, s.threshold,
        NOT EXISTS (SELECT FROM jsonb_array_elements(a.diagnoses) AS found
            WHERE found->>'channel_id' = s.channel_id AND starts_with(found->>'fault', %(sensor)s))
    FROM (
        SELECT *, model || '@' || model_version AS key FROM score
        UNION ALL
        SELECT *, model || '@' || model_version AS key FROM shadow_score
    ) AS s
    JOIN feature AS f USING (channel_id, window_start_ns, code_version, asset_id)
    JOIN assessment AS a USING (asset_id, window_start_ns, code_version)
    WHERE s.asset_id = %(asset)s AND s.channel_id = ANY(%(channels)s) AND s.key = ANY(%(models)s)
        AND s.code_version = %(code)s AND NOT f.partial
        AND s.window_start_ns >= %(since)s AND s.window_start_ns < %(until)s
    ORDER BY s.window_start_ns, f.point_id, s.channel_id
"""


@dataclass(frozen=True, slots=True)
class StoredScore:
    """One model's score of one channel's window; ``trusted`` unless the channel's sensor was at fault."""

    point_id: str
    channel_id: str
    window_start_ns: int
    window_end_ns: int
    model: str
    value: float | None
    threshold: float | None
    trusted: bool


async def read_scores(
    database: Database,
    asset: AssetConfiguration,
    models: Sequence[str],
    span_ns: tuple[int, int],
    code_version: str,
    sensor_faults: str,
) -> AsyncIterator[StoredScore]:
    """Yield the scores of models on one asset, by window and measurement point.

    Parameters
    ----------
    database : Database
        Where from.
    asset : AssetConfiguration
        The asset, of whose channels.
    models : sequence of str
        ``name@version``.
    span_ns : tuple of int, int
        Windows that begin from the first time on and before the second.
    code_version : str
        Of the results.
    sensor_faults : str
        What the names of a sensor's faults begin with.
    """
    parameters = {
        "asset": asset.asset_id,
        "channels": [channel.channel_id for point in asset.points for channel in point.channels],
        "models": list(models),
        "since": span_ns[0],
        "until": span_ns[1],
        "code": code_version,
        "sensor": sensor_faults,
    }
    async with (
        database.transaction(_LONGEST_S) as connection,
        connection.cursor(name="compared_scores", binary=True) as cursor,
    ):
        cursor.itersize = _BATCH
        await cursor.execute(_SCORES, parameters)
        async for row in cursor:
            yield StoredScore(*row)
