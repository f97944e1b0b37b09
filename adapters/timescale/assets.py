"""Sites, assets, their points and channels, and their service history.

Invariant: an import is all or nothing; an asset's version follows from its configuration, so importing the same
configuration again changes nothing.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import psycopg
from psycopg.rows import dict_row

from adapters.timescale.database import Connection, Database
from contracts.activations import activation_of
from contracts.assets import AssetConfiguration, ServiceEvent, Site
from contracts.errors import ConfigurationError
from contracts.models import ModelVersion
from processors.promotion import deployed

_PUT_SITE: Final = """
    INSERT INTO site (site_id, name) VALUES (%s, %s) ON CONFLICT (site_id) DO UPDATE SET name = excluded.name
"""
_PUT_ASSET: Final = """
    INSERT INTO asset (asset_id, site_id, name, asset_type, manufacturer, model, installed_at, configuration, version,
        changed_by)
    VALUES (%(asset_id)s, %(site_id)s, %(name)s, %(asset_type)s, %(manufacturer)s, %(model)s, %(installed_at)s,
        %(configuration)s::jsonb, %(version)s, %(actor)s)
    ON CONFLICT (asset_id) DO UPDATE SET
        site_id = excluded.site_id, name = excluded.name, asset_type = excluded.asset_type,
        manufacturer = excluded.manufacturer, model = excluded.model, installed_at = excluded.installed_at,
        configuration = excluded.configuration, version = excluded.version, changed_by = excluded.changed_by,
        changed_at = now()
    WHERE asset.version <> excluded.version
"""
_PUT_EVENT: Final = """
    INSERT INTO service_event (service_event_id, asset_id, performed_at, kind, description, technician)
    VALUES (%s, %s, %s, %s, %s, %s)
    ON CONFLICT (service_event_id) DO UPDATE SET
        asset_id = excluded.asset_id, performed_at = excluded.performed_at, kind = excluded.kind,
        description = excluded.description, technician = excluded.technician
"""
#: Imports wait for each other: two that list the same assets in another order would block one another.
ONE_AT_A_TIME: Final = "SELECT pg_advisory_xact_lock(hashtext('asset'), 0)"
_VERSIONS: Final = """
    SELECT name, version, sha256, feature_hash, slot, stage, share, asset_ids, asset_types, canary_asset_ids, former
    FROM model_version ORDER BY name, string_to_array(version, '.')::bigint[]
"""


class AssetRegistry:
    """`contracts.ports.AssetRegistry` in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def import_assets(
        self, sites: Sequence[Site], assets: Sequence[AssetConfiguration], events: Sequence[ServiceEvent], actor: str
    ) -> list[AssetConfiguration]:
        """Store everything in one transaction; return the assets whose configuration is new or has changed.

        An asset gets the models that have been promoted for it (`processors.promotion.deployed`), whatever version of
        them its description names.

        Raises
        ------
        ConfigurationError
            If an asset's site or a service event's asset isn't known, or a channel id is taken; nothing is stored.
        """
        try:
            async with self._database.transaction() as connection:
                await connection.execute(ONE_AT_A_TIME)
                versions = await model_versions(connection)
                for site in sites:
                    await connection.execute(_PUT_SITE, (site.site_id, site.name))
                subject = [deployed(asset, versions) for asset in assets]
                changed = [asset for asset in subject if await _put_asset(connection, asset, actor)]
                # Points go before any come: a channel may move from one asset to another.
                await connection.execute(
                    "DELETE FROM measurement_point WHERE asset_id = ANY(%s)", ([asset.asset_id for asset in changed],)
                )
                for asset in changed:
                    await _put_points(connection, asset)
                for event in events:
                    await connection.execute(_PUT_EVENT, _event_row(event))
        except psycopg.IntegrityError as error:
            raise ConfigurationError(f"the assets can't be stored: {error.diag.message_detail or error}") from None
        return changed

    async def assets(self) -> list[AssetConfiguration]:
        """Return every asset, ordered by id."""
        return _configurations(await self._database.rows("SELECT configuration FROM asset ORDER BY asset_id"))

    async def sites(self) -> list[Site]:
        """Return every site, ordered by id."""
        rows = await self._database.rows("SELECT site_id, name FROM site ORDER BY site_id")
        return [Site(**row) for row in rows]

    async def service_history(self, asset_id: str) -> list[ServiceEvent]:
        """Return an asset's service events, newest first."""
        rows = await self._database.rows(
            "SELECT service_event_id, asset_id, performed_at, kind, description, technician FROM service_event"
            " WHERE asset_id = %(asset_id)s ORDER BY performed_at DESC, service_event_id",
            asset_id=asset_id,
        )
        return [ServiceEvent(**row) for row in rows]

    async def unactivated(self) -> list[AssetConfiguration]:
        """Return the assets whose newest configuration isn't on the log yet."""
        return _configurations(
            await self._database.rows(
                "SELECT configuration FROM asset WHERE activated_version IS DISTINCT FROM version ORDER BY asset_id"
            )
        )

    async def mark_activated(self, asset_id: str, version: str) -> None:
        """Record that the configuration `version` of the asset is on the log."""
        await self._database.execute(
            "UPDATE asset SET activated_version = %(version)s WHERE asset_id = %(asset_id)s",
            asset_id=asset_id,
            version=version,
        )


