"""Recomputation of a log whose beginning has expired: real records deleted from a real broker."""

import asyncio
import dataclasses
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import LiteralString

import psycopg
import pytest
import typer
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from typer.testing import CliRunner

from adapters.kafka import KafkaSink, ensure_topics, log_starts, read_log
from adapters.models import ModelFolder
from adapters.timescale import (
    AssetRegistry,
    CheckpointKeeper,
    Database,
    DeliveryQueue,
    PartitionStore,
    RefusalAccount,
    migrate,
)
from contracts.activations import activation_of
from contracts.assets import WindowSettings
from contracts.codec import BundledSchemas, Codec
from contracts.errors import ConfigurationError
from contracts.topics import CONDITIONS, MEASUREMENTS
from loadtests.plant import SITE, Load, Plant
from processors.own_features import ENGINE_ALONE
from runtime.clock import SystemClock
from runtime.commands.recompute import recompute
from runtime.comparison import Comparison, compare_with_log
from streams.alarms import AlarmWorker
from streams.conditions import ConditionWorker
from streams.dead_letters import DeadLetters
from streams.keeping import keep_checkpoints
from streams.lane import no_commit
from streams.message import LogMessage
from streams.outbox import OutboxRelay
from tests.edge_processes import kafka

pytestmark = pytest.mark.services

CODEC = Codec(BundledSchemas())
START_NS = 1_700_000_000_000_000_000
LENGTH_S = 14
#: So many measurements are processed before a checkpoint is kept: a fault has come, and half a window is open.
KEPT_AFTER = 40
LOAD = Load(
    assets=1,
    channels=1,
    block_samples=4096,
    sampling_rate_hz=20_480.0,
    period_s=LENGTH_S,
    window=WindowSettings(length_s=0.4, hop_s=0.4),
    fault_from_s=3.0,
    fault_until_s=10.0,
)


@dataclasses.dataclass(frozen=True)
class Scene:
    """A history, and the log that it was made of."""

    bootstrap: str
    database_url: str

    def compare(self) -> Comparison:
        async def run() -> Comparison:
            async with Database(self.database_url) as database:
                models, nobody = ModelFolder(), lambda *_: None
                return await compare_with_log(database, self.bootstrap, CODEC, models, ENGINE_ALONE, nobody)

        return asyncio.run(run())

    def execute(self, query: LiteralString, *values: int) -> int:
        with psycopg.connect(self.database_url) as connection:
            return connection.execute(query, values).rowcount

    def windows(self) -> tuple[int, int]:
        """Return the starts of the newest and the oldest window."""
        with psycopg.connect(self.database_url) as connection:
            query = "SELECT max(window_start_ns), min(window_start_ns) FROM feature"
            ((newest, oldest),) = connection.execute(query).fetchall()
        return newest, oldest

    def kept_resume_offset(self, topic: str) -> int:
        with psycopg.connect(self.database_url) as connection:
            query = "SELECT resume_offset FROM kept_checkpoint WHERE topic = %s"
            ((offset,),) = connection.execute(query, (topic,)).fetchall()
        return int(offset)

    def expire(self, topic: str, before: int) -> None:
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        for deleted in admin.delete_records([TopicPartition(topic, 0, before)]).values():
            deleted.result(30)
        assert log_starts(self.bootstrap, topic) == {0: before}


@pytest.fixture
def scene(database_url: str) -> Iterator[Scene]:
    with kafka() as broker:
        ensure_topics(broker.bootstrap, 1)
        asyncio.run(make_history(broker.bootstrap, database_url))
        yield Scene(broker.bootstrap, database_url)


