"""``play``: assets registered and activated before their blocks, event times that end about now, a clean end."""

import asyncio
import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import typer
from rich.console import Console
from rich.progress import Progress

from adapters.recordings import Known
from contracts import records as r
from contracts.activations import configuration_of
from contracts.assets import AssetConfiguration, Channel, MeasurementPoint, ServiceEvent, Site
from contracts.errors import ConfigurationError
from contracts.topics import CONDITIONS, MEASUREMENTS
from runtime.commands import play as play_module
from runtime.commands.play import Played, Playlist, replay

NOW_NS = 1_700_000_000_000_000_000


class StillClock:
    def now_ns(self) -> int:
        return NOW_NS

    def monotonic_s(self) -> float:
        return 0.0


class ListSink:
    def __init__(self) -> None:
        self.records: list[r.Measurement] = []
        self.sent: list[tuple[str, r.Record]] = []

    async def put(self, record: r.Measurement) -> None:
        self.records.append(record)

    async def send(
        self,
        topic: str,
        key: str | None,
        record: r.Record,
        *,
        partition: int = -1,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> None:
        assert key
        self.sent.append((topic, record))
        if topic == MEASUREMENTS:
            assert isinstance(record, r.Activation)
            self.records.append(record)

    async def flush(self) -> None:
        pass


class MemoryRegistry:
    """What `play` needs of a registry, in memory."""

    def __init__(self, *assets: AssetConfiguration) -> None:
        self.known = {asset.asset_id: asset for asset in assets}
        self.activated: list[tuple[str, str]] = []

    async def import_assets(
        self, sites: Sequence[Site], assets: Sequence[AssetConfiguration], events: Sequence[ServiceEvent], actor: str
    ) -> list[AssetConfiguration]:
        assert {asset.site_id for asset in assets} <= {site.site_id for site in sites}
        self.known |= {asset.asset_id: asset for asset in assets}
        return list(assets)

    async def assets(self) -> list[AssetConfiguration]:
        return list(self.known.values())

    async def sites(self) -> list[Site]:
        return []

    async def service_history(self, asset_id: str) -> list[ServiceEvent]:
        return []

    async def unactivated(self) -> list[AssetConfiguration]:
        return []

    async def mark_activated(self, asset_id: str, version: str) -> None:
        self.activated.append((asset_id, version))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a", "b", "c"):
        np.savez(tmp_path / f"{name}.npz", DE=np.ones(51_200), fs=25_600.0, unit="g", rpm=1500.0)
    return tmp_path


def played(playlist: Playlist, registry: MemoryRegistry | None = None) -> tuple[list[r.Measurement], Played]:
    sink, result = ListSink(), Played()
    with Progress(console=Console(file=io.StringIO())) as progress:
        asyncio.run(replay(playlist, sink, StillClock(), result, registry, progress))
    assert [record for topic, record in sink.sent if topic == CONDITIONS] == [
        record for topic, record in sink.sent if topic == MEASUREMENTS
    ]
    return sink.records, result


def playlist(path: Path, asset_id: str | None = None, limit: int | None = None, file_format: str = "npz") -> Playlist:
    return Playlist(path=path, file_format=file_format, known=Known(), speed=None, asset_id=asset_id, limit=limit)


def test_each_recording_is_an_asset_activated_before_its_blocks(folder: Path) -> None:
    registry = MemoryRegistry()
    records, result = played(playlist(folder), registry)
    assert result.recordings == 3
    assert result.sent.samples == 3 * 51_200
    assert list(result.assets) == ["npz-a", "npz-b", "npz-c"] == list(registry.known)
    assert registry.activated == list(result.assets.items())
    active: dict[str, AssetConfiguration] = {}
    for record in records:
        if isinstance(record, r.Activation):
            active[record.asset_id] = configuration_of(record)
            continue
        assert isinstance(record, r.AcquisitionBlock)
        channels = {c.channel_id for point in active[record.asset_id].points for c in point.channels}
        assert {c.channel_id for c in record.channels} <= channels


def test_event_times_end_now_and_one_asset_goes_on_without_overlap(folder: Path) -> None:
    records, result = played(playlist(folder, asset_id="M-1", limit=2))
    found = [record for record in records if isinstance(record, r.AcquisitionBlock)]
    starts = [block.start_ns for block in found]
    assert result.recordings == 2
    assert starts == sorted(starts)
    assert starts[0] == NOW_NS - 2_000_000_000
    assert starts[25] == NOW_NS
    assert len({block.boot_id for block in found}) == 2
    assert len([record for record in records if isinstance(record, r.Activation)]) == 1


def test_a_registered_asset_keeps_its_configuration(folder: Path) -> None:
    point = MeasurementPoint(
        point_id="M-1-DE",
        location="drive end",
        direction="radial",
        channels=(Channel(channel_id="M-1-DE.acc", quantity="acceleration", unit="g"),),
    )
    asset = AssetConfiguration(asset_id="M-1", site_id="plant", name="Fan", asset_type="fan", points=(point,))
    records, _ = played(playlist(folder, asset_id="M-1", limit=1), MemoryRegistry(asset))
    assert isinstance(records[0], r.Activation)
    assert configuration_of(records[0]) == asset
    assert isinstance(records[1], r.AcquisitionBlock)
    assert records[1].channels[0].channel_id == "M-1-DE.acc"


def test_without_a_broker_it_says_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAULTLINE_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("FAULTLINE_KAFKA_URL", raising=False)
    with pytest.raises(ConfigurationError, match=r"no Kafka runs here: start \./faultline up"):
        play_module.play(tmp_path, file_format="npz")


@pytest.mark.parametrize("speed", ["0", "-1", "fast", "nan"])
def test_a_speed_that_is_none_is_refused(tmp_path: Path, speed: str) -> None:
    with pytest.raises(ConfigurationError, match=f"speed '?{speed}"):
        play_module.play(tmp_path, file_format="npz", speed=speed)


def test_an_interruption_ends_with_what_was_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(main: object, **_: object) -> None:
        main.close()  # type: ignore[attr-defined]  # a coroutine
        raise KeyboardInterrupt

    monkeypatch.setattr(asyncio, "run", interrupted)
    with pytest.raises(typer.Exit) as ended:
        play_module.play(tmp_path, file_format="npz", as_json=True)
    assert ended.value.exit_code == 130
    result = json.loads(capsys.readouterr().out)
    assert result["interrupted"] is True
    assert result["records"] == 0
