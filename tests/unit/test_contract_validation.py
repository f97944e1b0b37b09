"""Measurements that mean nothing are refused whole, with value and bound."""

import contextlib
import dataclasses
import typing

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import records as r
from contracts.errors import BadRecord, Reason
from contracts.validation import EARLIEST_NS, LATEST_NS, MAX_AHEAD_NS, validate

AT_NS: typing.Final = 1_700_000_000_000_000_000
CHANNELS: typing.Final = tuple(r.BlockChannel(channel_id=f"c{n}", quantity="acceleration", unit="g") for n in range(2))
BLOCK: typing.Final = r.AcquisitionBlock(
    asset_id="P-101",
    device_id="daq",
    boot_id="1",
    sequence=0,
    start_ns=AT_NS,
    sampling_rate_hz=25_600.0,
    n_samples=3,
    channels=CHANNELS,
    samples=np.arange(6, dtype="<f4").tobytes(),
    speed_rpm=1772.0,
)
READING: typing.Final = r.Reading(channel_id="t", quantity="temperature", unit="degC", at_ns=AT_NS, value=60.0)
BATCH: typing.Final = r.ReadingBatch(asset_id="P-101", device_id="plc", boot_id="1", sequence=0, readings=(READING,))
EVENT: typing.Final = r.MachineEvent(
    asset_id="P-101", device_id="plc", boot_id="1", sequence=0, at_ns=AT_NS, kind="line_stop", code="", text=""
)


def refused(record: r.Record, now_ns: int | None = AT_NS) -> BadRecord:
    with pytest.raises(BadRecord) as caught:
        validate(record, now_ns)
    return caught.value


def samples(*values: float) -> bytes:
    return np.array(values, dtype="<f4").tobytes()


@pytest.mark.parametrize("record", [BLOCK, BATCH, EVENT, r.Tick(topic="measurements", partition=0, at_ns=0, epoch=0)])
@pytest.mark.parametrize("now_ns", [None, AT_NS, AT_NS + 10**18, AT_NS - MAX_AHEAD_NS])
def test_what_is_in_order_passes(record: r.Record, now_ns: int | None) -> None:
    validate(record, now_ns)


