"""The index of passages behind an alias.

Invariants: readers see the alias alone; an index is named for its mapping and for the sentence model its vectors come
from, so vectors of two models never meet; a new generation is filled beside the old one and takes over in one step.
"""

import hashlib
import json
from collections.abc import Sequence
from typing import Any, Final

from adapters.opensearch.client import Client
from adapters.opensearch.query import hybrid, scope_filter
from contracts.documents import DocumentScope, Passage
from contracts.ports import Principal, Vector

_BULK: Final = 200
_MOST_DOCUMENTS: Final = 10_000
_NONE: Final[dict[str, Any]] = {"hits": {"hits": []}}


class OpenSearchIndex:
    """`contracts.ports.SearchIndex` over an OpenSearch with k-NN and neural search, 2.19 or newer.

    Parameters
    ----------
    client : Client
        Open.
    model : str
        The name of the sentence model, from the embedder.
    dimensions : int
        The length of its vectors.
    alias : str
        The name that readers use.
    """

    def __init__(self, client: Client, model: str, dimensions: int, alias: str = "faultline-passages") -> None:
        self._client = client
        self._alias = alias
        self._mapping = _mapping(dimensions)
        generation = hashlib.sha256(json.dumps([self._mapping, model]).encode()).hexdigest()[:12]
        self._index = f"{alias}-{generation}"
        self._exists = False

    async def documents(self) -> dict[str, str]:
        """Return the content digest of every document put so far, whole, by document id."""
        await self._ensure()
        aggregation = {
            "by_document": {
                "composite": {
                    "size": _MOST_DOCUMENTS,
                    "sources": [{name: {"terms": {"field": name}}} for name in ("document_id", "digest", "of")],
                }
            }
        }
        await self._client.ask("POST", f"/{self._index}/_refresh")
        found = await self._client.ask("POST", f"/{self._index}/_search", {"size": 0, "aggs": aggregation})
        counted = [(bucket["key"], bucket["doc_count"]) for bucket in found["aggregations"]["by_document"]["buckets"]]
        return {key["document_id"]: key["digest"] for key, count in counted if count == key["of"]}

    async def replace(
        self, document_id: str, digest: str, passages: Sequence[Passage], vectors: Sequence[Vector]
    ) -> None:
        """Put the passages in the place of all that the document had."""
        await self._ensure()
        for start in range(0, len(passages), _BULK):
            lines: list[dict[str, Any]] = []
            for passage, vector in zip(passages[start : start + _BULK], vectors[start : start + _BULK], strict=True):
                lines.append({"index": {"_index": self._index, "_id": passage.passage_id}})
                lines.append(_source(passage, vector, digest, len(passages)))
            await self._client.bulk("/_bulk", lines)
        kept = [passage.passage_id for passage in passages]
        await self._forget(
            {"filter": [{"term": {"document_id": document_id}}], "must_not": [{"ids": {"values": kept}}]}
        )

    async def remove(self, document_id: str) -> None:
        """Forget a document."""
        await self._ensure()
        await self._forget({"filter": [{"term": {"document_id": document_id}}]})

    async def publish(self) -> None:
        """Return once everything that was put is found; a new generation of the index takes over at once."""
        await self._ensure()
        await self._client.ask("POST", f"/{self._index}/_refresh")
        before = await self._client.ask("GET", f"/_alias/{self._alias}", missing={})
        old = [name for name in before if name != self._index]
        if list(before) == [self._index]:
            return
        actions: list[dict[str, Any]] = [{"add": {"index": self._index, "alias": self._alias}}]
        actions += [{"remove_index": {"index": name}} for name in old]
        await self._client.ask("POST", "/_aliases", {"actions": actions})

    async def find(
        self, who: Principal, words: str, vector: Vector, *, asset_id: str | None, site_id: str | None, limit: int
    ) -> list[Passage]:
        """Return the best passages within the caller's scope, best first."""
        body = hybrid(words, vector, scope_filter(who, asset_id, site_id), limit)
        found = await self._client.ask("POST", f"/{self._alias}/_search", body, missing=_NONE)
        return [_passage(hit["_id"], hit["_source"]) for hit in found["hits"]["hits"]]

    async def _ensure(self) -> None:
        if self._exists:
            return
        known = await self._client.ask("GET", f"/{self._index}", missing={})
        if not known:
            await self._client.ask("PUT", f"/{self._index}", self._mapping)
        self._exists = True

    async def _forget(self, which: dict[str, Any]) -> None:
        path = f"/{self._index}/_delete_by_query?refresh=true&conflicts=proceed"
        await self._client.ask("POST", path, {"query": {"bool": which}})


def _mapping(dimensions: int) -> dict[str, Any]:
    english = {"type": "text", "analyzer": "english"}
    keyword = {"type": "keyword"}
    method = {"name": "hnsw", "engine": "lucene", "space_type": "cosinesimil"}
    return {
        "settings": {"index": {"knn": True, "number_of_shards": 1, "number_of_replicas": 0, "refresh_interval": "5s"}},
        "mappings": {
            "dynamic": "strict",
            "properties": {
                "document_id": keyword,
                "digest": keyword,
                "of": {"type": "integer"},
                "site_id": keyword,
                "asset_ids": keyword,
                "title": english,
                "heading": english,
                "text": english,
                "span": {"type": "keyword", "index": False, "doc_values": False},
                "vector": {"type": "knn_vector", "dimension": dimensions, "method": method},
            },
        },
    }


def _source(passage: Passage, vector: Vector, digest: str, of: int) -> dict[str, Any]:
    """Return what is stored; ``of`` says how many passages make the document whole."""
    return {
        "document_id": passage.document_id,
        "digest": digest,
        "of": of,
        "site_id": passage.scope.site_id,
        "asset_ids": list(passage.scope.asset_ids),
        "title": passage.title,
        "heading": list(passage.heading),
        "text": passage.text,
        "span": passage.span,
        "vector": list(vector),
    }


def _passage(passage_id: str, source: dict[str, Any]) -> Passage:
    return Passage(
        passage_id=passage_id,
        document_id=source["document_id"],
        title=source["title"],
        heading=tuple(source["heading"]),
        text=source["text"],
        span=source["span"],
        scope=DocumentScope(site_id=source["site_id"], asset_ids=tuple(source["asset_ids"])),
    )
