"""Every query of every dashboard runs against a database that a run of the demo has filled, and finds what is there."""

import asyncio
import contextlib
import datetime as dt
import functools
import json
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import dict_row

from adapters.models import ModelFolder
from adapters.timescale import AssetRegistry, Database, PartitionStore, migrate
from contracts.activations import activation_of
from contracts.ports import Checkpoint, Gap, HistoryRows
from contracts.records import Tick
from contracts.topics import CONDITIONS, MEASUREMENTS
from processors.alarms import AlarmBook
from processors.pipeline import PartitionPipeline
from runtime.demo import FAULTY_ASSET, HEALTHY_ASSET, demo_assets, demo_records
from runtime.settings import PROJECT
from tests.grafana_sql import View

FOLDER = PROJECT / "compose" / "grafana" / "dashboards"
DASHBOARDS = sorted(path.stem for path in FOLDER.glob("*.json"))
_S = 1_000_000_000
_SECONDS = 24
_DAY_NS = 86_400 * _S


class Filled:
    """A database with a short run of the demo, and where on the time axis it lies."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.start_ns = time.time_ns() // _S * _S - _SECONDS * _S

    def view(self, *asset_ids: str, days: str | None = None, interval_ms: int = 1000) -> View:
        """Return a view of some minutes around the run, or of the `days` that a panel asks for itself."""
        variables = {"site": ["demo"], "asset": asset_ids, "model": self.models}
        to_ns = self.start_ns + 120 * _S
        from_ns = self.start_ns - 60 * _S if days is None else to_ns - int(days.removesuffix("d")) * _DAY_NS
        return View(from_ns, to_ns, interval_ms, variables)

    @functools.cached_property
    def models(self) -> list[str]:
        with psycopg.connect(self.url) as connection:
            return [name for (name,) in connection.execute("SELECT DISTINCT model FROM score").fetchall()]

    async def fill(self) -> None:
        await migrate(self.url)
        site, assets = demo_assets()
        pipeline = PartitionPipeline(ModelFolder(), Checkpoint(-1, 0, {}))
        async with Database(self.url) as database:
            await AssetRegistry(database).import_assets([site], assets, [], "test")
            store = PartitionStore(database)
            opening = [activation_of(config, self.start_ns, "test") for config in assets]
            streamed = demo_records(boot_id="1", start_ns=self.start_ns, duration_s=_SECONDS)
            for offset, record in enumerate([*opening, *(due.record for due in streamed)]):
                assert not isinstance(record, Tick)
                pipeline.process(offset, record.asset_id.encode(), record)
            rows = pipeline.take()
            lost = (self.start_ns, self.start_ns + 2 * _S)
            rows.gaps.append(
                Gap(asset_id=FAULTY_ASSET, channel_group="acc", from_ns=lost[0], to_ns=lost[1], cause="lost")
            )
            await store.append(rows)
            await self._raise(store, rows)

    async def _raise(self, store: PartitionStore, rows: HistoryRows) -> None:
        book = AlarmBook.build(FAULTY_ASSET, None)
        transitions = [made for condition in rows.conditions for made in book.apply(condition)]
        ownership, _ = await store.claim(CONDITIONS, 0, "test")
        await store.apply_alarms(ownership, Checkpoint(0, 1, {}), transitions)
        await store.claim(MEASUREMENTS, 0, "test")


@pytest.fixture(scope="module")
def filled(database_server: str) -> Iterator[Filled]:
    with psycopg.connect(database_server, autocommit=True) as connection:
        name = f"dashboards_{time.time_ns()}"
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            there = Filled(psycopg.conninfo.make_conninfo(database_server, dbname=name))
            asyncio.run(there.fill())
            yield there
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
            with contextlib.suppress(psycopg.errors.DependentObjectsStillExist):  # the server's other databases use it
                connection.execute("DROP ROLE IF EXISTS faultline_reader")


@pytest.fixture(scope="module")
def reader(filled: Filled) -> Iterator[psycopg.Connection[dict[str, Any]]]:
    """Give a connection with Grafana's rights only."""
    with psycopg.connect(filled.url, autocommit=True, row_factory=dict_row) as connection:
        connection.execute((PROJECT / "compose" / "database" / "reader.sql").read_bytes())
        connection.execute("SET ROLE faultline_reader")
        yield connection


