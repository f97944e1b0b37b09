"""What the API's tests show: two assets, their alarms, a waveform; rows have the columns of the schema."""

import math
from typing import Any

import msgspec
import numpy as np

from contracts import records as r
from contracts.assets import AssetConfiguration, Channel, MeasurementPoint
from contracts.features import FEATURE_NAMES
from contracts.ports import WaveformSnapshot

NOW_NS = 1_767_268_800_000_000_000
WINDOW_NS = NOW_NS - 10_000_000_000
RATE_HZ = 25_600.0

EVIDENCE = r.Evidence(
    name="BPFO", value=18.3, unit="dB", limit=10.0, frequency_hz=106.4, text="BPFO 106.4 Hz: 18.3 dB over the floor"
)


def configuration(asset_id: str, site_id: str) -> AssetConfiguration:
    channel = Channel(channel_id=f"{asset_id}-DE-H.acc", quantity="acceleration", unit="g")
    point = MeasurementPoint(
        point_id=f"{asset_id}-DE-H",
        location="drive end",
        direction="radial_horizontal",
        bearing="6205",
        channels=(channel,),
    )
    return AssetConfiguration(
        asset_id=asset_id, site_id=site_id, name=f"Pump {asset_id}", asset_type="pump", points=(point,)
    )


def transition(alarm_id: str, asset_id: str, site_id: str, sequence: int) -> r.AlarmTransition:
    return r.AlarmTransition(
        transition_id=f"{alarm_id}-{sequence}",
        alarm_id=alarm_id,
        asset_id=asset_id,
        site_id=site_id,
        point_id=f"{asset_id}-DE-H",
        rule="bearing_fault",
        sequence=sequence,
        from_state=r.AlarmState.NORMAL,
        state=r.AlarmState.UNACKNOWLEDGED,
        cause="raised",
        at_ns=WINDOW_NS + sequence,
        started_at_ns=WINDOW_NS,
        priority=r.Priority.MEDIUM,
        zone=r.Zone.B,
        fault="outer_race",
        confidence=0.9,
        reason="Outer-race fault: BPFO 18.3 dB over the floor",
        evidence=(EVIDENCE,),
    )


def alarm_row(step: r.AlarmTransition) -> dict[str, Any]:
    row: dict[str, Any] = msgspec.to_builtins(step)
    row["changed_at_ns"] = row.pop("at_ns")
    return row | {"acknowledged_by": None, "acknowledged_at_ns": None, "internal": "not for callers"}


def waveform(asset_id: str, start_ns: int = WINDOW_NS) -> WaveformSnapshot:
    seconds = np.arange(int(RATE_HZ)) / RATE_HZ
    samples = 0.5 * np.sin(2 * np.pi * 160.0 * seconds)
    samples[12_345] = 4.0
    return WaveformSnapshot(
        channel_id=f"{asset_id}-DE-H.acc",
        asset_id=asset_id,
        start_ns=start_ns,
        sampling_rate_hz=RATE_HZ,
        unit="g",
        speed_rpm=1780.0,
        samples=samples.astype("<f4").tobytes(),
    )


def condition(asset_id: str, site_id: str, at_ns: int) -> r.Condition:
    return r.Condition(
        condition_id="con_1",
        asset_id=asset_id,
        site_id=site_id,
        point_id=f"{asset_id}-DE-H",
        rule="bearing_fault",
        state=r.ConditionState.RAISED,
        sequence=1,
        at_ns=at_ns,
        episode_started_at_ns=at_ns,
        priority=r.Priority.MEDIUM,
        latching=False,
        zone=r.Zone.B,
        fault="outer_race",
        confidence=0.9,
        reason="Outer-race fault",
        evidence=(EVIDENCE,),
    )


def assessment_row(asset_id: str, site_id: str) -> dict[str, Any]:
    features = dict.fromkeys(FEATURE_NAMES, 1.5) | {"kurtosis": math.nan, "bpfo_db": None}
    score = {"model": "baseline", "version": "1", "value": 4.2, "threshold": 3.5, "learning": False}
    return {
        "assessment_id": "asm_1",
        "asset_id": asset_id,
        "site_id": site_id,
        "window_start_ns": WINDOW_NS,
        "window_end_ns": WINDOW_NS + 1_000_000_000,
        "sampling_rate_hz": RATE_HZ,
        "n_samples": 25_600,
        "partial": False,
        "speed_rpm": 1780.0,
        "regime": "s1780",
        "catalogue_version": 1,
        "code_version": "c1",
        "configuration_version": "0123456789abcdef",
        "zone": "B",
        "channels": [
            {
                "channel_id": f"{asset_id}-DE-H.acc",
                "point_id": f"{asset_id}-DE-H",
                "zone": "B",
                "not_graded_because": None,
                "features": features,
                "own_features": {"band_ratio": 0.25, "tilt_deg": None},
                "not_decided": [{"name": "FTF", "needed_s": 2.875}],
                "scores": [score | {"explanation": [msgspec.to_builtins(EVIDENCE)]}],
            }
        ],
        "diagnoses": [
            {
                "point_id": f"{asset_id}-DE-H",
                "channel_id": f"{asset_id}-DE-H.acc",
                "fault": "outer_race",
                "confidence": 0.9,
                "evidence": [msgspec.to_builtins(EVIDENCE)],
                "confirm": "listen at the drive end",
                "excludes": ["unbalance"],
            }
        ],
        "code_hash": "0f1e2d3c4b5a",
    }


def model_row(scores_for: list[str]) -> dict[str, Any]:
    return {
        "name": "plant-autoencoder",
        "version": "2",
        "sha256": "ab" * 32,
        "feature_hash": "0f1e2d3c4b5a",
        "slot": "reference-autoencoder",
        "stage": "production",
        "share": 0.0,
        "former": "reference-autoencoder@1",
        "action": "promote",
        "actor": "ada",
        "reason": "two alarms earlier",
        "at_ns": NOW_NS,
        "scores_for": scores_for,
        "in_shadow_for": [],
        "refused_on": [],
        "internal": "not for callers",
    }
