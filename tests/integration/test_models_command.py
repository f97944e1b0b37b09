"""``faultline models`` over a real log and database: from proposal to production and back, exact at the end."""

import asyncio
import dataclasses
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest
import typer
from typer.testing import CliRunner

from adapters.kafka import KafkaSink, ensure_topics, read_log
from adapters.models import ModelFolder
from adapters.timescale import (
    AssetRegistry,
    Database,
    DeliveryQueue,
    PartitionStore,
    RefusalAccount,
    StoredModels,
    migrate,
)
from contracts.assets import WindowSettings
from contracts.codec import BundledSchemas, Codec
from contracts.errors import ConfigurationError, NotFound
from contracts.models import ModelVersion
from contracts.topics import CONDITIONS, MEASUREMENTS
from loadtests.plant import SITE, Load, Plant
from processors import promotion
from processors.own_features import ENGINE_ALONE
from runtime.activate import activate
from runtime.clock import SystemClock
from runtime.commands.models import models
from runtime.commands.recompute import recompute
from runtime.commands.replay import replay
from runtime.feature_code import code_hash
from runtime.services.local import LocalServices, Urls
from runtime.services.places import outside_of
from runtime.settings import Settings
from streams.alarms import AlarmWorker
from streams.conditions import ConditionWorker
from streams.dead_letters import DeadLetters
from streams.message import LogMessage
from streams.outbox import OutboxRelay
from tests.model_files import failing_beyond, in_a_row, put, scaled

CODEC = Codec(BundledSchemas())
START_NS = 1_700_000_000_000_000_000
LOAD = Load(
    assets=3,
    channels=1,
    block_samples=1024,
    sampling_rate_hz=10_240.0,
    period_s=7.0,
    prefix="M",
    window=WindowSettings(length_s=0.1, hop_s=0.1),
    fault_from_s=6.2,
    fault_until_s=6.6,
)
NAME, OWN = "plant-autoencoder", "reference-autoencoder@1"
WHY = ("--why", "because")


@pytest.fixture(scope="module")
def urls() -> Iterator[Urls]:
    """Give services of this module's own: a recomputation needs a log of which everything is known."""
    folder = Path(tempfile.mkdtemp(prefix="faultline-test-"))
    folder.chmod(0o755)
    fast = {"fsync": "off", "synchronous_commit": "off"}
    try:
        settings = Settings(kafka_url=None, database_url=None)
        with LocalServices(folder, settings, lambda _status: None, postgres_options=fast) as started:
            yield started
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(outside_of(folder), ignore_errors=True)


