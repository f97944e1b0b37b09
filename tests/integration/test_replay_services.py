"""``faultline replay`` over a real log and a real database, whose history our own workers made."""

import asyncio
import contextlib
import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import typer
from psycopg import sql
from typer.testing import CliRunner

from adapters.kafka import KafkaSink, LogRecord, ensure_topics, read_log
from adapters.models import ModelFolder
from adapters.timescale import AssetRegistry, Database, DeliveryQueue, PartitionStore, RefusalAccount, migrate
from contracts import records as r
from contracts.activations import activation_of
from contracts.assets import WindowSettings
from contracts.codec import BundledSchemas, Codec
from contracts.errors import ConfigurationError, NotFound
from contracts.topics import CONDITIONS, MEASUREMENTS
from loadtests.plant import SITE, Load, Plant
from processors.own_features import ENGINE_ALONE
from runtime.clock import SystemClock
from runtime.commands.replay import replay
from streams.alarms import AlarmWorker
from streams.conditions import ConditionWorker
from streams.dead_letters import DeadLetters
from streams.message import LogMessage
from streams.outbox import OutboxRelay

CODEC = Codec(BundledSchemas())
START_NS = 1_700_000_000_000_000_000
SECOND = 1_000_000_000
LENGTH_S = 14


@dataclasses.dataclass(frozen=True)
class Scene:
    """One machine whose bearing fault came and went, and the command."""

    asset_id: str
    call: Callable[..., Any]
    database_url: str


async def make_history(bootstrap: str, database_url: str, load: Load) -> None:
    """Put one machine on the log and process the log as the workers do."""
    (config,) = load.configurations()
    config = dataclasses.replace(config, models=())
    await migrate(database_url)
    sink = KafkaSink(bootstrap, CODEC)
    await sink.put(activation_of(config, START_NS, "test"))
    for block in Plant(load, START_NS).blocks(LENGTH_S):
        await sink.put(block)
    await sink.flush()
    async with Database(database_url) as database:
        await AssetRegistry(database).import_assets([SITE], [config], [], "test")
        store, clock = PartitionStore(database), SystemClock()
        letters = DeadLetters(sink, RefusalAccount(database), clock)
        conditions = ConditionWorker(store, ModelFolder(), ENGINE_ALONE, CODEC, sink, letters, clock, "test")
        measured = messages(bootstrap, MEASUREMENTS, config.asset_id)
        await conditions.claim(measured[0].partition)
        await conditions.process(measured)
        await conditions.checkpoint(_no_commit)
        relay = OutboxRelay(store, sink, DeliveryQueue(database), lambda transition: (transition.alarm_id, b""))
        alarms = AlarmWorker(store, CODEC, sink, letters, relay, clock, "test", lambda *_: [])
        for message in messages(bootstrap, CONDITIONS, config.asset_id):
            await alarms.apply(message)


def messages(bootstrap: str, topic: str, asset_id: str) -> list[LogMessage]:
    """Return the asset's part of the log; other tests' records lie on it too."""
    return [
        LogMessage(topic, one.partition, one.offset, one.timestamp_ns, one.key, one.value, one.headers)
        for one in read_log(bootstrap, topic)
        if one.key == asset_id.encode()
    ]


async def _no_commit(_offsets: dict[int, int]) -> None:
    """Kafka's offsets are nothing here."""


