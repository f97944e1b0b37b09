"""What every form of the database must hold for `ModelRegistry` and `StoredModels`."""

import asyncio
import dataclasses
import hashlib
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
import pytest

from adapters.timescale import AssetRegistry, Database, HistoryReader, ModelRegistry, PartitionStore, StoredModels
from contracts import records as r
from contracts.assets import AssetConfiguration, ModelReference, Site
from contracts.errors import ConfigurationError
from contracts.models import ModelTransition, ModelVersion, Stage
from contracts.ports import HistoryRows, Principal
from processors import promotion

SITE = Site(site_id="s", name="Plant")
CONTENT = b"weights"
VERSION = ModelVersion(
    name="ae", version="2", sha256=hashlib.sha256(CONTENT).hexdigest(), feature_hash="f", slot="reference"
)


class NoFiles:
    def load(self, name: str, version: str, sha256: str | None = None) -> bytes:
        raise ConfigurationError(f"no file of {name}")


def pump(asset_id: str = "P") -> AssetConfiguration:
    return AssetConfiguration(
        asset_id=asset_id,
        site_id="s",
        name="Pump",
        asset_type="pump",
        models=(ModelReference(name="reference", version="1"),),
    )


def with_registry(url: str, work: Callable[[Database, ModelRegistry], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        async with Database(url) as database:
            await AssetRegistry(database).import_assets([SITE], [pump()], [], "me")
            return await work(database, ModelRegistry(database))

    return asyncio.run(run())


async def into_production(registry: ModelRegistry) -> None:
    await registry.propose(VERSION, CONTENT, "# Card", "ann", "trained on May")

    async def step(action: str, change: Any) -> None:
        await registry.change(change, action, "bob", f"{action}, since it's due")

    await step("review", lambda known, _assets: [promotion.review(known[0])])
    await step("stage", lambda known, _assets: [promotion.stage(known[0], known, (), ("pump",))])
    await step("canary", lambda known, assets: [promotion.canary(known[0], known, [assets[0].asset_id], assets)])
    await step("promote", lambda known, _assets: promotion.promote(known[0], known))


def test_every_step_is_kept_with_who_and_why_and_reaches_the_assets(migrated_url: str) -> None:
    async def work(database: Database, registry: ModelRegistry) -> None:
        await into_production(registry)
        (version,) = await registry.versions()
        assert version == dataclasses.replace(VERSION, stage=Stage.PRODUCTION, share=1.0, asset_types=("pump",))
        steps = await registry.history("ae")
        assert [(one.action, one.to_stage) for one in steps] == [
            ("propose", Stage.PROPOSED),
            ("review", Stage.REVIEWED),
            ("stage", Stage.STAGED),
            ("canary", Stage.CANARY),
            ("promote", Stage.PRODUCTION),
        ]
        assert [one.canary_asset_ids for one in steps] == [(), (), (), ("P",), ()]
        assert {(one.actor, one.sha256) for one in steps} == {("ann", VERSION.sha256), ("bob", VERSION.sha256)}
        assert steps[-1].reason == "promote, since it's due"
        assert steps == sorted(steps, key=lambda one: str(one.at))
        assert await registry.card("ae", "2") == "# Card"
        (asset,) = await AssetRegistry(database).assets()
        assert [(model.key, model.shadow) for model in asset.models] == [("reference@1", True), ("ae@2", False)]
        # the same description again, and a new asset: both get the promoted model
        changed = await AssetRegistry(database).import_assets([], [pump(), pump("Q")], [], "me")
        assert [one.asset_id for one in changed] == ["Q"]
        assert changed[0].models == asset.models

    with_registry(migrated_url, work)


def test_a_step_that_fails_leaves_nothing_behind(migrated_url: str) -> None:
    async def work(database: Database, registry: ModelRegistry) -> None:
        await registry.propose(VERSION, CONTENT, "", "ann", "why")
        with pytest.raises(ConfigurationError, match="ae@2 is proposed; promote begins from canary"):
            await registry.change(lambda known, _assets: promotion.promote(known[0], known), "promote", "bob", "haste")
        assert [one.stage for one in await registry.versions()] == [Stage.PROPOSED]
        assert [one.action for one in await registry.history("ae")] == ["propose"]
        refused = ModelTransition(
            name="ae",
            version="3",
            action="refuse",
            from_stage=None,
            to_stage=None,
            sha256="",
            share=0.0,
            actor="ann",
            reason="no model",
        )
        await registry.refuse(refused)
        (kept,) = await registry.history("ae", "3")
        assert dataclasses.replace(kept, at=None) == refused

    with_registry(migrated_url, work)


def test_content_never_changes_under_a_name_and_number(migrated_url: str) -> None:
    async def work(database: Database, registry: ModelRegistry) -> None:
        assert await registry.propose(VERSION, CONTENT, "", "ann", "why")
        assert not await registry.propose(VERSION, CONTENT, "", "ann", "again")
        other = dataclasses.replace(VERSION, sha256=hashlib.sha256(b"other").hexdigest())
        with pytest.raises(ConfigurationError, match="ae@2 is taken"):
            await registry.propose(other, b"other", "", "ann", "why")
        with pytest.raises(ConfigurationError, match="reference@1 is in the description of P"):
            await registry.propose(
                dataclasses.replace(VERSION, name="reference", version="1"), CONTENT, "", "ann", "why"
            )
        assert await registry.content(VERSION.sha256) == CONTENT
        with pytest.raises(ConfigurationError, match="no model with SHA-256"):
            await registry.content("0" * 64)

    with_registry(migrated_url, work)
    with (
        psycopg.connect(migrated_url, autocommit=True) as connection,
        pytest.raises(psycopg.errors.CheckViolation),
    ):
        connection.execute("UPDATE model_content SET content = 'tampered'")


def test_models_are_loaded_from_the_database_where_no_file_is(migrated_url: str) -> None:
    with_registry(migrated_url, lambda _database, registry: registry.propose(VERSION, CONTENT, "", "ann", "why"))
    store = StoredModels(migrated_url, NoFiles())
    assert store.load("ae", "2") == CONTENT
    assert StoredModels(migrated_url, NoFiles()).load("renamed", "9", VERSION.sha256) == CONTENT
    with pytest.raises(ConfigurationError, match="no file of ae"):
        store.load("ae", "3")


def refused(state: str, sequence: int) -> r.Condition:
    return r.Condition(
        condition_id=f"cnd_{sequence}",
        asset_id="P",
        site_id="s",
        point_id="P",
        rule="model_refused",
        state=r.ConditionState(state),
        sequence=sequence,
        at_ns=10**18 + sequence,
        episode_started_at_ns=10**18,
        priority=r.Priority.LOW,
        latching=False,
        zone=None,
        fault="ae@2",
        confidence=None,
        reason="ae@2 gave no finite score",
        evidence=(),
    )


def test_the_api_reads_stages_and_newest_steps_within_the_scope(migrated_url: str) -> None:
    async def work(database: Database, registry: ModelRegistry) -> None:
        await into_production(registry)
        await registry.propose(dataclasses.replace(VERSION, version="10"), CONTENT, "", "ann", "trained on June")
        reader = HistoryReader(database)
        promoted, proposed = await reader.models(Principal("root", frozenset()))
        assert (promoted["name"], promoted["version"], proposed["version"]) == ("ae", "2", "10")
        assert (promoted["stage"], promoted["action"], promoted["actor"]) == ("production", "promote", "bob")
        assert promoted["reason"] == "promote, since it's due"
        steps = await registry.history("ae", "2")
        assert steps[-1].at is not None
        assert promoted["at_ns"] // 1000 == round(steps[-1].at.timestamp() * 1e6)
        assert (promoted["scores_for"], promoted["in_shadow_for"]) == (["P"], [])
        assert (proposed["stage"], proposed["reason"], proposed["scores_for"]) == ("proposed", "trained on June", [])
        assert promoted["refused_on"] == []
        await PartitionStore(database).append(HistoryRows(conditions=[refused("raised", 1)]))
        failing, _ = await reader.models(Principal("root", frozenset()))
        assert failing["refused_on"] == await registry.refused_on("ae@2") == ["P"]
        await PartitionStore(database).append(HistoryRows(conditions=[refused("cleared", 2)]))
        mended, _ = await reader.models(Principal("root", frozenset()))
        assert mended["refused_on"] == []
        here = Principal("ada", frozenset(), sites=frozenset({"s"}))
        assert [(row["version"], row["scores_for"]) for row in await reader.models(here)] == [("2", ["P"])]
        for elsewhere in (
            Principal("eve", frozenset(), sites=frozenset({"t"})),
            Principal("eve", frozenset(), assets=frozenset()),
        ):
            assert await reader.models(elsewhere) == []

    with_registry(migrated_url, work)
