"""The clients of OpenSearch and of the language model: loaded late, asked once, in time, silent about secrets."""

import asyncio
import logging
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import openai  # noqa: F401 -- loaded here, so that it counts in no test's time
import opensearchpy  # noqa: F401 -- as above
import pytest

from adapters.llm import ChatModel
from adapters.opensearch import Client
from contracts.documents import Message
from contracts.errors import Unavailable
from runtime.settings import PROJECT

JSON = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n"


@asynccontextmanager
async def server(
    parts: Sequence[bytes], *, hang: bool = False, flood: bytes = b""
) -> AsyncIterator[tuple[int, list[str]]]:
    """Give the port of a server on loopback that sends `parts` (then `flood`, on and on), and what it was asked."""
    asked: list[str] = []
    done = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = head.lower().partition("content-length: ")[2].partition("\r\n")[0]
        asked.append(head + (await reader.readexactly(int(length or 0))).decode())
        try:
            for part in parts:
                writer.write(part)
            await writer.drain()
            while flood:
                writer.write(flood)
                await writer.drain()
            if hang:
                await done.wait()
        except ConnectionError:
            asked.append("hung up")
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening:
        try:
            yield listening.sockets[0].getsockname()[1], asked
        finally:
            done.set()


def search(parts: Sequence[bytes], *, hang: bool = False, missing: Any = None) -> tuple[dict[str, Any], list[str]]:
    async def inside() -> tuple[dict[str, Any], list[str]]:
        async with (
            server(parts, hang=hang) as (port, asked),
            Client(f"http://ada:hunter%402@127.0.0.1:{port}/behind", 0.5) as client,
        ):
            try:
                return await client.ask("POST", "/x/_search", {"query": "ö"}, missing=missing), asked
            finally:
                assert len(asked) == 1, "asked once, whatever came of it"

    return asyncio.run(inside())


def test_search_client_sends_json_with_the_user_of_the_url() -> None:
    told, [asked] = search([JSON, b'{"hits": 1}'])
    assert told == {"hits": 1}
    assert asked.startswith("POST /behind/x/_search HTTP/1.1")
    assert "authorization: basic ywrhomh1bnrlckay\r\n" in asked.lower()  # ada:hunter@2
    assert asked.endswith('{"query":"ö"}')


@pytest.mark.parametrize(
    ("parts", "hang", "why"),
    [
        ([], True, "no answer in 0.5 s"),
        ([JSON, b'{"hits"'], True, "no answer in 0.5 s"),
        ([], False, "ServerDisconnectedError in POST /x/_search"),
        ([b"not http at all\r\n\r\n"], False, "BadStatusLine|ClientResponseError"),
        ([b"HTTP/1.1 503 Oh\r\ncontent-length: 4\r\n\r\nbusy"], False, "503: busy"),
        ([b"HTTP/1.1 404 Oh\r\ncontent-length: 4\r\n\r\ngone"], False, "404: gone"),
        ([JSON, b"{garbage"], False, "isn't JSON"),
        ([JSON, b"[1]"], False, "isn't a JSON object"),
        ([JSON], False, "isn't a JSON object"),
        ([JSON.replace(b"application/json", b"text/html"), b"<p>Hello"], False, "isn't JSON"),
        ([JSON, b'"\xff"'], False, "UnicodeDecodeError"),
    ],
)
def test_search_client_turns_whatever_goes_wrong_into_unavailable_in_time(
    parts: list[bytes], hang: bool, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    began_s = time.monotonic()
    with pytest.raises(Unavailable, match=why) as caught:
        search(parts, hang=hang)
    assert time.monotonic() - began_s < 3.0
    assert "hunter" not in str(caught.value) + caplog.text


def test_search_client_takes_the_engine_s_404_alone_for_missing() -> None:
    body = b'{"error": "alias [x] missing", "status": 404}'
    head = b"HTTP/1.1 404 Oh\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
    assert search([head, body], missing={"hits": []})[0] == {"hits": []}
    with pytest.raises(Unavailable):
        search([b"HTTP/1.1 404 Oh\r\ncontent-type: text/html\r\ncontent-length: 2\r\n\r\nno"], missing={})


def test_search_client_verifies_certificates() -> None:
    async def inside() -> None:
        async with Client("https://127.0.0.1", 0.5) as client:
            engine = await client._engine()
            async with engine:
                [connection] = engine.transport.connection_pool.connections
            assert connection.port == 443
            assert connection._ssl_context.check_hostname
            assert connection._ssl_context.verify_mode.name == "CERT_REQUIRED"

    asyncio.run(inside())


STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
REPLY = [STREAM, b'data: {"choices":[{"index":0,"delta":{"content":"Stop"}}]}\r\n\r\n', b"data: [DONE]\r\n\r\n"]


def write(parts: Sequence[bytes], key: str | None, *, flood: bytes = b"") -> tuple[str, list[str]]:
    async def inside() -> tuple[str, list[str]]:
        async with server(parts, flood=flood) as (port, asked):
            model = ChatModel(f"http://127.0.0.1:{port}/v1/", key, "small", 1.0)
            try:
                pieces = [piece async for piece in model.write([Message(role="system", text="Hi")])]
                return "".join(pieces), asked
            finally:
                assert sum(one.startswith("POST /v1/chat/completions ") for one in asked) == 1

    return asyncio.run(inside())


@pytest.mark.parametrize("key", [None, "", "sk-mine"])
def test_language_model_is_sent_the_key_given_and_nothing_of_the_environment(
    key: str | None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.setenv(name, "hunter2")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "Authorization: Bearer hunter2")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    reply, [asked] = write(REPLY, key)
    assert reply == "Stop"
    assert "hunter2" not in asked
    assert ("authorization: bearer sk-mine\r\n" in asked.lower()) is bool(key)
    assert "authorization" in asked.lower() or not key
    assert "sk-mine" not in caplog.text


def test_language_model_that_fails_at_length_is_not_read_to_its_end() -> None:
    began_s = time.monotonic()
    with pytest.raises(Unavailable, match="status 500"):
        write([b"HTTP/1.1 500 Oh\r\nconnection: close\r\n\r\n"], None, flood=b"x" * 65_536)
    assert time.monotonic() - began_s < 0.9


def test_language_model_is_not_followed_elsewhere() -> None:
    with pytest.raises(Unavailable, match="status 307"):
        write([b"HTTP/1.1 307 Go\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n"], "sk-mine")


def test_neither_library_is_loaded_before_its_first_use() -> None:
    code = (
        "import sys, runtime.commands.api, runtime.assistant; from adapters.llm import ChatModel;"
        "from adapters.opensearch import Client; Client('http://x', 1.0); ChatModel('http://x', None, 'm', 1.0);"
        "print(sorted({'openai', 'opensearchpy', 'aiohttp', 'httpx2'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"