def board(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return loaded


def targets() -> list[Any]:
    return [
        pytest.param(name, panel, target, id=f"{name}-{panel['title']}-{target['refId']}")
        for name in DASHBOARDS
        for panel in board(name)["panels"]
        for target in panel["targets"]
    ]


def run(connection: psycopg.Connection[dict[str, Any]], view: View, query: str) -> list[dict[str, Any]]:
    return connection.execute(view.expand(query).encode()).fetchall()


@pytest.mark.parametrize(("name", "panel", "target"), targets())
def test_a_panels_query_gives_rows_in_the_form_that_grafana_draws(
    filled: Filled, reader: psycopg.Connection[dict[str, Any]], name: str, panel: dict[str, Any], target: dict[str, Any]
) -> None:
    assets = [FAULTY_ASSET] if name == "asset" else [FAULTY_ASSET, HEALTHY_ASSET]
    found = run(reader, filled.view(*assets, days=panel.get("timeFrom")), target["rawSql"])
    assert found
    if target["format"] == "time_series":
        check_series(found)


def check_series(found: list[dict[str, Any]]) -> None:
    """Hold a result to what Grafana turns into series: times ascending, one value of each series at a time."""
    assert [row["time"] for row in found] == sorted(row["time"] for row in found)
    keys = [(row["time"], row.get("metric")) for row in found]
    assert len(set(keys)) == len(keys)
    for row in found:
        assert isinstance(row.pop("time"), dt.datetime)
        assert isinstance(row.pop("metric", ""), str)
        [value] = row.values()
        assert isinstance(value, int | float)


@pytest.mark.parametrize("name", DASHBOARDS)
def test_variables_and_marks_find_what_is_there(
    filled: Filled, reader: psycopg.Connection[dict[str, Any]], name: str
) -> None:
    view = filled.view(FAULTY_ASSET, HEALTHY_ASSET)
    for variable in board(name)["templating"]["list"]:
        assert run(reader, view, variable["query"]), variable["name"]
    for marks in board(name)["annotations"]["list"]:
        found = run(reader, view, marks["target"]["rawSql"])
        assert found, marks["name"]
        assert set(found[0]) == {"time", "text", "tags"}


@pytest.mark.parametrize("name", DASHBOARDS)
def test_nothing_is_shown_of_what_wasnt_chosen(
    filled: Filled, reader: psycopg.Connection[dict[str, Any]], name: str
) -> None:
    hostile = filled.view("no'body", interval_ms=60_000)
    for panel in board(name)["panels"]:
        for target in panel["targets"]:
            found = run(reader, hostile, target["rawSql"])
            shown = [value for row in found for value in row.values() if isinstance(value, str)]
            assert not [text for text in shown if FAULTY_ASSET in text or HEALTHY_ASSET in text], panel["title"]


def test_the_faulty_machine_stands_out(filled: Filled, reader: psycopg.Connection[dict[str, Any]]) -> None:
    queries = {panel["title"]: panel["targets"][0]["rawSql"] for panel in board("fleet")["panels"]}
    view = filled.view(FAULTY_ASSET, HEALTHY_ASSET)
    machines = {row["asset"]: row for row in run(reader, view, queries["Machines"])}
    assert machines[FAULTY_ASSET]["fault"] == "outer_race"
    assert machines[FAULTY_ASSET]["alarms"] == 1
    assert machines[HEALTHY_ASSET]["alarms"] == 0
    rate = run(reader, view, queries["New alarms per 10 min"])
    assert sum(row["new alarms"] for row in rate) == 1
    assert min(row["new alarms"] for row in rate) in {0, 1}
    [lost] = run(reader, view, queries["Gaps"])
    assert lost["lost seconds"] == 2.0


@pytest.mark.parametrize("query", ["SELECT secrets FROM endpoint", "SELECT body FROM delivery", "DELETE FROM alarm"])
def test_grafana_may_not(reader: psycopg.Connection[dict[str, Any]], query: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        reader.execute(query.encode())
