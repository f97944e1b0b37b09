"""Real documents, the real sentence model and a real OpenSearch: the right passage is found, the rest is silence."""

import asyncio
import uuid
from pathlib import Path
from typing import Any

import pytest

from adapters.opensearch import Client, OpenSearchIndex
from contracts.documents import Answer, DocumentScope
from contracts.ports import Principal
from rag.assistant import Bounds, DocumentAssistant, answer
from rag.embed import SentenceModel
from rag.evaluate import evaluate, figures, read_questions
from rag.index import Indexed, index_files
from runtime.documents import read_folder
from runtime.embedding import sentence_model
from runtime.settings import PROJECT, Settings
from tests.api_doubles import Reader
from tests.api_samples import configuration, transition

EVERYBODY = Principal("ada", frozenset({"technician"}))
PATIENT = Bounds(search_s=20.0, live_s=20.0)


@pytest.fixture(scope="module")
def model() -> SentenceModel:
    return sentence_model(Settings())


@pytest.fixture
def alias() -> str:
    return f"test-{uuid.uuid4().hex}"


class Pumps(Reader):
    """The demonstration's pumps, one with an alarm."""

    def __init__(self) -> None:
        super().__init__()
        self.assets_by_id = {name: configuration(name, "demo") for name in ("P-101", "P-102")}
        self.history = [transition("alm_1", "P-101", "demo", 1)]


@pytest.fixture
def ask(search_server: str, alias: str, model: SentenceModel) -> Any:
    """Give a function that asks the assistant over the demo's documents."""

    async def once(question: str) -> Answer:
        async with Client(search_server, 20.0) as client:
            index = OpenSearchIndex(client, model.name, model.dimensions, alias)
            await index_files(index, model, read_folder(PROJECT / "docs" / "demo"), collection="demo")
            return await answer(DocumentAssistant(Pumps(), model, index, None, PATIENT), EVERYBODY, question)

    return lambda question: asyncio.run(once(question))


def test_demo_questions_are_answered_from_the_right_documents(ask: Any) -> None:
    told = ask("Why is P-101 alarming and what do I do?")
    assert {citation.document for citation in told.citations} == {"live condition of P-101", "demo/alarm-response.md"}
    assert "BPFO 18.3 dB" in told.text
    assert "Response to a bearing fault alarm" in told.text
    replacement = ask("How do I replace the bearing of P-101?")
    assert {citation.document for citation in replacement.citations} == {"demo/bearing-replacement.md"}
    assert replacement.text.index("lock it") < replacement.text.index("Pull the bearing"), "isolate first"
    assert "8 g" in ask("How much grease does a bearing get?").text
    assert "8 g" in ask("¿Cuánta grasa lleva el rodamiento de la bomba?").text
    assert ask("What is the capital of France?").abstained


def test_work_orders_of_another_pump_are_not_told(ask: Any) -> None:
    assert "dry" not in ask("Why did the mechanical seal of P-101 leak?").text


def test_indexing_again_does_nothing_and_follows_changes(
    search_server: str, alias: str, model: SentenceModel, tmp_path: Path
) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "a.md").write_text("# Seal\n\nFlush the seal weekly.")
    (folder / "b.md").write_text("# Grease\n\nGrease monthly.")
    (folder / "c.pdf").write_text("no PDF")

    async def index(scope: DocumentScope) -> Indexed:
        async with Client(search_server, 20.0) as client:
            passages = OpenSearchIndex(client, model.name, model.dimensions, alias)
            return await index_files(passages, model, read_folder(folder, scope), collection="docs")

    north = DocumentScope(site_id="north")
    first = asyncio.run(index(north))
    assert first.indexed == {"docs/a.md": 1, "docs/b.md": 1}
    assert set(first.refused) == {"docs/c.pdf"}
    assert asyncio.run(index(north)).unchanged == ["docs/a.md", "docs/b.md"]
    (folder / "a.md").write_text("# Seal\n\nFlush the seal daily.")
    (folder / "b.md").unlink()
    changed = asyncio.run(index(north))
    assert (list(changed.indexed), changed.removed) == (["docs/a.md"], ["docs/b.md"])
    assert list(asyncio.run(index(DocumentScope(site_id="south"))).indexed) == ["docs/a.md"], (
        "another scope is a change"
    )


def test_public_manuals_are_found_and_the_unknown_is_left_unanswered(
    search_server: str, alias: str, model: SentenceModel, data_folder: Path
) -> None:
    folders = [data_folder / "manuals" / name for name in ("doe", "osha")]
    questions = data_folder / "rag_qa" / "qa_public_docs_dev.jsonl"
    if not questions.exists() or not all(folder.is_dir() for folder in folders):
        pytest.skip(f"no manuals or questions in {data_folder}")

    async def measure() -> dict[str, Any]:
        async with Client(search_server, 20.0) as client:
            index = OpenSearchIndex(client, model.name, model.dimensions, alias)
            for folder in folders:
                files = read_folder(folder, DocumentScope(site_id="library"))
                await index_files(index, model, files, collection=folder.name)
            return figures(await evaluate(index, model, read_questions(questions), EVERYBODY))

    found = asyncio.run(measure())
    assert found["recall_at_5"] >= 0.9
    assert found["mrr"] >= 0.75
    assert found["abstention_recall"] == 1.0
    assert found["abstention_precision"] >= 0.8
