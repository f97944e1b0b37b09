"""What the assistant is made of: passages, a search index, a language model."""

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from contracts.documents import Answer, Draft, Message, Passage
from contracts.ports.serving import Principal

Vector = Sequence[float]


class Embedder(Protocol):
    """Texts to vectors; the same text gives the same vector."""

    #: Names model and precision: vectors of another name aren't comparable.
    name: str
    dimensions: int

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Return one vector of unit length for each text (CPU-bound: milliseconds a text)."""


class SearchIndex(Protocol):
    """Passages, found by their words and by their meaning, within the caller's scope.

    Every method raises ``Unavailable`` when the search engine doesn't answer in time.
    """

    async def documents(self) -> dict[str, str]:
        """Return the content digest of every document put so far, by document id."""

    async def replace(
        self, document_id: str, digest: str, passages: Sequence[Passage], vectors: Sequence[Vector]
    ) -> None:
        """Put the passages in the place of all that the document had."""

    async def remove(self, document_id: str) -> None:
        """Forget a document."""

    async def publish(self) -> None:
        """Return once everything that was put is found; a new generation of the index takes over at once."""

    async def find(
        self, who: Principal, words: str, vector: Vector, *, asset_id: str | None, site_id: str | None, limit: int
    ) -> list[Passage]:
        """Return the best passages, best first.

        `asset_id` leaves passages of that asset, and those for all assets of a site; `site_id` those of that site.
        What lies outside the scope of `who` takes no part in the search.
        """


class LanguageModel(Protocol):
    """Whoever words an answer."""

    def write(self, messages: Sequence[Message]) -> AsyncGenerator[str, None]:
        """Give the reply piece by piece; raise ``Unavailable`` when it fails or takes too long."""


class Assistant(Protocol):
    """Answers questions about machines, from documents and live conditions, within the caller's scope."""

    def ask(self, who: Principal, question: str, asset_id: str | None) -> AsyncGenerator[Draft | Answer, None]:
        """Give drafts, if any, and last the answer; raise ``NotFound`` for an asset outside the caller's scope."""
