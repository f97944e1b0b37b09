"""``faultline prepare`` makes services of the environment ready, and changes nothing when it is repeated."""

import asyncio

import psycopg
import pytest
import typer
from typer.testing import CliRunner

from adapters.timescale import Database, DeliveryQueue
from contracts.errors import ConfigurationError
from runtime.commands.prepare import prepare


@pytest.fixture
def command() -> typer.Typer:
    application = typer.Typer()
    application.command()(prepare)
    return application


def test_it_prepares_once_and_repeats_without_a_change(
    command: typer.Typer, monkeypatch: pytest.MonkeyPatch, database_url: str, kafka_bootstrap: str
) -> None:
    monkeypatch.setenv("FAULTLINE_DATABASE_URL", database_url)
    monkeypatch.setenv("FAULTLINE_KAFKA_URL", kafka_bootstrap)
    monkeypatch.setenv("FAULTLINE_PARTITIONS", "1")
    monkeypatch.setenv("FAULTLINE_WEBHOOK_URL", "https://example.org/alarms")
    monkeypatch.setenv("FAULTLINE_WEBHOOK_SECRET", "whsec_c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0")
    first = CliRunner().invoke(command, ["--demo"], catch_exceptions=False)
    assert "now in force: P-101, P-102" in first.output
    assert "nothing new" in CliRunner().invoke(command, ["--demo"], catch_exceptions=False).output
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM asset").fetchone() == (2,)

    async def endpoints() -> list[str]:
        async with Database(database_url) as database:
            return [endpoint.url for endpoint in await DeliveryQueue(database).endpoints()]

    assert asyncio.run(endpoints()) == ["https://example.org/alarms"]


def test_without_services_it_says_what_it_needs(command: typer.Typer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FAULTLINE_KAFKA_URL", raising=False)
    with pytest.raises(ConfigurationError, match="FAULTLINE_KAFKA_URL and FAULTLINE_DATABASE_URL"):
        CliRunner().invoke(command, [], catch_exceptions=False)