async def make_history(bootstrap: str, database_url: str) -> None:
    """Put one machine on the log; process the log as the workers do, and keep a checkpoint on the way."""
    (config,) = LOAD.configurations()
    await migrate(database_url)
    sink = KafkaSink(bootstrap, CODEC)
    await sink.put(activation_of(config, START_NS, "test"))
    for block in Plant(LOAD, START_NS).blocks(LENGTH_S):
        await sink.put(block)
    await sink.flush()
    async with Database(database_url) as database:
        await AssetRegistry(database).import_assets([SITE], [config], [], "test")
        store, clock, keeper = PartitionStore(database), SystemClock(), CheckpointKeeper(database)
        letters = DeadLetters(sink, RefusalAccount(database), clock)
        conditions = ConditionWorker(store, ModelFolder(), ENGINE_ALONE, CODEC, sink, letters, clock, "test")
        relay = OutboxRelay(store, sink, DeliveryQueue(database), lambda transition: (transition.alarm_id, b""))
        alarms = AlarmWorker(store, CODEC, sink, letters, relay, clock, "test", lambda *_: [])
        await conditions.claim(0)
        measured = messages(bootstrap, MEASUREMENTS)
        for part in measured[:KEPT_AFTER], measured[KEPT_AFTER:]:
            await conditions.process(part)
            await conditions.checkpoint(no_commit)
            await each(alarms.apply, messages(bootstrap, CONDITIONS))
            if part[0].offset == 0:
                await keep_checkpoints(keeper, lambda _partition: 0, [*conditions.ownerships(), *alarms.ownerships()])


async def each(step: Callable[[LogMessage], Awaitable[None]], log: list[LogMessage]) -> None:
    for message in log:
        await step(message)


def messages(bootstrap: str, topic: str) -> list[LogMessage]:
    return [
        LogMessage(topic, one.partition, one.offset, one.timestamp_ns, one.key, one.value, one.headers)
        for one in read_log(bootstrap, topic)
    ]


def test_what_follows_a_kept_checkpoint_is_compared_and_the_rest_is_left_alone(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = scene.compare()
    assert (whole.different, whole.pending, whole.beginnings) == (0, 0, [])
    assert whole.compared["alarm_history"] >= 2
    for topic in MEASUREMENTS, CONDITIONS:
        scene.expire(topic, scene.kept_resume_offset(topic))
    rest = scene.compare()
    assert (rest.different, rest.pending) == (0, 0), rest.as_json()["examples"]
    assert [line.partition(":")[0] for line in rest.beginnings] == ["conditions/0", "measurements/0"]
    for table in "assessment", "feature", "score", "condition", "alarm_history":
        assert 0 < rest.compared[table] < whole.compared[table], table

    newest, oldest = scene.windows()
    spoil = "UPDATE feature SET partial = NOT partial WHERE window_start_ns = %s"
    assert scene.execute(spoil, newest) == 1
    assert scene.execute(spoil, oldest) == 1  # before the checkpoint: nobody can tell
    lost = scene.execute("DELETE FROM score WHERE window_start_ns = %s", newest)
    spoilt = scene.compare()
    assert (len(spoilt.changed), len(spoilt.missing), len(spoilt.unexpected)) == (1, lost, 0)

    monkeypatch.setenv("FAULTLINE_DATABASE_URL", scene.database_url)
    monkeypatch.setenv("FAULTLINE_KAFKA_URL", scene.bootstrap)
    application = typer.Typer()
    application.command()(recompute)
    result = CliRunner().invoke(application, ["--from-log", "--json"])
    assert result.exit_code == 1
    assert json.loads(result.stdout.splitlines()[-1])["beginnings"] == rest.beginnings


def test_a_row_that_does_not_follow_from_what_is_left_is_unexpected(scene: Scene) -> None:
    scene.expire(MEASUREMENTS, scene.kept_resume_offset(MEASUREMENTS))
    added = scene.execute(
        "INSERT INTO score (channel_id, window_start_ns, model, model_version, code_version, asset_id, window_end_ns,"
        " value, learning, explanation) SELECT 'stranger', window_start_ns, model, model_version, code_version,"
        " asset_id, window_end_ns, value, learning, explanation FROM score ORDER BY window_start_ns LIMIT 1"
    )
    assert added == 1
    assert [line.partition(" ")[0] for line in scene.compare().unexpected] == ["score"]


def test_without_a_kept_checkpoint_on_what_is_left_it_is_said_so(scene: Scene) -> None:
    scene.expire(MEASUREMENTS, scene.kept_resume_offset(MEASUREMENTS) + 1)
    with pytest.raises(ConfigurationError, match=r"measurements/0 begins at offset \d+, and no kept checkpoint"):
        scene.compare()
