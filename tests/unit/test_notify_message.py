"""The webhook body: the specification's shape, the same bytes every time, never too large."""

import dataclasses
import json
import typing

from hypothesis import given
from hypothesis import strategies as st

from adapters.notify.message import MAX_BODY_BYTES, webhook_message
from contracts import records as r

EVIDENCE: typing.Final = r.Evidence(
    name="BPFO", value=14.5, unit="dB", limit=10.0, frequency_hz=107.4, text="outer race"
)
TRANSITION: typing.Final = r.AlarmTransition(
    transition_id="trn_1",
    alarm_id="alm_1",
    asset_id="P-101",
    site_id="demo",
    point_id="P-101-DE-H",
    rule="bearing_fault",
    sequence=7,
    from_state=r.AlarmState.NORMAL,
    state=r.AlarmState.UNACKNOWLEDGED,
    cause="condition",
    at_ns=1_700_000_000_123_456_789,
    started_at_ns=1_700_000_000_000_000_000,
    priority=r.Priority.HIGH,
    zone=r.Zone.C,
    fault="bearing_outer_race",
    confidence=0.9,
    reason="BPFO 14.5 dB over the floor",
    evidence=(EVIDENCE,),
)


def test_the_body_is_type_timestamp_and_data() -> None:
    message_id, body = webhook_message(TRANSITION)
    assert message_id == "trn_1"
    parsed = json.loads(body)
    assert list(parsed) == ["type", "timestamp", "data"]
    assert parsed["type"] == "io.faultline.alarm.unacknowledged"
    assert parsed["timestamp"] == "2023-11-14T22:13:20.123456Z"
    assert parsed["data"] == dataclasses.asdict(TRANSITION) | {"evidence": [dataclasses.asdict(EVIDENCE)]}


def test_the_same_transition_gives_the_same_bytes() -> None:
    assert webhook_message(TRANSITION) == webhook_message(dataclasses.replace(TRANSITION))


def test_numbers_that_json_lacks_become_null() -> None:
    evidence = dataclasses.replace(EVIDENCE, value=float("inf"), limit=float("nan"))
    _, body = webhook_message(dataclasses.replace(TRANSITION, evidence=(evidence,)))
    assert json.loads(body)["data"]["evidence"][0]["value"] is None


@given(text=st.text(), length=st.integers(0, 30_000), count=st.integers(0, 40))
def test_the_body_stays_within_its_bound(text: str, length: int, count: int) -> None:
    long = (text or "ü\x00") * (length // max(len(text), 1) + 1)
    evidence = (dataclasses.replace(EVIDENCE, text=long, name=long),) * count
    changed = dataclasses.replace(TRANSITION, reason=long, note=long, asset_id=long, rule=long, evidence=evidence)
    _, body = webhook_message(changed)
    assert len(body) < MAX_BODY_BYTES
    assert json.loads(body)["data"]["alarm_id"] == "alm_1"
