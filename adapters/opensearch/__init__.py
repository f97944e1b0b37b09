"""OpenSearch: passages found by their words (BM25) and by their meaning (k-NN) in one query."""

from adapters.opensearch.client import Client
from adapters.opensearch.index import OpenSearchIndex

__all__ = ["Client", "OpenSearchIndex"]
