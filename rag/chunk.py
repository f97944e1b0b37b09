"""Blocks to passages: what belongs under one heading, short enough to have one meaning.

Invariants: every word of every text block is in exactly one passage, in order; a passage never crosses a heading; the
same document gives the same passages with the same ids.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from contracts.documents import DocumentScope, Passage
from rag.load import LoadedDocument
from rag.parse import Block
from rag.sentences import split

#: Where a passage ends at the latest (characters): about 200 tokens, of 256 that the sentence model reads.
MAX_CHARACTERS: Final = 900


def passages_of(document_id: str, document: LoadedDocument, scope: DocumentScope) -> list[Passage]:
    """Return a document's passages.

    Parameters
    ----------
    document_id : str
        Names it for ever.
    document : LoadedDocument
        Its blocks.
    scope : DocumentScope
        Whom it is for.

    Returns
    -------
    passages : list[Passage]
    """
    found = []
    for number, piece in enumerate(_pieces(document.blocks)):
        key = "\0".join([document_id, str(number), *piece.heading, piece.text])
        found.append(
            Passage(
                passage_id=hashlib.sha256(key.encode()).hexdigest()[:32],
                document_id=document_id,
                title=document.title,
                heading=piece.heading,
                text=piece.text,
                span=_span(document.place, piece.first, piece.last),
                scope=scope,
            )
        )
    return found


def as_embedded(passage: Passage) -> str:
    """Return what a passage's vector is made of: its headings say what the text leaves out."""
    heading = passage.heading or (passage.title,)
    return f"{'. '.join(heading)}\n{passage.text}"


@dataclass(frozen=True, slots=True)
class _Piece:
    heading: tuple[str, ...]
    text: str
    first: int
    last: int


def _pieces(blocks: Sequence[Block]) -> Iterator[_Piece]:
    path: list[tuple[int, str]] = []
    held: list[Block] = []
    for block in [*blocks, Block("", 1, 0, 0)]:
        full = held and sum(len(one.text) for one in held) + len(block.text) > MAX_CHARACTERS
        if held and (block.level or full):
            yield _Piece(_titles(path), "\n".join(b.text for b in held), held[0].first, held[-1].last)
            held = []
        if block.level:
            path = [*(entry for entry in path if entry[0] < block.level), (block.level, block.text)]
            continue
        *whole, rest = _parts(block)
        for part in whole:
            yield _Piece(_titles(path), part.text, part.first, part.last)
        held.append(rest)


def _titles(path: Sequence[tuple[int, str]]) -> tuple[str, ...]:
    return tuple(title for _, title in path)


def _parts(block: Block) -> list[Block]:
    """Return a long block in parts that end with a sentence (or, where one is endless, with a word)."""
    if len(block.text) <= MAX_CHARACTERS:
        return [block]
    parts, text = list[str](), ""
    for line in block.text.splitlines():
        for n, sentence in enumerate(_short(split(line))):
            if text and len(text) + len(sentence) >= MAX_CHARACTERS:
                parts.append(text)
                text = ""
            text += ("" if not text else " " if n else "\n") + sentence
    parts.append(text)
    return [Block(part, 0, block.first, block.last) for part in parts]


def _short(sentences: Sequence[str]) -> Iterator[str]:
    for sentence in sentences:
        words = ""
        for word in sentence.split(" "):
            for start in range(0, max(len(word), 1), MAX_CHARACTERS):
                part = word[start : start + MAX_CHARACTERS]
                if words and len(words) + len(part) >= MAX_CHARACTERS:
                    yield words
                    words = ""
                words += f" {part}" if words else part
        yield words


def _span(place: str, first: int, last: int) -> str:
    return f"{place} {first}" if first == last else f"{place}s {first}–{last}"
