"""The assistant's ports in memory: an embedder of word counts, an index by words, models that misbehave."""

import asyncio
import hashlib
import math
from collections.abc import AsyncGenerator, Sequence

from contracts.documents import DocumentScope, Message, Passage
from contracts.errors import Unavailable
from contracts.ports import Principal, Vector
from rag.question import stems

SITE = DocumentScope(site_id="north")
ANYBODY = Principal("ada", frozenset({"technician"}))


class WordEmbedder:
    """Texts of the same words have the same vector; texts without a common word are (all but) orthogonal."""

    name = "words"
    dimensions = 384

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        return [self._vector(text) for text in texts]

    def _vector(self, text: str) -> list[float]:
        vector = [0.0] * self.dimensions
        for stem in stems(text) or {text}:
            place = int.from_bytes(hashlib.sha256(stem.encode()).digest()[:4], "big")
            vector[place % self.dimensions] += 1.0
        length = math.sqrt(sum(x * x for x in vector))
        return [x / length for x in vector]


def passage(
    text: str,
    *,
    document: str = "manual.md",
    heading: tuple[str, ...] = ("Pump manual", "Bearings"),
    scope: DocumentScope = SITE,
    span: str = "lines 1–9",
) -> Passage:
    key = hashlib.sha256(f"{document}{heading}{text}{scope}".encode()).hexdigest()[:32]
    return Passage(
        passage_id=key,
        document_id=document,
        title=heading[0] if heading else document,
        heading=heading,
        text=text,
        span=span,
        scope=scope,
    )


class Shelf:
    """An index in memory that honours the scope; `trouble` is raised, or waited for, by each search."""

    def __init__(self, *passages: Passage, trouble: Exception | float | None = None) -> None:
        self.passages = list(passages)
        self.trouble = trouble
        self.asked: list[tuple[Principal, str, str | None, str | None]] = []

    async def documents(self) -> dict[str, str]:
        return {}

    async def replace(
        self, document_id: str, digest: str, passages: Sequence[Passage], vectors: Sequence[Vector]
    ) -> None:
        await self.remove(document_id)
        self.passages += passages

    async def remove(self, document_id: str) -> None:
        self.passages = [one for one in self.passages if one.document_id != document_id]

    async def publish(self) -> None:
        return

    async def find(
        self, who: Principal, words: str, vector: Vector, *, asset_id: str | None, site_id: str | None, limit: int
    ) -> list[Passage]:
        self.asked.append((who, words, asset_id, site_id))
        if isinstance(self.trouble, Exception):
            raise self.trouble
        if self.trouble is not None:
            await asyncio.sleep(self.trouble)
        wanted = stems(words)
        inside = [
            one
            for one in self.passages
            if (who.sites is None or one.scope.site_id in who.sites)
            and (not one.scope.asset_ids or who.assets is None or who.assets & set(one.scope.asset_ids))
            and (not one.scope.asset_ids or asset_id is None or asset_id in one.scope.asset_ids)
        ]
        inside.sort(key=lambda one: -len(wanted & stems(" ".join((*one.heading, one.text)))))
        return inside[:limit]


class Writer:
    """A language model that writes what it is told to, or fails, or says nothing for long."""

    def __init__(self, *pieces: str, trouble: Exception | float | None = None) -> None:
        self.pieces = pieces
        self.trouble = trouble
        self.read: list[Message] = []

    async def write(self, messages: Sequence[Message]) -> AsyncGenerator[str, None]:
        self.read = list(messages)
        for piece in self.pieces:
            yield piece
        if isinstance(self.trouble, Exception):
            raise self.trouble
        if self.trouble is not None:
            await asyncio.sleep(self.trouble)


AWAY = Unavailable("search engine", "no answer")
