"""Model versions in the database: content, stage, and every step with who and why.

Invariants: content never changes under a name and number; a step, its record and what it means for the assets are one
transaction; steps wait for each other and for imports of assets.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import psycopg

from adapters.timescale.assets import ONE_AT_A_TIME, model_versions, redeploy, stored_assets
from adapters.timescale.database import Connection, Database, connection_settings, unavailable
from contracts.assets import AssetConfiguration
from contracts.errors import ConfigurationError
from contracts.models import ModelTransition, ModelVersion, Stage
from contracts.ports import ModelStore

#: What a step changes, given all versions and all assets.
Step = Callable[[list[ModelVersion], list[AssetConfiguration]], Sequence[ModelVersion]]

_PUT_VERSION: Final = """
    INSERT INTO model_version
        (name, version, sha256, feature_hash, slot, stage, share, asset_ids, asset_types, canary_asset_ids,
        former, card)
    VALUES (%(name)s, %(version)s, %(sha256)s, %(feature_hash)s, %(slot)s, %(stage)s, %(share)s, %(asset_ids)s,
        %(asset_types)s, %(canary_asset_ids)s, %(former)s, %(card)s)
"""
_CHANGE_VERSION: Final = """
    UPDATE model_version SET stage = %(stage)s, share = %(share)s, asset_ids = %(asset_ids)s,
        asset_types = %(asset_types)s, canary_asset_ids = %(canary_asset_ids)s, former = %(former)s
    WHERE name = %(name)s AND version = %(version)s
"""
_PUT_TRANSITION: Final = """
    INSERT INTO model_transition
        (name, version, action, from_stage, to_stage, sha256, share, canary_asset_ids, actor, reason)
    VALUES (%(name)s, %(version)s, %(action)s, %(from_stage)s, %(to_stage)s, %(sha256)s, %(share)s,
        %(canary_asset_ids)s, %(actor)s, %(reason)s)
"""
_TRANSITIONS: Final = """
    SELECT name, version, action, from_stage, to_stage, sha256, share, canary_asset_ids, actor, reason, at
    FROM model_transition
    WHERE name = %(name)s AND (%(version)s::text IS NULL OR version = %(version)s) ORDER BY transition_id
"""


@dataclass(frozen=True, slots=True)
class Change:
    """What a step has changed: versions, and the assets that have other models now."""

    versions: tuple[ModelVersion, ...]
    assets: tuple[AssetConfiguration, ...]


class ModelRegistry:
    """Model versions and their history."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def versions(self) -> list[ModelVersion]:
        """Return every version, by name and number."""
        async with self._database.transaction() as connection:
            return await model_versions(connection)

    async def card(self, name: str, version: str) -> str:
        """Return the model card; empty where none was given."""
        rows = await self._database.rows(
            "SELECT card FROM model_version WHERE name = %(name)s AND version = %(version)s", name=name, version=version
        )
        return str(rows[0]["card"]) if rows else ""

    async def content(self, sha256: str) -> bytes:
        """Return the content with this SHA-256.

        Raises
        ------
        ConfigurationError
            If it isn't here, or isn't what its name says.
        """
        rows = await self._database.rows("SELECT content FROM model_content WHERE sha256 = %(sha256)s", sha256=sha256)
        return _checked(rows[0]["content"] if rows else None, sha256)

    async def history(self, name: str, version: str | None = None) -> list[ModelTransition]:
        """Return the steps of a model or of one of its versions, oldest first."""
        rows = await self._database.rows(_TRANSITIONS, name=name, version=version)
        return [msgspec.convert(row, ModelTransition) for row in rows]

    async def refused_on(self, key: str) -> list[str]:
        """Return the assets on which the condition that a version is refused stands."""
        rows = await self._database.rows(
            "SELECT asset_id FROM (SELECT DISTINCT ON (asset_id) asset_id, state, fault FROM condition"
            " WHERE rule = 'model_refused' ORDER BY asset_id, sequence DESC) AS newest"
            " WHERE state = 'raised' AND fault = %(key)s ORDER BY asset_id",
            key=key,
        )
        return [row["asset_id"] for row in rows]

    async def propose(self, version: ModelVersion, content: bytes, card: str, actor: str, reason: str) -> bool:
        """Take in a version with its content; return whether it is new.

        Raises
        ------
        ConfigurationError
            If the name and number are taken by another content, for another slot, or in the description of an asset.
        """
        async with self._database.transaction() as connection:
            await connection.execute(ONE_AT_A_TIME)
            known = next((one for one in await model_versions(connection) if one.key == version.key), None)
            if known is not None:
                if (known.sha256, known.slot) != (version.sha256, version.slot):
                    raise ConfigurationError(
                        f"{version.key} is taken: SHA-256 {known.sha256}, slot {known.slot}; give it another number"
                    )
                return False
            using = [
                one.asset_id for one in await stored_assets(connection) if version.key in {m.key for m in one.models}
            ]
            if using:
                raise ConfigurationError(f"{version.key} is in the description of {', '.join(using)} already")
            await connection.execute(
                "INSERT INTO model_content (sha256, content) VALUES (%s, %s) ON CONFLICT DO NOTHING",
                (version.sha256, content),
            )
            await connection.execute(_PUT_VERSION, {**_row(version), "card": card})
            await _record(connection, version, "propose", None, actor, reason)
        return True

    async def refuse(self, refused: ModelTransition) -> None:
        """Record that a model was found unfit."""
        async with self._database.transaction() as connection:
            await connection.execute(_PUT_TRANSITION, _row(refused))

    async def change(self, step: Step, action: str, actor: str, reason: str) -> Change:
        """Take a step: versions, records and the assets' configurations in one transaction.

        Parameters
        ----------
        step : callable
            Returns the versions that change; raises ``ConfigurationError`` where the step isn't allowed.
        action, actor, reason : str
            What was asked for, by whom, and why.

        Returns
        -------
        change : Change
            Empty where everything is so already.
        """
        async with self._database.transaction() as connection:
            await connection.execute(ONE_AT_A_TIME)
            before = await model_versions(connection)
            assets = await stored_assets(connection)
            known = {one.key: one for one in before}
            changed = [one for one in step(before, assets) if known[one.key] != one]
            # who leaves a place goes first, so that no two ever hold it
            for one in sorted(changed, key=lambda one: one.stage in {Stage.CANARY, Stage.PRODUCTION}):
                await connection.execute(_CHANGE_VERSION, _row(one))
                await _record(connection, one, action, known[one.key].stage, actor, reason)
            after = list({**known, **{one.key: one for one in changed}}.values())
            moved = await redeploy(connection, assets, after, actor) if changed else []
        return Change(tuple(changed), tuple(moved))


