"""The answer that needs no language model: the sentences of the sources that speak to the question, each cited.

Invariants: every quote stands literally in its passage; what speaks to the assistant is never quoted; where no sentence
is near enough to the question there is no answer.

How near is near enough: a sentence model gives two texts of one topic a cosine well above that of two texts that merely
share a field, but names alone lift it; a question whose words are missing is about something else, however near it
seems. So support is the mean of the best sentence's and the best passage's cosine (seven tenths of it) and the share of
the question's content words in a passage (three tenths). ``SUPPORT`` lies in the middle of the gap between questions
that documents answer and questions that they don't; `evaluate rag` measures both sides of it (loadtests/results).
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from contracts.documents import Answer, Citation, Passage
from contracts.ports import Vector
from rag.chunk import as_embedded
from rag.guard import speaks_to_the_assistant
from rag.question import Question, coverage, stems
from rag.sentences import ITEM, STEP, split

#: Support below which nothing is answered.
SUPPORT: Final = 0.50
_WEIGHTS: Final = (0.35, 0.35, 0.30)
#: A sentence is quoted if it is at most this much farther away than the best one.
_NEAR: Final = 0.12
#: By so much (cosine) a title must be nearer than a heading to stand for all sections.
_WHOLE: Final = 0.15
_MOST_SENTENCES: Final = 3
_MOST_STEPS: Final = 10
_MOST_CHARACTERS: Final = 500

Embed = Callable[[Sequence[str]], Sequence[Vector]]


@dataclass(frozen=True, slots=True)
class Quote:
    """A sentence of a passage and how near it and its passage are to the question (mean cosine)."""

    passage: Passage
    text: str
    nearness: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """The sentences of all passages, nearest first, and how well the best passage supports an answer (up to 1)."""

    quotes: tuple[Quote, ...]
    support: float

    @property
    def supports(self) -> bool:
        """Whether an answer may be given."""
        return bool(self.quotes) and self.support >= SUPPORT


def weigh(question: str, passages: Sequence[Passage], embed: Embed) -> Evidence:
    """Return the evidence that `passages` give for an answer to `question`.

    Parameters
    ----------
    question : str
    passages : Sequence[Passage]
        Where to look.
    embed : callable
        Texts to vectors of unit length.

    Returns
    -------
    evidence : Evidence
    """
    pairs = [(p, sentence) for p in passages for sentence in split(p.text) if not speaks_to_the_assistant(sentence)]
    wholes = [as_embedded(passage) for passage in passages]
    asked, *vectors = embed([question, *wholes, *(sentence for _, sentence in pairs)])
    whole = {p.passage_id: _cosine(asked, v) for p, v in zip(passages, vectors, strict=False)}
    near = [_cosine(asked, v) for v in vectors[len(passages) :]]
    quotes = [
        Quote(p, sentence, (own + whole[p.passage_id]) / 2) for (p, sentence), own in zip(pairs, near, strict=True)
    ]
    quotes.sort(key=lambda quote: -quote.nearness)
    wanted = stems(question)
    support = 0.0
    for (p, _), own in zip(pairs, near, strict=True):
        parts = (own, whole[p.passage_id], coverage(wanted, (p.text, p.title, *p.heading)))
        support = max(support, sum(weight * part for weight, part in zip(_WEIGHTS, parts, strict=True)))
    return Evidence(tuple(quotes), support)


def steps(passages: Sequence[Passage]) -> list[Quote]:
    """Return the steps of the first passage that has some, with those of the same section in other passages."""
    first = next((passage for passage in passages if has_steps(passage)), None)
    if first is None:
        return []
    found = {
        line.strip(): Quote(passage, line.strip(), 1.0)
        for passage in passages
        if (passage.document_id, passage.heading) == (first.document_id, first.heading)
        for line in passage.text.splitlines()
        if STEP.match(line) and not speaks_to_the_assistant(line)
    }
    return sorted(found.values(), key=lambda quote: _number(quote.text))[:_MOST_STEPS]


def has_steps(passage: Passage) -> bool:
    """Return whether a passage holds a list of steps."""
    return sum(bool(STEP.match(line)) for line in passage.text.splitlines()) > 1


def procedure(question: str, nearest: Passage, passages: Sequence[Passage], embed: Embed) -> list[list[Quote]]:
    """Return the steps that `question` asks for, a list for each section, in the document's order.

    Where the document's title says far better than the section's heading what is asked for, the whole document is the
    procedure: whoever replaces a bearing must isolate the pump first.

    Parameters
    ----------
    question : str
    nearest : Passage
        The passage that is nearest to the question.
    passages : Sequence[Passage]
        Further candidates.
    embed : callable
        Texts to vectors of unit length.

    Returns
    -------
    sections : list[list[Quote]]
    """
    if not has_steps(nearest):
        return []
    asked, title, heading = embed([question, nearest.title, (nearest.heading or (nearest.title,))[-1]])
    same = [p for p in passages if p.document_id == nearest.document_id and has_steps(p)]
    if len(nearest.heading) < 2 or _cosine(asked, title) < _cosine(asked, heading) + _WHOLE:
        return [steps([nearest, *same])]
    headings = dict.fromkeys(p.heading for p in sorted(same, key=lambda p: _number(re.sub(r"^\D+", "", p.span))))
    return [steps([p for p in same if p.heading == heading]) for heading in headings]


def sentences(evidence: Evidence) -> list[Quote]:
    """Return the nearest sentences in the order in which they stand, with the list that one of them announces."""
    near = [quote for quote in evidence.quotes if quote.nearness >= evidence.quotes[0].nearness - _NEAR][
        :_MOST_SENTENCES
    ]
    found: dict[tuple[str, str], Quote] = {}
    for quote in near:
        for text in (quote.text, *_announced(quote)):
            found.setdefault((quote.passage.passage_id, text), Quote(quote.passage, text, quote.nearness))
    return list(found.values())[:_MOST_STEPS]


def compose(groups: Sequence[tuple[str, Sequence[Quote]]], question: Question) -> Answer:
    """Return the answer made of groups of quotes, each under its lead (empty: none); steps keep lines of their own.

    Parameters
    ----------
    groups : sequence of (str, sequence of Quote)
    question : Question
        Answered in its spirit only: nothing is added to the quotes but the leads.

    Returns
    -------
    answer : Answer
    """
    citations: list[Citation] = []
    blocks: list[str] = []
    for lead, quotes in groups:
        lines: list[str] = []
        for quote in quotes:
            citation = cite(quote)
            if citation not in citations:
                citations.append(citation)
            lines.append(f"{citation.quote} [{citations.index(citation) + 1}]")
        listed = any(ITEM.match(line) for line in lines)
        blocks.append("\n".join(([lead] if lead else []) + ([*lines] if listed else [" ".join(lines)])))
    return Answer(text="\n\n".join(blocks), citations=tuple(citations), abstained=not citations and bool(question.text))


def cite(quote: Quote) -> Citation:
    """Return the citation of a quote; an endless sentence is cut, and stays literal."""
    return Citation(document=quote.passage.document_id, span=quote.passage.span, quote=quote.text[:_MOST_CHARACTERS])


def _announced(quote: Quote) -> list[str]:
    """Return the list items that follow a sentence ending with a colon."""
    if not quote.text.endswith(":"):
        return []
    lines = quote.passage.text.splitlines()
    start = next((n for n, line in enumerate(lines) if line.endswith(quote.text)), len(lines))
    items: list[str] = []
    for line in lines[start + 1 :]:
        if not ITEM.match(line):
            break
        if not speaks_to_the_assistant(line):
            items.append(line.strip())
    return items


def _number(step: str) -> int:
    digits = re.match(r"\s*(\d{1,3})", step)
    return int(digits[1]) if digits else 0


def _cosine(a: Vector, b: Vector) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))
