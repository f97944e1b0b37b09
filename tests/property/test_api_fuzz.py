"""Whatever is asked, the API answers in its own words and never with an inner error."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.api_doubles import Bench, bench

BENCH = bench()
PATHS = [
    "/v1/assets/{}",
    "/v1/assets/{}/assessment",
    "/v1/assets/{}/conditions",
    "/v1/channels/{}/features",
    "/v1/channels/{}/scores",
    "/v1/channels/{}/readings",
    "/v1/channels/{}/waveforms",
    "/v1/channels/{}/waveforms/latest",
    "/v1/channels/{}/spectrum",
    "/v1/alarms",
    "/v1/alarms/{}",
    "/v1/alarms/{}/history",
]
NAMES = ["names", "from", "to", "limit", "state", "asset", "kind", "max_hz", "start", "samples", "points", "x"]
WORDS = ["P-101", "P-101-DE-H.acc", "alm_n", "latest", "rms_g", "0", "1", "-1", "1e999", "nan", "null", "' OR 1=1 --"]
TEXT = st.one_of(st.sampled_from(WORDS), st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
VALUES = st.one_of(
    TEXT, st.integers().map(str), st.floats().map(str), st.datetimes().map(lambda t: f"{t.isoformat()}Z")
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT | st.just("note"), inner, max_size=3),
)


def ask(b: Bench, method: str, path: str, **options: Any) -> None:
    async def once() -> None:
        async with b.client() as client:
            answer = await client.request(method, path, **options)
        assert answer.status_code in {200, 202, 400, 404, 405, 413, 415, 422}, answer.text
        body = json.loads(answer.content, parse_constant=pytest.fail)
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == "application/problem+json"
            assert body["status"] == answer.status_code

    asyncio.run(once())


def quoted(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())


@settings(max_examples=150)
@given(st.sampled_from(PATHS), TEXT, st.lists(st.tuples(st.sampled_from(NAMES), VALUES), max_size=4))
def test_api_any_question_gets_an_answer(path: str, name: str, query: list[tuple[str, str]]) -> None:
    asked = "&".join(f"{key}={quoted(value)}" for key, value in query)
    ask(BENCH, "GET", f"{path.format(quoted(name))}?{asked}")


@settings(max_examples=100)
@given(st.one_of(JSON.map(lambda value: json.dumps(value).encode()), st.binary(max_size=200)))
def test_api_any_body_gets_an_answer(body: bytes) -> None:
    b = bench()
    ask(b, "POST", "/v1/alarms/alm_n/shelve", content=body, headers={"content-type": "application/json"})
    for command in b.commands.log:
        assert command.actor == "ada"
        assert command.alarm_id == "alm_n"


@settings(max_examples=50)
@given(st.binary(max_size=60).filter(lambda raw: b"#" not in raw))
def test_api_any_bytes_in_the_query_get_an_answer(raw: bytes) -> None:
    asked = "".join(f"%{byte:02X}" for byte in raw)
    ask(BENCH, "GET", f"/v1/channels/P-101-DE-H.acc/features?{asked}={asked}")
