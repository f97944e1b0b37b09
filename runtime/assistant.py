"""The assistant bound to the real parts."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from adapters.llm import ChatModel
from adapters.opensearch import Client, OpenSearchIndex
from contracts.ports import HistoryReader
from rag.assistant import Bounds, DocumentAssistant
from runtime.embedding import LateSentenceModel
from runtime.settings import Settings

#: Somebody waits: a search that takes longer counts as none.
SEARCH_S: Final = 2.0


@asynccontextmanager
async def open_assistant(settings: Settings, reader: HistoryReader) -> AsyncIterator[DocumentAssistant]:
    """Give the assistant that `settings` ask for.

    Parameters
    ----------
    settings : Settings
        Without an OpenSearch it tells live conditions alone, without a language model it quotes.
    reader : HistoryReader
        Where live conditions come from.
    """
    async with AsyncExitStack() as held:
        embedder = LateSentenceModel(settings)
        index = None
        if settings.opensearch_url is not None:
            client = await held.enter_async_context(Client(settings.opensearch_url, SEARCH_S))
            index = OpenSearchIndex(client, embedder.name, embedder.dimensions)
        model = None
        if settings.llm_url is not None:
            key = settings.llm_key.get_secret_value() if settings.llm_key is not None else None
            model = ChatModel(settings.llm_url, key, settings.llm_model, settings.llm_timeout_s)
        yield DocumentAssistant(reader, embedder, index, model, Bounds(model_s=settings.llm_timeout_s))
