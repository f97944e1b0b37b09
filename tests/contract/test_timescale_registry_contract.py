"""What every form of the database must hold for `AssetRegistry`."""

import asyncio
import dataclasses
import datetime as dt
from typing import Any

import pytest

from adapters.timescale import AssetRegistry, Database
from contracts.activations import activation_of
from contracts.assets import AssetConfiguration, Channel, DriveTrain, Gear, MeasurementPoint, ServiceEvent, Site
from contracts.errors import ConfigurationError

DEMO = Site(site_id="demo", name="Demo plant")


def asset(asset_id: str = "P-101", **changes: Any) -> AssetConfiguration:
    channel = Channel(channel_id=f"{asset_id}-DE.acc", quantity="acceleration", unit="g")
    plain = AssetConfiguration(
        asset_id=asset_id,
        site_id="demo",
        name="Feed pump",
        asset_type="pump",
        installed_at=dt.date(2019, 4, 1),
        drive_train=DriveTrain(nominal_speed_rpm=1780.1, gears=(Gear(name="z1", teeth=23),)),
        points=(
            MeasurementPoint(point_id=f"{asset_id}-DE", location="DE", direction="radial", channels=(channel,)),
            MeasurementPoint(point_id=f"{asset_id}-NDE", location="NDE", direction="axial"),
        ),
    )
    return dataclasses.replace(plain, **changes)


def service_event(number: int, asset_id: str = "P-101") -> ServiceEvent:
    return ServiceEvent(
        service_event_id=f"svc-{number}",
        asset_id=asset_id,
        performed_at=dt.datetime(2026, 1, number, 12, 0, 0, 1, tzinfo=dt.UTC),
        kind="repair",
        description="bearing replaced",
    )


def test_import_returns_what_is_new_or_changed(migrated_url: str) -> None:
    async def scenario() -> None:
        async with Database(migrated_url) as database:
            registry = AssetRegistry(database)
            first, second = asset("P-101"), asset("P-102")
            events = [service_event(1), service_event(2)]
            assert await registry.import_assets([DEMO], [first, second], events, "me") == [first, second]
            assert await registry.import_assets([DEMO], [first, second], events, "me") == []
            renamed = dataclasses.replace(second, name="Spare pump", points=second.points[:1])
            assert await registry.import_assets([], [first, renamed], [], "me") == [renamed]
            assert await registry.assets() == [first, renamed]
            assert await registry.sites() == [DEMO]
            assert await registry.service_history("P-101") == events[::-1]
            assert await registry.service_history("P-102") == []
            [points] = await database.rows("SELECT count(*) AS n FROM measurement_point")
            assert points["n"] == 3

    asyncio.run(scenario())


def test_activation_is_due_until_that_version_is_on_the_log(migrated_url: str) -> None:
    async def scenario() -> None:
        async with Database(migrated_url) as database:
            registry = AssetRegistry(database)
            first, renamed = asset(), asset(name="Other")
            await registry.import_assets([DEMO], [first], [], "me")
            assert await registry.unactivated() == [first]
            await registry.mark_activated("P-101", activation_of(first, 1, "me").version)
            assert await registry.unactivated() == []
            await registry.import_assets([], [renamed], [], "me")
            assert await registry.unactivated() == [renamed]
            await registry.mark_activated("P-101", activation_of(first, 2, "me").version)  # a late answer
            assert await registry.unactivated() == [renamed]

    asyncio.run(scenario())


def test_channel_moves_to_another_asset(migrated_url: str) -> None:
    async def scenario() -> None:
        async with Database(migrated_url) as database:
            registry = AssetRegistry(database)
            await registry.import_assets([DEMO], [asset("P-101"), asset("P-102")], [], "me")
            swapped = [
                asset("P-101", points=asset("P-102").points),
                asset("P-102", points=asset("P-101").points),
            ]
            assert await registry.import_assets([], swapped, [], "me") == swapped

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("assets", "events", "named"),
    [
        ([asset("P-102", site_id="nowhere")], [], "nowhere"),
        ([asset("P-102", points=asset("P-101").points)], [], "P-101-DE.acc"),
        ([asset("P-102")], [service_event(1, "P-999")], "P-999"),
    ],
    ids=["unknown site", "channel taken", "event of an unknown asset"],
)
def test_import_is_all_or_nothing(
    migrated_url: str, assets: list[AssetConfiguration], events: list[ServiceEvent], named: str
) -> None:
    async def scenario() -> None:
        async with Database(migrated_url) as database:
            registry = AssetRegistry(database)
            await registry.import_assets([DEMO], [asset("P-101")], [], "me")
            with pytest.raises(ConfigurationError, match=named):
                await registry.import_assets([Site(site_id="new", name="New")], assets, events, "me")
            assert await registry.sites() == [DEMO]
            assert await registry.assets() == [asset("P-101")]

    asyncio.run(scenario())


def test_concurrent_imports_do_not_block_each_other_for_ever(migrated_url: str) -> None:
    async def scenario() -> None:
        async with Database(migrated_url) as database:
            registry = AssetRegistry(database)
            assets = [asset(f"P-{i}") for i in range(10)]
            changed = await asyncio.gather(
                *(registry.import_assets([DEMO], order, [], "me") for order in (assets, assets[::-1], assets))
            )
            assert sorted(len(each) for each in changed) == [0, 0, 10]

    asyncio.run(scenario())
