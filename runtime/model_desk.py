"""What the commands on models work with: services, registry, feature code, and a step from wish to log.

Invariants: a model passes the gate before it scores anything anywhere; a refusal is recorded as a step is; a step that
was stored but not put on the log is put there by the next one.
"""

import asyncio
import hashlib
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from adapters.kafka import KafkaSink, ensure_topics
from adapters.models import BUNDLED_FOLDER, ModelFolder
from adapters.timescale import AssetRegistry, Database, ModelRegistry, migrate
from contracts.assets import AssetConfiguration
from contracts.errors import ConfigurationError, NotFound
from contracts.models import MODEL_NAME, MODEL_VERSION, ModelTransition, ModelVersion, Stage
from processors.configured import window_counts
from processors.own_features import FeatureCode
from processors.promotion import deployed, smallest_shares
from processors.scoring import BASELINE, BUILT_IN_MODELS
from processors.state_bound import check_state
from runtime.activate import activate
from runtime.clock import SystemClock
from runtime.command_line import current_user
from runtime.connect import connected
from runtime.feature_code import load_feature_code
from runtime.model_gate import examine, is_current
from runtime.model_stages import tell_mlflow
from runtime.registry import codec_for
from runtime.services.local import Urls
from runtime.settings import Settings, load_settings

T = TypeVar("T")
#: What becomes of one version, given all versions and assets.
Step = Callable[[ModelVersion, list[ModelVersion], list[AssetConfiguration]], Sequence[ModelVersion]]

#: Steps that are over once their stage is reached: asked for again, they change nothing.
_REACHES: Final = {
    "review": Stage.REVIEWED,
    "reject": Stage.SUNSET,
    "promote": Stage.PRODUCTION,
    "sunset": Stage.SUNSET,
}
#: Steps after which a model scores something: it is examined first.
_EXAMINED: Final = frozenset({"stage", "canary", "promote"})
#: Steps after which a model scores for real: not where it has failed already.
_FOR_REAL: Final = frozenset({"canary", "promote"})
_SCORING: Final = frozenset({Stage.STAGED, Stage.CANARY, Stage.PRODUCTION})
_LONGEST_CARD: Final = 65_536
_LONGEST_REASON: Final = 1000