@dataclasses.dataclass
class Floor:
    """The machines, the stream that watches them, and the command line."""

    urls: Urls
    folder: Path
    seconds: float = 0.0

    def call(self, *arguments: str) -> Any:
        """Return what a command prints as JSON."""
        result = CliRunner().invoke(models, [*arguments, "--json"], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    def other(self, command: Callable[..., Any], *arguments: str) -> Any:
        """Return what another command prints as JSON."""
        application = typer.Typer()
        application.command()(command)
        result = CliRunner().invoke(application, [*arguments, "--json"], catch_exceptions=False)
        return json.loads(result.stdout.splitlines()[-1])

    def propose(self, version: str, content: bytes) -> None:
        put(self.folder, NAME, version, content)
        place = ("--folder", str(self.folder), "--instead-of", "reference-autoencoder")
        said = self.call("propose", NAME, version, *place, *WHY)
        assert said["changed"] == [f"{NAME}@{version} proposed"]
        assert said["mlflow"], "nothing is said of MLflow"

    def run(self, seconds: float, *, dies: bool = False) -> None:
        """Let the machines run and a new worker take over; where it dies, it leaves no checkpoint."""
        asyncio.run(self._run(self.seconds, self.seconds + seconds, dies=dies))
        self.seconds += seconds

    async def begin(self) -> None:
        ensure_topics(self.urls.kafka, 1)
        await migrate(self.urls.database)
        async with Database(self.urls.database) as database:
            registry = AssetRegistry(database)
            await registry.import_assets([SITE], LOAD.configurations(), [], "test")
            await activate(registry, KafkaSink(self.urls.kafka, CODEC), SystemClock(), "test")

    async def _run(self, from_s: float, to_s: float, *, dies: bool) -> None:
        sink = KafkaSink(self.urls.kafka, CODEC)
        for block in Plant(LOAD, START_NS).blocks(to_s, from_s):
            await sink.put(block)
        await sink.flush()
        async with Database(self.urls.database) as database:
            store, clock = PartitionStore(database), SystemClock()
            letters = DeadLetters(sink, RefusalAccount(database), clock)
            kept = StoredModels(self.urls.database, ModelFolder())
            worker = ConditionWorker(store, kept, ENGINE_ALONE, CODEC, sink, letters, clock, "test")
            resume_offset = await worker.claim(0)
            await worker.process([one for one in self.log(MEASUREMENTS) if one.offset >= resume_offset])
            if dies:
                return
            await worker.checkpoint(_no_commit)
            relay = OutboxRelay(store, sink, DeliveryQueue(database), lambda transition: (transition.alarm_id, b""))
            alarms = AlarmWorker(store, CODEC, sink, letters, relay, clock, "test", lambda *_: [])
            for message in self.log(CONDITIONS):
                await alarms.apply(message)

    def log(self, topic: str) -> list[LogMessage]:
        return [
            LogMessage(topic, one.partition, one.offset, one.timestamp_ns, one.key, one.value, one.headers)
            for one in read_log(self.urls.kafka, topic)
        ]

    def rows(self, query: LiteralString) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.urls.database) as connection:
            return connection.execute(query).fetchall()

    def learning(self, from_s: float) -> int:
        """Return how many scores of the assets' own autoencoder have no threshold from then on."""
        query = "SELECT window_start_ns FROM score WHERE model = 'reference-autoencoder' AND threshold IS NULL"
        return sum(start_ns >= START_NS + round((from_s + 0.2) * 1e9) for (start_ns,) in self.rows(query))

    def heard(self, table: str, from_s: float) -> dict[str, set[str]]:
        """Return the autoencoders with scores in a table from then on, by asset."""
        queries = {
            "score": "SELECT asset_id, model || '@' || model_version, window_start_ns FROM score",
            "shadow_score": "SELECT asset_id, model || '@' || model_version, window_start_ns FROM shadow_score",
        }
        found: dict[str, set[str]] = {}
        for asset_id, model, start_ns in self.rows(queries[table]):
            if "autoencoder" in model and start_ns >= START_NS + round((from_s + 0.2) * 1e9):
                found.setdefault(asset_id, set()).add(model)
        return found


async def _no_commit(_offsets: dict[int, int]) -> None:
    """Kafka's offsets are nothing here."""


