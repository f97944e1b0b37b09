"""Assets as they are kept."""

from collections.abc import Sequence
from typing import Protocol

from contracts.assets import AssetConfiguration, ServiceEvent, Site


class AssetRegistry(Protocol):
    """Sites, assets and their service history in the database."""

    async def import_assets(
        self, sites: Sequence[Site], assets: Sequence[AssetConfiguration], events: Sequence[ServiceEvent], actor: str
    ) -> list[AssetConfiguration]:
        """Store everything in one transaction; return the assets whose configuration is new or has changed."""

    async def assets(self) -> list[AssetConfiguration]:
        """Return every asset, ordered by id."""

    async def sites(self) -> list[Site]:
        """Return every site, ordered by id."""

    async def service_history(self, asset_id: str) -> list[ServiceEvent]:
        """Return an asset's service events, newest first."""

    async def unactivated(self) -> list[AssetConfiguration]:
        """Return the assets whose newest configuration isn't on the log yet."""

    async def mark_activated(self, asset_id: str, version: str) -> None:
        """Record that the configuration `version` of the asset is on the log."""
