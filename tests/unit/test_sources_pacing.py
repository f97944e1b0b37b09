"""Sources: what they put on the log, in which order, and when."""

import asyncio
import dataclasses
import itertools
from collections.abc import Iterator

import numpy as np
import pytest

from adapters.recordings import RecordedChannel, Recording, Series, Waveform
from contracts import records as r
from contracts.errors import ConfigurationError
from contracts.validation import validate
from processors.simulator import Simulator
from runtime.demo import FAULTY_ASSET, HEALTHY_ASSET, demo_assets, demo_records, demo_scenario
from runtime.replay import asset_of, block_samples, recorded
from runtime.sources import Due, send

START_NS = 1_700_000_000_000_000_000


class ManualClock:
    """Moves only when somebody sleeps."""

    def __init__(self) -> None:
        self.s = 100.0

    def now_ns(self) -> int:
        return round(self.s * 1e9)

    def monotonic_s(self) -> float:
        return self.s

    async def sleep(self, seconds: float) -> None:
        self.s += seconds


class ListSink:
    """Keeps what it gets, with the time; each record takes `busy_s`."""

    def __init__(self, clock: ManualClock, busy_s: float = 0.0) -> None:
        self.clock, self.busy_s = clock, busy_s
        self.taken: list[tuple[float, r.Measurement]] = []
        self.flushed = 0

    async def put(self, record: r.Measurement) -> None:
        self.clock.s += self.busy_s
        self.taken.append((self.clock.s, record))

    async def flush(self) -> None:
        self.flushed += 1


def blocks(dues: Iterator[Due], asset_id: str) -> list[r.AcquisitionBlock]:
    return [d.record for d in dues if isinstance(d.record, r.AcquisitionBlock) and d.record.asset_id == asset_id]


def run_demo(duration_s: float) -> Iterator[Due]:
    return demo_records(boot_id="b1", start_ns=START_NS, duration_s=duration_s)


# --- pacing -----------------------------------------------------------------------------------------------------------


async def _paced(speed: float | None, busy_s: float = 0.0) -> tuple[list[tuple[float, r.Measurement]], float]:
    clock = ManualClock()
    sink = ListSink(clock, busy_s)
    sent = await send(run_demo(2.0), sink, clock, speed=speed, sleep=clock.sleep)
    assert sent.records == len(sink.taken)
    assert sent.samples == 2 * 2 * 25 * 2048
    assert sent.readings == 2 * 3
    assert sent.event_s == 2.0
    assert sink.flushed == 1
    return sink.taken, clock.s - 100.0


@pytest.mark.parametrize(("speed", "takes_s"), [(1.0, 2.0), (4.0, 0.5), (0.5, 4.0), (None, 0.0)])
def test_a_block_is_sent_when_its_last_sample_has_come(speed: float | None, takes_s: float) -> None:
    taken, took_s = asyncio.run(_paced(speed))
    assert took_s == pytest.approx(takes_s)
    for at_s, record in taken:
        if isinstance(record, r.AcquisitionBlock) and speed is not None:
            end_s = (record.start_ns - START_NS) / 1e9 + record.n_samples / record.sampling_rate_hz
            assert at_s - 100.0 == pytest.approx(end_s / speed)


def test_a_slow_sink_holds_the_source_back_and_nothing_is_lost() -> None:
    taken, took_s = asyncio.run(_paced(1.0, busy_s=0.1))
    assert took_s == pytest.approx(0.1 * len(taken))
    assert [record for _, record in taken] == [due.record for due in run_demo(2.0)]


@pytest.mark.parametrize("speed", [0.0, -1.0, float("nan"), float("inf")])
def test_a_speed_that_is_none_is_refused(speed: float) -> None:
    clock = ManualClock()
    with pytest.raises(ConfigurationError, match=f"speed {speed}"):
        asyncio.run(send([], ListSink(clock), clock, speed=speed))


# --- the default scenario ---------------------------------------------------------------------------------------------


