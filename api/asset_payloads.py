"""What the API gives of assets, their health and their models; see ``api.payloads``."""

from msgspec import Struct

from api.times import Instant
from contracts import records as r
from contracts.assets import AssetConfiguration
from contracts.models import Stage


class AssetSummary(Struct, frozen=True, kw_only=True):
    """An asset with its newest condition."""

    asset_id: str
    site_id: str
    name: str
    asset_type: str
    zone: r.Zone | None = None
    fault: str | None = None
    speed_rpm: float | None = None
    window_end: Instant | None = None
    standing_alarms: int = 0
    highest_priority: r.Priority | None = None


class RemainingLife(Struct, frozen=True, kw_only=True):
    """Time until the trend reaches the limit, s: shorter than each value with a probability of 10, 50 and 90 %."""

    p10_s: float
    p50_s: float
    p90_s: float


class HealthOrigin(Struct, frozen=True, kw_only=True):
    """What a health index comes from: the feature of the channel that is worst off.

    ``value`` is what it measures now, ``well`` when the machine was well, ``limit`` where the index is 0.
    """

    channel_id: str
    feature: str
    unit: str
    value: float
    well: float
    limit: float


class HealthPoint(Struct, frozen=True, kw_only=True):
    """The index at one time."""

    at: Instant
    index: float


class AssetHealth(Struct, frozen=True, kw_only=True):
    """How well an asset is, and how long it may last.

    ``index`` is 1 for a machine that is well and 0 for one at its limit; null where nothing is known, as ``reason``
    says. ``trend`` is how that of ``worst`` has come, oldest first. ``remaining_life`` is null where none is justified;
    ``no_life_because`` says why.
    """

    index: float | None
    reason: str
    worst: HealthOrigin | None
    trend: list[HealthPoint]
    remaining_life: RemainingLife | None
    no_life_because: str | None


class ListedAsset(AssetSummary, frozen=True, kw_only=True):
    """An asset with its newest condition and its health index, 1 (well) to 0 (at its limit), null where unknown.

    ``health_reason`` says what the index comes from; both are null until the asset's turn in a large plant has come.
    """

    health_index: float | None = None
    health_reason: str | None = None


class AssetList(Struct, frozen=True, kw_only=True):
    """The assets within the caller's scope."""

    assets: list[ListedAsset]


class AssetDetail(Struct, frozen=True, kw_only=True):
    """An asset with the configuration it is judged by.

    ``velocity_zones_mm_s`` are the zone boundaries A/B, B/C and C/D that follow from its machine group and
    support; null where either is unknown.
    """

    asset_id: str
    site_id: str
    version: str | None
    configuration: AssetConfiguration
    velocity_zones_mm_s: tuple[float, float, float] | None = None
    health: AssetHealth


class ModelState(Struct, frozen=True, kw_only=True):
    """One version of a scoring model: where it stands, and the newest step with who, why and when.

    ``slot`` is the model whose place it seeks, ``share`` the part of its assets on which a canary scores for real, 0
    where its assets are named.
    ``current`` tells whether it was trained for the feature code that runs. ``scores_for``, ``in_shadow_for`` and
    ``refused_on``, where it failed, name assets within the caller's scope.
    """

    name: str
    version: str
    stage: Stage
    slot: str
    share: float
    former: str | None
    sha256: str
    feature_hash: str
    current: bool
    action: str | None
    actor: str | None
    reason: str | None
    at: Instant | None
    scores_for: list[str]
    in_shadow_for: list[str]
    refused_on: list[str]


class ModelList(Struct, frozen=True, kw_only=True):
    """Versions of scoring models, by name and number."""

    models: list[ModelState]
