"""The API over a real database and a real broker, in the process that serves it."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapters.kafka import ensure_topics, read_log
from adapters.timescale import AssetRegistry, Database, PartitionStore, migrate
from contracts import records as r
from contracts.assets import Site
from contracts.codec import BundledSchemas, Codec
from contracts.errors import ConfigurationError
from contracts.features import FEATURE_NAMES
from contracts.ports import Checkpoint, HistoryRows, StoredReading
from contracts.topics import CONDITIONS
from runtime.commands.api import api
from runtime.settings import PROJECT
from tests.api_samples import EVIDENCE, RATE_HZ, condition, configuration, transition, waveform

SECOND_NS = 1_000_000_000
DEADLINE_S = 30.0
CHANNEL = "P-101-DE-H.acc"
FEATURES = {"kurtosis": 3.5, "ftf_db": None, "envelope_high_hz": 4500.0}


def assessment(start_ns: int) -> r.Assessment:
    channel = r.ChannelAssessment(
        channel_id=CHANNEL,
        point_id="P-101-DE-H",
        features=tuple(FEATURES.get(name, 2000.0) for name in FEATURE_NAMES),
        zone=r.Zone.B,
        not_graded_because=None,
        scores=(r.Score(model="baseline", version="1", value=4.2, threshold=3.5, learning=False),),
    )
    return r.Assessment(
        assessment_id=f"asm_{start_ns}",
        asset_id="P-101",
        site_id="north",
        window_start_ns=start_ns,
        window_end_ns=start_ns + SECOND_NS,
        sampling_rate_hz=RATE_HZ,
        n_samples=25_600,
        partial=False,
        speed_rpm=1780.0,
        regime="s1780",
        catalogue_version=1,
        code_version="1",
        configuration_version="c1",
        channels=(channel,),
        diagnoses=(
            r.Diagnosis(
                point_id="P-101-DE-H", channel_id=CHANNEL, fault="outer_race", confidence=0.9, evidence=(EVIDENCE,)
            ),
        ),
        zone=r.Zone.B,
    )


async def fill(url: str, now_ns: int) -> None:
    """Store what one worker would: two windows, a waveform, a reading, a condition and an alarm on each asset."""
    await migrate(url)
    async with Database(url) as database:
        sites = [Site(site_id="north", name="North"), Site(site_id="south", name="South")]
        assets = [configuration("P-101", "north"), configuration("P-201", "south")]
        await AssetRegistry(database).import_assets(sites, assets, [], "test")
        reading = r.Reading(
            channel_id="P-101-T", quantity="temperature", unit="degC", at_ns=now_ns - SECOND_NS, value=61.5
        )
        store = PartitionStore(database)
        starts = [now_ns - 10 * SECOND_NS, now_ns - 9 * SECOND_NS]
        await store.append(
            HistoryRows(
                assessments=[assessment(start) for start in starts],
                conditions=[condition("P-101", "north", starts[1])],
                readings=[StoredReading(asset_id="P-101", reading=reading)],
                waveforms=[waveform("P-101", starts[1])],
            )
        )
        await alarms(database, [("alm_n", "P-101", "north", 1), ("alm_s", "P-201", "south", 1)])


async def alarms(database: Database, steps: list[tuple[str, str, str, int]]) -> None:
    store = PartitionStore(database)
    ownership, _ = await store.claim(CONDITIONS, 0, "test")
    await store.apply_alarms(ownership, Checkpoint(0, 0, {}), [transition(*step) for step in steps])


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def serving(database_url: str, kafka: str, folder: Path) -> Iterator[tuple[httpx.Client, subprocess.Popen[bytes]]]:
    """Run the API as a process of its own."""
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FAULTLINE_")} | {
        "FAULTLINE_DATABASE_URL": database_url,
        "FAULTLINE_KAFKA_URL": kafka,
        "FAULTLINE_DATA_DIR": str(folder),
    }
    arguments = [sys.executable, "-m", "runtime", "api", "--port", str(port)]
    log = (folder / "api.log").open("wb")
    with log, subprocess.Popen(arguments, cwd=PROJECT, env=environment, stdout=log, stderr=log) as process:
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=DEADLINE_S) as client:
                deadline = time.monotonic() + DEADLINE_S
                while not healthy(client):
                    assert process.poll() is None, (folder / "api.log").read_text()
                    assert time.monotonic() < deadline, (folder / "api.log").read_text()
                    time.sleep(0.05)
                yield client, process
        finally:
            process.kill()


def healthy(client: httpx.Client) -> bool:
    try:
        return client.get("/healthz").status_code == 200
    except httpx.TransportError:
        return False


def given(client: httpx.Client, path: str, **query: str) -> Any:
    answer = client.get(f"/v1{path}", params=query)
    assert answer.status_code == 200, f"{path}: {answer.text}"
    return answer.json()


def next_event(lines: Iterator[str], kind: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif fields.get("event") == kind:
            return fields
        else:
            fields = {}
    raise AssertionError(f"the stream ended without {kind}")


def test_api_serves_what_the_database_holds(database_url: str, kafka_bootstrap: str, tmp_path: Path) -> None:
    now_ns = time.time_ns()
    asyncio.run(fill(database_url, now_ns))
    ensure_topics(kafka_bootstrap, 2)
    with serving(database_url, kafka_bootstrap, tmp_path) as (client, process):
        assert client.get("/readyz").json() == {"status": "ready", "parts": {"database": "ok", "kafka": "ok"}}
        check_answers(client)
        check_scope(client)
        check_command(client, kafka_bootstrap)
        check_stream(client, database_url, process)


def check_answers(client: httpx.Client) -> None:
    first, second = given(client, "/assets")["assets"]
    assert (first["zone"], first["fault"], first["standing_alarms"]) == ("B", "outer_race", 1)
    assert (second["zone"], second["window_end"]) == (None, None)
    assert given(client, "/assets/P-101")["configuration"]["points"][0]["bearing"] == "6205"
    newest = given(client, "/assets/P-101/assessment")
    assert newest["channels"][0]["features"]["rms_g"] == 2000.0
    assert newest["channels"][0]["scores"][0]["value"] == 4.2
    assert len(given(client, "/assets/P-101/conditions")["conditions"]) == 1
    windows = given(client, f"/channels/{CHANNEL}/features", names="kurtosis,ftf_db")["windows"]
    assert [window["values"] for window in windows] == [{"kurtosis": 3.5, "ftf_db": None}] * 2
    assert len(given(client, f"/channels/{CHANNEL}/scores")["scores"]) == 2
    assert given(client, "/channels/P-101-T/readings")["readings"][0]["value"] == 61.5
    (listed,) = given(client, f"/channels/{CHANNEL}/waveforms")["waveforms"]
    assert listed["start"] == newest["window_start"]
    assert max(given(client, f"/channels/{CHANNEL}/waveforms/{listed['start']}")["maximum"]) == 4.0
    spectrum = given(client, f"/channels/{CHANNEL}/spectrum", kind="envelope")
    assert spectrum["band_hz"] == [2000.0, 4500.0]
    assert [line["name"] for line in spectrum["fault_lines"]] == ["BPFO", "BPFI", "BSF", "FTF"]
    assert [alarm["alarm_id"] for alarm in given(client, "/alarms", state="standing", asset="P-101")["alarms"]] == [
        "alm_n"
    ]
    assert given(client, "/alarms/alm_n")["evidence"][0]["name"] == "BPFO"
    assert [step["sequence"] for step in given(client, "/alarms/alm_n/history")["transitions"]] == [1]


def check_scope(client: httpx.Client) -> None:
    token = client.post("/v1/login", json={"role": "admin", "sites": ["south"]}).json()["token"]
    bearer = {"authorization": f"Bearer {token}"}
    assert [a["asset_id"] for a in client.get("/v1/assets", headers=bearer).json()["assets"]] == ["P-201"]
    for path in ("/v1/assets/P-101", "/v1/alarms/alm_n", f"/v1/channels/{CHANNEL}/waveforms/latest"):
        assert client.get(path, headers=bearer).status_code == 404
    assert client.get(f"/v1/channels/{CHANNEL}/features", headers=bearer).json()["windows"] == []


def check_command(client: httpx.Client, kafka: str) -> None:
    key = uuid.uuid4().hex
    answer = client.post("/v1/alarms/alm_n/acknowledge", json={"note": "seen"}, headers={"Idempotency-Key": key})
    assert answer.status_code == 202, answer.text
    codec = Codec(BundledSchemas())
    found = [codec.decode(record.value) for record in read_log(kafka, CONDITIONS)]
    (command,) = [c for c in found if isinstance(c, r.Command) and c.command_id == answer.json()["command_id"]]
    assert (command.actor, command.note, command.asset_id) == ("development", "seen", "P-101")


def check_stream(client: httpx.Client, database_url: str, process: subprocess.Popen[bytes]) -> None:
    """Follow live, lose the connection, resume, and end with the process."""

    async def raise_alarm(number: int) -> None:
        async with Database(database_url) as database:
            await alarms(database, [(f"alm_{number}", "P-101", "north", number)])

    with client.stream("GET", "/v1/events") as answer:
        lines = answer.iter_lines()
        shown = json.loads(next_event(lines, "assessment")["data"])
        assert (shown["asset_id"], shown["zone"]) == ("P-101", "B")
        asyncio.run(raise_alarm(2))
        seen = next_event(lines, "alarm")
        assert json.loads(seen["data"])["alarm_id"] == "alm_2"
    asyncio.run(raise_alarm(3))
    with client.stream("GET", "/v1/events", headers={"Last-Event-ID": seen["id"]}) as answer:
        lines = answer.iter_lines()
        assert json.loads(next_event(lines, "alarm")["data"])["alarm_id"] == "alm_3"
        process.send_signal(signal.SIGTERM)
        for _ in lines:  # the stream comes to its own end
            pass
    assert process.wait(DEADLINE_S) == 0


def test_api_says_which_part_is_away(tmp_path: Path) -> None:
    nowhere = f"127.0.0.1:{free_port()}"
    with serving(f"postgresql://x:secret@{nowhere}/x", nowhere, tmp_path) as (client, process):
        answer = client.get("/readyz")
        assert answer.status_code == 503
        assert set(answer.json()["parts"]) == {"database", "kafka"}
        assert "ok" not in answer.json()["parts"].values()
        answer = client.get("/v1/assets")
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) >= 1
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE_S) == 0
        assert "secret" not in answer.text + (tmp_path / "api.log").read_text()


def test_api_needs_to_be_told_where_the_services_are(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FAULTLINE_KAFKA_URL", "FAULTLINE_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigurationError, match="FAULTLINE_KAFKA_URL"):
        api(port=0)
