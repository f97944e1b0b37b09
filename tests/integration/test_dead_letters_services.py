"""``faultline dead-letters`` against a real broker and database."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import CliRunner

from adapters.kafka import KafkaSink, ensure_topics, read_log
from contracts import records as r
from contracts.codec import BundledSchemas, Codec
from contracts.errors import ConfigurationError, NotFound
from contracts.topics import DEAD_LETTERS, MEASUREMENTS
from runtime.commands.dead_letters import dead_letters

CODEC = Codec(BundledSchemas())


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, database_url: str, kafka_bootstrap: str) -> Callable[..., Any]:
    monkeypatch.setenv("FAULTLINE_DATABASE_URL", database_url)
    monkeypatch.setenv("FAULTLINE_KAFKA_URL", kafka_bootstrap)
    ensure_topics(kafka_bootstrap, 1)

    def run(*arguments: str, status: int = 0, **more: Any) -> Any:
        result = CliRunner().invoke(dead_letters, [*arguments], catch_exceptions=False, **more)
        assert result.exit_code == status, result.output
        return json.loads(result.stdout) if "--json" in arguments else result.output

    return run


def refuse(bootstrap: str, key: str, offsets: list[int], **changes: Any) -> list[str]:
    """Put dead letters of records with this key on the topic; return the places."""

    async def put() -> None:
        sink = KafkaSink(bootstrap, CODEC)
        for offset in offsets:
            fields: dict[str, Any] = {
                "topic": MEASUREMENTS,
                "partition": 0,
                "offset": offset,
                "timestamp_ns": 1_700_000_000_000_000_000,
                "reason": "unknown_asset",
                "detail": "no activation",
                "key": key.encode(),
                "value": b"\x00\x00\x00\x00\x03[junk]",
                "headers": (r.Header(name="trace", value=b"\xff"), r.Header(name="none", value=None)),
            }
            await sink.send(DEAD_LETTERS, f"{MEASUREMENTS}/0", r.DeadLetter(**{**fields, **changes}))
        await sink.flush()

    asyncio.run(put())
    return [f"{MEASUREMENTS}/0/{offset}" for offset in dict.fromkeys(offsets)]


def returned(bootstrap: str, key: str) -> list[Any]:
    return [entry for entry in read_log(bootstrap, MEASUREMENTS) if entry.key == key.encode()]


def test_refused_records_are_listed_shown_and_put_back_once(
    call: Callable[..., Any], kafka_bootstrap: str, topic_name: Callable[[str], str]
) -> None:
    key = topic_name("P")
    places = refuse(kafka_bootstrap, key, [10**9, 10**9 + 1, 10**9])
    refuse(kafka_bootstrap, key, [10**9 + 2], reason="bad_time", value=None)

    listed = call("list", "--asset", key, "--json")
    assert listed["by_reason"] == {"unknown_asset": 2, "bad_time": 1}
    assert [one["place"] for one in listed["dead_letters"]] == [*places, f"{MEASUREMENTS}/0/{10**9 + 2}"]
    assert {one["replayed_at"] for one in listed["dead_letters"]} == {None}
    assert "2 unknown_asset" in call("list", "--asset", key)

    shown = call("show", places[0], "--json")
    assert bytes.fromhex(shown["value_hex"]) == b"\x00\x00\x00\x00\x03[junk]"
    assert shown["undecodable"].startswith("undecodable: MachineEvent")
    assert "|.....[junk]" in call("show", places[0])

    chosen = ("replay", "--asset", key, "--reason", "unknown_asset")
    assert "2 records back" in call(*chosen, input="n\n")
    assert not returned(kafka_bootstrap, key)
    assert call(*chosen, "--yes", "--json")["replayed"] == places
    again = call(*chosen, "--yes", "--json")
    assert (again["replayed"], again["replayed_before"]) == ([], places)

    found = returned(kafka_bootstrap, key)
    assert [(entry.partition, entry.value) for entry in found] == [(0, b"\x00\x00\x00\x00\x03[junk]")] * 2
    assert [entry.headers for entry in found] == [
        (("trace", b"\xff"), ("none", None), ("faultline-dead-letter", place.encode())) for place in places
    ]
    marked = [one["replayed_at"] is not None for one in call("list", "--asset", key, "--json")["dead_letters"]]
    assert marked == [True, True, False]


def test_records_without_a_value_go_back_too_and_unknown_places_are_named(
    call: Callable[..., Any], kafka_bootstrap: str, topic_name: Callable[[str], str]
) -> None:
    key = topic_name("P")
    (place,) = refuse(kafka_bootstrap, key, [2 * 10**9], value=None)
    result = call("replay", place, "measurements/0/77777", "--yes", "--json", status=1)
    assert (result["replayed"], result["not_found"]) == ([place], ["measurements/0/77777"])
    assert [entry.value for entry in returned(kafka_bootstrap, key)] == [None]


def test_what_never_was_on_the_log_stays_where_it_is(
    call: Callable[..., Any], kafka_bootstrap: str, topic_name: Callable[[str], str]
) -> None:
    source = topic_name("mqtt")
    refuse(kafka_bootstrap, "x", [-1], topic=source, partition=-1)
    result = call("replay", "--topic", source, "--yes", "--json")
    assert len(result["never_on_the_log"]) == 1
    assert not result["replayed"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["replay"], "say which"), (["list", "--since", "yesterday"], "no time like")],
)
def test_unclear_wishes_are_refused(call: Callable[..., Any], arguments: list[str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        call(*arguments)


def test_an_unknown_place_is_said_to_be_unknown(call: Callable[..., Any]) -> None:
    with pytest.raises(NotFound, match="dead-letters list"):
        call("show", "measurements/0/12345678")
