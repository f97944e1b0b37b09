"""What the routes answer, and how they refuse."""

import base64
import json

import httpx
import numpy as np
import pytest

from api.problems import SECURITY_HEADERS
from api.times import Instant
from contracts import records as r
from contracts.errors import Unavailable
from contracts.ports import Principal
from tests.api_doubles import NOW_NS, WINDOW_NS, FixedIdentity, bench, waveform

CHANNEL = "/v1/channels/P-101-DE-H.acc"
ACKNOWLEDGE = "/v1/alarms/alm_n/acknowledge"


def problem(answer: httpx.Response, status: int) -> dict[str, object]:
    """Return the problem that `answer` is, having checked that it is one."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    for name, value in SECURITY_HEADERS.items():
        assert answer.headers[name] == value
    body: dict[str, object] = answer.json()
    assert body["status"] == status
    assert {"type", "title", "detail"} <= set(body)
    return body


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
    assert body["diagnoses"][0]["fault"] == "outer_race"


def test_api_range_and_limit_reach_the_query() -> None:
    b = bench()
    start, end = Instant(WINDOW_NS), Instant(NOW_NS)
    query = {"names": "rms_g,kurtosis", "from": str(start), "to": str(end.ns), "limit": "7"}
    body = b.ask("GET", f"{CHANNEL}/features", params=query).json()
    assert b.reader.asked == [("features", "P-101-DE-H.acc", ("rms_g", "kurtosis"), start.ns, end.ns, 7)]
    assert body["units"] == {"rms_g": "g", "kurtosis": "1"}
    assert body["windows"] == [{"window_start": str(start), "values": {"rms_g": 4000.0, "kurtosis": None}}]


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


def test_api_envelope_uses_the_band_that_the_stream_used() -> None:
    b = bench()
    samples = np.random.default_rng(1).normal(0.0, 0.1, 25_600)
    seconds = np.arange(25_600) / 25_600
    samples += (1.0 + np.cos(2 * np.pi * 107.0 * seconds)) * np.sin(2 * np.pi * 3000.0 * seconds)
    kept = waveform("P-101")
    b.reader.kept["P-101"] = [
        type(kept)(
            channel_id=kept.channel_id,
            asset_id="P-101",
            start_ns=kept.start_ns,
            sampling_rate_hz=kept.sampling_rate_hz,
            unit="g",
            speed_rpm=None,
            samples=samples.astype("<f4").tobytes(),
        )
    ]
    body = b.ask("GET", f"{CHANNEL}/spectrum", params={"kind": "envelope"}).json()
    assert body["band_hz"] == [2000.0, 4000.0]
    assert int(np.argmax(body["values"])) * body["bin_hz"] == 107.0
    assert body["unit"] == "(g)2"
    assert body["fault_lines"] == []


def test_api_acknowledge_writes_a_command_to_the_log() -> None:
    b = bench()
    answer = b.ask("POST", ACKNOWLEDGE, json={"note": "seen"})
    assert answer.status_code == 202
    (command,) = b.commands.log
    assert answer.json() == {"command_id": command.command_id}
    assert command == r.Command(
        command_id=command.command_id,
        asset_id="P-101",
        alarm_id="alm_n",
        action=r.CommandAction.ACKNOWLEDGE,
        actor="ada",
        at_ns=NOW_NS,
        note="seen",
    )


def test_api_a_repeated_command_keeps_its_id() -> None:
    b = bench()
    key = {"Idempotency-Key": "click-1"}
    ids = [b.ask("POST", ACKNOWLEDGE, headers=key).json()["command_id"] for _ in range(2)]
    ids.append(b.ask("POST", ACKNOWLEDGE).json()["command_id"])
    ids.append(b.ask("POST", "/v1/alarms/alm_n/reset", headers=key).json()["command_id"])
    ids.append(b.ask("POST", "/v1/alarms/alm_s/acknowledge", headers=key).json()["command_id"])
    other = bench(Principal("bob", frozenset({"technician"})))
    ids.append(other.ask("POST", ACKNOWLEDGE, headers=key).json()["command_id"])
    assert ids[0] == ids[1]
    assert len(set(ids)) == 5


def test_api_shelving_is_one_shot_or_timed_within_bounds() -> None:
    b = bench()
    shelve = "/v1/alarms/alm_n/shelve"
    assert b.ask("POST", shelve).status_code == 202
    assert b.ask("POST", shelve, json={"until": str(Instant(NOW_NS + 10**9))}).status_code == 202
    assert [command.until_ns for command in b.commands.log] == [None, NOW_NS + 10**9]
    problem(b.ask("POST", shelve, json={"until": str(Instant(NOW_NS))}), 422)
    problem(b.ask("POST", shelve, json={"until": str(Instant(NOW_NS + 31 * 86_400 * 10**9))}), 422)
    problem(b.ask("POST", ACKNOWLEDGE, json={"until": str(Instant(NOW_NS + 10**9))}), 422)
    assert len(b.commands.log) == 2


@pytest.mark.parametrize("action", ["suppress", "unsuppress", "remove_from_service", "return_to_service"])
def test_api_what_changes_the_rules_needs_a_supervisor(action: str) -> None:
    path = f"/v1/alarms/alm_n/{action}"
    b = bench()
    problem(b.ask("POST", path), 403)
    assert b.commands.log == []
    b = bench(Principal("eve", frozenset({"supervisor"})))
    assert b.ask("POST", path).status_code == 202
    assert [command.action.value for command in b.commands.log] == [action]


def test_api_no_known_role_gives_nothing() -> None:
    b = bench(Principal("mallory", frozenset({"NOBODY", "root"})))
    problem(b.ask("GET", "/v1/assets"), 403)
    problem(b.ask("POST", ACKNOWLEDGE), 403)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b'{"note": NaN}', 400),
        (b'{"note": "a", "note": "b"}', 400),
        (b"[" * 3000 + b"]" * 3000, 400),
        (b'{"x":' * 3000 + b"1" + b"}" * 3000, 400),
        (b'{"note": ' + b"9" * 5000 + b"}", 400),
        (b'{"note": "\\ud800"}', 400),
        (b'{"note": "\xff"}', 400),
        (b"\xff\xfe{\x00}\x00", 400),
        (b'{"note": 1}', 422),
        (b'{"note": "\\u0000"}', 422),
        (b'{"actor": "root"}', 422),
        (b'{"note": "' + b"n" * 2001 + b'"}', 422),
        (b"[]", 422),
        (b"null", 422),
        (b'{"note": "' + b"n" * 65_536 + b'"}', 413),
    ],
)
def test_api_loose_bodies_are_refused(body: bytes, status: int) -> None:
    b = bench()
    problem(b.ask("POST", ACKNOWLEDGE, content=body, headers={"content-type": "application/json"}), status)
    assert b.commands.log == []


def test_api_a_body_without_a_declared_length_is_bounded_too() -> None:
    b = bench()

    async def chunks() -> object:
        for _ in range(100):
            yield b" " * 1000

    problem(b.ask("POST", ACKNOWLEDGE, content=chunks(), headers={"content-type": "application/json"}), 413)


def test_api_other_media_types_are_refused() -> None:
    b = bench()
    problem(b.ask("POST", ACKNOWLEDGE, data={"note": "form"}), 415)
    problem(b.ask("POST", ACKNOWLEDGE, content=b"{}", headers={"content-type": "text/plain"}), 415)
    assert b.ask(
        "POST", ACKNOWLEDGE, content=b"{}", headers={"content-type": "Application/JSON; charset=utf-8"}
    ).is_success


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