@pytest.fixture
def scene(
    monkeypatch: pytest.MonkeyPatch, database_url: str, kafka_bootstrap: str, topic_name: Callable[[str], str]
) -> Scene:
    ensure_topics(kafka_bootstrap, 1)
    load = Load(
        assets=1,
        channels=1,
        block_samples=4096,
        sampling_rate_hz=20_480.0,
        period_s=LENGTH_S,
        prefix=topic_name("R"),
        window=WindowSettings(length_s=0.4, hop_s=0.4),
        fault_from_s=5.0,
        fault_until_s=9.0,
    )
    asyncio.run(make_history(kafka_bootstrap, database_url, load))
    monkeypatch.setenv("FAULTLINE_DATABASE_URL", database_url)
    monkeypatch.setenv("FAULTLINE_KAFKA_URL", kafka_bootstrap)
    asset_id = load.configurations()[0].asset_id
    application = typer.Typer()
    application.command()(replay)

    def call(*arguments: str, from_s: float = 1, to_s: float = 13) -> Any:
        span = ["--from", str(START_NS + round(from_s * SECOND)), "--to", str(START_NS + round(to_s * SECOND))]
        result = CliRunner().invoke(application, ["--asset", asset_id, *span, *arguments], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout) if "--json" in arguments else result.stdout

    return Scene(asset_id, call, database_url)


def rows_of(database_url: str) -> dict[str, int]:
    names = ("feature", "score", "condition", "alarm_history", "asset_state", "partition_owner", "checkpoint")
    query = sql.SQL(" UNION ALL ").join(
        sql.SQL("SELECT {}, count(*) FROM {}").format(sql.Literal(name), sql.Identifier(name)) for name in names
    )
    with psycopg.connect(database_url) as connection:
        return dict(connection.execute(query).fetchall())


def test_the_past_is_tried_with_other_rules_and_nothing_is_written(scene: Scene, tmp_path: Path) -> None:
    before = rows_of(scene.database_url)
    same = scene.call("--compare", "--json")
    assert same["differences"] == []
    assert same["log"]["complete"]
    assert {label: (c["different"], c["removed"], c["added"]) for label, c in same["rows"].items()} == {
        "feature": (0, 0, 0),
        "score baseline 1": (0, 0, 0),
    }
    assert same["rows"]["feature"]["compared"] == same["windows"] == 30
    assert "bearing_fault" in {one["rule"] for one in same["alarms"]}

    rules = tmp_path / "patient.yaml"
    rules.write_text("raise_after: 6\n", encoding="utf-8")
    tried = scene.call("--rules", str(rules), "--compare", "--json")
    moved = [one for one in tried["differences"] if (one["kind"], one["rule"]) == ("alarm", "bearing_fault")]
    assert [(one["change"], one["shift_s"]) for one in moved] == [("later", pytest.approx(1.2, abs=1e-6))]
    assert "alarm later by 1.2" in scene.call("--rules", str(rules), "--compare")
    assert "no alarm and no condition would have differed" in scene.call("--compare")
    assert "differences" not in scene.call("--models", "half-space-trees=1", "--json")
    assert rows_of(scene.database_url) == before


def test_a_span_outside_the_log_is_refused_with_its_bounds(scene: Scene) -> None:
    for bounds in ({"from_s": -5.0}, {"to_s": 15.0}):
        with pytest.raises(ConfigurationError, match=r"2023-11-14T22:13:20\.0+Z to 2023-11-14T22:13:34"):
            scene.call(**bounds)
    with pytest.raises(ConfigurationError, match="before it begins"):
        scene.call(from_s=5.0, to_s=5.0)


def test_what_nobody_has_processed_is_not_found(scene: Scene) -> None:
    with contextlib.closing(psycopg.connect(scene.database_url, autocommit=True)) as connection:
        connection.execute("DELETE FROM asset_state")
    with pytest.raises(NotFound, match="processed"):
        scene.call()


def test_one_partition_can_be_read_alone(kafka_bootstrap: str) -> None:
    ensure_topics(kafka_bootstrap, 1)

    def read(partitions: list[int]) -> Iterator[LogRecord]:
        return read_log(kafka_bootstrap, MEASUREMENTS, partitions=partitions)

    async def put() -> None:
        sink = KafkaSink(kafka_bootstrap, CODEC)
        await sink.put(r.Tick(topic=MEASUREMENTS, partition=0, at_ns=START_NS, epoch=1))
        await sink.flush()

    asyncio.run(put())
    assert {one.partition for one in read([0])} == {0}
    assert not list(read([]))
