"""Documents into the index: only what has changed is read, cut and embedded again.

Invariant: a document is its content, its scope and the way we read it; while that is the same, nothing is done.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from contracts.documents import DocumentScope
from contracts.errors import DocumentRefused
from contracts.ports import Embedder, SearchIndex
from rag.chunk import as_embedded, passages_of
from rag.load import digest_of, load

#: Raised when the same file would give other passages.
READING_VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """A file to index; its name says what kind it is."""

    document_id: str
    content: bytes = field(repr=False)
    scope: DocumentScope


@dataclass(slots=True)
class Indexed:
    """What became of the files, by document id."""

    indexed: dict[str, int] = field(default_factory=dict)
    unchanged: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)


async def index_files(
    index: SearchIndex, embedder: Embedder, files: Sequence[SourceFile], *, collection: str
) -> Indexed:
    """Bring the index in step with `files` and publish it.

    Parameters
    ----------
    index : SearchIndex
    embedder : Embedder
    files : Sequence[SourceFile]
        All files of the collection; their ids begin with ``collection/``.
    collection : str
        What of it is in the index but not among `files` is removed; other collections stay.

    Returns
    -------
    indexed : Indexed
        A file that is refused doesn't keep the others out.
    """
    done = Indexed()
    known = await index.documents()
    for file in files:
        digest = _digest(file)
        if known.get(file.document_id) == digest:
            done.unchanged.append(file.document_id)
            continue
        try:
            document = await asyncio.to_thread(load, file.document_id, file.content)
        except DocumentRefused as error:
            done.refused[file.document_id] = str(error)
            continue
        passages = passages_of(file.document_id, document, file.scope)
        vectors = await asyncio.to_thread(embedder.embed, [as_embedded(passage) for passage in passages])
        await index.replace(file.document_id, digest, passages, vectors)
        done.indexed[file.document_id] = len(passages)
    wanted = {file.document_id for file in files} - set(done.refused)
    for document_id in sorted(known):
        if document_id.startswith(f"{collection}/") and document_id not in wanted:
            await index.remove(document_id)
            done.removed.append(document_id)
    await index.publish()
    return done


def _digest(file: SourceFile) -> str:
    parts = [str(READING_VERSION), digest_of(file.content), file.scope.site_id, *file.scope.asset_ids]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
