"""What the routes answer, and how they refuse."""

import base64
import dataclasses
import json

import numpy as np
import pytest

from api.problems import SECURITY_HEADERS
from api.times import Instant
from contracts.assets import OwnBearing, Shaft
from contracts.errors import Unavailable
from contracts.features import FEATURE_NAMES
from contracts.ports import Principal, WaveformSnapshot
from tests.api_doubles import FixedIdentity, bench, problem
from tests.api_samples import EVIDENCE, NOW_NS, WINDOW_NS, waveform

CHANNEL = "/v1/channels/P-101-DE-H.acc"
ACKNOWLEDGE = "/v1/alarms/alm_n/acknowledge"


def test_api_assets_carry_their_condition_and_no_inner_columns() -> None:
    (first, second) = bench().ask("GET", "/v1/assets").json()["assets"]
    assert (first["asset_id"], second["asset_id"]) == ("P-101", "P-201")
    assert first["zone"] == "B"
    assert first["speed_rpm"] is None  # it was not a number
    assert first["window_end"] == str(Instant(NOW_NS))
    alarms = bench().ask("GET", "/v1/alarms").json()["alarms"]
    assert "internal" not in alarms[0]
    assert alarms[0]["started_at"] == str(Instant(WINDOW_NS))


def test_api_assessment_names_features_and_gives_undefined_ones_as_null() -> None:
    body = bench().ask("GET", "/v1/assets/P-101/assessment").json()
    (channel,) = body["channels"]
    assert channel["features"]["rms_g"] == 1.5
    assert channel["features"]["kurtosis"] is None
    assert channel["features"]["bpfo_db"] is None
    assert channel["scores"][0]["explanation"][0]["name"] == "BPFO"
    assert channel["own_features"] == {"band_ratio": 0.25, "tilt_deg": None}
    assert channel["not_decided"] == [{"name": "FTF", "needed_s": 2.875}]
    assert body["diagnoses"][0]["fault"] == "outer_race"
    assert body["diagnoses"][0]["confirm"] == "listen at the drive end"
    assert body["diagnoses"][0]["excludes"] == ["unbalance"]
    assert body["code_hash"] == "0f1e2d3c4b5a"


def test_api_range_and_limit_reach_the_query() -> None:
    b = bench()
    start, end = Instant(WINDOW_NS), Instant(NOW_NS)
    query = {"names": "rms_g,kurtosis", "from": str(start), "to": str(end.ns), "limit": "7"}
    body = b.ask("GET", f"{CHANNEL}/features", params=query | {"version": "1"}).json()
    assert b.reader.asked == [("features", "P-101-DE-H.acc", ("rms_g", "kurtosis"), start.ns, end.ns, 7, 1)]
    assert body["units"] == {"rms_g": "g", "kurtosis": "1"}
    assert body["windows"] == [
        {"window_start": str(start), "version": 1, "values": {"rms_g": 4000.0, "kurtosis": None}, "own_features": {}}
    ]


@pytest.mark.parametrize(
    ("names", "values", "own"),
    [
        ({"names": "own.band_ratio"}, [], {"band_ratio": 0.25}),
        ({"names": "rms_g,own.tilt_deg,own.unheard_of"}, ["rms_g"], {"tilt_deg": None}),
        ({}, list(FEATURE_NAMES), {"band_ratio": 0.25, "tilt_deg": None}),
    ],
)
def test_api_own_features_are_read_with_the_others(
    names: dict[str, str], values: list[str], own: dict[str, float | None]
) -> None:
    query = {**names, "from": str(Instant(WINDOW_NS)), "to": str(Instant(NOW_NS))}
    (window,) = bench().ask("GET", f"{CHANNEL}/features", params=query).json()["windows"]
    assert list(window["values"]) == values
    assert window["own_features"] == own


def test_api_range_is_the_last_hour_unless_told() -> None:
    b = bench()
    b.ask("GET", f"{CHANNEL}/readings")
    ((_, _, from_ns, to_ns, _),) = b.reader.asked
    assert (from_ns, to_ns) == (NOW_NS + 1 - 3600 * 10**9, NOW_NS + 1)


