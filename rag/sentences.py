"""Sentences of a text, each a literal part of it."""

import re
from typing import Final

_END: Final = re.compile(r"(?<=[.!?])[\"')\]*]*\s+(?=[\"'(\[*¿¡]*[A-Z0-9ÁÉÍÓÚÑ])")
_ABBREVIATION: Final = re.compile(
    r"(?:\b(?:e\.g|i\.e|etc|vs|approx|max|min|fig|figs|no|nos|sec|eq|ref|dr|mr|mrs|st|ca|cf)|\b[A-Z]|^\s*\d{1,3})\.$",
    re.IGNORECASE,
)
#: A step or a point of a list.
ITEM: Final = re.compile(r"\s*(?:[-*+•]|\d{1,3}[.)]|\.{1,3})\s+(?=\S)")
#: A step of a numbered list.
STEP: Final = re.compile(r"\s*(?:\d{1,3}[.)]|\.{1,3})\s+(?=\S)")


def split(text: str) -> list[str]:
    r"""Return the sentences of `text` in order; a list item is one, however many it holds.

    Parameters
    ----------
    text : str
        Lines are kept apart.

    Returns
    -------
    sentences : list[str]
        Stripped, non-empty, each a substring of `text`.

    Examples
    --------
    >>> split("Isolate it, e.g. by a lock. Then wait.\n1. Drain. Flush.")
    ['Isolate it, e.g. by a lock.', 'Then wait.', '1. Drain. Flush.']
    """
    found: list[str] = []
    for line in text.splitlines():
        if ITEM.match(line):
            found.append(line.strip())
            continue
        start = 0
        for end in _END.finditer(line):
            if not _ABBREVIATION.search(line[start : end.start()]):
                found.append(line[start : end.end()].strip())
                start = end.end()
        found.append(line[start:].strip())
    return [sentence for sentence in found if sentence]