class StoredModels:
    """A ``ModelStore`` over files that falls back on the database, where promoted models are kept.

    What was loaded once by its SHA-256 is remembered: a file that is damaged later changes nothing.

    Parameters
    ----------
    database_url : str
        Where the database is.
    files : ModelStore
        Asked first.
    """

    #: Contents remembered at most.
    _KEPT: Final = 64

    def __init__(self, database_url: str, files: ModelStore) -> None:
        self._settings = connection_settings(database_url)
        self._files = files
        self._known: dict[str, bytes] = {}

    def load(self, name: str, version: str, sha256: str | None = None) -> bytes:
        """Return the model's bytes; without `sha256` those of the file, or of the version of that name and number.

        Raises
        ------
        ConfigurationError
            If neither the files nor the database hold them.
        Unavailable
            If the files don't, and the database doesn't answer.
        """
        if sha256 is not None and sha256 in self._known:
            return self._known[sha256]
        try:
            content = self._files.load(name, version, sha256)
        except ConfigurationError as error:
            found = self._fetch(name, version, sha256)
            if found is None:
                raise
            content = _checked(found[1], found[0], str(error))
        digest = hashlib.sha256(content).hexdigest()
        if len(self._known) >= self._KEPT:
            del self._known[next(iter(self._known))]
        self._known[digest] = content
        return content

    def _fetch(self, name: str, version: str, sha256: str | None) -> tuple[str, bytes] | None:
        query = """
            SELECT sha256, content FROM model_content WHERE sha256 = coalesce(%(sha256)s::text,
                (SELECT sha256 FROM model_version WHERE name = %(name)s AND version = %(version)s))
        """
        try:
            with psycopg.connect(**self._settings) as connection:
                return connection.execute(query, {"name": name, "version": version, "sha256": sha256}).fetchone()
        except psycopg.Error as error:
            raise unavailable(error, self._settings) from None


def _checked(content: bytes | None, sha256: str, otherwise: str = "") -> bytes:
    digest = None if content is None else hashlib.sha256(content).hexdigest()
    if content is None or digest != sha256:
        raise ConfigurationError(otherwise or f"the database holds no model with SHA-256 {sha256}")
    return content


def _row(one: ModelVersion | ModelTransition) -> dict[str, Any]:
    row: dict[str, Any] = msgspec.to_builtins(one)
    return {name: list(value) if isinstance(value, tuple) else value for name, value in row.items()}


async def _record(
    connection: Connection, version: ModelVersion, action: str, from_stage: Stage | None, actor: str, reason: str
) -> None:
    made = ModelTransition(
        name=version.name,
        version=version.version,
        action=action,
        from_stage=from_stage,
        to_stage=version.stage,
        sha256=version.sha256,
        share=version.share,
        canary_asset_ids=version.canary_asset_ids,
        actor=actor,
        reason=reason,
    )
    await connection.execute(_PUT_TRANSITION, _row(made))