@pytest.mark.parametrize(
    ("path", "query", "named"),
    [
        (f"{CHANNEL}/features", "limit=0", "limit"),
        (f"{CHANNEL}/features", "limit=5001", "limit"),
        (f"{CHANNEL}/features", "limit=9999999999999999999999", "limit"),
        (f"{CHANNEL}/features", "limit=many", "limit"),
        (f"{CHANNEL}/features", "names=rms_g,secret", "names"),
        (f"{CHANNEL}/features", "names=", "names"),
        (f"{CHANNEL}/features", "names=rms_g&names=peak_g", "names"),
        (f"{CHANNEL}/features", "channel_id=other", "channel_id"),
        (f"{CHANNEL}/features", "from=yesterday", "from"),
        (f"{CHANNEL}/features", "from=2026-01-01T00:00:00Z&to=2026-01-01T00:00:00Z", "from"),
        (f"{CHANNEL}/features", "from=1970-01-01T00:00:00Z", "from"),
        (f"{CHANNEL}/scores", "names=rms_g", "names"),
        (f"{CHANNEL}/waveforms", "limit=101", "limit"),
        (f"{CHANNEL}/waveforms/whenever", "", "start"),
        (f"{CHANNEL}/waveforms/latest", "points=5", "points"),
        (f"{CHANNEL}/spectrum", "kind=cepstrum", "kind"),
        (f"{CHANNEL}/spectrum", "max_hz=nan", "max_hz"),
        (f"{CHANNEL}/spectrum", "max_hz=0", "max_hz"),
        ("/v1/assets/P-101/alarm-record", "days=0", "days"),
        ("/v1/alarms", "state=loud", "state"),
        ("/v1/alarms", "asset=%00", "asset"),
        ("/v1/assets/%00", "", "asset_id"),
        ("/v1/events", "after=-1", "after"),
        ("/v1/events", "Last-Event-ID=1", "Last-Event-ID"),
    ],
)
def test_api_unfit_parameters_are_named(path: str, query: str, named: str) -> None:
    b = bench()
    body = problem(b.ask("GET", f"{path}?{query}"), 422)
    assert str(body["detail"]).startswith(f"{named}: ")
    assert b.reader.asked == []


def test_api_unknown_things_and_methods() -> None:
    b = bench()
    problem(b.ask("GET", "/v1/nothing"), 404)
    problem(b.ask("GET", "/v1/assets/"), 404)
    problem(b.ask("GET", "/v1/assets/P-999"), 404)
    problem(b.ask("GET", "/v1/alarms/alm_x"), 404)
    answer = b.ask("DELETE", "/v1/assets/P-101")
    problem(answer, 405)
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD"}
    problem(b.ask("GET", ACKNOWLEDGE), 405)
    assert b.ask("HEAD", "/v1/assets").status_code == 200


def test_api_alarm_record_sets_what_came_beside_the_budget() -> None:
    b = bench()
    body = b.ask("GET", "/v1/assets/P-101/alarm-record", params={"days": "10"}).json()
    assert b.reader.asked[-1] == ("alarm_record", "P-101", NOW_NS - 10 * 86_400 * 10**9)
    assert (body["budget_per_month"], body["expected_per_month"]) == (1.0, 0.5)
    assert (body["alarms"], body["called_false"], body["followed_by_maintenance"]) == (3, 1, 1)
    assert body["false_per_month"] == pytest.approx(3.044)
    assert body["alarms_per_month"] == pytest.approx(3 * 3.044)
    assert (body["learning"], body["windows"], body["windows_needed"]) == (True, 128, 500)
    assert len(body["limits"]) == 3
    problem(b.ask("GET", "/v1/assets/P-999/alarm-record"), 404)


def test_api_waveform_keeps_its_peaks_when_decimated() -> None:
    body = bench().ask("GET", f"{CHANNEL}/waveforms/latest", params={"points": "100"}).json()
    assert body["samples_per_point"] == 256
    assert len(body["minimum"]) == len(body["maximum"]) == 100
    assert max(body["maximum"]) == 4.0
    assert body["samples_base64"] is None