def test_the_default_scenario_begins_with_new_bearings() -> None:
    first, second, third = (due.record for due in itertools.islice(run_demo(1.0), 3))
    assert isinstance(first, r.MachineEvent)
    assert isinstance(second, r.MachineEvent)
    assert [(e.asset_id, e.kind, e.code, e.at_ns, e.sequence) for e in (first, second)] == [
        (asset, "maintenance", "bearing_replaced", START_NS, 0) for asset in (FAULTY_ASSET, HEALTHY_ASSET)
    ]
    assert isinstance(third, r.AcquisitionBlock)


def test_records_of_the_default_scenario_are_valid_contiguous_and_numbered() -> None:
    dues = list(run_demo(3.0))
    assert [due.at_s for due in dues] == sorted(due.at_s for due in dues)
    numbers: dict[str, int] = {}
    for due in dues:
        record = due.record
        assert isinstance(record, r.AcquisitionBlock | r.ReadingBatch | r.MachineEvent)
        validate(record, START_NS)
        assert record.sequence == numbers.get(record.device_id, 0)
        numbers[record.device_id] = record.sequence + 1
    assert set(numbers) == {"sim-P-101", "sim-P-101-slow", "sim-P-102", "sim-P-102-slow"}
    for asset_id in (FAULTY_ASSET, HEALTHY_ASSET):
        found = blocks(iter(dues), asset_id)
        assert [b.start_ns for b in found] == [START_NS + k * 80_000_000 for k in range(37)]
        assert all(8 * 1024 <= len(b.samples) <= 256 * 1024 for b in found)
    times = [
        reading.at_ns
        for due in dues
        if isinstance(due.record, r.ReadingBatch) and due.record.asset_id == FAULTY_ASSET
        for reading in due.record.readings
    ]
    assert times == [START_NS + s * 1_000_000_000 for s in range(3)]


def test_scenario_and_assets_of_the_demonstration_agree() -> None:
    site, assets = demo_assets()
    machines = {machine.asset_id: machine for machine in demo_scenario().machines}
    assert [asset.asset_id for asset in assets] == list(machines)
    for asset in assets:
        machine = machines[asset.asset_id]
        channels = {(c.channel_id, c.quantity, c.unit) for point in asset.points for c in point.channels}
        assert channels == {(s.channel_id, "acceleration", "g") for s in machine.accelerometers} | {
            (t.channel_id, "temperature", "degC") for t in machine.thermometers
        }
        assert asset.site_id == site.site_id
        assert asset.drive_train.nominal_speed_rpm == machine.nominal_speed_rpm


def test_only_one_pump_fails_and_after_a_healthy_time() -> None:
    simulator = Simulator(demo_scenario(), 1)
    severities = {at_s: [t.severity for t in simulator.truth(FAULTY_ASSET, at_s)] for at_s in (10.9, 18.0, 60.0)}
    assert severities == {10.9: [], 18.0: [0.5], 60.0: [1.0]}
    assert not any(simulator.truth(HEALTHY_ASSET, at_s) for at_s in (0.0, 30.0, 60.0, 600.0))


# --- recordings -------------------------------------------------------------------------------------------------------


def recording(n_channels: int, n_samples: int, rate_hz: float = 25_600.0, **signal: object) -> Recording:
    samples = np.arange(n_channels * n_samples, dtype=np.float32).reshape(n_channels, n_samples)
    waveform = Waveform(sampling_rate_hz=rate_hz, samples=samples, **signal)  # type: ignore[arg-type]  # its fields
    channels = tuple(
        RecordedChannel(name=f"c{k}", quantity="acceleration", unit="m/s2", bearing="6205") for k in range(n_channels)
    )
    return Recording(name="m", channels=channels, signal=waveform, speed_rpm=1500.0, label="normal")


def replayed(what: Recording, **asset_changes: object) -> list[Due]:
    asset = dataclasses.replace(asset_of(what, "R-1", "Rig"), **asset_changes)  # type: ignore[arg-type]  # its fields
    return list(recorded(what, asset, device_id="d", boot_id="b", start_ns=START_NS))


