"""Any OpenAI-compatible chat endpoint, streamed (``POST {url}/chat/completions``, server-sent events).

Invariants: a reply is bounded in time and length; whatever the server sends (nothing, an error, garbage) ends in
``Unavailable``; neither key nor URL is in a message.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, Final

import httpx

from contracts.documents import Message
from contracts.errors import Unavailable

_CONNECT_S: Final = 2.0
_MOST_TOKENS: Final = 700
_MOST_CHARACTERS: Final = 1_000_000
_PREFIX: Final = "data:"
_DONE: Final = "[DONE]"


class ChatModel:
    """`contracts.ports.LanguageModel` over HTTP.

    Parameters
    ----------
    url : str
        Of the API, e.g. ``https://llm.example/v1``.
    key : str, optional
        Sent as bearer token.
    model : str
        Which model to ask.
    timeout_s : float
        For a reply as a whole.
    """

    def __init__(self, url: str, key: str | None, model: str, timeout_s: float) -> None:
        self._url = f"{url.rstrip('/')}/chat/completions"
        self._headers = {"accept": "text/event-stream"} | ({"authorization": f"Bearer {key}"} if key else {})
        self._model = model
        self._timeout_s = timeout_s

    async def write(self, messages: Sequence[Message]) -> AsyncGenerator[str, None]:
        """Give the reply piece by piece; raise ``Unavailable`` when it fails or takes too long."""
        body = {
            "model": self._model,
            "messages": [{"role": message.role, "content": message.text} for message in messages],
            "stream": True,
            "temperature": 0,
            "max_tokens": _MOST_TOKENS,
        }
        deadline_s = asyncio.get_running_loop().time() + self._timeout_s
        timeout = httpx.Timeout(self._timeout_s, connect=min(_CONNECT_S, self._timeout_s))
        async with httpx.AsyncClient(timeout=timeout, trust_env=False) as client:
            request = client.build_request("POST", self._url, json=body, headers=self._headers)
            try:
                async with asyncio.timeout_at(deadline_s):
                    answer = await client.send(request, stream=True)
                async with aclosing(answer):
                    if not answer.is_success:
                        raise Unavailable("language model", f"status {answer.status_code}")
                    async for piece in _pieces(answer, deadline_s):
                        yield piece
            except TimeoutError:
                raise Unavailable("language model", f"no whole reply in {self._timeout_s:g} s") from None
            except httpx.HTTPError as error:
                raise Unavailable("language model", type(error).__name__) from None


async def _pieces(answer: httpx.Response, deadline_s: float) -> AsyncGenerator[str, None]:
    """Give the text in the events of a stream, up to its end; raise ``Unavailable`` for what is no such stream."""
    size, line = 0, ""
    texts = answer.aiter_text()
    while True:
        async with asyncio.timeout_at(deadline_s):  # around a read, never around a `yield`
            text = await anext(texts, None)
        if text is None:
            raise Unavailable("language model", "the reply broke off")
        size += len(text)
        if size > _MOST_CHARACTERS:
            raise Unavailable("language model", f"more than {_MOST_CHARACTERS} characters")
        *lines, line = (line + text).split("\n")
        for event in lines:
            if not event.startswith(_PREFIX):
                continue
            data = event.removeprefix(_PREFIX).strip()
            if data == _DONE:
                return
            piece = _text(data)
            if piece:
                yield piece


def _text(data: str) -> str:
    try:
        told: Any = json.loads(data)
        if "error" in told:
            raise Unavailable("language model", "it reported an error")
        return "".join(str(choice["delta"].get("content") or "") for choice in told["choices"])
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Unavailable("language model", "the reply isn't a chat completion") from None
