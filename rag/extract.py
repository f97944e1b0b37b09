"""The answer that needs no language model: the sentences of the sources that speak to the question, each cited.

Invariants: every quote stands literally in its passage; what speaks to the assistant is never quoted; where no sentence
is near enough to the question there is no answer.

How near is near enough: a sentence model gives two texts of the same topic a cosine well above that of two texts that
merely share a field. ``SUPPORT`` lies between the best sentence for questions that the documents answer and the best
for questions that they don't (`evaluate rag` reports both; the figures are in loadtests/results). Names alone lift a
cosine, so the question's content words must occur as well: ``COVERAGE`` of them where the cosine isn't beyond doubt.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from contracts.documents import Answer, Citation, Passage
from contracts.ports import Vector
from rag.guard import speaks_to_the_assistant
from rag.question import Question, coverage, stems
from rag.sentences import ITEM, STEP, split

#: Cosine between the question and the best sentence below which nothing is answered.
SUPPORT: Final = 0.50
#: From here on the cosine alone will do.
CERTAIN: Final = 0.62
#: Share of the question's content words that the best passage must hold in between.
COVERAGE: Final = 0.5
#: A sentence is quoted if it is at most this much farther away than the best one.
_NEAR: Final = 0.12
_MOST_SENTENCES: Final = 3
_MOST_STEPS: Final = 10
_MOST_CHARACTERS: Final = 500

Embed = Callable[[Sequence[str]], Sequence[Vector]]


@dataclass(frozen=True, slots=True)
class Quote:
    """A sentence of a passage and how near it is to the question (cosine)."""

    passage: Passage
    text: str
    cosine: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """The sentences of all passages, nearest first, and whether they support an answer."""

    quotes: tuple[Quote, ...]
    covered: float

    @property
    def best(self) -> float:
        """The cosine of the nearest sentence (-1 without any)."""
        return self.quotes[0].cosine if self.quotes else -1.0

    @property
    def supports(self) -> bool:
        """Whether an answer may be given."""
        return self.best >= CERTAIN or (self.best >= SUPPORT and self.covered >= COVERAGE)


def weigh(question: str, passages: Sequence[Passage], embed: Embed) -> Evidence:
    """Return the evidence that `passages` give for an answer to `question`.

    Parameters
    ----------
    question : str
    passages : Sequence[Passage]
        Best first.
    embed : callable
        Texts to vectors of unit length.

    Returns
    -------
    evidence : Evidence
    """
    pairs = [(p, sentence) for p in passages for sentence in split(p.text) if not speaks_to_the_assistant(sentence)]
    if not pairs:
        return Evidence((), 0.0)
    asked, *vectors = embed([question, *(sentence for _, sentence in pairs)])
    quotes = [Quote(p, s, _cosine(asked, v)) for (p, s), v in zip(pairs, vectors, strict=True)]
    quotes.sort(key=lambda quote: -quote.cosine)
    wanted = stems(question)
    covered = max(coverage(wanted, (p.text, p.title, *p.heading)) for p in passages)
    return Evidence(tuple(quotes), covered)


def steps(passages: Sequence[Passage]) -> list[Quote]:
    """Return the steps of the first passage that has some, with those of the same section in other passages."""
    for first in passages:
        if sum(bool(STEP.match(line)) for line in first.text.splitlines()) < 2:
            continue
        section = [p for p in passages if (p.document_id, p.heading) == (first.document_id, first.heading)]
        found = {
            line.strip(): Quote(passage, line.strip(), 1.0)
            for passage in section
            for line in passage.text.splitlines()
            if STEP.match(line) and not speaks_to_the_assistant(line)
        }
        ordered = sorted(found.values(), key=lambda quote: _number(quote.text))
        return ordered[:_MOST_STEPS]
    return []


def sentences(evidence: Evidence) -> list[Quote]:
    """Return the nearest sentences in the order in which they stand, with the list that one of them announces."""
    near = [quote for quote in evidence.quotes if quote.cosine >= evidence.best - _NEAR][:_MOST_SENTENCES]
    found: dict[tuple[str, str], Quote] = {}
    for quote in near:
        for text in (quote.text, *_announced(quote)):
            found.setdefault((quote.passage.passage_id, text), Quote(quote.passage, text, quote.cosine))
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