def test_api_waveform_in_full_is_bit_for_bit_what_was_kept() -> None:
    (listed,) = bench().ask("GET", f"{CHANNEL}/waveforms").json()["waveforms"]
    body = bench().ask("GET", f"{CHANNEL}/waveforms/{listed['start']}", params={"samples": "full"}).json()
    assert base64.b64decode(body["samples_base64"]) == waveform("P-101").samples
    assert (body["n_samples"], body["duration_s"], body["unit"]) == (25_600, 1.0, "g")
    problem(bench().ask("GET", f"{CHANNEL}/waveforms/2026-01-01T00:00:00Z"), 404)


def test_api_spectrum_has_the_line_and_the_fault_frequencies() -> None:
    body = bench().ask("GET", f"{CHANNEL}/spectrum", params={"max_hz": "1000"}).json()
    assert len(body["values"]) == 1001
    assert int(np.argmax(body["values"])) * body["bin_hz"] == 160.0
    assert max(body["values"]) == pytest.approx(0.5, rel=0.01)
    lines = {line["name"]: line["frequency_hz"] for line in body["fault_lines"]}
    assert lines["BPFO"] == pytest.approx(3.58478 * 1780 / 60, rel=1e-4)
    assert body["fault_lines"][0]["order"] == pytest.approx(3.58478, rel=1e-4)
    assert body["fault_lines"][0]["level_db"] is None


def test_api_spectrum_knows_a_bearing_that_the_asset_states_and_its_shaft() -> None:
    b = bench()
    asset = b.reader.assets_by_id["P-101"]
    own = OwnBearing(designation="6205", n_elements=12, element_diameter_mm=10.0, pitch_diameter_mm=60.0)
    geared = Shaft(name="output", locations=(asset.points[0].location,), ratio=0.5)
    train = dataclasses.replace(asset.drive_train, bearings=(own,), shafts=(geared,))
    b.reader.assets_by_id["P-101"] = dataclasses.replace(asset, drive_train=train)
    body = b.ask("GET", f"{CHANNEL}/spectrum").json()
    assert (body["bearing"], body["fault_lines"][0]["order"]) == ("6205", pytest.approx(2.5))
    strange = dataclasses.replace(asset.points[0], bearing="none such")
    b.reader.assets_by_id["P-101"] = dataclasses.replace(asset, points=(strange, *asset.points[1:]))
    assert b.ask("GET", f"{CHANNEL}/spectrum").json()["fault_lines"] == []


def modulated(harmonics: int, speed_rpm: float | None) -> WaveformSnapshot:
    """Return noise and a 3 kHz carrier whose envelope holds 107 Hz and its harmonics."""
    seconds = np.arange(25_600) / 25_600
    envelope = 1.0 + sum(np.cos(2 * np.pi * 107.0 * h * seconds) for h in range(1, harmonics + 1))
    samples = np.random.default_rng(1).normal(0.0, 0.1, 25_600) + envelope * np.sin(2 * np.pi * 3000.0 * seconds)
    return dataclasses.replace(waveform("P-101"), speed_rpm=speed_rpm, samples=samples.astype("<f4").tobytes())


def test_api_envelope_uses_the_band_that_the_stream_used() -> None:
    b = bench()
    b.reader.kept["P-101"] = [modulated(1, speed_rpm=None)]
    body = b.ask("GET", f"{CHANNEL}/spectrum", params={"kind": "envelope"}).json()
    assert body["band_hz"] == [2000.0, 4000.0]
    assert int(np.argmax(body["values"])) * body["bin_hz"] == 107.0
    assert body["unit"] == "(g)2"
    assert body["fault_lines"] == []


def test_api_envelope_says_what_stands_at_the_fault_frequencies() -> None:
    b = bench()
    b.reader.kept["P-101"] = [modulated(3, speed_rpm=1780.0)]
    body = b.ask("GET", f"{CHANNEL}/spectrum", params={"kind": "envelope", "max_hz": "50"}).json()
    lines = {line["name"]: line for line in body["fault_lines"]}
    assert lines["BPFO"]["found_hz"] == pytest.approx(107.0, abs=0.5)
    assert lines["BPFO"]["level_db"] > 30.0
    assert [h["frequency_hz"] for h in lines["BPFO"]["harmonics"]] == pytest.approx([107.0, 214.0, 321.0], abs=1.5)
    assert lines["BPFI"]["level_db"] < 10.0
    assert lines["FTF"]["level_db"] is None  # one second is too short to tell it


