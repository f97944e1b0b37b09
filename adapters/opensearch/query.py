"""The queries: who may find what is part of each leg, so nothing outside the scope is ever ranked.

Scores of the two legs aren't comparable (BM25 is unbounded, a cosine is not), so each leg is scaled to 0…1 over its
hits before they are added (https://docs.opensearch.org/2.19/search-plugins/search-pipelines/normalization-processor/).
"""

from collections.abc import Sequence
from typing import Any, Final

from contracts.ports import Principal, Vector

FIELDS: Final = ("text", "heading^1.5", "title")
#: How many of each leg are ranked together.
CANDIDATES: Final = 50
_WEIGHTS: Final = (0.4, 0.6)
_STORED: Final = ["document_id", "title", "heading", "text", "span", "site_id", "asset_ids"]


def scope_filter(who: Principal, asset_id: str | None, site_id: str | None) -> list[dict[str, Any]]:
    """Return the filter clauses that leave what the caller may see, and what the question is about.

    A passage without assets is for all assets of its site; whoever is limited to assets sees it only together with a
    limit to sites.

    Examples
    --------
    >>> scope_filter(Principal("a", frozenset(), frozenset({"north"})), None, None)
    [{'terms': {'site_id': ['north']}}]
    """
    clauses: list[dict[str, Any]] = []
    if who.sites is not None:
        clauses.append({"terms": {"site_id": sorted(who.sites)}})
    if who.assets is not None:
        clauses.append(_assets(sorted(who.assets), with_site_wide=who.sites is not None))
    if site_id is not None:
        clauses.append({"term": {"site_id": site_id}})
    if asset_id is not None:
        clauses.append(_assets([asset_id], with_site_wide=True))
    return clauses


def hybrid(words: str, vector: Vector, clauses: Sequence[dict[str, Any]], limit: int) -> dict[str, Any]:
    """Return the body of the search: both legs with the same filter."""
    filtered = {"bool": {"filter": list(clauses)}}
    by_words = {
        "bool": {
            "must": [{"multi_match": {"query": words, "fields": list(FIELDS), "type": "most_fields"}}],
            "filter": list(clauses),
        }
    }
    by_meaning = {"knn": {"vector": {"vector": list(vector), "k": CANDIDATES, "filter": filtered}}}
    combination = {"technique": "arithmetic_mean", "parameters": {"weights": list(_WEIGHTS)}}
    normalisation = {"normalization": {"technique": "min_max"}, "combination": combination}
    return {
        "size": limit,
        "_source": _STORED,
        "query": {"hybrid": {"queries": [by_words, by_meaning], "pagination_depth": CANDIDATES}},
        "search_pipeline": {"phase_results_processors": [{"normalization-processor": normalisation}]},
    }


def _assets(asset_ids: list[str], *, with_site_wide: bool) -> dict[str, Any]:
    named: dict[str, Any] = {"terms": {"asset_ids": asset_ids}}
    if not with_site_wide:
        return named
    site_wide = {"bool": {"must_not": [{"exists": {"field": "asset_ids"}}]}}
    return {"bool": {"should": [named, site_wide], "minimum_should_match": 1}}
