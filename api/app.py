"""The API as one ASGI application, made of ports."""

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

from starlette.applications import Starlette
from starlette.middleware import Middleware

from api import openapi
from api.guard import LOOPBACK_HOSTS, Guard
from api.operations import Operation, Services
from api.problems import HANDLERS
from api.risks import RiskBook
from api.routes import alarm_record, alarms, assets, channels, chat, events, health, models, session, waveforms, web
from api.sse import Streams, StreamSettings
from contracts.ports import Assistant, Clock, CommandLog, HistoryReader, Identity, TokenIssuer

VERSION: Final = "1.0.0"


def create_app(
    reader: HistoryReader,
    commands: CommandLog,
    identity: Identity,
    clock: Clock,
    *,
    ready: Mapping[str, Callable[[], Awaitable[None]]] | None = None,
    login: TokenIssuer | None = None,
    hosts: frozenset[str] | None = LOOPBACK_HOSTS,
    streams: StreamSettings | None = None,
    pages: Path | None = None,
    assistant: Assistant | None = None,
    feature_hashes: frozenset[str] = frozenset(),
) -> Starlette:
    """Return the application.

    Parameters
    ----------
    reader : HistoryReader
        Where answers come from.
    commands : CommandLog
        Where operators' commands go.
    identity : Identity
        Tells who a caller is.
    clock : Clock
        Time.
    ready : mapping of str to callable, optional
        What ``/readyz`` asks, by part; a check raises ``Unavailable`` where the part doesn't answer.
    login : TokenIssuer, optional
        The development login; without it there is no ``/v1/login``.
    hosts : frozenset of str, optional
        Host names the API answers for; ``None`` for all.
    streams : StreamSettings, optional
        Bounds of the event streams.
    pages : Path, optional
        The folder of the live page, served at ``/``.
    assistant : Assistant, optional
        Who answers questions; without one, ``/v1/chat`` answers 503.
    feature_hashes : frozenset of str
        Hashes of the feature code that runs here: models trained for another aren't current.

    Returns
    -------
    app : Starlette
        ``app.state.streams.close()`` lets open event streams end.
    """
    services = Services(
        reader=reader,
        commands=commands,
        clock=clock,
        streams=Streams(reader, clock, streams),
        risks=RiskBook(reader, clock),
        feature_hashes=feature_hashes,
        login=login,
        assistant=assistant,
        ready=dict(ready or {}),
    )
    operations = operations_of(with_login=login is not None)
    routes = [operation.route(services) for operation in operations]
    files = web.routes(pages) if pages is not None else []
    public = health.PATHS | {openapi.PATH, session.PATH} | {file.path for file in files}
    app = Starlette(
        routes=[*routes, openapi.route(operations, VERSION), *files],
        middleware=[Middleware(Guard, identity=identity, hosts=hosts, public=public)],
        exception_handlers=HANDLERS,
    )
    app.router.redirect_slashes = False
    app.state.streams = services.streams
    return app


def operations_of(*, with_login: bool) -> tuple[Operation, ...]:
    """Return every operation of the API."""
    always = (
        *assets.OPERATIONS,
        *channels.OPERATIONS,
        *waveforms.OPERATIONS,
        *alarms.OPERATIONS,
        *alarm_record.OPERATIONS,
        *models.OPERATIONS,
        *events.OPERATIONS,
        *chat.OPERATIONS,
        *health.OPERATIONS,
    )
    return (*always, *session.OPERATIONS) if with_login else always
