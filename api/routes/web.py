"""The live page: a folder of hand-written files, given as they are.

Invariants: only what lay in the folder when the process started can be asked for, so no path leads out of it; the page
runs its own code alone (no inline code, no other origin, and no text ever becomes markup: Trusted Types without a
policy); a browser asks again on every visit and is told in a few bytes that nothing has changed.
"""

import hashlib
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from contracts.errors import ConfigurationError

_INDEX: Final = "index.html"
_MEDIA_TYPES: Final = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS: Final = {
    "cache-control": "no-cache",
    "content-security-policy": _POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


def routes(folder: Path) -> list[Route]:
    """Return a route for each file in `folder`, ``/`` for its ``index.html``.

    Parameters
    ----------
    folder : Path
        Read once, now.

    Raises
    ------
    ConfigurationError
        There is no ``index.html``, or a file whose type isn't known.
    """
    if not (folder / _INDEX).is_file():
        raise ConfigurationError(f"{folder}: no {_INDEX}")
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return [_route(path, path.relative_to(folder).as_posix()) for path in files]


def _route(path: Path, name: str) -> Route:
    content = path.read_bytes()
    media_type = _MEDIA_TYPES.get(path.suffix)
    if media_type is None:
        raise ConfigurationError(f"{path}: files ending in {path.suffix!r} aren't served")
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {**_HEADERS, "etag": tag}

    async def give(request: Request) -> Response:
        known = {one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")}
        if tag in known or "*" in known:
            return Response(status_code=304, headers=headers)
        return Response(content, headers=headers, media_type=media_type)

    return Route("/" if name == _INDEX else f"/{name}", give, methods=["GET"], name=f"web:{name}")
