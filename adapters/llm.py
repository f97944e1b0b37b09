"""Any OpenAI-compatible chat endpoint, streamed (``POST {url}/chat/completions``, server-sent events).

Invariants: a reply is bounded in time and length; whatever the server sends (nothing, an error, garbage) ends in
``Unavailable``; neither key nor URL is in a message; nothing but the key given here is sent to authenticate; the
library is loaded by the first question.

The events are read here: the library's own stream bounds neither a line nor a reply, and it takes a reply that broke
off for a whole one.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from anyio import EndOfStream

from contracts.documents import Message
from contracts.errors import Unavailable

if TYPE_CHECKING:
    import httpx2
    from openai import AsyncOpenAI
    from openai.types.chat import ChatCompletionMessageParam

_CONNECT_S: Final = 2.0
_MOST_TOKENS: Final = 700
_MOST_CHARACTERS: Final = 1_000_000
_PREFIX: Final = "data:"
_DONE: Final = "[DONE]"
#: What the library would take from variables of the environment that are for another endpoint.
_FROM_ENVIRONMENT: Final = ("OpenAI-Organization", "OpenAI-Project")
#: Keeps the library from looking for a key in the environment; never sent, since every request names its own.
_NO_KEY: Final = "none"


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
        self._url = url
        self._key = key
        self._model = model
        self._timeout_s = timeout_s

    async def write(self, messages: Sequence[Message]) -> AsyncGenerator[str, None]:
        """Give the reply piece by piece; raise ``Unavailable`` when it fails or takes too long."""
        await asyncio.to_thread(import_module, "openai")  # a second that nobody else waits for
        import httpx2  # noqa: PLC0415 -- loaded with openai
        import openai  # noqa: PLC0415 -- see above

        deadline_s = asyncio.get_running_loop().time() + self._timeout_s
        headers: dict[str, str | openai.Omit] = {name: openai.Omit() for name in _FROM_ENVIRONMENT}
        headers["Authorization"] = f"Bearer {self._key}" if self._key else openai.Omit()
        async with self._client() as client:
            request = client.chat.completions.with_streaming_response.create(
                model=self._model,
                messages=_told(messages),
                stream=True,
                temperature=0,
                max_tokens=_MOST_TOKENS,
                extra_headers=headers,
            )
            try:
                async with AsyncExitStack() as held:
                    async with asyncio.timeout_at(deadline_s):
                        answer = await held.enter_async_context(request)
                    async with aclosing(_pieces(answer.iter_text(), deadline_s)) as pieces:
                        async for piece in pieces:
                            yield piece
            except TimeoutError:
                raise Unavailable("language model", f"no whole reply in {self._timeout_s:g} s") from None
            except (
                openai.OpenAIError,
                httpx2.HTTPError,
                OSError,
                EndOfStream,
            ) as error:  # the last two from broken TLS
                if isinstance(error.__cause__, Unavailable):  # ours, from before the library saw the answer
                    raise error.__cause__ from None
                raise Unavailable("language model", type(error.__cause__ or error).__name__) from None

    def _client(self) -> "AsyncOpenAI":
        import openai  # noqa: PLC0415 -- loaded by `write`

        http = openai.DefaultAsyncHttpxClient(
            trust_env=False, follow_redirects=False, event_hooks={"response": [_refuse_failure]}
        )
        return openai.AsyncOpenAI(
            api_key=_NO_KEY,
            base_url=self._url,
            timeout=openai.Timeout(self._timeout_s, connect=min(_CONNECT_S, self._timeout_s)),
            max_retries=0,
            http_client=http,
        )


def _told(messages: Sequence[Message]) -> "list[ChatCompletionMessageParam]":
    return [
        {"role": "system", "content": message.text}
        if message.role == "system"
        else {"role": "user", "content": message.text}
        for message in messages
    ]


async def _refuse_failure(answer: "httpx2.Response") -> None:
    """Look at the status before the library does: it would read the whole body of a failure, however long."""
    if not answer.is_success:
        raise Unavailable("language model", f"status {answer.status_code}")


async def _pieces(texts: AsyncIterator[str], deadline_s: float) -> AsyncGenerator[str, None]:
    """Give the text in the events of a stream, up to its end; raise ``Unavailable`` for what is no such stream."""
    size, line = 0, ""
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
