"""Questions about machines, answered with citations."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Final

from msgspec import Meta, Struct
from starlette.responses import Response, StreamingResponse

from api import sse
from api.operations import Call, NoArguments, Operation
from api.payloads import Identifier
from api.problems import SECURITY_HEADERS
from contracts.documents import Answer, Draft
from contracts.errors import FaultlineError, NotFound, Unavailable

_Question = Annotated[str, Meta(min_length=1, max_length=2000, pattern=r"^[^\x00]*[^\x00\s][^\x00]*$")]


class ChatQuestion(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A question; without ``asset_id`` it is about the asset that its text names, if any."""

    question: _Question
    asset_id: Identifier | None = None


class ChatCitation(Struct, frozen=True, kw_only=True):
    """Where a statement comes from: the quote stands literally in that span of the document."""

    document: str
    span: str
    quote: str


class ChatAnswer(Struct, frozen=True, kw_only=True):
    """An answer; ``[1]`` in it points to the first citation. Abstained: nothing supports an answer."""

    answer: str
    citations: list[ChatCitation]
    abstained: bool


class ChatDraft(Struct, frozen=True, kw_only=True):
    """A piece of a model's words, not checked yet: the answer that follows takes its place."""

    text: str


async def chat(call: Call, _arguments: NoArguments, body: ChatQuestion) -> ChatAnswer | Response:
    """Answer a question, as a stream where the caller prefers one."""
    assistant = call.services.assistant
    if assistant is None:
        raise Unavailable("assistant", "it isn't set up", retry_after_s=60.0)
    pieces = assistant.ask(call.who, body.question, body.asset_id)
    if sse.MEDIA_TYPE in call.request.headers.get("accept", ""):
        first = await anext(pieces)  # an asset outside the scope is a 404, not a broken stream
        headers = SECURITY_HEADERS | {"x-accel-buffering": "no"}
        return StreamingResponse(_events(first, pieces), headers=headers, media_type=sse.MEDIA_TYPE)
    async with aclosing(pieces):
        async for piece in pieces:
            if isinstance(piece, Answer):
                return _payload(piece)
    raise NotFound("the assistant gave no answer")


async def _events(first: Draft | Answer, rest: AsyncGenerator[Draft | Answer, None]) -> AsyncGenerator[bytes, None]:
    yield _event(first)
    async with aclosing(rest):
        try:
            async for piece in rest:
                yield _event(piece)
        except FaultlineError:
            yield sse.event("error", ChatDraft(text="The assistant failed; ask again."))


def _event(piece: Draft | Answer) -> bytes:
    if isinstance(piece, Draft):
        return sse.event("draft", ChatDraft(text=piece.text))
    return sse.event("answer", _payload(piece))


def _payload(answer: Answer) -> ChatAnswer:
    citations = [ChatCitation(document=one.document, span=one.span, quote=one.quote) for one in answer.citations]
    return ChatAnswer(answer=answer.text, citations=citations, abstained=answer.abstained)


OPERATIONS: Final = (
    Operation(
        method="POST",
        path="/v1/chat",
        name="ask_assistant",
        summary="A question about machines, answered with citations; as events for `Accept: text/event-stream`",
        run=chat,
        body=ChatQuestion,
        answer=ChatAnswer,
        problems={404: "There is no such asset within the caller's scope."},
    ),
)
