"""Requests to OpenSearch, bounded in time; every failure is ``Unavailable``.

Invariant: no message carries the URL, which may hold a password.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self

import httpx

from contracts.errors import Unavailable

_MOST_CONNECTIONS: Final = 4
_CONNECT_S: Final = 1.0


class Client:
    """One connection pool; an asynchronous context manager.

    Parameters
    ----------
    url : str
        ``http(s)://[user:password@]host:port``.
    timeout_s : float
        For one request as a whole, whatever the server does meanwhile.
    """

    def __init__(self, url: str, timeout_s: float) -> None:
        limits = httpx.Limits(max_connections=_MOST_CONNECTIONS)
        timeout = httpx.Timeout(timeout_s, connect=min(timeout_s, _CONNECT_S))
        self._http = httpx.AsyncClient(base_url=url, timeout=timeout, limits=limits, trust_env=False)
        self._timeout_s = timeout_s

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, missing: Any = None
    ) -> dict[str, Any]:
        """Return the answer to a JSON request, and `missing` for 404 where that is given."""
        content = None if body is None else json.dumps(body).encode()
        answer = await self._send(method, path, content, "application/json")
        if answer.status_code == httpx.codes.NOT_FOUND and missing is not None:
            return dict(missing)
        return _checked(answer)

    async def bulk(self, path: str, lines: Sequence[Mapping[str, Any]]) -> None:
        """Send a bulk request; every one of its actions must succeed."""
        content = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
        answer = _checked(await self._send("POST", path, content, "application/x-ndjson"))
        if answer["errors"]:
            reasons = [item[kind]["error"] for item in answer["items"] for kind in item if "error" in item[kind]]
            raise Unavailable("search engine", f"{len(reasons)} of {len(answer['items'])} actions failed: {reasons[0]}")

    async def _send(self, method: str, path: str, content: bytes | None, media_type: str) -> httpx.Response:
        headers = {"content-type": media_type} if content is not None else {}
        try:
            async with asyncio.timeout(self._timeout_s):  # httpx bounds each read, not the sum
                return await self._http.request(method, path, content=content, headers=headers)
        except TimeoutError:
            raise Unavailable("search engine", f"no answer in {self._timeout_s:g} s") from None
        except httpx.HTTPError as error:
            raise Unavailable("search engine", f"{type(error).__name__} in {method} {path}") from None


def _checked(answer: httpx.Response) -> dict[str, Any]:
    if not answer.is_success:
        raise Unavailable("search engine", f"{answer.status_code}: {answer.text[:300]}")
    try:
        told: dict[str, Any] = answer.json()
    except ValueError:
        raise Unavailable("search engine", f"an answer that isn't JSON: {answer.text[:80]!r}") from None
    return told