@pytest.mark.parametrize(("n_channels", "n_samples"), [(1, 5000), (2, 2048), (3, 1), (70, 3000)])
def test_a_recording_comes_back_from_its_blocks_sample_for_sample(n_channels: int, n_samples: int) -> None:
    what = recording(n_channels, n_samples)
    found = blocks(iter(replayed(what)), "R-1")
    parts = [np.frombuffer(b.samples, "<f4").reshape(n_channels, b.n_samples) for b in found]
    assert isinstance(what.signal, Waveform)
    assert np.array_equal(np.concatenate(parts, axis=1), what.signal.samples)
    assert [b.sequence for b in found] == list(range(len(found)))
    assert all(len(b.samples) <= 256 * 1024 for b in found)
    end_ns = START_NS
    for block in found:
        assert abs(block.start_ns - end_ns) <= 1
        end_ns = block.start_ns + round(block.n_samples * 1e9 / 25_600.0)
        assert (block.speed_rpm, block.channels[0].unit) == (1500.0, "m/s2")
        validate(block, START_NS)


def test_bursts_stay_bursts() -> None:
    what = recording(2, 12, burst_samples=4, burst_starts_s=np.array([0.0, 10.0, 30.0]))
    dues = replayed(what)
    found = blocks(iter(dues), "R-1")
    assert [b.start_ns - START_NS for b in found] == [0, 10_000_000_000, 30_000_000_000]
    assert {b.acquisition for b in found} == {r.Acquisition.BURST}
    assert {b.n_samples for b in found} == {4}
    assert dues[-1].at_s == 30.0 + 4 / 25_600.0
    assert np.frombuffer(found[1].samples, "<f4").tolist() == [4, 5, 6, 7, 16, 17, 18, 19]


def test_readings_are_batched_by_second() -> None:
    times_ns = np.array([5_000, 5_500, 6_000, 9_250]) * 1_000_000
    series = Series(times_ns=times_ns, values=np.arange(8.0).reshape(2, 4))
    channels = (
        RecordedChannel(name="p", quantity="pressure", unit="bar"),
        RecordedChannel(name="t", quantity="temperature", unit="degC"),
    )
    dues = replayed(Recording(name="m", channels=channels, signal=series))
    batches = [due.record for due in dues if isinstance(due.record, r.ReadingBatch)]
    assert [due.at_s for due in dues] == [0.5, 1.0, 4.25]
    assert [[(v.at_ns - START_NS, v.unit, v.value) for v in batch.readings] for batch in batches] == [
        [(0, "bar", 0.0), (0, "degC", 4.0), (500_000_000, "bar", 1.0), (500_000_000, "degC", 5.0)],
        [(1_000_000_000, "bar", 2.0), (1_000_000_000, "degC", 6.0)],
        [(4_250_000_000, "bar", 3.0), (4_250_000_000, "degC", 7.0)],
    ]
    for batch in batches:
        validate(batch, START_NS)


def test_an_asset_with_other_channels_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="asset R-1 has"):
        replayed(recording(1, 4), points=())


def test_an_asset_of_a_recording_knows_no_more_than_the_recording() -> None:
    asset = asset_of(recording(2, 4), "R-1", "Rig")
    assert (asset.machine_group, asset.support, asset.drive_train.nominal_speed_rpm) == (None, None, 1500.0)
    assert [(p.point_id, p.bearing, p.channels[0].channel_id) for p in asset.points] == [
        ("R-1-c0", "6205", "R-1-c0.acc"),
        ("R-1-c1", "6205", "R-1-c1.acc"),
    ]


@pytest.mark.parametrize(("n_channels", "rate_hz"), [(1, 25_600.0), (2, 48_000.0), (128, 1e6), (1, 0.5)])
def test_blocks_have_a_sensible_size(n_channels: int, rate_hz: float) -> None:
    n_samples = block_samples(n_channels, rate_hz)
    assert 1 <= n_samples <= 2048
    assert n_samples * n_channels * 4 <= 256 * 1024
    assert n_samples <= max(1.0, rate_hz)
