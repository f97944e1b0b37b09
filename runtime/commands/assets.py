"""``faultline assets``: import sites and assets from files, list them, show one."""

import asyncio
import json
import sys
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from adapters.asset_files import AssetImport, read_asset_files, read_bearings
from adapters.kafka import KafkaSink, ensure_topics
from adapters.models import ModelFolder
from adapters.timescale import AssetRegistry, Database, migrate
from contracts.assets import AssetConfiguration, ServiceEvent
from contracts.errors import NotFound
from contracts.records import MachineEvent
from processors.asset import MAINTENANCE
from runtime.activate import activate
from runtime.clock import SystemClock
from runtime.command_line import current_user
from runtime.connect import connected
from runtime.feature_code import load_feature_code
from runtime.model_gate import check_states
from runtime.registry import codec_for
from runtime.settings import Settings, load_settings

T = TypeVar("T")

assets: Final = typer.Typer(
    name="assets",
    help="Import, list or show sites and assets; say that one was worked on.",
    add_completion=False,
    no_args_is_help=True,
)
_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@assets.command("import")
def import_files(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="YAML or CSV files.")],
    *,
    as_json: _Json = False,
) -> None:
    """Import YAML or CSV files, and put what has changed into force.

    All files are checked first, and stored together or not at all. A changed configuration takes effect from where its
    activation lies on the log; one that couldn't be put there is tried again by the next import.

    \b
        ./faultline assets import docs/examples/assets.yaml
    """
    settings = load_settings()
    own = read_bearings(settings.bearings) if settings.bearings else ()
    found = read_asset_files(files, own, load_feature_code(settings).own)
    check_states(found.assets, ModelFolder())
    changed, activated = _with_registry(
        settings, lambda registry, kafka_url: _import(registry, kafka_url, found, settings)
    )
    if as_json:
        ids = {"changed": changed, "activated": activated}
        print(json.dumps({"sites": len(found.sites), "assets": len(found.assets), "events": len(found.events), **ids}))
        return
    print(f"read {len(found.sites)} sites, {len(found.assets)} assets, {len(found.events)} service events")
    print(f"changed: {', '.join(changed) or 'none'}")
    print(f"now in force: {', '.join(activated) or 'nothing new'}")


@assets.command("list")
def list_assets(*, as_json: _Json = False) -> None:
    """List all assets, ordered by id."""

    async def read(registry: AssetRegistry, _kafka_url: str) -> tuple[list[AssetConfiguration], set[str]]:
        return await registry.assets(), {one.asset_id for one in await registry.unactivated()}

    known, waiting = _with_registry(load_settings(), read)
    if as_json:
        print(json.dumps({"assets": [{**_plain(one), "in_force": one.asset_id not in waiting} for one in known]}))
        return
    table = Table("asset", "site", "name", "type", "points", "channels", "in force")
    for one in known:
        channels = sum(len(point.channels) for point in one.points)
        in_force = "no" if one.asset_id in waiting else "yes"
        table.add_row(
            one.asset_id, one.site_id, one.name, one.asset_type, str(len(one.points)), str(channels), in_force
        )
    Console().print(table)


@assets.command("show")
def show(
    asset_id: Annotated[str, typer.Argument(metavar="ID", help="The asset's id.")], *, as_json: _Json = False
) -> None:
    """Show one asset: configuration, measurement points, service history."""

    async def read(registry: AssetRegistry, _kafka_url: str) -> tuple[AssetConfiguration, list[ServiceEvent]]:
        return await _known(registry, asset_id), await registry.service_history(asset_id)

    asset, history = _with_registry(load_settings(), read)
    if as_json:
        print(json.dumps({**_plain(asset), "service_history": [_plain(event) for event in history]}))
        return
    console = Console(highlight=False, markup=False)
    for name, value in _plain(asset).items():
        if name != "points":
            text = ", ".join(f"{key} {one}" for key, one in value.items()) if isinstance(value, dict) else str(value)
            console.print(f"{name:<14} {text}")
    table = Table("point", "location", "direction", "bearing", "channels")
    for point in asset.points:
        channels = ", ".join(f"{channel.channel_id} ({channel.quantity}, {channel.unit})" for channel in point.channels)
        table.add_row(point.point_id, point.location, point.direction, point.bearing or "", channels)
    console.print(table)
    for event in history:
        console.print(f"{event.performed_at:%Y-%m-%d}  {event.kind}: {event.description}")


@assets.command("maintained")
def maintained(
    asset_id: Annotated[str, typer.Argument(metavar="ID", help="The asset's id.")],
    *,
    code: Annotated[str, typer.Option(help="What was done, in one word: bearing_replaced, aligned.")] = "work_done",
    text: Annotated[str, typer.Option(help="What was done, in a sentence; the work order's number.")] = "",
    as_json: _Json = False,
) -> None:
    """Say that an asset was worked on: its models and alarm limits learn anew from here on.

    Goes onto the log as a machine event, so a recomputation learns anew at the same place.

    \b
    Example:
        ./faultline assets maintained P-101 --code bearing_replaced --text "WO 4711: drive-end bearing, 6205"
    """
    settings = load_settings()

    async def tell(registry: AssetRegistry, kafka_url: str) -> MachineEvent:
        await _known(registry, asset_id)
        event = MachineEvent(
            asset_id=asset_id,
            device_id="assets maintained",
            boot_id=uuid.uuid4().hex,
            sequence=0,
            at_ns=SystemClock().now_ns(),
            kind=MAINTENANCE,
            code=code,
            text=text,
        )
        sink = KafkaSink(kafka_url, codec_for(settings))
        await sink.put(event)
        await sink.flush()
        return event

    event = _with_registry(settings, tell)
    if as_json:
        print(json.dumps(msgspec.to_builtins(event)))
        return
    print(f"{asset_id} learns anew: {event.code}" + (f", {event.text}" if event.text else ""))


async def _known(registry: AssetRegistry, asset_id: str) -> AssetConfiguration:
    one = next((one for one in await registry.assets() if one.asset_id == asset_id), None)
    if one is None:
        raise NotFound(f"no asset {asset_id!r}; `faultline assets list` names them")
    return one


async def _import(
    registry: AssetRegistry, kafka_url: str, found: AssetImport, settings: Settings
) -> tuple[list[str], list[str]]:
    actor = current_user()
    changed = await registry.import_assets(found.sites, found.assets, found.events, actor)
    await asyncio.to_thread(ensure_topics, kafka_url, settings.partitions)
    activated = await activate(registry, KafkaSink(kafka_url, codec_for(settings)), SystemClock(), actor)
    return [one.asset_id for one in changed], [one.asset_id for one in activated]


def _with_registry(settings: Settings, work: Callable[[AssetRegistry, str], Awaitable[T]]) -> T:
    """Return what `work` makes of the registry of the environment, of a running ``up``, or of one's own for a while."""

    async def run(kafka_url: str, database_url: str) -> T:
        await migrate(database_url)
        async with Database(database_url) as database:
            return await work(AssetRegistry(database), kafka_url)

    with connected(settings, lambda status: print(status, file=sys.stderr)) as urls:
        return asyncio.run(run(urls.kafka, urls.database))


def _plain(value: AssetConfiguration | ServiceEvent) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(value)
    return plain
