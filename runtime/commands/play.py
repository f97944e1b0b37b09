"""``faultline play``: recordings into the log, through the same path as live signals.

Every recording becomes an asset of its own (or all become one that is named), is activated on the log, and is replayed
at a chosen speed. Event times end about now: they never run ahead of the log's clock.
"""

import asyncio
import contextlib
import dataclasses
import json
import secrets
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import Annotated, Final, Protocol

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from adapters.kafka import KafkaSink, ensure_topics
from adapters.recordings import Format, Known, Recording, read_recordings
from contracts import ports
from contracts.activations import activation_of
from contracts.assets import AssetConfiguration
from contracts.errors import ConfigurationError, Unavailable
from contracts.ports import AssetRegistry, Clock
from contracts.topics import CONDITIONS, MEASUREMENTS
from runtime.clock import SystemClock
from runtime.connect import running_urls
from runtime.registry import codec_for
from runtime.replay import RECORDINGS_SITE, asset_of, matching_channels, recorded
from runtime.services.local import Urls
from runtime.settings import Settings, load_settings
from runtime.sources import Due, Sent, check_speed, send

_ACTOR: Final = "play"
#: An interrupted replay waits this long for what is already under way.
_LAST_FLUSH_S: Final = 5.0


class Log(ports.BlockSink, ports.Outlet, Protocol):
    """Takes measurements, and activations for both topics that need them."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Playlist:
    """What is to be played, and how; ``asset_id`` makes all recordings those of one asset."""

    path: Path
    file_format: str
    known: Known
    speed: float | None
    asset_id: str | None = None
    limit: int | None = None


@dataclasses.dataclass(slots=True)
class Played:
    """What has been played so far; ``assets`` holds the version of each that is in force."""

    recordings: int = 0
    assets: dict[str, str] = dataclasses.field(default_factory=dict)
    sent: Sent = dataclasses.field(default_factory=Sent)


def play(
    path: Annotated[Path, typer.Argument(metavar="DIR", exists=True, help="A folder of recordings, or one file.")],
    *,
    file_format: Annotated[Format, typer.Option("--format", help="What the files are.")],
    speed: Annotated[str, typer.Option(help="Event seconds a second, or max.")] = "1",
    asset: Annotated[str | None, typer.Option(help="Play everything as this asset.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many recordings.")] = None,
    bearing: Annotated[str | None, typer.Option(help="Designation of the bearing at every channel.")] = None,
    rpm: Annotated[float | None, typer.Option(help="Shaft speed, rpm.")] = None,
    sampling_rate_hz: Annotated[float | None, typer.Option(help="Where the files don't say it.")] = None,
    unit: Annotated[str | None, typer.Option(help="g or m/s2, where the files don't say it.")] = None,
    full_scale: Annotated[float | None, typer.Option(help="Value of a full-scale integer WAV sample.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
) -> None:
    """Stream recordings from a folder through the same path as live signals."""
    known = Known(sampling_rate_hz=sampling_rate_hz, unit=unit, speed_rpm=rpm, bearing=bearing, full_scale=full_scale)
    playlist = Playlist(
        path=path, file_format=file_format, known=known, speed=_speed(speed), asset_id=asset, limit=limit
    )
    clock, played = SystemClock(), Played()
    began_s = clock.monotonic_s()
    interrupted = False
    try:
        asyncio.run(_play(playlist, load_settings(), clock, played))
    except KeyboardInterrupt:
        interrupted = True
    _report(played, clock.monotonic_s() - began_s, as_json=as_json, interrupted=interrupted)
    if interrupted:
        raise typer.Exit(130)


async def replay(
    playlist: Playlist,
    log: Log,
    clock: Clock,
    played: Played,
    registry: AssetRegistry | None,
    progress: Progress,
) -> None:
    """Register, activate and stream every recording of `playlist`; count in `played`.

    Parameters
    ----------
    playlist : Playlist
        What to play.
    log : Log
        Where the records go.
    clock : Clock
        Now, and the pace.
    played : Played
        Counted up on the way, so that it is right whenever this is interrupted.
    registry : AssetRegistry or None
        Where assets are registered too, and where the asset named is looked up.
    progress : Progress
        Gets a line for each recording.

    Raises
    ------
    ConfigurationError
        For recordings that can't be read as asked, or don't fit the asset named.
    Unavailable
        If the log or the registry is away.
    """
    free_from_ns: dict[str, int] = {}
    for recording in read_recordings(playlist.path, playlist.file_format, playlist.known):
        if playlist.limit is not None and played.recordings >= playlist.limit:
            return
        asset = await _asset(playlist, recording, registry)
        newest_ns = clock.now_ns() - round(_backlog_s(recording, playlist.speed) * 1e9)
        start_ns = max(newest_ns, free_from_ns.get(asset.asset_id, 0))
        free_from_ns[asset.asset_id] = start_ns + round(recording.signal.duration_s * 1e9)
        await _activate(asset, log, clock, registry, played)
        played.recordings += 1
        task = progress.add_task(recording.name, total=recording.signal.duration_s)
        records = recorded(
            recording, asset, device_id=f"play-{asset.asset_id}", boot_id=secrets.token_hex(8), start_ns=start_ns
        )
        await send(_shown(records, progress, task), log, clock, speed=playlist.speed, sent=played.sent)


def _shown(records: Iterable[Due], progress: Progress, task: TaskID) -> Iterator[Due]:
    for due in records:
        yield due
        progress.update(task, completed=due.at_s)


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        raise ConfigurationError(f"speed {text!r}, a number above 0 or max expected") from None
    check_speed(speed)
    return speed


async def _play(playlist: Playlist, settings: Settings, clock: Clock, played: Played) -> None:
    urls = _urls(settings)
    ensure_topics(urls.kafka, settings.partitions)
    log = KafkaSink(urls.kafka, codec_for(settings))
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        async with _registry(urls.database) as registry:
            try:
                await replay(playlist, log, clock, played, registry, progress)
            except asyncio.CancelledError:
                with contextlib.suppress(TimeoutError, Unavailable):
                    async with asyncio.timeout(_LAST_FLUSH_S):
                        await log.flush()
                raise


def _urls(settings: Settings) -> Urls:
    """Return the services of the settings (the database may be none), or those that run for this project folder."""
    if settings.kafka_url is not None:
        return Urls(kafka=settings.kafka_url, database=settings.database_url or "")
    running = running_urls(settings.data_dir)
    if running is None:
        raise ConfigurationError(
            "no Kafka runs here: start ./faultline up in another terminal, or set FAULTLINE_KAFKA_URL"
        )
    return running


@contextlib.asynccontextmanager
async def _registry(database_url: str) -> AsyncIterator[AssetRegistry | None]:
    if not database_url:
        yield None
        return
    from adapters import timescale  # noqa: PLC0415 -- most replays have no database

    async with timescale.Database(database_url) as database:
        yield timescale.AssetRegistry(database)


def _backlog_s(recording: Recording, speed: float | None) -> float:
    """Return how long before now the recording must begin for its end not to lie in the future."""
    share = 1.0 if speed is None else max(0.0, 1.0 - 1.0 / speed)
    return recording.signal.duration_s * share


async def _asset(playlist: Playlist, recording: Recording, registry: AssetRegistry | None) -> AssetConfiguration:
    asset_id = playlist.asset_id or f"{playlist.file_format}-{recording.name}"
    if registry is not None and playlist.asset_id is not None:
        for asset in await registry.assets():
            if asset.asset_id == asset_id:
                matching_channels(recording, asset)
                return asset
    return asset_of(recording, asset_id, playlist.asset_id or f"Recording {recording.name}")


async def _activate(
    asset: AssetConfiguration, log: Log, clock: Clock, registry: AssetRegistry | None, played: Played
) -> None:
    """Put the asset on the log and into the registry, unless it is there just so already."""
    if registry is not None and asset.site_id == RECORDINGS_SITE.site_id:
        await registry.import_assets([RECORDINGS_SITE], [asset], [], _ACTOR)
        # the registry gives it the models that were promoted
        asset = next(one for one in await registry.assets() if one.asset_id == asset.asset_id)
    activation = activation_of(asset, clock.now_ns(), _ACTOR)
    if played.assets.get(asset.asset_id) == activation.version:
        return
    for topic in (MEASUREMENTS, CONDITIONS):
        await log.send(topic, asset.asset_id, activation)
    await log.flush()
    if registry is not None:
        await registry.mark_activated(asset.asset_id, activation.version)
    played.assets[asset.asset_id] = activation.version


def _report(played: Played, wall_s: float, *, as_json: bool, interrupted: bool) -> None:
    sent = played.sent
    if as_json:
        result = {
            "recordings": played.recordings,
            "assets": list(played.assets),
            "records": sent.records,
            "samples": sent.samples,
            "readings": sent.readings,
            "seconds": round(wall_s, 3),
            "interrupted": interrupted,
        }
        print(json.dumps(result))
        return
    print(
        f"{'interrupted after' if interrupted else 'played'} {played.recordings} recordings: {sent.records} records, "
        f"{sent.samples} samples, {sent.readings} readings in {wall_s:.1f} s"
    )
