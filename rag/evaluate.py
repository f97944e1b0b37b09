"""How well questions with known answers are answered: finding, ranking, and keeping silent where nothing is known."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from contracts.documents import Passage
from contracts.errors import ConfigurationError
from contracts.ports import Embedder, Principal, SearchIndex
from rag import extract
from rag.question import understand

TOP: Final = 5
_FOUND: Final = 10
_WEIGHED: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownQuestion:
    """A question whose answer is known; ``section`` is the heading that it stands under, where that is known."""

    question: str
    language: str
    document: str | None
    section: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a question: rank (from 1) of the right section and document, and how well it was supported."""

    known: KnownQuestion
    rank: int | None
    document_rank: int | None
    support: float
    answered: bool


def read_questions(file: Path) -> list[KnownQuestion]:
    """Return the questions of a JSON-lines file: question, language, answerable, expected_document_id and _section.

    Raises
    ------
    ConfigurationError
        The file can't be read, or a line lacks a field.
    """
    found = []
    try:
        for line in file.read_text(encoding="utf-8").splitlines():
            told = json.loads(line)
            expected = told["expected_document_id"] if told["answerable"] else None
            section = told.get("expected_section")
            found.append(
                KnownQuestion(
                    question=told["question"], language=told.get("language", "en"), document=expected, section=section
                )
            )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(f"{file}: no questions: {type(error).__name__}: {error}") from None
    return found


async def evaluate(
    index: SearchIndex, embedder: Embedder, questions: Sequence[KnownQuestion], who: Principal
) -> list[Outcome]:
    """Ask every question the way the assistant does."""
    outcomes = []
    for known in questions:
        asked = understand(known.question).text
        [vector] = embedder.embed([asked])
        passages = await index.find(who, asked, vector, asset_id=None, site_id=None, limit=_FOUND)
        evidence = extract.weigh(asked, passages[:_WEIGHED], embedder.embed)
        outcomes.append(
            Outcome(
                known=known,
                rank=_rank(known, passages, section=True),
                document_rank=_rank(known, passages, section=False),
                support=evidence.support,
                answered=evidence.supports,
            )
        )
    return outcomes


def figures(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Return the figures of all questions and of each language; a share of nothing is null.

    ``abstention_precision``: of the questions left unanswered, how many have no answer; ``abstention_recall``: of those
    without an answer, how many were left unanswered.
    """
    languages = sorted({outcome.known.language for outcome in outcomes})
    by_language = {one: _figures([o for o in outcomes if o.known.language == one]) for one in languages}
    supports = [outcome.support for outcome in outcomes if outcome.known.document is not None]
    unsupported = [outcome.support for outcome in outcomes if outcome.known.document is None]
    return {
        **_figures(outcomes),
        "threshold": extract.SUPPORT,
        "lowest_support_of_answerable": round(min(supports), 3) if supports else None,
        "highest_support_of_unanswerable": round(max(unsupported), 3) if unsupported else None,
        "by_language": by_language,
    }


def _figures(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    answerable = [outcome for outcome in outcomes if outcome.known.document is not None]
    silent = [outcome for outcome in outcomes if not outcome.answered]
    rightly_silent = [outcome for outcome in silent if outcome.known.document is None]
    ranks = [outcome.rank for outcome in answerable]
    documents = [outcome.document_rank for outcome in answerable]
    return {
        "questions": len(outcomes),
        "answerable": len(answerable),
        f"recall_at_{TOP}": _share(sum(rank is not None and rank <= TOP for rank in ranks), len(ranks)),
        "mrr": _share(sum(1 / rank for rank in ranks if rank is not None), len(ranks)),
        f"document_recall_at_{TOP}": _share(sum(r is not None and r <= TOP for r in documents), len(documents)),
        "abstention_precision": _share(len(rightly_silent), len(silent)),
        "abstention_recall": _share(len(rightly_silent), len(outcomes) - len(answerable)),
        "answered_of_answerable": _share(sum(outcome.answered for outcome in answerable), len(answerable)),
    }


def _share(part: float, whole: int) -> float | None:
    return round(part / whole, 3) if whole else None


def _rank(known: KnownQuestion, passages: Sequence[Passage], *, section: bool) -> int | None:
    for rank, passage in enumerate(passages, 1):
        right = known.document is not None and _key(known.document) in _key(passage.document_id)
        if right and (not section or known.section is None or known.section in passage.heading):
            return rank
    return None


def _key(name: str) -> str:
    """Return a document's name as questions and files share it: ``doe-hdbk-1018`` lies in ``doe_hdbk_1018.md``."""
    return name.casefold().replace("_", "-")