@pytest.fixture
def floor(urls: Urls, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Floor:
    monkeypatch.setenv("FAULTLINE_DATABASE_URL", urls.database)
    monkeypatch.setenv("FAULTLINE_KAFKA_URL", urls.kafka)
    monkeypatch.setenv("FAULTLINE_PARTITIONS", "1")
    monkeypatch.setenv("FAULTLINE_DATA_DIR", str(tmp_path / "data"))
    return Floor(urls, tmp_path)


def share_with_one_asset() -> tuple[float, str]:
    """Return a share that holds exactly one asset, and which."""
    new = ModelVersion(name=NAME, version="2", sha256="", feature_hash="", slot="")
    first, second, _ = sorted(
        (promotion.position(new, asset.asset_id), asset.asset_id) for asset in LOAD.configurations()
    )
    return (first[0] + second[0]) / 2, first[1]


def go_to_production_and_back(floor: Floor, everywhere: list[str]) -> None:
    floor.run(1.0)
    floor.propose("2", in_a_row(4))  # looks at several windows: what it has seen outlives workers, too
    (floor.folder / f"{NAME}.v2.onnx").unlink()  # from here on the database has the only copy
    floor.call("review", NAME, "2", *WHY)
    assert floor.call("stage", NAME, "2", *WHY)["activated"] == everywhere
    assert floor.call("stage", NAME, "2", *WHY)["changed"] == []
    floor.run(12.0)
    assert floor.heard("shadow_score", 1.0) == {asset_id: {f"{NAME}@2"} for asset_id in everywhere}
    assert floor.heard("score", 1.0) == {asset_id: {OWN} for asset_id in everywhere}

    share, chosen = share_with_one_asset()
    assert next(iter(floor.call("show", NAME, "2")["canary_shares"])) == chosen
    assert floor.call("canary", NAME, "2", "--share", str(share), *WHY)["activated"] == [chosen]
    floor.run(1.0, dies=True)
    floor.run(1.0)
    swapped = {asset_id: {f"{NAME}@2" if asset_id == chosen else OWN} for asset_id in everywhere}
    assert floor.heard("score", 13.0) == swapped
    with pytest.raises(NotFound, match=f"no model nothing@1; there are baseline@1, .*{NAME}@2"):
        floor.call("compare", NAME, "2", "--against", "nothing@1")
    compared = floor.call("compare", NAME, "2")
    assert [(one["asset_id"], one["champion"]) for one in compared["assets"]] == [(i, OWN) for i in everywhere]
    for one in compared["assets"]:
        for side in ("under_champion", "under_challenger"):
            assert one[side]["windows"] > one[side]["not_judged"] > 0

    assert floor.call("promote", NAME, "2", *WHY)["assets"] == [i for i in everywhere if i != chosen]
    assert floor.call("promote", NAME, "2", *WHY)["changed"] == []
    floor.run(1.0)
    assert floor.heard("score", 15.0) == {asset_id: {f"{NAME}@2"} for asset_id in everywhere}
    assert floor.heard("shadow_score", 15.0) == {asset_id: {OWN} for asset_id in everywhere}
    assert floor.call("rollback", NAME, "2", *WHY)["activated"] == everywhere
    assert floor.call("rollback", NAME, "2", *WHY)["changed"] == []
    floor.run(1.0)
    assert floor.heard("score", 16.0) == {asset_id: {OWN} for asset_id in everywhere}
    assert floor.learning(16.0) == 0  # the roll-back found the thresholds ready


def try_a_model_that_fails(floor: Floor, everywhere: list[str]) -> None:
    floor.propose("3", failing_beyond("kurtosis", 8.0))
    for step in (["review"], ["stage"], ["canary", "--share", "1"], ["promote"]):
        floor.call(step[0], NAME, "3", *step[1:], *WHY)
    floor.run(4.0)
    shown = floor.call("show", NAME, "3")
    assert shown["refused_on"] == everywhere  # each has met its fault
    assert floor.heard("score", 20.4) == {asset_id: {OWN} for asset_id in everywhere}
    told = floor.rows("SELECT DISTINCT reason FROM alarm WHERE rule = 'model_refused'")
    assert all(f"{NAME}@3 gave no finite score" in text and f"{OWN} takes its place" in text for (text,) in told)
    assert told
    floor.call("rollback", NAME, "3", *WHY)
    with pytest.raises(ConfigurationError, match=f"{NAME}@3 is refused on {everywhere[0]}"):
        floor.call("canary", NAME, "3", "--share", "1", *WHY)
    floor.call("sunset", NAME, "3", *WHY)
    floor.run(1.0)
    assert floor.call("show", NAME, "3")["refused_on"] == []


def test_a_model_goes_to_production_and_back_and_history_is_still_a_function_of_the_log(floor: Floor) -> None:
    asyncio.run(floor.begin())
    everywhere = [asset.asset_id for asset in LOAD.configurations()]
    go_to_production_and_back(floor, everywhere)
    try_a_model_that_fails(floor, everywhere)
    steps = [
        (step["action"], step["from_stage"], step["to_stage"]) for step in floor.call("show", NAME, "2")["history"]
    ]
    assert steps == [
        ("propose", None, "proposed"),
        ("review", "proposed", "reviewed"),
        ("stage", "reviewed", "staged"),
        ("canary", "staged", "canary"),
        ("promote", "canary", "production"),
        ("rollback", "production", "staged"),
    ]
    exact = floor.other(recompute, "--from-log")
    assert (exact["different"], exact["pending"]) == (0, 0), exact["examples"]
    assert exact["tables"]["shadow_score"] > 300
    assert exact["tables"]["alarm_history"] > 0
    span = ("--from", str(START_NS + 2_000_000_000), "--to", str(START_NS + 3_000_000_000))
    tried = floor.other(replay, "--asset", everywhere[0], *span, "--models", f"{NAME}=2", "--compare")
    assert tried["rows"][f"score {NAME} 2"]["added"] == tried["windows"]  # history has them in shadow only
    assert tried["rows"]["score baseline 1"]["different"] == 0


def test_an_unfit_file_is_refused_by_name_and_the_refusal_recorded(floor: Floor) -> None:
    asyncio.run(floor.begin())
    good = scaled(0.75)
    unfit = {
        "11": (good[:90], good, "SHA-256"),
        "12": (good[:90], None, "can't be loaded"),
        "13": (scaled(float("nan")), None, "aren't finite"),
        "14": (scaled(0.5, trained_for="0123456789ab"), None, "feature code 0123456789ab"),
    }
    for version, (content, stated, message) in unfit.items():
        put(floor.folder, NAME, version, content, stated)
        with pytest.raises(ConfigurationError, match=message):
            floor.call("propose", NAME, version, "--folder", str(floor.folder), *WHY)
        (step,) = floor.call("show", NAME, version)["history"]
        assert (step["action"], step["to_stage"]) == ("refuse", None)
        assert step["actor"]
    listed = {f"{one['name']}@{one['version']}" for one in floor.call("list")["models"]}
    assert not listed & {f"{NAME}@{version}" for version in unfit}


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("stage", "nothing", "1", *WHY), NotFound, "no model nothing@1"),
        (("show", "nothing", "1"), NotFound, "no model nothing@1"),
        (("rollback", "nothing", *WHY), ConfigurationError, "neither a canary nor"),
        (("propose", "half-space-trees", "2", *WHY), ConfigurationError, "comes with the code"),
        (("propose", "../etc", "2", *WHY), ConfigurationError, "can't name a model"),
        (("propose", "absent", "2", *WHY), ConfigurationError, "no model absent version 2"),
        (("propose", "ae", "2", "--instead-of", "baseline", *WHY), ConfigurationError, "always scores"),
        (("propose", "ae", "2", "--instead-of", "No Such", *WHY), ConfigurationError, "can't name a model"),
        (("rollback", "nothing", "--why", " "), ConfigurationError, "say why"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(
    floor: Floor, arguments: tuple[str, ...], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        floor.call(*arguments)


def test_a_name_that_assets_use_already_is_refused_and_people_get_text(floor: Floor) -> None:
    asyncio.run(floor.begin())
    stated = ("--feature-hash", code_hash())
    with pytest.raises(ConfigurationError, match=r"reference-autoencoder@1 is in the description of M-0000"):
        floor.call("propose", "reference-autoencoder", "1", *stated, *WHY)
    put(floor.folder, "shown", "1", scaled(0.9))
    (floor.folder / "shown.v1.md").write_text("# A card\n", encoding="utf-8")
    run: Callable[..., Any] = CliRunner().invoke
    texts = [
        run(models, arguments, catch_exceptions=False).stdout
        for arguments in (
            ["propose", "shown", "1", "--folder", str(floor.folder), *WHY],
            ["list"],
            ["show", "shown", "1"],
            ["compare", "shown", "1"],
        )
    ]
    for text, named in zip(texts, ("shown@1 proposed", "shown@1", "# A card", "M-0000: no scores"), strict=True):
        assert named in text
