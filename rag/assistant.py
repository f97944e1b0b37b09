"""The assistant: what a question is about, where to look, and who words the answer.

Invariants: everything it looks at lies within the caller's scope; every part has its time, so an answer comes within
seconds whatever hangs; a part that fails is named in the answer and takes nothing else with it.
"""

import asyncio
import dataclasses
import secrets
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from contracts.documents import Answer, Draft, Message, Passage
from contracts.errors import NotFound, Unavailable
from contracts.ports import Embedder, HistoryReader, LanguageModel, Principal, SearchIndex
from rag import extract, generate
from rag.guard import speaks_to_the_assistant
from rag.live import LiveCondition, live_condition
from rag.question import Question, asset_in, understand, without_name

_PASSAGES: Final = 8
_SOURCES: Final = 6
_MOST_NEEDS: Final = 2
_MOST_AT_ONCE: Final = 4

NOTHING: Final = "I found nothing in the documents that answers this."
OFF: Final = "The document search is switched off"
AWAY: Final = "The document search doesn't answer now"
NO_DATABASE: Final = "The live condition can't be read now."
BUSY: Final = "Too many questions are being answered now; ask again in a moment."


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Times that an answer is bounded by (seconds).

    ``search_s`` bounds finding passages, ``live_s`` reading the live condition (both at once), ``model_s`` a model's
    whole reply, ``queue_s`` the wait for others' questions.
    """

    search_s: float = 3.0
    live_s: float = 2.5
    model_s: float = 20.0
    queue_s: float = 2.0


@dataclass(frozen=True, slots=True)
class Found:
    """What was looked up; ``missing`` says in a sentence what couldn't be."""

    live: LiveCondition | None
    passages: tuple[Passage, ...]
    guidance: tuple[Passage, ...]
    missing: str = ""


