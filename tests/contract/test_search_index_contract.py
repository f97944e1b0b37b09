"""What every search index does, against a real OpenSearch: put, find within the scope, replace, change generation."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import pytest

from adapters.opensearch import Client, OpenSearchIndex
from contracts.documents import DocumentScope, Passage
from contracts.errors import Unavailable
from contracts.ports import Principal
from rag.chunk import as_embedded
from tests.rag_doubles import ANYBODY, WordEmbedder, passage

T = TypeVar("T")
EMBEDDER = WordEmbedder()
NORTH, SOUTH = DocumentScope(site_id="north"), DocumentScope(site_id="south")
P101 = DocumentScope(site_id="north", asset_ids=("P-101",))
P102 = DocumentScope(site_id="north", asset_ids=("P-102", "P-103"))
LIBRARY = [
    passage("Grease the bearing with 8 g of lithium grease.", document="lubrication.md", scope=NORTH),
    passage("The bearing of P-101 was greased too much in May.", document="orders-101.md", scope=P101),
    passage("The bearing of P-102 was greased with the wrong grease.", document="orders-102.md", scope=P102),
    passage("Secret grease recipe of the southern bearing plant.", document="secret.md", scope=SOUTH),
    passage("Lock the isolator before any work on the coupling guard.", document="safety.md", scope=NORTH),
]


@pytest.fixture
def alias() -> str:
    return f"test-{uuid.uuid4().hex}"


@pytest.fixture
def use(search_server: str, alias: str) -> Callable[[Callable[[OpenSearchIndex], Awaitable[T]]], T]:
    """Run a coroutine on an index with an alias of its own."""

    def run(work: Callable[[OpenSearchIndex], Awaitable[T]]) -> T:
        async def inside() -> T:
            async with Client(search_server, 20.0) as client:
                return await work(OpenSearchIndex(client, EMBEDDER.name, EMBEDDER.dimensions, alias))

        return asyncio.run(inside())

    return run


async def put(index: OpenSearchIndex, passages: Sequence[Passage], digest: str = "d1") -> None:
    for document_id in dict.fromkeys(one.document_id for one in passages):
        own = [one for one in passages if one.document_id == document_id]
        await index.replace(document_id, digest, own, EMBEDDER.embed([as_embedded(one) for one in own]))
    await index.publish()


async def find(
    index: OpenSearchIndex,
    words: str,
    who: Principal = ANYBODY,
    asset_id: str | None = None,
    site_id: str | None = None,
) -> list[Passage]:
    [vector] = EMBEDDER.embed([words])
    return await index.find(who, words, vector, asset_id=asset_id, site_id=site_id, limit=10)


def documents(found: Sequence[Passage]) -> set[str]:
    return {one.document_id for one in found}


def test_search_index_gives_back_what_was_put(use: Callable[..., list[Passage]]) -> None:
    async def work(index: OpenSearchIndex) -> list[Passage]:
        await put(index, LIBRARY)
        return await find(index, "coupling guard isolator")

    found = use(work)
    assert found[0] == LIBRARY[4]


def test_search_index_without_documents_finds_nothing(use: Callable[..., list[Passage]]) -> None:
    assert use(lambda index: find(index, "anything")) == []


@pytest.mark.parametrize(
    ("who", "asset_id", "site_id", "seen"),
    [
        (Principal("a", frozenset()), None, None, {"lubrication.md", "orders-101.md", "orders-102.md", "secret.md"}),
        (Principal("a", frozenset(), frozenset({"south"})), None, None, {"secret.md"}),
        (Principal("a", frozenset(), frozenset()), None, None, set()),
        (
            Principal("a", frozenset(), frozenset({"north"}), frozenset({"P-101"})),
            None,
            None,
            {"lubrication.md", "orders-101.md"},
        ),
        (Principal("a", frozenset(), None, frozenset({"P-103"})), None, None, {"orders-102.md"}),
        (Principal("a", frozenset(), frozenset({"south"}), frozenset({"P-101"})), None, None, {"secret.md"}),
        (Principal("a", frozenset()), "P-101", "north", {"lubrication.md", "orders-101.md"}),
        (Principal("a", frozenset(), frozenset({"north"}), frozenset({"P-101"})), "P-102", None, {"lubrication.md"}),
        (Principal("a", frozenset(), None, frozenset()), None, None, set()),
    ],
)
def test_search_index_never_ranks_what_lies_outside_the_scope(
    use: Callable[..., set[str]], who: Principal, asset_id: str | None, site_id: str | None, seen: set[str]
) -> None:
    async def work(index: OpenSearchIndex) -> set[str]:
        await put(index, LIBRARY[:4])
        return documents(await find(index, "secret grease recipe bearing", who, asset_id, site_id))

    assert use(work) == seen


def test_search_index_replaces_whole_documents_and_knows_them_by_digest(use: Callable[..., None]) -> None:
    async def work(index: OpenSearchIndex) -> None:
        first = [passage(f"Old paragraph number {n} about grease.", document="a.md") for n in range(3)]
        await put(index, first, "old")
        assert await index.documents() == {"a.md": "old"}
        await put(index, [*first[:1], passage("New paragraph about grease.", document="a.md")], "new")
        assert await index.documents() == {"a.md": "new"}
        assert {one.text for one in await find(index, "paragraph grease")} == {
            "Old paragraph number 0 about grease.",
            "New paragraph about grease.",
        }
        await index.remove("a.md")
        assert await index.documents() == {}
        assert await find(index, "paragraph grease") == []

    use(work)


def test_search_index_changes_generation_in_one_step(search_server: str, alias: str) -> None:
    async def work() -> None:
        async with Client(search_server, 20.0) as client:
            old = OpenSearchIndex(client, "words", EMBEDDER.dimensions, alias)
            await put(old, LIBRARY)
            new = OpenSearchIndex(client, "other-model", EMBEDDER.dimensions, alias)
            assert await new.documents() == {}, "vectors of another model don't count"
            vectors = EMBEDDER.embed([as_embedded(LIBRARY[0])])
            await new.replace("lubrication.md", "d", LIBRARY[:1], vectors)
            assert len(await find(new, "grease bearing recipe")) >= 4, "readers see the old one until it is published"
            await new.publish()
            assert documents(await find(new, "grease bearing recipe")) == {"lubrication.md"}
            assert len(await client.ask("GET", f"/{alias}-*")) == 1, "the old generation is gone"

    asyncio.run(work())


def test_search_index_half_put_document_counts_as_not_there(search_server: str, alias: str) -> None:
    async def work() -> None:
        async with Client(search_server, 20.0) as client:
            index = OpenSearchIndex(client, EMBEDDER.name, EMBEDDER.dimensions, alias)
            parts = [passage(f"Part {n}.", document="long.md") for n in range(3)]
            await put(index, parts)
            body = {"query": {"term": {"_id": parts[0].passage_id}}}
            await client.ask("POST", f"/{alias}/_delete_by_query?refresh=true", body)
            assert await index.documents() == {}

    asyncio.run(work())


def test_search_index_that_is_away_is_unavailable_and_names_no_secret() -> None:
    async def work() -> None:
        async with Client("http://ada:hunter2@127.0.0.1:1", 1.0) as client:
            await find(OpenSearchIndex(client, "words", 384, "x"), "grease")

    with pytest.raises(Unavailable) as caught:
        asyncio.run(work())
    assert "hunter2" not in str(caught.value)
