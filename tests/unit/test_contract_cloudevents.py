"""Alarm transitions carry the CloudEvents attributes that subscribers rely on."""

import dataclasses
import datetime as dt
import typing

from hypothesis import given
from hypothesis import strategies as st

from contracts import records as r
from contracts.cloudevents import cloudevent_headers, event_time

TRANSITION: typing.Final = r.AlarmTransition(
    transition_id="trn_1",
    alarm_id="alm_1",
    asset_id="Pumpe 1/ü",
    site_id="plant-1",
    point_id="P-101-DE",
    rule="bearing_fault",
    sequence=7,
    from_state=r.AlarmState.NORMAL,
    state=r.AlarmState.UNACKNOWLEDGED,
    cause="condition",
    at_ns=1_700_000_000_123_456_789,
    started_at_ns=1_700_000_000_123_456_789,
    priority=r.Priority.HIGH,
    zone=None,
    fault=None,
    confidence=None,
    reason="outer race",
    evidence=(),
    traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
)


def test_the_headers_are_those_of_binary_mode() -> None:
    assert dict(cloudevent_headers(TRANSITION)) == {
        "content-type": b"application/avro",
        "ce_id": b"trn_1",
        "ce_source": b"/sites/plant-1/assets/Pumpe%201%2F%C3%BC",
        "ce_specversion": b"1.0",
        "ce_type": b"io.faultline.alarm.unacknowledged",
        "ce_time": b"2023-11-14T22:13:20.123456Z",
        "ce_subject": b"alm_1",
        "ce_sequence": b"00000000000000000007",
        "ce_severitytext": b"high",
        "ce_traceparent": b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "traceparent": b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    }


def test_without_a_trace_there_is_no_trace_header() -> None:
    names = [name for name, _ in cloudevent_headers(dataclasses.replace(TRANSITION, traceparent=None))]
    assert len(names) == len(set(names)) == 9
    assert not any("trace" in name for name in names)


@given(first=st.integers(0, 2**63 - 1), second=st.integers(0, 2**63 - 1))
def test_sequences_order_as_text(first: int, second: int) -> None:
    texts = [
        dict(cloudevent_headers(dataclasses.replace(TRANSITION, sequence=n)))["ce_sequence"] for n in (first, second)
    ]
    assert (texts[0] < texts[1]) == (first < second)


@given(at_ns=st.integers(0, 4_102_444_800_000_000_000))
def test_times_are_rfc_3339_in_utc(at_ns: int) -> None:
    at = dt.datetime.fromisoformat(event_time(at_ns))
    assert at.utcoffset() == dt.timedelta(0)
    assert abs(at.timestamp() - at_ns / 1e9) < 1e-5
