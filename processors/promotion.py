"""The life cycle of models: which steps are allowed, and what each means for the models of an asset.

Propose → review → stage (in shadow on every asset in scope) → canary (for real on a share of them) → production →
sunset. A roll-back takes a canary or the version in production back to staged, and restores what was before.

Invariants: everything here is a pure function of the versions' stages; one canary and one version in production at
most in each slot; a version that has left production goes on in shadow, so that its thresholds are ready when it is
called back.
"""

import dataclasses
import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from contracts.assets import AssetConfiguration, ModelReference
from contracts.errors import ConfigurationError
from contracts.models import ModelVersion, Stage

#: Versions of one slot that may score in shadow at once: each costs CPU on every window.
MAX_STAGED: Final = 4
#: Assets that a refusal names.
_NAMED: Final = 5
_SCORING: Final = frozenset({Stage.STAGED, Stage.CANARY, Stage.PRODUCTION})

#: Step → stages it may begin from.
_FROM: Final[dict[str, tuple[Stage, ...]]] = {
    "review": (Stage.PROPOSED,),
    "reject": (Stage.PROPOSED, Stage.REVIEWED),
    "stage": (Stage.REVIEWED, Stage.STAGED),
    "canary": (Stage.STAGED, Stage.CANARY),
    "promote": (Stage.CANARY,),
    "sunset": (Stage.PROPOSED, Stage.REVIEWED, Stage.STAGED),
}


