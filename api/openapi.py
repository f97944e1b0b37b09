"""OpenAPI 3.1, written from the operations themselves: what is routed is documented, and the other way round."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.operations import COMMON_PROBLEMS, Operation, Role
from api.payloads import ProblemDetail
from api.problems import MEDIA_TYPE, SECURITY_HEADERS
from api.wire import encode, schemas

PATH: Final = "/v1/openapi.json"
_TITLE: Final = "Faultline"
_ABOUT: Final = (
    "Assets, their condition and their alarms. Moments are RFC 3339 in UTC with nine decimals. "
    "Errors are application/problem+json (RFC 9457)."
)


def document(operations: Sequence[Operation], version: str) -> dict[str, Any]:
    """Return the OpenAPI description of `operations`."""
    types = {kind for o in operations for kind in (o.answer, o.arguments, o.body) if kind is not None}
    found, components = schemas(sorted(types | {ProblemDetail}, key=lambda kind: kind.__name__))
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _described(operation, found, components)
    for operation in operations:
        components.pop(operation.arguments.__name__, None)
    return {
        "openapi": "3.1.0",
        "info": {"title": _TITLE, "version": version, "description": _ABOUT, "license": {"name": "Apache-2.0"}},
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}}},
        "security": [{"bearer": []}],
    }


def route(operations: Sequence[Operation], version: str) -> Route:
    """Return the route that gives the description."""
    text = encode(document(operations, version))

    async def describe(_request: Request) -> Response:
        return Response(text, headers=SECURITY_HEADERS, media_type="application/json")

    return Route(PATH, describe, methods=["GET"], name="openapi")


def _described(operation: Operation, found: dict[type, Any], components: dict[str, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "parameters": list(_parameters(operation, components[operation.arguments.__name__])),
        "responses": {str(operation.status): _success(operation, found), **_problems(operation, found)},
    }
    if operation.role is Role.NOBODY:
        described["security"] = []
    else:
        described["description"] = f"Needs the role {operation.role.name.lower()}."
    if operation.body is not None:
        described["requestBody"] = {"content": {"application/json": {"schema": found[operation.body]}}}
    return described


def _parameters(operation: Operation, schema: dict[str, Any]) -> Iterable[dict[str, Any]]:
    for name, given in schema["properties"].items():
        place = "path" if name in operation.in_path else "header" if name in operation.headers else "query"
        parameter = {"name": name, "in": place, "required": place == "path", "schema": given}
        about = given.get("description")
        yield parameter | ({"description": about} if about else {})


def _success(operation: Operation, found: dict[type, Any]) -> dict[str, Any]:
    schema = {"type": "string"} if operation.answer is None else found[operation.answer]
    about = (operation.answer.__doc__ if operation.answer else None) or operation.summary
    return {"description": about.strip().splitlines()[0], "content": {operation.media_type: {"schema": schema}}}


def _problems(operation: Operation, found: dict[type, Any]) -> dict[str, Any]:
    cases: dict[int, str] = dict(COMMON_PROBLEMS) | dict(operation.problems)
    if operation.body is not None:
        cases |= {400: "The body isn't acceptable JSON.", 413: "The body is too large.", 415: "The body isn't JSON."}
    content = {MEDIA_TYPE: {"schema": found[ProblemDetail]}}
    return {str(status): {"description": about, "content": content} for status, about in sorted(cases.items())}
