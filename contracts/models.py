"""The life of a model version, from proposal to sunset, and what a model file says of itself.

A version is a name, a number and a content that never changes; it takes part in a slot, in which one model scores for
an asset at a time and others may score in its shadow.
"""

import datetime as dt
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

#: What the metadata of an ONNX file say: the hash of the feature code whose vectors it was trained on …
FEATURE_HASH_KEY: Final = "faultline.code_hash"
#: … and the form of its input: version and names of the catalogue, windows in a row, bound of the robust z's.
CATALOGUE_VERSION_KEY: Final = "faultline.catalogue_version"
FEATURES_KEY: Final = "faultline.features"
WINDOW_COUNT_KEY: Final = "faultline.window_count"
CLIP_Z_KEY: Final = "faultline.clip_z"

MODEL_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
MODEL_VERSION: Final = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9}){0,2}")


class Stage(StrEnum):
    """Where a model version stands."""

    PROPOSED = "proposed"
    REVIEWED = "reviewed"
    STAGED = "staged"
    CANARY = "canary"
    PRODUCTION = "production"
    SUNSET = "sunset"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVersion:
    """One version of a model and its place in the plant.

    ``slot`` is the name of the model whose place it seeks. ``asset_ids`` and ``asset_types`` bound where it may score;
    empty means everywhere. A canary scores for real on ``canary_asset_ids`` where they are named, else on ``share``,
    the part of those assets. ``former`` is the version in production before it (``name@version``), which a roll-back
    restores.
    """

    name: str
    version: str
    sha256: str
    feature_hash: str
    slot: str
    stage: Stage = Stage.PROPOSED
    share: float = 0.0
    asset_ids: tuple[str, ...] = ()
    asset_types: tuple[str, ...] = ()
    canary_asset_ids: tuple[str, ...] = ()
    former: str | None = None

    @property
    def key(self) -> str:
        """``name@version``."""
        return f"{self.name}@{self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTransition:
    """One step in the life of a model version: who, why, from where to where.

    ``action`` is the command that asked for it, or ``refuse`` where the content was found unfit; ``to_stage`` is then
    ``from_stage``, ``None`` for a version that was never accepted.
    """

    name: str
    version: str
    action: str
    from_stage: Stage | None
    to_stage: Stage | None
    sha256: str
    share: float
    canary_asset_ids: tuple[str, ...] = ()
    actor: str
    reason: str
    at: dt.datetime | None = None
