"""Within the tolerance the bits of the sorted run; beyond it the same features in the end, and nothing else moved."""

import dataclasses
import functools
import random

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.timescale import canonical_rows
from contracts import ports
from contracts import records as r
from contracts.activations import activation_of
from contracts.assets import AssetConfiguration, Channel, DriveTrain, MeasurementPoint, RuleSettings, WindowSettings
from contracts.codec import BundledSchemas, Codec
from contracts.topics import MEASUREMENTS
from processors.pipeline import PartitionPipeline

CODEC = Codec(BundledSchemas())
START_NS = 1_700_000_000_123_456_789
SECOND_NS = 1_000_000_000
RATE_HZ = 2048.0
BLOCK_SAMPLES = 300
BLOCK_S = BLOCK_SAMPLES / RATE_HZ
TOLERANCE_S = 1.0
N_BLOCKS = 56
#: How far a block's stamp may lie beside its samples' time: 18 samples.
TREMBLE_NS = 9_000_000
CHANNELS = ("H", "V")
#: Every window chooses its own demodulation band: its features depend on nothing that came before it.
ALONE = WindowSettings(
    length_s=0.5, hop_s=0.25, out_of_order_tolerance_s=TOLERANCE_S, band_interval_s=0.25, lateness_s=20.0
)

Tables = dict[str, dict[tuple[object, ...], tuple[object, ...]]]
Log = list[tuple[bytes | None, bytes]]


class NoModels:
    def load(self, name: str, version: str, sha256: str | None = None) -> bytes:
        return b""


def asset(window: WindowSettings) -> AssetConfiguration:
    points = tuple(
        MeasurementPoint(
            point_id=name,
            location="drive end",
            direction="radial",
            bearing="6205",
            channels=(Channel(channel_id=name, quantity="acceleration", unit="g"),),
        )
        for name in CHANNELS
    )
    return AssetConfiguration(
        asset_id="A",
        site_id="s",
        name="A",
        asset_type="pump",
        machine_group="2",
        support="rigid",
        drive_train=DriveTrain(nominal_speed_rpm=1800.0),
        points=points,
        window=window,
        rules=RuleSettings(raise_after=2, clear_after=2, baseline_windows=4, zone_alarm="B"),
    )


def block(k: int, *, boot: str = "1", sequence: int | None = None, jitter_ns: int = 0) -> r.AcquisitionBlock:
    t_s = (k * BLOCK_SAMPLES + np.arange(BLOCK_SAMPLES)) / RATE_HZ
    amplitude_g = 0.2 if int(t_s[0] / 2.0) % 2 else 0.01
    noise = np.random.default_rng(k).standard_normal((len(CHANNELS), BLOCK_SAMPLES))
    samples = amplitude_g * np.sin(2 * np.pi * 30.0 * t_s) + 0.01 * noise
    return r.AcquisitionBlock(
        asset_id="A",
        device_id="d",
        boot_id=boot,
        sequence=k if sequence is None else sequence,
        start_ns=START_NS + round(k * BLOCK_SAMPLES * SECOND_NS / RATE_HZ) + jitter_ns,
        sampling_rate_hz=RATE_HZ,
        n_samples=BLOCK_SAMPLES,
        channels=tuple(r.BlockChannel(channel_id=name, quantity="acceleration", unit="g") for name in CHANNELS),
        samples=samples.astype("<f4").tobytes(),
    )


@functools.cache
def blocks(tremble_ns: int = 0) -> tuple[r.AcquisitionBlock, ...]:
    """Return two boots of a device whose clock trembles by so much."""
    chance = random.Random(5)
    half = N_BLOCKS // 2
    return tuple(
        block(k, boot="1" if k < half else "2", sequence=k % half, jitter_ns=chance.randint(-tremble_ns, tremble_ns))
        for k in range(N_BLOCKS)
    )


def sent(delays_s: dict[int, float]) -> list[tuple[float, int]]:
    """Return (when, which) in the order of sending: every block when its last sample is known, and its delay later."""
    return sorted(((k + 1) * BLOCK_S + delays_s.get(k, 0.0), k) for k in range(N_BLOCKS))


def log_of(order: list[r.AcquisitionBlock], window: WindowSettings = ALONE) -> Log:
    """Return the log: the configuration, the blocks, and a tick for every second of the newest block's time."""
    log: Log = [(b"A", CODEC.encode(MEASUREMENTS, activation_of(asset(window), START_NS, "test")))]
    newest_ns = ticked_ns = START_NS
    for one in order:
        log.append((b"A", CODEC.encode(MEASUREMENTS, one)))
        newest_ns = max(newest_ns, one.start_ns)
        if newest_ns - ticked_ns >= SECOND_NS:
            ticked_ns = newest_ns
            log.append((None, CODEC.encode(MEASUREMENTS, tick(newest_ns))))
    return log


