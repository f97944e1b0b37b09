"""Requests to OpenSearch, bounded in time and never repeated; every failure is ``Unavailable``.

Invariants: no error's message carries the URL, which may hold a password; the library is loaded by the first request.
"""

import asyncio
from base64 import b64encode
from collections.abc import Mapping, Sequence
from importlib import import_module
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import unquote, urlsplit

from contracts.errors import Unavailable

if TYPE_CHECKING:
    from opensearchpy import AsyncOpenSearch

_MOST_CONNECTIONS: Final = 4
_NOT_FOUND: Final = 404


class Client:
    """One connection pool; an asynchronous context manager.

    Parameters
    ----------
    url : str
        ``http(s)://[user:password@]host:port``; the certificate of https is verified.
    timeout_s : float
        For one request as a whole, whatever the server does meanwhile.
    """

    def __init__(self, url: str, timeout_s: float) -> None:
        self._host = _host(url)
        self._timeout_s = timeout_s
        self._opened: AsyncOpenSearch | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._opened is not None:
            await self._opened.close()

    async def ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, missing: Any = None
    ) -> dict[str, Any]:
        """Return the answer to a JSON request, and `missing` where OpenSearch says 404 and that is given."""
        told = await self._send(method, path, body, None if missing is None else _NOT_FOUND)
        if missing is not None and told.get("status") == _NOT_FOUND:
            return dict(missing)
        return told

    async def bulk(self, path: str, lines: Sequence[Mapping[str, Any]]) -> None:
        """Send a bulk request; every one of its actions must succeed."""
        engine = await self._engine()
        dumps = engine.transport.serializer.dumps
        answer = await self._send("POST", path, "".join(f"{dumps(line)}\n" for line in lines))
        if answer["errors"]:
            reasons = [item[kind]["error"] for item in answer["items"] for kind in item if "error" in item[kind]]
            raise Unavailable("search engine", f"{len(reasons)} of {len(answer['items'])} actions failed: {reasons[0]}")

    async def _send(
        self, method: str, path: str, body: Mapping[str, Any] | str | None, ignore: int | None = None
    ) -> dict[str, Any]:
        engine = await self._engine()
        from opensearchpy import exceptions  # noqa: PLC0415 -- loaded with the engine

        ignored = () if ignore is None else (ignore,)
        try:
            told = await engine.transport.perform_request(method, path, body=body, ignore=ignored)
        except exceptions.ConnectionTimeout:
            raise Unavailable("search engine", f"no answer in {self._timeout_s:g} s") from None
        except exceptions.ConnectionError as error:
            raise Unavailable("search engine", f"{type(error.info).__name__} in {method} {path}") from None
        except exceptions.TransportError as error:
            raise Unavailable("search engine", f"{error.status_code}: {str(error.error)[:300]}") from None
        except exceptions.SerializationError as error:
            raise Unavailable("search engine", f"an answer that isn't JSON: {str(error.args[0])[:80]!r}") from None
        if not isinstance(told, dict):
            raise Unavailable("search engine", f"an answer that isn't a JSON object: {str(told)[:80]!r}")
        return told

    async def _engine(self) -> "AsyncOpenSearch":
        if self._opened is None:
            await asyncio.to_thread(import_module, "opensearchpy")  # half a second that nobody else waits for
            from opensearchpy import AsyncHttpConnection, AsyncOpenSearch  # noqa: PLC0415 -- see above

            if self._opened is None:  # another request may have been quicker
                self._opened = AsyncOpenSearch(
                    [self._host],
                    # the default one asks aiohttp for what newer Pythons warn of
                    connection_class=AsyncHttpConnection,
                    timeout=self._timeout_s,
                    max_retries=0,
                    pool_maxsize=_MOST_CONNECTIONS,
                )
        return self._opened


def _host(url: str) -> dict[str, Any]:
    """Return the parts of a URL as the library wants them.

    The user goes into a header: the library would make it an object that aiohttp warns of.
    """
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    host: dict[str, Any] = {
        "host": parts.hostname,
        "port": parts.port or (443 if secure else 80),
        "use_ssl": secure,
        "url_prefix": parts.path.rstrip("/"),
    }
    if secure:
        host["verify_certs"] = True
    if parts.username is not None:
        user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        host["headers"] = {"authorization": f"Basic {b64encode(user.encode()).decode()}"}
    return host