@dataclass(frozen=True, slots=True)
class ModelDesk:
    """What a command works with."""

    settings: Settings
    urls: Urls
    database: Database
    registry: ModelRegistry
    code: FeatureCode

    async def version(self, name: str, version: str) -> ModelVersion:
        """Return a version; raise ``NotFound`` where it isn't known."""
        known = await self.registry.versions()
        found = next((one for one in known if (one.name, one.version) == (name, version)), None)
        if found is None:
            raise NotFound(f"no model {name}@{version}; `faultline models list` names them")
        return found

    async def assets(self) -> list[AssetConfiguration]:
        """Return all assets."""
        return await AssetRegistry(self.database).assets()

    async def propose(
        self, wish: tuple[str, str], folder: Path | None, slot: str, feature_hash: str | None, why: str
    ) -> dict[str, Any]:
        """Take in the file of a name and version, or record why it is refused."""
        name, version = wish
        if name in BUILT_IN_MODELS:
            raise ConfigurationError(f"{name} comes with the code: give the model another name")
        if slot == BASELINE:
            raise ConfigurationError(f"{slot} always scores: no model can stand instead of it")
        if not MODEL_NAME.fullmatch(slot):
            raise ConfigurationError(f"{slot!r} can't name a model; e.g. 'reference-autoencoder'")
        place = folder or BUNDLED_FOLDER
        content = b""
        try:
            content = ModelFolder(place).load(name, version)
            trained_for = examine(f"{name}@{version}", content, feature_hash, self.code)
        except ConfigurationError as error:
            await self._refuse(name, version, content, None, error)
            raise
        digest = hashlib.sha256(content).hexdigest()
        proposed = ModelVersion(name=name, version=version, sha256=digest, feature_hash=trained_for, slot=slot)
        card = _card(place / f"{name}.v{version}.md")
        is_new = await self.registry.propose(proposed, content, card, current_user(), _reason(why))
        changed = [f"{proposed.key} proposed"] if is_new else []
        return {"action": "propose", "changed": changed, "sha256": digest, "mlflow": await self._tell_mlflow()}

    async def take(self, action: str, one: ModelVersion, step: Step, why: str) -> dict[str, Any]:
        """Take a step of one version, put what follows from it into force, and return what has changed."""
        counts: dict[str, int] = {}
        refused: list[str] = []
        if action in _EXAMINED:
            await self._examine(one)
            counts = await self._window_counts(one)
        if action in _FOR_REAL:
            refused = await self.registry.refused_on(one.key)

        def change(versions: list[ModelVersion], assets: list[AssetConfiguration]) -> Sequence[ModelVersion]:
            now = next(other for other in versions if other.key == one.key)
            if now.stage is _REACHES.get(action):
                return []
            changed = step(now, versions, assets)
            if action in _EXAMINED:
                after = {**{each.key: each for each in versions}, **{each.key: each for each in changed}}
                new = [deployed(asset, list(after.values())) for asset in assets]
                for asset in new:
                    check_state(asset, counts)
                _check_not_refused(one.key, new, refused)
            return changed

        done = await self.change(action, change, why)
        now = self.described(await self.version(one.name, one.version), await self.assets())
        return {**done, **{where: now[where] for where in ("scores_for", "in_shadow_for")}}

    async def change(
        self,
        action: str,
        change: Callable[[list[ModelVersion], list[AssetConfiguration]], Sequence[ModelVersion]],
        why: str,
    ) -> dict[str, Any]:
        """Store a step, put what follows from it on the log, and return what has changed."""
        done = await self.registry.change(change, action, current_user(), _reason(why))
        return {
            "action": action,
            "changed": [f"{one.key} {one.stage}" for one in done.versions],
            "assets": [asset.asset_id for asset in done.assets],
            "scoring": {
                asset.asset_id: [model.key for model in asset.models if not model.shadow] for asset in done.assets
            },
            "activated": await self._put_into_force(),
            "mlflow": await self._tell_mlflow(),
        }

    async def _tell_mlflow(self) -> str:
        return await asyncio.to_thread(tell_mlflow, self.settings, await self.registry.versions())

    async def _put_into_force(self) -> list[str]:
        await asyncio.to_thread(ensure_topics, self.urls.kafka, self.settings.partitions)
        sink = KafkaSink(self.urls.kafka, codec_for(self.settings))
        done = await activate(AssetRegistry(self.database), sink, SystemClock(), current_user())
        return [one.asset_id for one in done]

    async def _examine(self, one: ModelVersion) -> None:
        """Refuse a model that has become unfit since it was proposed: the feature code may be another."""
        content = b""
        try:
            content = await self.registry.content(one.sha256)
            examine(one.key, content, one.feature_hash, self.code)
        except ConfigurationError as error:
            await self._refuse(one.name, one.version, content, one.stage, error)
            raise

    async def _window_counts(self, one: ModelVersion) -> dict[str, int]:
        """Return the windows in a row that this version looks at, and each that scores somewhere."""
        known = [each for each in await self.registry.versions() if each.key == one.key or each.stage in _SCORING]
        return window_counts({each.key: await self.registry.content(each.sha256) for each in known})

    async def _refuse(
        self, name: str, version: str, content: bytes, stage: Stage | None, error: ConfigurationError
    ) -> None:
        if not MODEL_NAME.fullmatch(name) or not MODEL_VERSION.fullmatch(version):
            return
        refused = ModelTransition(
            name=name,
            version=version,
            action="refuse",
            from_stage=stage,
            to_stage=stage,
            sha256=hashlib.sha256(content).hexdigest() if content else "",
            share=0.0,
            actor=current_user(),
            reason=_storable(str(error))[:_LONGEST_REASON],
        )
        await self.registry.refuse(refused)

    def described(self, one: ModelVersion, assets: Sequence[AssetConfiguration]) -> dict[str, Any]:
        """Return a version for a program, and the assets it scores for."""
        scoring = {asset.asset_id: model for asset in assets for model in asset.models if model.key == one.key}
        return {
            **msgspec.to_builtins(one),
            "current": is_current(one.feature_hash, self.code),
            "scores_for": [asset_id for asset_id, model in scoring.items() if not model.shadow],
            "in_shadow_for": [asset_id for asset_id, model in scoring.items() if model.shadow],
            "canary_shares": smallest_shares(one, assets),
        }


def _check_not_refused(key: str, assets: Sequence[AssetConfiguration], refused: Sequence[str]) -> None:
    """Refuse a configuration in which a model would score for real where it has been refused."""
    real = [asset.asset_id for asset in assets if any(one.key == key and not one.shadow for one in asset.models)]
    where = sorted(set(real) & set(refused))
    if where:
        raise ConfigurationError(
            f"{key} is refused on {', '.join(where)}: the alarm `model_refused` there says why; choose other assets by"
            " --asset, or roll it back and sunset it"
        )


def at_model_desk(work: Callable[[ModelDesk], Awaitable[T]]) -> T:
    """Return what `work` makes of the services of the environment, of a running ``up``, or of its own for a while."""
    settings = load_settings()
    code = load_feature_code(settings)

    async def run(urls: Urls) -> T:
        await migrate(urls.database)
        async with Database(urls.database) as database:
            return await work(ModelDesk(settings, urls, database, ModelRegistry(database), code))

    with connected(settings, lambda status: print(status, file=sys.stderr)) as urls:
        return asyncio.run(run(urls))


def _reason(why: str) -> str:
    if not why.strip():
        raise ConfigurationError("say why: the reason is kept with the step")
    return _storable(why)[:_LONGEST_REASON]


def _card(path: Path) -> str:
    return _storable(path.read_text(encoding="utf-8", errors="replace"))[:_LONGEST_CARD] if path.is_file() else ""


def _storable(text: str) -> str:
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")
