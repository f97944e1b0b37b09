"""The default scenario through the whole core: an early, explained alarm on one pump, silence on the other."""

import functools

from adapters.models import ModelFolder
from contracts import ports
from contracts import records as r
from contracts.activations import activation_of
from contracts.codec import BundledSchemas, Codec
from contracts.topics import MEASUREMENTS
from processors.pipeline import PartitionPipeline
from runtime.demo import FAULTY_ASSET, demo_assets, demo_records

CODEC = Codec(BundledSchemas())
START_NS = 1_700_000_000_000_000_000


@functools.cache
def results() -> ports.HistoryRows:
    pipeline = PartitionPipeline(ModelFolder(), ports.Checkpoint(-1, 0, {}))
    _, assets = demo_assets()
    made: list[r.Measurement] = [activation_of(asset, START_NS, "test") for asset in assets]
    made += [due.record for due in demo_records(boot_id="b", start_ns=START_NS, duration_s=45.0)]
    for offset, record in enumerate(made):
        assert not isinstance(record, r.Tick)
        refusal = pipeline.feed(CODEC, offset, record.asset_id.encode(), CODEC.encode(MEASUREMENTS, record))
        assert refusal is None, refusal
    return pipeline.take()


def seconds(condition: r.Condition) -> float:
    return (condition.at_ns - START_NS) / 1e9


def test_the_bearing_fault_is_found_at_its_place_long_before_the_zone_gets_worse() -> None:
    first = results().conditions[0]
    assert (first.asset_id, first.point_id, first.rule) == (FAULTY_ASSET, "P-101-DE-H", "bearing_fault")
    assert first.fault == "outer_race"
    assert first.zone is r.Zone.A
    assert 14.0 <= seconds(first) <= 24.0
    assert "BPFO" in first.reason
    assert "dB over the floor" in first.reason
    severity = next(c for c in results().conditions if c.rule == "vibration_severity")
    assert severity.zone is r.Zone.C
    assert seconds(severity) - seconds(first) > 10.0


def test_the_healthy_pump_raises_nothing() -> None:
    assert {c.asset_id for c in results().conditions} == {FAULTY_ASSET}
    healthy = [a for a in results().assessments if a.asset_id != FAULTY_ASSET]
    assert len(healthy) >= 44
    assert not [a for a in healthy if a.diagnoses]


def test_zone_and_scores_move() -> None:
    faulty = [a for a in results().assessments if a.asset_id == FAULTY_ASSET]
    assert [a.zone for a in (faulty[0], faulty[-1])] == [r.Zone.A, r.Zone.C]
    baseline = [s for a in faulty for s in a.channels[0].scores if s.model == "baseline"]
    assert baseline[0].learning
    assert baseline[-1].value is not None
    assert baseline[-1].threshold is not None
    assert baseline[-1].value > 10 * baseline[-1].threshold
    assert {s.model for s in faulty[-1].channels[0].scores} == {"baseline", "half-space-trees", "reference-autoencoder"}
