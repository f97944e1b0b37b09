"""Bytes once written are read for ever, and the same record gives the same bytes.

``python -m tests.golden.test_contract_golden`` writes the bytes of records that have none yet into
``schemas/avro/golden``; what is there is never changed: a record whose bytes differ has a new schema, which is a new
version under a new id. Bytes of an earlier version come back with the defaults of what was added since.
"""

import dataclasses
from typing import Final

import pytest

from contracts import records as r
from contracts.codec import BUNDLED, BUNDLED_IDS, SCHEMA_FOLDER, BundledSchemas, Codec
from contracts.features import FEATURES
from contracts.topics import TOPICS

GOLDEN: Final = SCHEMA_FOLDER / "golden"
_AT_NS: Final = 1_700_000_000_123_456_789

_EVIDENCE: Final = (
    r.Evidence(
        name="BPFO", value=14.5, unit="dB", limit=10.0, frequency_hz=107.36, text="BPFO line 14.5 dB over the floor"
    ),
    r.Evidence(
        name="velocity_rms_mm_s", value=4.75, unit="mm/s", limit=None, frequency_hz=None, text="vibrates – a lot"
    ),
)
_SCORES: Final = (
    r.Score(model="half_space_trees", version="1", value=None, threshold=None, learning=True),
    r.Score(model="autoencoder", version="2", value=0.75, threshold=0.5, learning=False, explanation=_EVIDENCE[:1]),
)
_CHANNELS: Final = (
    r.ChannelAssessment(
        channel_id="P-101-DE-H",
        point_id="P-101-DE",
        features=tuple(None if n % 7 == 6 else 0.5 * n for n in range(len(FEATURES))),
        zone=r.Zone.C,
        not_graded_because=None,
        scores=_SCORES,
    ),
    r.ChannelAssessment(
        channel_id="P-101-NDE-H",
        point_id="P-101-NDE",
        features=(None,) * len(FEATURES),
        zone=None,
        not_graded_because="no machine group",
        scores=(),
    ),
)

EXAMPLES: Final[dict[str, r.Record]] = {
    "acquisition_block": r.AcquisitionBlock(
        asset_id="P-101",
        device_id="daq-1",
        boot_id="b7",
        sequence=42,
        start_ns=_AT_NS,
        sampling_rate_hz=25_600.0,
        n_samples=2,
        channels=(
            r.BlockChannel(channel_id="P-101-DE-H", quantity="acceleration", unit="g"),
            r.BlockChannel(channel_id="P-101-NDE-H", quantity="acceleration", unit="m/s2"),
        ),
        samples=bytes.fromhex("0000803f000000c0000020c1cdcccc3d"),
        acquisition=r.Acquisition.BURST,
        speed_rpm=1_772.0,
    ),
    "reading_batch": r.ReadingBatch(
        asset_id="P-101",
        device_id="plc-1",
        boot_id="b7",
        sequence=0,
        readings=(
            r.Reading(channel_id="P-101-T", quantity="temperature", unit="degC", at_ns=_AT_NS, value=61.25),
            r.Reading(
                channel_id="P-101-P", quantity="pressure", unit="bar", at_ns=_AT_NS, value=-0.5, quality=r.Quality.BAD
            ),
        ),
    ),
    "machine_event": r.MachineEvent(
        asset_id="P-101",
        device_id="plc-1",
        boot_id="b7",
        sequence=3,
        at_ns=_AT_NS,
        kind="line_stop",
        code="E-17",
        text="Linie 4 gestoppt – Tür offen",
    ),
    "tick": r.Tick(topic="measurements", partition=3, at_ns=_AT_NS, epoch=9),
    "activation": r.Activation(
        activation_id="act_1",
        asset_id="P-101",
        kind="asset_configuration",
        version="v1",
        at_ns=_AT_NS,
        payload_json='{"asset_id":"P-101"}',
        sha256="00" * 32,
        actor="operator",
    ),
    "assessment": r.Assessment(
        assessment_id="asm_1",
        asset_id="P-101",
        site_id="plant-1",
        window_start_ns=_AT_NS,
        window_end_ns=_AT_NS + 1_000_000_000,
        sampling_rate_hz=25_600.0,
        n_samples=25_600,
        partial=False,
        speed_rpm=None,
        regime="1772rpm",
        catalogue_version=1,
        code_version="0.1.0",
        configuration_version="v1",
        channels=_CHANNELS,
        diagnoses=(
            r.Diagnosis(
                point_id="P-101-DE",
                channel_id="P-101-DE-H",
                fault="bearing_outer_race",
                confidence=0.875,
                evidence=_EVIDENCE,
            ),
        ),
        zone=r.Zone.C,
    ),
    "condition": r.Condition(
        condition_id="cnd_1",
        asset_id="P-101",
        site_id="plant-1",
        point_id="P-101-DE",
        rule="bearing_fault",
        state=r.ConditionState.RAISED,
        sequence=1,
        at_ns=_AT_NS,
        episode_started_at_ns=_AT_NS - 2_000_000_000,
        priority=r.Priority.HIGH,
        latching=False,
        zone=r.Zone.D,
        fault="bearing_outer_race",
        confidence=0.875,
        reason="outer race of the drive-end bearing",
        evidence=_EVIDENCE,
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    ),
    "command": r.Command(
        command_id="cmd_1",
        asset_id="P-101",
        alarm_id="alm_1",
        action=r.CommandAction.SHELVE,
        actor="operator",
        at_ns=_AT_NS,
        until_ns=_AT_NS + 3_600_000_000_000,
    ),
    "alarm_transition": r.AlarmTransition(
        transition_id="trn_1",
        alarm_id="alm_1",
        asset_id="P-101",
        site_id="plant-1",
        point_id="P-101-DE",
        rule="bearing_fault",
        sequence=1,
        from_state=r.AlarmState.NORMAL,
        state=r.AlarmState.UNACKNOWLEDGED,
        cause="condition",
        at_ns=_AT_NS,
        started_at_ns=_AT_NS,
        priority=r.Priority.HIGH,
        zone=None,
        fault=None,
        confidence=None,
        reason="outer race of the drive-end bearing",
        evidence=_EVIDENCE,
        note="seen",
    ),
    "dead_letter": r.DeadLetter(
        topic="measurements",
        partition=0,
        offset=17,
        timestamp_ns=_AT_NS,
        reason="bad_frame",
        detail="magic byte 255, 0 expected",
        key=None,
        value=b"\xff\x00",
        headers=(r.Header(name="a", value=b"\xff"), r.Header(name="b", value=None)),
    ),
}