@pytest.mark.parametrize(
    ("change", "reason", "named"),
    [
        ({"asset_id": ""}, Reason.UNKNOWN_ASSET, "no asset"),
        ({"sequence": -1}, Reason.BAD_SEQUENCE, "-1"),
        ({"sampling_rate_hz": 0.0}, Reason.BAD_SAMPLING_RATE, "0.0 Hz"),
        ({"sampling_rate_hz": -25_600.0}, Reason.BAD_SAMPLING_RATE, "-25600.0 Hz"),
        ({"sampling_rate_hz": 1e9}, Reason.BAD_SAMPLING_RATE, "at most 10000000"),
        ({"sampling_rate_hz": float("nan")}, Reason.BAD_SAMPLING_RATE, "nan"),
        ({"sampling_rate_hz": float("inf")}, Reason.BAD_SAMPLING_RATE, "inf"),
        ({"start_ns": 0}, Reason.BAD_TIME, "0 ns"),
        ({"start_ns": EARLIEST_NS - 1}, Reason.BAD_TIME, "2000"),
        ({"start_ns": LATEST_NS}, Reason.BAD_TIME, "2100"),
        ({"start_ns": AT_NS + MAX_AHEAD_NS + 1}, Reason.FUTURE_TIME, "300.0 s ahead"),
        ({"channels": ()}, Reason.BAD_CHANNELS, "0 channels"),
        ({"channels": (CHANNELS[0], CHANNELS[0])}, Reason.BAD_CHANNELS, "'c0'"),
        ({"channels": (dataclasses.replace(CHANNELS[0], channel_id=""), CHANNELS[1])}, Reason.BAD_CHANNELS, "''"),
        ({"channels": (CHANNELS[0], dataclasses.replace(CHANNELS[1], unit=""))}, Reason.MISSING_UNIT, "g, m/s2"),
        ({"channels": (dataclasses.replace(CHANNELS[0], unit="G"), CHANNELS[1])}, Reason.UNKNOWN_UNIT, "'G'"),
        ({"channels": (dataclasses.replace(CHANNELS[0], quantity="x"), CHANNELS[1])}, Reason.UNKNOWN_UNIT, "'x'"),
        ({"n_samples": 0}, Reason.BAD_LENGTH, "n_samples 0"),
        ({"n_samples": -3}, Reason.BAD_LENGTH, "n_samples -3"),
        ({"n_samples": 2**62}, Reason.BAD_LENGTH, "24 bytes"),
        ({"samples": b""}, Reason.BAD_LENGTH, "0 bytes"),
        ({"samples": BLOCK.samples[:-1]}, Reason.BAD_LENGTH, "2 channels x 3 samples are 24"),
        ({"samples": samples(0, 1, 2, 3, float("nan"), 5)}, Reason.NOT_FINITE, "c1 has nan at sample 1; 1 samples"),
        (
            {"samples": samples(0, float("-inf"), 2, 3, float("inf"), 5)},
            Reason.NOT_FINITE,
            "c0 has -inf at sample 1; 2",
        ),
        ({"speed_rpm": float("nan")}, Reason.NOT_FINITE, "speed_rpm"),
        ({"speed_rpm": -1.0}, Reason.OUT_OF_RANGE, "-1.0"),
        ({"load_ratio": float("inf")}, Reason.NOT_FINITE, "load_ratio"),
    ],
)
def test_a_block_is_refused(change: dict[str, typing.Any], reason: Reason, named: str) -> None:
    error = refused(dataclasses.replace(BLOCK, **change))
    assert error.reason is reason
    assert named in error.detail


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"unit": ""}, Reason.MISSING_UNIT),
        ({"unit": "K"}, Reason.UNKNOWN_UNIT),
        ({"value": float("nan")}, Reason.NOT_FINITE),
        ({"value": float("-inf"), "quality": r.Quality.BAD}, Reason.NOT_FINITE),
        ({"at_ns": -1}, Reason.BAD_TIME),
        ({"at_ns": AT_NS + MAX_AHEAD_NS + 1}, Reason.FUTURE_TIME),
        ({"channel_id": ""}, Reason.BAD_CHANNELS),
    ],
)
def test_one_bad_reading_refuses_the_batch(change: dict[str, typing.Any], reason: Reason) -> None:
    batch = dataclasses.replace(BATCH, readings=(READING, dataclasses.replace(READING, **change)))
    assert refused(batch).reason is reason


def test_an_empty_batch_and_a_bad_event_are_refused() -> None:
    assert refused(dataclasses.replace(BATCH, readings=())).reason is Reason.BAD_LENGTH
    assert refused(dataclasses.replace(BATCH, sequence=-1)).reason is Reason.BAD_SEQUENCE
    assert refused(dataclasses.replace(EVENT, at_ns=LATEST_NS)).reason is Reason.BAD_TIME
    assert refused(dataclasses.replace(EVENT, asset_id="")).reason is Reason.UNKNOWN_ASSET


def test_before_the_first_tick_no_time_is_too_late() -> None:
    validate(dataclasses.replace(BLOCK, start_ns=LATEST_NS - 1), None)
    assert refused(dataclasses.replace(BLOCK, start_ns=LATEST_NS - 1)).reason is Reason.FUTURE_TIME


@given(
    sequence=st.integers(-(2**63), 2**63 - 1),
    start_ns=st.integers(-(2**63), 2**63 - 1),
    sampling_rate_hz=st.floats(),
    n_samples=st.integers(-(2**63), 2**63 - 1),
    samples=st.binary(max_size=64),
    speed_rpm=st.none() | st.floats(),
)
def test_any_block_passes_or_is_refused(**change: typing.Any) -> None:
    with contextlib.suppress(BadRecord):  # and no other error
        validate(dataclasses.replace(BLOCK, **change), AT_NS)
