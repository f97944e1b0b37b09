"""``faultline index``: documents for the assistant."""

import asyncio
import dataclasses
import json
from pathlib import Path
from typing import Annotated, Final

import typer

from adapters.opensearch import Client, OpenSearchIndex
from contracts.documents import DocumentScope
from contracts.errors import ConfigurationError
from rag.index import Indexed, SourceFile, index_files
from runtime.connect import running_urls
from runtime.documents import read_folder
from runtime.embedding import sentence_model
from runtime.settings import Settings, load_settings

#: Indexing has time: a request may take longer than while somebody waits for an answer.
_REQUEST_S: Final = 30.0


def index(
    folder: Annotated[Path, typer.Argument(help="A folder of PDF, HTML, Markdown, AsciiDoc or text files.")],
    *,
    site: Annotated[str | None, typer.Option(help="The site that the documents are for.")] = None,
    asset: Annotated[list[str] | None, typer.Option(help="An asset they are for; may be given again.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Index the documents of a folder for the assistant; what hasn't changed is left alone, what is gone is removed.

    A `documents.yaml` in the folder lists files with their site and assets; without one, --site and --asset hold for
    all. Uses FAULTLINE_OPENSEARCH_URL, or the OpenSearch of a running `up`.

    \b
        ./faultline index docs/demo
        ./faultline index manuals --site riverside --asset RW-P-201
    """
    settings = load_settings()
    scope = DocumentScope(site_id=site, asset_ids=tuple(asset or ())) if site is not None else None
    files = read_folder(folder, scope)
    done = asyncio.run(_index(settings, search_url(settings), files, folder.resolve().name))
    if as_json:
        print(json.dumps(dataclasses.asdict(done)))
        return
    for document_id, reason in done.refused.items():
        print(f"refused  {document_id}: {reason}")
    passages = sum(done.indexed.values())
    print(
        f"{len(done.indexed)} documents indexed ({passages} passages), {len(done.unchanged)} unchanged, "
        f"{len(done.removed)} removed, {len(done.refused)} refused"
    )


def search_url(settings: Settings) -> str:
    """Return where OpenSearch is: as set, or that of a running ``up``.

    Raises
    ------
    ConfigurationError
        There is none.
    """
    if settings.opensearch_url is not None:
        return settings.opensearch_url
    running = running_urls(settings.data_dir)
    if running is None or running.search is None:
        raise ConfigurationError("no OpenSearch: start `./faultline up`, or set FAULTLINE_OPENSEARCH_URL")
    return running.search


async def _index(settings: Settings, url: str, files: list[SourceFile], collection: str) -> Indexed:
    model = sentence_model(settings)
    async with Client(url, _REQUEST_S) as client:
        passages = OpenSearchIndex(client, model.name, model.dimensions)
        return await index_files(passages, model, files, collection=collection)
