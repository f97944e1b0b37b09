"""Documents for people and what the assistant makes of them: passages in, cited answers out.

Invariants: a passage belongs to one site, and to some of its assets or (with none named) to all of them; a quote occurs
literally in the passage that it is taken from.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentScope:
    """Whom a document is for: a site, and some of its assets (none named: all)."""

    site_id: str
    asset_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A stretch of a document under one heading, as it is indexed and quoted.

    ``span`` says where it stands in the file (``lines 12–40``, ``page 3``); ``heading`` is the path of headings above
    it.
    """

    passage_id: str
    document_id: str
    title: str
    heading: tuple[str, ...]
    text: str
    span: str
    scope: DocumentScope


@dataclass(frozen=True, slots=True, kw_only=True)
class Citation:
    """Where a statement comes from: ``quote`` stands literally in ``span`` of ``document``."""

    document: str
    span: str
    quote: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the assistant has to say; ``[1]`` in ``text`` points to the first citation.

    ``abstained`` says that nothing supports an answer; ``generated`` that a language model worded it, every sentence
    of it checked against its citation.
    """

    text: str
    citations: tuple[Citation, ...] = ()
    abstained: bool = False
    generated: bool = False


@dataclass(frozen=True, slots=True)
class Draft:
    """A piece of an answer on its way: unchecked words of a model, soon replaced by the whole ``Answer``."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message of a conversation with a language model."""

    role: Literal["system", "user"]
    text: str