def tick(at_ns: int) -> r.Tick:
    return r.Tick(topic=MEASUREMENTS, partition=0, at_ns=at_ns, epoch=1)


def run(log: Log, stops: frozenset[int] = frozenset(), every: int = 7) -> Tables:
    """Run a log to its end and one configuration more, crashing after each offset of `stops`."""
    last = dataclasses.replace(asset(ALONE), name="closes what is open")
    log = [*log, (b"A", CODEC.encode(MEASUREMENTS, activation_of(last, START_NS, "test")))]
    states: dict[str, bytes] = {}
    checkpoint = ports.Checkpoint(-1, 0, {})
    pipeline = PartitionPipeline(NoModels(), checkpoint)
    merged: Tables = {}
    offset, pending = 0, sorted(stops)
    while offset < len(log):
        assert pipeline.feed(CODEC, offset, *log[offset]) is None
        keep(merged, pipeline.take())
        if offset % every == 0 and offset > checkpoint.applied_offset:
            taken = pipeline.checkpoint()
            states.update(taken.states)
            checkpoint = ports.Checkpoint(taken.applied_offset, taken.resume_offset, dict(states))
        if pending and offset >= pending[0]:
            pending.pop(0)
            pipeline, offset = PartitionPipeline(NoModels(), checkpoint), checkpoint.resume_offset
            continue
        offset += 1
    return merged


def keep(merged: Tables, rows: ports.HistoryRows) -> None:
    for table, keyed in canonical_rows(rows).items():
        known = merged.setdefault(table, {})
        for key, values in keyed.items():
            assert known.setdefault(key, values) == values, f"{table} {key} came out differently the second time"


def newest_features(tables: Tables) -> dict[tuple[object, ...], tuple[object, ...]]:
    """Return the newest version of every feature row."""
    corrected = {key[:-1]: values for key, values in sorted(tables["corrected_feature"].items(), key=str)}
    return tables["feature"] | corrected


@functools.cache
def in_order(tremble_ns: int = 0) -> Tables:
    return run(log_of(list(blocks(tremble_ns))))


def test_the_sorted_run_has_windows_of_both_boots_conditions_and_no_correction() -> None:
    tables = in_order()
    seconds = N_BLOCKS * BLOCK_S
    assert len(tables["assessment"]) > seconds / 0.25 - 8
    assert tables["condition"]
    assert not tables["corrected_feature"]
    assert not tables["gap"]


@settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32), share=st.floats(0.05, 1.0))
def test_disorder_within_the_tolerance_gives_the_sorted_runs_bits(seed: int, share: float) -> None:
    chance = random.Random(seed)
    most_s = TOLERANCE_S - 2 * BLOCK_S
    delays_s = {k: chance.uniform(0.0, most_s) for k in range(N_BLOCKS) if chance.random() < share}
    device = blocks(TREMBLE_NS)
    order = [device[k] for _, k in sent(delays_s)]
    for one in chance.sample(range(N_BLOCKS), 10):  # and some blocks once more, at some later time
        order.insert(chance.randint(order.index(device[one]) + 1, len(order)), device[one])
    assert run(log_of(order)) == in_order(TREMBLE_NS)


@st.composite
def late(draw: st.DrawFn) -> dict[int, float]:
    """Return which blocks come how late: beyond the tolerance, within the lateness; no boot's first block."""
    firsts = {0, N_BLOCKS // 2}
    count = draw(st.integers(1, 6))
    chosen = draw(st.sets(st.integers(1, N_BLOCKS - 12).filter(lambda k: k not in firsts), min_size=1, max_size=count))
    return {k: draw(st.floats(TOLERANCE_S + 0.2, 6.0)) for k in chosen}


@settings(max_examples=10, suppress_health_check=[HealthCheck.too_slow])
@given(delays_s=late(), stops=st.frozensets(st.integers(0, 90), max_size=3))
def test_beyond_the_tolerance_features_end_as_in_the_sorted_run_and_judgements_stay(
    delays_s: dict[int, float], stops: frozenset[int]
) -> None:
    order = [k for _, k in sent(delays_s)]
    late_run = run(log_of([blocks()[k] for k in order]))
    late_starts = {key[2] for key in late_run["gap"] if key[4] == "late"}
    assert late_starts <= {blocks()[k].start_ns for k in delays_s}
    lost_run = run(log_of([blocks()[k] for k in order if blocks()[k].start_ns not in late_starts]))
    for table in ("assessment", "feature", "score", "condition"):
        assert late_run[table] == lost_run[table], f"{table} changed by late blocks"
    newest = newest_features(late_run)
    wanted = in_order()["feature"]
    assert {key: newest.get(key) for key in wanted} == wanted
    others = late_run["feature"].keys() - wanted.keys()
    assert all(late_run["feature"][key][2] for key in others), "a whole window that the sorted run hasn't"
    assert late_starts or late_run == in_order()
    assert run(log_of([blocks()[k] for k in order]), stops) == late_run, "a crash changed something"
