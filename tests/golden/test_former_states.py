"""States that former versions wrote are gone on from: the same windows, gaps and regimes as without a stop."""

import dataclasses
import functools
import random
from pathlib import Path

import msgspec
import pytest

from adapters.models import ModelFolder
from contracts import ports
from contracts import records as r
from contracts.activations import activation_of
from contracts.assets import Channel, WindowSettings
from contracts.errors import BadRecord
from loadtests.plant import Load, Plant
from processors.asset import AssetPipeline
from processors.asset_state import STATE_VERSION
from processors.former_states import FORMER_VERSIONS
from processors.own_features import ENGINE_ALONE
from processors.pipeline import PartitionPipeline

START_NS = 1_700_000_000 * 10**9
#: Written by version 4 after `STOPPED_AFTER` records of `stream`.
STATE_4 = Path(__file__).parent / "asset-state-4.msgpack"
STOPPED_AFTER = 300
LOAD = Load(
    assets=1,
    channels=2,
    block_samples=1024,
    sampling_rate_hz=5120.0,
    window=WindowSettings(length_s=0.4, hop_s=0.4),
    period_s=96.0,
    fault_from_s=20.0,
    fault_until_s=60.0,
)


@functools.cache
def stream() -> list[r.Activation | r.AcquisitionBlock | r.ReadingBatch]:
    """Return blocks in disorder, lost, late and of several boots, and readings of the speed, of one machine."""
    (config,) = LOAD.configurations()
    first, *others = config.points
    first = dataclasses.replace(
        first, channels=(*first.channels, Channel(channel_id="rpm", quantity="speed", unit="rpm"))
    )
    config = dataclasses.replace(config, points=(first, *others))
    chance, plant = random.Random(4), Plant(LOAD, START_NS)
    blocks = []
    for number in range(450):
        block = plant.block(0, number)
        speed_rpm = None if number // 60 % 2 else 1800.0 + 300.0 * (number // 90)
        block = dataclasses.replace(
            block, boot_id=str(number // 180), sequence=number % 180, speed_rpm=speed_rpm, load_ratio=0.5
        )
        lost = number % 4 == 1 and 150 < number < 350
        delay = chance.choice([40, 60, 10_000]) if lost else chance.choice([0, 0, 0, 4])
        blocks.append((number + delay, number, block))
    records: list[r.Activation | r.AcquisitionBlock | r.ReadingBatch] = [activation_of(config, START_NS, "test")]
    for place, number, block in sorted(blocks, key=lambda one: one[:2]):
        if place >= 10_000:
            continue
        records.append(block)
        if number % 3 == 0:
            reading = r.Reading(
                channel_id="rpm", at_ns=block.start_ns, quantity="speed", unit="rpm", value=1500.0 + number
            )
            records.append(
                r.ReadingBatch(
                    asset_id=block.asset_id, device_id="plc", boot_id="1", sequence=number, readings=(reading,)
                )
            )
    return records


def take(pipeline: PartitionPipeline, first: int, last: int) -> ports.HistoryRows:
    for offset, record in enumerate(stream()):
        if first <= offset < last:
            pipeline.process(offset, record.asset_id.encode(), record)
    return pipeline.take()


def told(rows: ports.HistoryRows) -> tuple[object, ...]:
    """Return what depends on the places of blocks, speeds and regimes, and on no feature's last digit."""
    return (
        [(one.window_start_ns, one.window_end_ns, one.partial, one.speed_rpm, one.regime) for one in rows.assessments],
        [(one.window_start_ns, one.window_end_ns, one.partial, one.version) for one in rows.corrections],
        rows.gaps,
        [(one.condition_id, one.sequence, one.episode_started_at_ns) for one in rows.conditions],
    )


def begin(state: bytes | None = None) -> PartitionPipeline:
    if state is None:
        return PartitionPipeline(ModelFolder(), ports.Checkpoint(-1, 0, {}))
    needed = AssetPipeline.resume(state, ModelFolder(), ENGINE_ALONE).needed_offsets()
    return PartitionPipeline(ModelFolder(), ports.Checkpoint(STOPPED_AFTER - 1, min(needed), {"L-0000": state}))


def test_a_state_of_version_4_goes_on_as_if_nothing_had_stopped() -> None:
    whole = begin()
    before = take(whole, 0, STOPPED_AFTER)
    rest = take(whole, STOPPED_AFTER, 10_000)
    former = begin(STATE_4.read_bytes())
    assert told(take(former, 0, 10_000)) == told(rest)
    for rows in (before, rest):
        assert rows.assessments
        assert rows.corrections
        assert rows.gaps
    assert len({one.regime for one in rest.assessments}) > 1
    assert rest.conditions


@pytest.mark.parametrize("version", FORMER_VERSIONS)
def test_what_a_former_state_holds_is_what_todays_holds(version: int) -> None:
    written = msgspec.msgpack.decode(STATE_4.read_bytes())
    former = msgspec.msgpack.encode([version, *written[1 : 6 if version == 3 else None]])
    asset = AssetPipeline.resume(former, ModelFolder(), ENGINE_ALONE)
    again = AssetPipeline.resume(asset.snapshot(), ModelFolder(), ENGINE_ALONE)
    places = {part[0] for group in written[4] for part in (*group[1][1], *group[1][4][5], *group[1][7][0])}
    assert asset.needed_offsets() == again.needed_offsets() == places
    assert again.snapshot() == asset.snapshot()
    assert msgspec.msgpack.decode(asset.snapshot())[0] == STATE_VERSION
    # a third of its bytes beside what was learnt
    learnt = sum(len(group[4]) for group in written[4])
    assert len(asset.snapshot()) - learnt < (len(former) - learnt) / 2


def test_a_state_of_no_known_version_is_refused_with_both_numbers() -> None:
    state = msgspec.msgpack.encode([2, {}, "", b"", [], []])
    with pytest.raises(BadRecord, match=f"asset state version 2, {STATE_VERSION} expected"):
        AssetPipeline.resume(state, ModelFolder(), ENGINE_ALONE)
