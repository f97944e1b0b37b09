"""Questions in Spanish, word by word into the documents' English.

The sentence model knows English. A question of a technician is short and made of the field's nouns, so a glossary gets
most of its meaning across; grammar doesn't matter to the model's pooling of words. What isn't in the glossary (names,
abbreviations, numbers) stays as it is.
"""

import functools
import re
import unicodedata
from pathlib import Path
from typing import Final

_WORD: Final = re.compile(r"[^\W_]+(?:[-/][^\W_]+)*|[^\w\s]")
_SPANISH: Final = re.compile(r"el|la|los|las|una?|del?|que|es|son|como|cual|por|para|con|se|en|lo|su|al|y|hay")
_DROPPED: Final = re.compile(r"el|las?|los?|un[ao]?s?|se|sus?|al|ha[ny]?")
_SMALL: Final = {"de": "of", "del": "of", "y": "and", "o": "or", "en": "in", "para": "for", "por": "by", "con": "with"}
_SMALL_TOO: Final = {"es": "is", "son": "are", "como": "how", "mas": "more", "no": "not", "si": "if", "sin": "without"}
_LONGEST: Final = 5


def into_english(question: str) -> str:
    """Return a Spanish question with its known words in English; any other question as it is.

    Examples
    --------
    >>> into_english("¿Cada cuánto hay que engrasar los rodamientos de la bomba?")
    'how often what grease bearing of pump'
    >>> into_english("How often is P-101 greased?")
    'How often is P-101 greased?'
    """
    words = [_plain(word) for word in _WORD.findall(question)]
    if "¿" not in question and sum(bool(_SPANISH.fullmatch(word)) for word in words) < 3:
        return question
    words = [word for word in words if word[0].isalnum()]
    known = _glossary()
    translated: list[str] = []
    at = 0
    while at < len(words):
        for length in range(min(_LONGEST, len(words) - at), 0, -1):
            found = known.get(" ".join(_singular(word) for word in words[at : at + length]))
            if found is not None:
                translated.append(found)
                at += length
                break
        else:
            if not _DROPPED.fullmatch(words[at]):
                translated.append((_SMALL | _SMALL_TOO).get(words[at], words[at]))
            at += 1
    return " ".join(translated)


@functools.cache
def _glossary() -> dict[str, str]:
    lines = Path(__file__).with_name("glossary_es.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.split("=", 1) for line in lines if "=" in line)
    return {" ".join(_singular(word) for word in spanish.split()): english for spanish, english in pairs}


def _plain(word: str) -> str:
    parts = unicodedata.normalize("NFD", word.casefold())
    return "".join(part for part in parts if unicodedata.category(part) != "Mn") or word


def _singular(word: str) -> str:
    """Return a key that singular and plural, masculine and feminine, and most forms of a verb share."""
    for ending in ("aciones", "acion", "iones", "amos", "emos", "ando", "iendo", "ado", "ada", "ados", "adas"):
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word[: -len(ending)] + ("ion" if "cion" in ending or "iones" in ending else "")
    for ending in ("ar", "er", "ir", "an", "en", "as", "os", "es", "a", "o", "e", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word[: -len(ending)]
    return word
