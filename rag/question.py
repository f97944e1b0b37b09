"""What a question asks for, read from its words: an asset, its condition, or what to do."""

import functools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rag.translate import into_english

_WORD: Final = re.compile(r"[^\W_]+(?:[-'][^\W_]+)*")
_ASKED: Final = (
    r"why|what|how|when|which|where|who|is|are|does|do|should|can|must|por qué|qué|cómo|cuándo|cuál|cuáles|dónde|warum"
    r"|was|wie|wann|welche|welcher|wo"
)
_PARTS: Final = re.compile(rf"[?;]\s*|,?\s+(?:and|y|und)\s+(?=(?:{_ASKED})\b)", re.IGNORECASE)
_ACTION: Final = re.compile(
    r"""(?ix) \b (?: what\s+(?:do|should|must|can|shall)\s+(?:i|we|one|you) | what\s+to\s+do
    | what\s+is\s+to\s+be\s+done | what\s+now | next\s+steps?
    | how\s+(?:do|can|should|must|shall)\s+(?:i|we|one|you) | how\s+to | steps? | procedure
    | respond | response | fix | repair | qu[eé]\s+(?:hago|hacer|debo|hacemos) | was\s+(?:tun|soll|muss) ) \b"""
)
_CONDITION: Final = re.compile(
    r"""(?ix) \b (?: alarm\w* | alert\w* | condition | state | status | zone | wrong | fault\w* | problem | diagnos\w*
    | vibrat\w* | health\w* | happening | going\s+on | ok(?:ay)? | running | alarma\w* | estado | vibraci\w+ | zustand
    | störung ) \b"""
)
_ENDINGS: Final = ("ations", "ation", "ings", "ing", "ies", "ied", "ers", "er", "ed", "es", "ly", "s", "e", "y")


@dataclass(frozen=True, slots=True)
class Question:
    """A question taken apart; ``parts`` are the single questions in it.

    ``vague`` says that a part asks what to do without saying about what.
    """

    text: str
    parts: tuple[str, ...]
    wants_action: bool
    wants_condition: bool
    vague: bool


def understand(text: str) -> Question:
    """Return what `text` asks for.

    Examples
    --------
    >>> asked = understand("Why is P-101 alarming and what do I do?")
    >>> asked.parts, asked.wants_action, asked.wants_condition
    (('Why is P-101 alarming', 'what do I do'), True, True)
    """
    english = into_english(text)
    parts = tuple(part.strip() for part in _PARTS.split(english) if part.strip()) or (english,)
    vague = any(_ACTION.search(part) and not stems(part) for part in parts)
    return Question(english, parts, bool(_ACTION.search(english)), bool(_CONDITION.search(english)), vague)


def without_name(text: str, asset_id: str | None) -> str:
    """Return `text` without the asset's id: it is part of the search's filter, and says nothing about a topic.

    Examples
    --------
    >>> without_name("Why does the seal of P-102 leak?", "P-102")
    'Why does the seal leak?'
    """
    if asset_id is None:
        return text
    name = rf"(?:\b(?:of|on|at|for|in)\s+)?(?<![\w-]){re.escape(asset_id)}(?:'s)?(?![\w-])\s*"
    return " ".join(re.sub(name, "", text, flags=re.IGNORECASE).split()) or text


def asset_in(text: str, asset_ids: Iterable[str]) -> str | None:
    """Return the one asset that `text` names; ``None`` for none or several.

    Examples
    --------
    >>> asset_in("is p-101 well?", ["P-10", "P-101"])
    'P-101'
    """
    folded = text.casefold()
    named = [one for one in asset_ids if re.search(rf"(?<![\w-]){re.escape(one.casefold())}(?![\w-])", folded)]
    return named[0] if len(named) == 1 else None


def stems(text: str) -> frozenset[str]:
    """Return the content words of `text`, without their endings.

    Examples
    --------
    >>> sorted(stems("How often must the procedures be reviewed?"))
    ['often', 'procedur', 'review']
    """
    words = (word.casefold() for word in _WORD.findall(text))
    parts = (part for word in words for part in ((word, *word.split("-")) if "-" in word else (word,)))
    return frozenset(_stem(part) for part in parts if part not in _stop_words() and len(part) > 1)


def coverage(wanted: frozenset[str], texts: Sequence[str]) -> float:
    """Return which share of the `wanted` stems occurs in `texts` (1 where nothing is wanted)."""
    if not wanted:
        return 1.0
    return len(wanted & frozenset().union(*map(stems, texts))) / len(wanted)


@functools.cache
def _stop_words() -> frozenset[str]:
    """Return the words of English, Spanish and German that say nothing about a topic."""
    return frozenset(Path(__file__).with_name("stop_words.txt").read_text(encoding="utf-8").split())


def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word[: -len(ending)]
    return word