def test_api_unavailable_parts_say_when_to_come_back() -> None:
    b = bench()
    b.commands.away = True
    answer = b.ask("POST", ACKNOWLEDGE)
    body = problem(answer, 503)
    assert answer.headers["retry-after"] == "3"
    assert "9092" not in json.dumps(body)
    b.reader.fault = Unavailable("database", "password authentication failed for user x")
    body = problem(b.ask("GET", "/v1/assets"), 503)
    assert "password" not in json.dumps(body)


def test_api_an_unforeseen_error_tells_nothing() -> None:
    b = bench()
    b.reader.fault = RuntimeError("SELECT secret FROM vault")
    assert "vault" not in json.dumps(problem(b.ask("GET", "/v1/assets"), 500))


def test_api_answers_carry_the_security_headers() -> None:
    answer = bench().ask("GET", "/v1/assets")
    for name, value in SECURITY_HEADERS.items():
        assert answer.headers[name] == value
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_api_health_needs_nobody_and_readiness_names_the_red_part() -> None:
    b = bench(identity=FixedIdentity(None))
    assert b.ask("GET", "/healthz").json() == {"status": "ok"}
    assert b.ask("GET", "/readyz").json() == {"status": "ready", "parts": {"database": "ok"}}
    b.reader.fault = Unavailable("database", "127.0.0.1:5432 refused")
    body = problem(b.ask("GET", "/readyz"), 503)
    assert body["parts"] == {"database": "unavailable"}
    assert b.ask("GET", "/healthz").status_code == 200
    problem(b.ask("GET", "/v1/assets"), 401)


def test_api_asset_says_how_well_it_is_by_which_channel_and_why_no_life_is_told() -> None:
    b = bench()
    config = b.reader.assets_by_id["P-101"]
    b.reader.assets_by_id["P-101"] = dataclasses.replace(config, machine_group="2", support="rigid")
    detail = b.ask("GET", "/v1/assets/P-101").json()
    health = detail["health"]
    assert health["index"] == 0.0  # 4000 mm/s
    assert health["worst"] == {
        "channel_id": "P-101-DE-H.acc",
        "feature": "velocity_rms_mm_s",
        "unit": "mm/s",
        "value": 4000.0,
        "well": pytest.approx(0.99 * detail["velocity_zones_mm_s"][2]),
        "limit": detail["velocity_zones_mm_s"][2],
    }
    assert health["trend"] == [{"at": str(Instant(WINDOW_NS)), "index": 0.0}]
    assert health["reason"].startswith("Outer-race fault: BPFO 18.3 dB over the floor; velocity 4000.0 mm/s")
    assert (health["remaining_life"], health["no_life_because"]) == (None, "1 values since the alarm, 8 needed")
    listed, other = b.ask("GET", "/v1/assets").json()["assets"]
    assert (listed["health_index"], listed["health_reason"]) == (0.0, health["reason"])
    assert other["health_index"] is None
    assert "not graded" in other["health_reason"]
    problem(b.ask("GET", "/v1/assets/P-999"), 404)


def test_api_scores_say_why_they_are_high() -> None:
    (score,) = bench().ask("GET", f"{CHANNEL}/scores").json()["scores"]
    assert (score["model"], score["value"], score["threshold"]) == ("baseline", 4.2, 3.5)
    assert [fact["text"] for fact in score["explanation"]] == [EVIDENCE.text]


def test_api_models_say_who_took_them_there_and_why() -> None:
    (model,) = bench().ask("GET", "/v1/models").json()["models"]
    assert (model["name"], model["version"], model["stage"], model["current"]) == (
        "plant-autoencoder",
        "2",
        "production",
        True,
    )
    assert (model["actor"], model["reason"], model["at"]) == ("ada", "two alarms earlier", str(Instant(NOW_NS)))
    assert model["scores_for"] == ["P-101", "P-201"]
    assert "internal" not in model
    (model,) = (
        bench(Principal("ada", frozenset({"technician"}), sites=frozenset({"north"})))
        .ask("GET", "/v1/models")
        .json()["models"]
    )
    assert model["scores_for"] == ["P-101"]
    problem(bench(Principal("eve", frozenset())).ask("GET", "/v1/models"), 403)
