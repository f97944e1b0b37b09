"""``faultline prepare``: make the services of the environment ready, before anything runs on them."""

import asyncio
from typing import Annotated

import typer

from contracts.errors import ConfigurationError
from runtime.demo import demo_assets
from runtime.preparation import prepare_services
from runtime.services.local import Urls
from runtime.settings import load_settings


def prepare(
    *, demo: Annotated[bool, typer.Option("--demo", help="Also register the pumps of the default scenario.")] = False
) -> None:
    """Bring database schema and topics up to date; once before workers start, and after every upgrade.

    FAULTLINE_KAFKA_URL and FAULTLINE_DATABASE_URL say where the services are. Repeating it changes nothing. With
    FAULTLINE_WEBHOOK_URL and FAULTLINE_WEBHOOK_SECRET that endpoint gets every alarm from then on.
    """
    settings = load_settings()
    if settings.kafka_url is None or settings.database_url is None:
        raise ConfigurationError("prepare needs FAULTLINE_KAFKA_URL and FAULTLINE_DATABASE_URL; `up` prepares its own")
    urls = Urls(settings.kafka_url, settings.database_url)
    site, assets = demo_assets()
    activated = asyncio.run(
        prepare_services(settings, urls, "prepare", sites=[site] if demo else (), assets=assets if demo else ())
    )
    typer.echo(
        f"schema and topics are up to date; now in force: {', '.join(a.asset_id for a in activated) or 'nothing new'}"
    )
