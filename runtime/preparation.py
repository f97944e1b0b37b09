"""Everything the log and the database need before the first record: topics, schema, assets, webhook endpoints.

Invariant: it may be repeated at any time, and by several processes at once; what is there already stays as it is.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from adapters.kafka import KafkaSink, ensure_topics
from adapters.timescale import AssetRegistry, Database, DeliveryQueue, migrate
from contracts.assets import AssetConfiguration, Site
from contracts.ports import Endpoint
from runtime.activate import activate
from runtime.clock import SystemClock
from runtime.registry import codec_for
from runtime.services.local import Urls
from runtime.settings import Settings

_CONFIGURED_ENDPOINT: Final = "configured"


async def prepare_services(
    settings: Settings,
    urls: Urls,
    actor: str,
    *,
    sites: Sequence[Site] = (),
    assets: Sequence[AssetConfiguration] = (),
    endpoints: Sequence[Endpoint] = (),
) -> list[AssetConfiguration]:
    """Bring schema and topics up to date, register assets and endpoints, put new configurations on the log.

    Parameters
    ----------
    settings : Settings
        Partitions of new topics; the webhook endpoint that is configured, if one is.
    urls : Urls
        Where Kafka and the database are.
    actor : str
        Who asks for it.
    sites, assets : sequence of Site, sequence of AssetConfiguration
        What to register.
    endpoints : sequence of Endpoint
        Webhook endpoints besides the configured one.

    Returns
    -------
    activated : list of AssetConfiguration
        What is now in force and wasn't before.

    Raises
    ------
    ConfigurationError
        The database is newer than this version, a topic has too few partitions, or an asset can't be stored.
    Unavailable
        A service doesn't answer.
    """
    await asyncio.to_thread(ensure_topics, urls.kafka, settings.partitions)
    await migrate(urls.database)
    async with Database(urls.database) as database:
        registry = AssetRegistry(database)
        await registry.import_assets(sites, assets, [], actor)
        activated = await activate(registry, KafkaSink(urls.kafka, codec_for(settings)), SystemClock(), actor)
        queue = DeliveryQueue(database)
        for endpoint in (*endpoints, *_configured(settings)):
            await queue.put_endpoint(endpoint)
    return activated


def _configured(settings: Settings) -> tuple[Endpoint, ...]:
    if settings.webhook_url is None or settings.webhook_secret is None:
        return ()
    return (Endpoint(_CONFIGURED_ENDPOINT, settings.webhook_url, (settings.webhook_secret.get_secret_value(),)),)