def position(version: ModelVersion, asset_id: str) -> float:
    """Return where an asset lies in [0, 1) for a canary of `version`: below the share, the canary scores there.

    A hash of both, so that a growing share keeps its assets, and other models try theirs on other assets.

    Examples
    --------
    >>> new = ModelVersion(name="ae", version="2", sha256="", feature_hash="", slot="ae")
    >>> round(position(new, "P-101"), 3)
    0.105
    """
    digest = hashlib.sha256(f"{version.key}/{asset_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def smallest_shares(version: ModelVersion, assets: Iterable[AssetConfiguration]) -> dict[str, float]:
    """Return for each asset in the scope of `version`, the first that a share holds first, the smallest that does.

    Examples
    --------
    >>> new = ModelVersion(name="ae", version="2", sha256="", feature_hash="", slot="ae")
    >>> pump = AssetConfiguration(asset_id="P-101", site_id="s", name="Pump", asset_type="pump")
    >>> smallest_shares(new, [pump])
    {'P-101': 0.105}
    """
    places = sorted((position(version, asset.asset_id), asset.asset_id) for asset in assets if in_scope(version, asset))
    return {asset_id: min(1.0, math.ceil(1000.0 * place + 1e-6) / 1000.0) for place, asset_id in places}


def in_scope(version: ModelVersion, asset: AssetConfiguration) -> bool:
    """Return whether `version` may score for `asset`."""
    by_id = not version.asset_ids or asset.asset_id in version.asset_ids
    return by_id and (not version.asset_types or asset.asset_type in version.asset_types)


# --- steps ------------------------------------------------------------------------------------------------------------


def review(version: ModelVersion) -> ModelVersion:
    """Return the version as reviewed; raise ``ConfigurationError`` where it can't be."""
    return dataclasses.replace(_allowed("review", version), stage=Stage.REVIEWED)


def reject(version: ModelVersion) -> ModelVersion:
    """Return the version as turned down."""
    return dataclasses.replace(_allowed("reject", version), stage=Stage.SUNSET)


def stage(
    version: ModelVersion, others: Iterable[ModelVersion], asset_ids: Sequence[str], asset_types: Sequence[str]
) -> ModelVersion:
    """Return the version as scoring in shadow on assets with these ids and types, empty for all.

    Raises
    ------
    ConfigurationError
        If it isn't reviewed, or ``MAX_STAGED`` others of its slot score in shadow already.
    """
    _allowed("stage", version)
    staged = [one.key for one in others if one.slot == version.slot and one.stage is Stage.STAGED and one != version]
    if len(staged) >= MAX_STAGED:
        raise ConfigurationError(f"{', '.join(staged)} are staged already, at most {MAX_STAGED}: sunset one first")
    ids, types = tuple(sorted(set(asset_ids))), tuple(sorted(set(asset_types)))
    return dataclasses.replace(version, stage=Stage.STAGED, asset_ids=ids, asset_types=types)


def canary(
    version: ModelVersion,
    others: Iterable[ModelVersion],
    where: float | Sequence[str],
    assets: Iterable[AssetConfiguration],
) -> ModelVersion:
    """Return the version as scoring for real on a share of its assets, or on those with the ids that are given.

    Raises
    ------
    ConfigurationError
        If it isn't staged, another canary is under way in its slot, no asset of its scope lies within the share, or a
        named one isn't in its scope.
    """
    _allowed("canary", version)
    for one in others:
        if one.slot == version.slot and one.stage is Stage.CANARY and one.key != version.key:
            raise ConfigurationError(f"{one.key} is the canary of {version.slot}: promote it or roll it back first")
    shares = smallest_shares(version, assets)
    if not shares:
        raise ConfigurationError(f"no asset is in the scope of {version.key}")
    if isinstance(where, (int, float)):
        _check_share(version, where, shares)
        return dataclasses.replace(version, stage=Stage.CANARY, share=where, canary_asset_ids=())
    ids = tuple(sorted(set(where)))
    if not set(ids) <= set(shares) or not ids:
        unknown = ", ".join(sorted(set(ids) - set(shares))) or "no asset"
        raise ConfigurationError(
            f"{unknown} isn't in the scope of {version.key}, which holds {', '.join(list(shares)[:_NAMED])}"
        )
    return dataclasses.replace(version, stage=Stage.CANARY, share=0.0, canary_asset_ids=ids)


def _check_share(version: ModelVersion, share: float, smallest: Mapping[str, float]) -> None:
    """Refuse a share that holds none of the assets, given the smallest that holds each."""
    if not 0.0 < share <= 1.0:
        raise ConfigurationError(f"a share of {share:g} isn't above 0 and at most 1")
    if all(position(version, asset_id) >= share for asset_id in smallest):
        from_on = ", ".join(f"{asset_id} {least:g}" for asset_id, least in list(smallest.items())[:_NAMED])
        raise ConfigurationError(
            f"no asset lies within a share of {share:g}: the smallest that hold one are {from_on}; or name assets"
        )


def promote(version: ModelVersion, others: Iterable[ModelVersion]) -> list[ModelVersion]:
    """Return the versions that change: this one into production, the one that was there into shadow."""
    _allowed("promote", version)
    before = _in_production(version.slot, others)
    promoted = dataclasses.replace(
        version,
        stage=Stage.PRODUCTION,
        share=1.0,
        canary_asset_ids=(),
        former=None if before is None else before.key,
    )
    return [promoted, *([] if before is None else [dataclasses.replace(before, stage=Stage.STAGED, share=0.0)])]


def roll_back(name: str, number: str | None, versions: Sequence[ModelVersion]) -> list[ModelVersion]:
    """Return the versions that change when the newest step of a slot is taken back.

    Parameters
    ----------
    name : str
        Of the model, or of its slot.
    number : str or None
        What must be the version that is taken back; nothing changes where it is back in shadow already.
    versions : sequence of ModelVersion
        All versions.

    Raises
    ------
    ConfigurationError
        If neither a canary nor a version in production is there, or it is another one.
    """
    slots = {one.slot for one in versions if name in {one.name, one.slot}}
    here = [one for one in versions if one.slot in slots]
    named = next((one for one in here if number is not None and one.version == number and one.name == name), None)
    if named is not None and named.stage is Stage.STAGED:
        return []
    newest = next((one for one in here if one.stage is Stage.CANARY), None) or next(
        (one for one in here if one.stage is Stage.PRODUCTION), None
    )
    if newest is None:
        raise ConfigurationError(f"{name} has neither a canary nor a version in production")
    if number is not None and newest != named:
        raise ConfigurationError(f"{newest.key} is {newest.stage} in {newest.slot}, not {name}@{number}")
    back = dataclasses.replace(newest, stage=Stage.STAGED, share=0.0, canary_asset_ids=(), former=None)
    former = next((one for one in here if newest.stage is Stage.PRODUCTION and one.key == newest.former), None)
    return [back] if former is None else [back, dataclasses.replace(former, stage=Stage.PRODUCTION, share=1.0)]


def sunset(version: ModelVersion, others: Iterable[ModelVersion]) -> list[ModelVersion]:
    """Return the versions that change when this one is taken out of use for good."""
    _allowed("sunset", version)
    heirs = [dataclasses.replace(one, former=None) for one in others if one.former == version.key]
    return [dataclasses.replace(version, stage=Stage.SUNSET), *heirs]


def _in_production(slot: str, versions: Iterable[ModelVersion]) -> ModelVersion | None:
    return next((one for one in versions if one.slot == slot and one.stage is Stage.PRODUCTION), None)


def _allowed(step: str, version: ModelVersion) -> ModelVersion:
    allowed = _FROM[step]
    if version.stage not in allowed:
        raise ConfigurationError(
            f"{version.key} is {version.stage}; {step} begins from {' or '.join(one.value for one in allowed)}"
        )
    return version


# --- what it means for an asset ---------------------------------------------------------------------------------------


def deployed(asset: AssetConfiguration, versions: Iterable[ModelVersion]) -> AssetConfiguration:
    """Return `asset` with the models that its slots have come to; what no slot concerns stays as it is.

    Parameters
    ----------
    asset : AssetConfiguration
        As imported, or as an earlier call returned it.
    versions : iterable of ModelVersion
        All versions.
    """
    versions = list(versions)
    slots: dict[str, list[ModelVersion]] = {}
    for one in sorted(versions, key=lambda one: one.key):
        slots.setdefault(one.slot, []).append(one)
    managed = {one.key for one in versions}
    models = [model for model in asset.models if model.key not in managed]
    for slot in sorted(slots):
        models = _filled(models, slot, slots[slot], asset)
    return dataclasses.replace(asset, models=tuple(models))


def _filled(
    models: list[ModelReference], slot: str, versions: Sequence[ModelVersion], asset: AssetConfiguration
) -> list[ModelReference]:
    """Return `models` with those of one slot: the leader scores for real there, the others in its shadow."""
    here = [one for one in versions if one.stage in _SCORING and in_scope(one, asset)]
    production = _in_production(slot, here)
    leader = next((one for one in here if one.stage is Stage.CANARY and _holds(one, asset)), production)
    heir = _heir(leader, production, here)
    displaced = None if leader is None or heir is not None else leader.key
    names = {slot, *(one.name for one in versions)}
    own = [
        dataclasses.replace(model, shadow=leader is not None, stands_in_for=displaced) if model.name in names else model
        for model in models
    ]
    return [*own, *(_reference(one, leader, heir) for one in here)]


def _heir(
    leader: ModelVersion | None, production: ModelVersion | None, here: Iterable[ModelVersion]
) -> ModelVersion | None:
    """Return who scores where the leader fails; ``None`` where that is the asset's own model."""
    if leader is None or leader is not production:
        return production
    return next((one for one in here if one.key == leader.former), None)


def _reference(one: ModelVersion, leader: ModelVersion | None, heir: ModelVersion | None) -> ModelReference:
    return ModelReference(
        name=one.name,
        version=one.version,
        sha256=one.sha256,
        feature_hash=one.feature_hash or None,
        shadow=one is not leader,
        stands_in_for=leader.key if leader is not None and one is heir else None,
    )


def _holds(version: ModelVersion, asset: AssetConfiguration) -> bool:
    return asset.asset_id in version.canary_asset_ids or position(version, asset.asset_id) < version.share
