"""Documents and questions to figures, on an OpenSearch of the environment or one for this run alone."""

import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from adapters.opensearch import Client, OpenSearchIndex
from contracts.documents import DocumentScope
from contracts.ports import Principal
from rag.evaluate import evaluate, figures, read_questions
from rag.index import index_files
from runtime.documents import read_folder
from runtime.embedding import sentence_model
from runtime.services.local import LocalServices, ServiceStatus
from runtime.settings import Settings

_EVERYBODY: Final = Principal("evaluation", frozenset())
_SITE: Final = "evaluation"
_ALIAS: Final = "faultline-evaluation"
_REQUEST_S: Final = 30.0
_START_S: Final = 300.0


def evaluate_documents(
    settings: Settings, docs: Path, qa: Path, report: Callable[[ServiceStatus], None]
) -> dict[str, Any]:
    """Index the documents of a folder, ask the questions of a file, return the figures.

    Parameters
    ----------
    settings : Settings
        With an OpenSearch; without one it is started in a folder of its own and removed again.
    docs : Path
        A folder of documents.
    qa : Path
        Questions, one JSON object a line.
    report : callable
        Told what is started and stopped.

    Returns
    -------
    figures : dict[str, Any]
        Those of ``rag.evaluate.figures``, with ``documents``, ``passages`` and ``refused``.
    """
    docs = docs.resolve()
    if settings.opensearch_url is not None:
        return asyncio.run(_evaluate(settings, settings.opensearch_url, docs, qa))
    elsewhere = settings.model_copy(update={"kafka_url": "unused:1", "database_url": "unused"})
    with tempfile.TemporaryDirectory(prefix="faultline-evaluation-") as folder:
        services = LocalServices(Path(folder), elsewhere, _only("opensearch", report), search=True)
        with services:
            return asyncio.run(_evaluate(settings, services.search_ready.result(_START_S), docs, qa))


def _only(name: str, report: Callable[[ServiceStatus], None]) -> Callable[[ServiceStatus], None]:
    return lambda status: report(status) if status.name == name else None


async def _evaluate(settings: Settings, url: str, docs: Path, qa: Path) -> dict[str, Any]:
    questions, files = read_questions(qa), read_folder(docs, DocumentScope(site_id=_SITE))
    model = sentence_model(settings)
    async with Client(url, _REQUEST_S) as client:
        index = OpenSearchIndex(client, model.name, model.dimensions, _ALIAS)
        done = await index_files(index, model, files, collection=docs.name)
        outcomes = await evaluate(index, model, questions, _EVERYBODY)
    return {
        "documents": len(done.indexed) + len(done.unchanged),
        "passages": sum(done.indexed.values()),
        "refused": sorted(done.refused),
        **figures(outcomes),
    }