async def model_versions(connection: Connection) -> list[ModelVersion]:
    """Return every model version, by name and then in the order of their numbers."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_VERSIONS)
        return [msgspec.convert(row, ModelVersion) for row in await cursor.fetchall()]


async def stored_assets(connection: Connection) -> list[AssetConfiguration]:
    """Return every asset, ordered by id."""
    rows = await (await connection.execute("SELECT configuration FROM asset ORDER BY asset_id")).fetchall()
    return [msgspec.convert(configuration, AssetConfiguration) for (configuration,) in rows]


async def redeploy(
    connection: Connection, assets: Sequence[AssetConfiguration], versions: Sequence[ModelVersion], actor: str
) -> list[AssetConfiguration]:
    """Give assets the models that `versions` have come to; return those that have changed."""
    subject = [deployed(asset, versions) for asset in assets]
    return [asset for asset in subject if await _put_asset(connection, asset, actor)]


async def _put_asset(connection: Connection, asset: AssetConfiguration, actor: str) -> bool:
    activation = activation_of(asset, 0, actor)
    row = {
        "asset_id": asset.asset_id,
        "site_id": asset.site_id,
        "name": asset.name,
        "asset_type": asset.asset_type,
        "manufacturer": asset.manufacturer,
        "model": asset.model,
        "installed_at": asset.installed_at,
        "configuration": activation.payload_json,
        "version": activation.version,
        "actor": actor,
    }
    return (await connection.execute(_PUT_ASSET, row)).rowcount == 1


async def _put_points(connection: Connection, asset: AssetConfiguration) -> None:
    for point in asset.points:
        await connection.execute(
            "INSERT INTO measurement_point (asset_id, point_id, location, direction, bearing)"
            " VALUES (%s, %s, %s, %s, %s)",
            (asset.asset_id, point.point_id, point.location, point.direction, point.bearing),
        )
        for channel in point.channels:
            await connection.execute(
                "INSERT INTO channel (channel_id, asset_id, point_id, quantity, unit) VALUES (%s, %s, %s, %s, %s)",
                (channel.channel_id, asset.asset_id, point.point_id, channel.quantity, channel.unit),
            )


def _event_row(event: ServiceEvent) -> tuple[Any, ...]:
    who = (event.service_event_id, event.asset_id)
    return (*who, event.performed_at, event.kind, event.description, event.technician)


def _configurations(rows: Sequence[dict[str, Any]]) -> list[AssetConfiguration]:
    return [msgspec.convert(row["configuration"], AssetConfiguration) for row in rows]