class DocumentAssistant:
    """`contracts.ports.Assistant` over documents, live conditions and, where there is one, a language model.

    Parameters
    ----------
    reader : HistoryReader
        Live conditions.
    embedder : Embedder
        Texts to vectors.
    index : SearchIndex, optional
        Documents; without it only live conditions are told.
    model : LanguageModel, optional
        Words answers; without it they are extracts.
    bounds : Bounds
        How long what may take.
    """

    def __init__(
        self,
        reader: HistoryReader,
        embedder: Embedder,
        index: SearchIndex | None,
        model: LanguageModel | None = None,
        bounds: Bounds | None = None,
    ) -> None:
        self._reader = reader
        self._embedder = embedder
        self._index = index
        self._model = model
        self._bounds = bounds or Bounds()
        self._free = asyncio.Semaphore(_MOST_AT_ONCE)

    async def ask(self, who: Principal, question: str, asset_id: str | None) -> AsyncGenerator[Draft | Answer, None]:
        """Give drafts, if a model writes, and last the answer; raise ``NotFound`` for an asset outside the scope."""
        try:
            await asyncio.wait_for(self._free.acquire(), self._bounds.queue_s)
        except TimeoutError:
            yield Answer(text=BUSY, abstained=True)
            return
        try:
            asked = understand(question)
            found = await self.look_up(who, asked, asset_id)
            extracted = await asyncio.to_thread(self._extract, asked, found)
            if self._model is None or extracted.abstained:
                yield extracted
                return
            async for piece in self._generate(asked, found, extracted):
                yield piece
        finally:
            self._free.release()

    async def look_up(self, who: Principal, question: Question, asset_id: str | None) -> Found:
        """Return what there is on a question within the scope of `who`.

        Parameters
        ----------
        who : Principal
        question : Question
        asset_id : str, optional
            What the question is about; without it, the one asset that it names.

        Returns
        -------
        found : Found

        Raises
        ------
        NotFound
            `asset_id` doesn't exist for the caller.
        """
        missing: list[str] = []
        live: LiveCondition | None = None
        try:
            async with asyncio.timeout(self._bounds.live_s):
                who, asset_id, live = await self._about(who, question, asset_id)
        except (TimeoutError, Unavailable):
            missing.append(NO_DATABASE)
        passages, guidance = list[Passage](), list[Passage]()
        if self._index is None:
            missing.append(f"{OFF}.")
        elif who.assets is not None and missing:
            missing.append("Without it I can't tell which documents are for you.")
        else:
            try:
                async with asyncio.timeout(self._bounds.search_s):
                    passages, guidance = await self._search(self._index, who, question, asset_id, live)
            except (TimeoutError, Unavailable):
                missing.append(f"{AWAY}.")
        return Found(live, tuple(passages), tuple(guidance), " ".join(missing))

    async def _about(
        self, who: Principal, question: Question, asset_id: str | None
    ) -> tuple[Principal, str | None, LiveCondition | None]:
        """Return the caller with the sites of their assets, and the asset that is asked about with its condition."""
        if asset_id is None or who.assets is not None:
            rows = await self._reader.assets(who)
            asset_id = asset_id or asset_in(question.text, [row["asset_id"] for row in rows])
            if who.assets is not None:  # documents for all of a site are for those who see one of its assets
                who = dataclasses.replace(who, sites=frozenset(row["site_id"] for row in rows))
        live = None if asset_id is None else await live_condition(self._reader, who, asset_id)
        return who, asset_id, live

    async def _search(
        self, index: SearchIndex, who: Principal, question: Question, asset_id: str | None, live: LiveCondition | None
    ) -> tuple[list[Passage], list[Passage]]:
        """Return passages for the question, and for what to do about the standing alarms where that is asked."""
        queries = [without_name(question.text, asset_id)]
        if live is not None and _asks_about_alarms(question):
            queries += [f"what to do: response to a {need} alarm" for need in live.needs[:_MOST_NEEDS]]
        vectors = await asyncio.to_thread(self._embedder.embed, queries)
        site_id = live.passage.scope.site_id if live is not None else None
        answers = [
            await index.find(who, query, vector, asset_id=asset_id, site_id=site_id, limit=_PASSAGES)
            for query, vector in zip(queries, vectors, strict=True)
        ]
        return answers[0], [passage for answer in answers[1:] for passage in answer]

    # --- wording ------------------------------------------------------------------------------------------------------

    def _extract(self, question: Question, found: Found) -> Answer:
        """Return the answer made of quotes; abstain where nothing supports one."""
        groups: list[tuple[str, Sequence[extract.Quote]]] = []
        live = self._live_facts(question, found)
        if live:
            groups.append(("", live))
        done = extract.steps(found.guidance)
        if done:
            groups.append((_lead(done[0].passage), done))
        elif found.passages and not (live and len(question.parts) == 1 and question.wants_condition):
            asked = without_name(question.text, _asset_of(found))
            groups += self._from_documents(question, asked, found.passages)
        if not groups:
            return Answer(text=f"{NOTHING} {found.missing}".strip() if found.passages else _why(found), abstained=True)
        answer = extract.compose(groups, question)
        return dataclasses.replace(answer, text=f"{answer.text}\n\n{found.missing}") if found.missing else answer

    def _from_documents(
        self, question: Question, asked: str, passages: Sequence[Passage]
    ) -> list[tuple[str, Sequence[extract.Quote]]]:
        evidence = extract.weigh(asked, passages[:_SOURCES], self._embedder.embed)
        if not evidence.supports:
            return []
        nearest = evidence.quotes[0].passage
        if question.wants_action:
            sections = extract.procedure(asked, nearest, passages, self._embedder.embed)
            if sections:
                return [(_lead(section[0].passage), section) for section in sections]
        return [("", extract.sentences(evidence))]

    def _live_facts(self, question: Question, found: Found) -> list[extract.Quote]:
        """Return what the live condition says to a question about the asset's condition: alarms, or else all of it."""
        if found.live is None or not (question.wants_condition or (question.vague and found.live.needs)):
            return []
        passage = found.live.passage
        lines = [line for line in passage.text.splitlines() if not speaks_to_the_assistant(line)]
        alarms = [line for line in lines if line.startswith("Standing alarm")]
        chosen = [*lines[:1], *alarms] if alarms else lines
        return [extract.Quote(passage, line, 1.0) for line in chosen]

    async def _generate(
        self, question: Question, found: Found, extracted: Answer
    ) -> AsyncGenerator[Draft | Answer, None]:
        """Give the model's words as drafts, and last the answer: the model's as far as it holds, else the extract."""
        live = (found.live.passage,) if found.live is not None else ()
        documents = dict.fromkeys((*found.guidance[: _SOURCES // 2], *found.passages))
        sources = (*live, *documents)[:_SOURCES]
        reply = ""
        try:
            async for piece in self._written(generate.messages(question.text, sources, secrets.token_hex(8))):
                reply += piece
                yield Draft(piece)
                if len(reply) > generate.MAX_REPLY_CHARACTERS:
                    break
        except (TimeoutError, Unavailable):
            yield extracted
            return
        written = await asyncio.to_thread(generate.checked, reply, sources, self._embedder.embed)
        yield written or extracted

    async def _written(self, messages: Sequence[Message]) -> AsyncGenerator[str, None]:
        if self._model is None:
            return
        deadline_s = asyncio.get_running_loop().time() + self._bounds.model_s
        async with aclosing(self._model.write(messages)) as pieces:
            while True:
                async with asyncio.timeout_at(deadline_s):  # around a read, never around a `yield`
                    piece = await anext(pieces, None)
                if piece is None:
                    return
                yield piece


def _asks_about_alarms(question: Question) -> bool:
    """Return whether what to do is asked about the alarms that stand, and not about something that is named."""
    return question.wants_action and (question.vague or question.wants_condition)


def _asset_of(found: Found) -> str | None:
    return found.live.passage.scope.asset_ids[0] if found.live is not None else None


def _lead(passage: Passage) -> str:
    return f"{(passage.heading or (passage.title,))[-1]}:"


def _why(found: Found) -> str:
    return f"{found.missing or NOTHING}" + (" Ask again later." if AWAY in found.missing else "")


async def answer(assistant: DocumentAssistant, who: Principal, question: str, asset_id: str | None = None) -> Answer:
    """Return the answer alone.

    Raises
    ------
    NotFound
        The asset doesn't exist for the caller, or the assistant gave no answer.
    """
    last: Draft | Answer | None = None
    async for piece in assistant.ask(who, question, asset_id):
        last = piece
    if not isinstance(last, Answer):
        raise NotFound("there is no answer")
    return last