_FIRST: Final = EXAMPLES["assessment"]
assert isinstance(_FIRST, r.Assessment)
EXAMPLES["assessment.v2"] = dataclasses.replace(
    _FIRST,
    code_hash="0f1e2d3c4b5a",
    channels=(
        dataclasses.replace(
            _CHANNELS[0],
            own_features={"band_ratio": 0.25, "tilt_deg": None},
            not_decided=(
                r.NotDecided(name="FTF", needed_s=2.875),
                r.NotDecided(name="BPFI", needed_s=None),
            ),
        ),
        _CHANNELS[1],
    ),
    diagnoses=(
        dataclasses.replace(
            _FIRST.diagnoses[0],
            confirm="listen at the drive end – the outer race's tone is steady",
            excludes=("unbalance", "misalignment"),
        ),
    ),
)
#: Written by earlier versions of their schema: read for ever, written no more.
_EARLIER: Final = {"assessment"}


def encoded(record: r.Record) -> bytes:
    topic = next(name for name, spec in TOPICS.items() if type(record) in spec.records)
    return Codec(BundledSchemas()).encode(topic, record)


def test_every_record_has_an_example() -> None:
    assert {type(EXAMPLES[name]) for name in EXAMPLES.keys() - _EARLIER} == set(BUNDLED_IDS)
    assert {path.stem for path in GOLDEN.glob("*.bin")} == set(EXAMPLES)


def test_every_bundled_id_has_golden_bytes() -> None:
    ids = [int.from_bytes(path.read_bytes()[1:5], "big") for path in GOLDEN.glob("*.bin")]
    assert sorted(ids) == sorted(BUNDLED)


@pytest.mark.parametrize("name", EXAMPLES)
def test_golden_bytes_are_read_and_written(name: str) -> None:
    golden = (GOLDEN / f"{name}.bin").read_bytes()
    assert Codec(BundledSchemas()).decode(golden) == EXAMPLES[name]
    if name not in _EARLIER:
        assert encoded(EXAMPLES[name]) == golden


def test_an_earlier_version_is_read_with_the_defaults_of_what_was_added() -> None:
    record = Codec(BundledSchemas()).decode((GOLDEN / "assessment.bin").read_bytes())
    assert isinstance(record, r.Assessment)
    assert record.code_hash == ""
    assert [(c.own_features, c.not_decided) for c in record.channels] == [({}, ())] * 2
    assert [(d.confirm, d.excludes) for d in record.diagnoses] == [(None, ())]
    rewritten = encoded(record)
    assert rewritten[4] == BUNDLED_IDS[r.Assessment]
    assert Codec(BundledSchemas()).decode(rewritten) == record


def test_the_wire_format_is_confluents() -> None:
    golden = (GOLDEN / "tick.bin").read_bytes()
    # magic 0, schema id 4, then: text of 12 bytes, 3, the time, 9 (zigzag varints)
    assert golden[:5] == b"\x00\x00\x00\x00\x04"
    assert golden[5:18] == b"\x18measurements"
    assert golden[18:19] == b"\x06"
    assert golden[-1:] == b"\x12"


if __name__ == "__main__":
    for _name, _record in EXAMPLES.items():
        _path = GOLDEN / f"{_name}.bin"
        if not _path.exists():
            _path.write_bytes(encoded(_record))
