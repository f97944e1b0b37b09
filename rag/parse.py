"""Documents to blocks of text; run as a child process (``python -m rag.parse FORMAT``) because files are hostile.

The document comes in on standard input, blocks go out as JSON on standard output. The child limits itself before it
reads a byte: memory, processor time, no files written, no new processes' worth of descriptors.

Invariants: a block knows where it stands (line, page or paragraph, counted from 1); its text is already clean.
"""

import io
import json
import re
import resource
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

from rag.guard import clean

MEMORY_BYTES: Final = 768 * 1024 * 1024
CPU_S: Final = 20
MAX_PAGES: Final = 500
MAX_CHARACTERS: Final = 4_000_000
MAX_BLOCKS: Final = 50_000
REFUSED: Final = 3

_MARKDOWN_HEADING: Final = re.compile(r"(#{1,6})\s+(.*?)\s*#*$")
_ASCIIDOC_HEADING: Final = re.compile(r"(={1,6})\s+(.*?)\s*=*$")
# `3.2 Shaft seal` and `3 Seals`; `3. Drain` is a step
_PDF_HEADING: Final = re.compile(r"(\d{1,2}(?:(?:\.\d{1,2}){1,3}\.?)?)\s+[A-Z][^.!?:;]{2,70}$")
_ITEM: Final = re.compile(r"\s*(?:[-*+•]|\d{1,3}[.)]|\.{1,3})\s+\S")
_FENCE: Final = re.compile(r"\s*(?:```|~~~|----+$)")
_BLOCK_TAGS: Final = re.compile(
    "address|article|aside|blockquote|body|caption|d[dlt]|details|div|fieldset|figcaption|figure|footer|form|h[1-6]|"
    "header|hr|li|main|nav|ol|p|pre|section|summary|table|tbody|td|th|thead|tr|ul"
)
_NOT_SHOWN: Final = (
    "script, style, noscript, template, iframe, object, embed, svg, math, head, [hidden], [aria-hidden=true], "
    "[style*='display:none'], [style*='display: none'], [style*='visibility:hidden'], [style*='visibility: hidden'], "
    "[style*='font-size:0'], [style*='font-size: 0'], [style*='opacity:0'], [style*='opacity: 0']"
)


class Refused(ValueError):
    """The document won't be read; the message says why."""


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, a list or a heading (``level`` 1 to 6; 0 for text), from place ``first`` to ``last``."""

    text: str
    level: int
    first: int
    last: int


def markup(content: bytes, heading: re.Pattern[str] | None) -> Iterator[Block]:
    """Give the blocks of a line-oriented text: paragraphs joined to one line, list items and code line by line."""
    lines = _text(content).splitlines()
    start, held, fenced = 0, list[str](), False
    for number, line in enumerate([*lines, ""], 1):
        fence = _FENCE.match(line) is not None
        fenced ^= fence
        found = heading.match(line) if heading is not None and not fenced else None
        if (not line.strip() and not fenced) or found:
            if held:
                yield Block("\n".join(held), 0, start, number - 1)
                held = []
            if found:
                yield Block(clean(found[2]), len(found[1]), number, number)
            continue
        start = number if not held else start
        if held and not fenced and not fence and not _ITEM.match(line) and not line.startswith(("|", "    ")):
            held[-1] += f" {line.strip()}"
        else:
            held.append(line.rstrip())
    if held:
        yield Block("\n".join(held), 0, start, len(lines))


def pdf(content: bytes) -> Iterator[Block]:
    """Give the paragraphs of a PDF, page by page."""
    import pypdf  # noqa: PLC0415 (only the child that reads a PDF pays for it)

    try:
        reader = pypdf.PdfReader(io.BytesIO(content), strict=False)
        if reader.is_encrypted:
            raise Refused("the PDF is encrypted")
        if len(reader.pages) > MAX_PAGES:
            raise Refused(f"the PDF has {len(reader.pages)} pages, at most {MAX_PAGES} allowed")
        if _runs_something(reader.trailer):
            raise Refused("the PDF runs a script or a program when it is opened")
        for number, page in enumerate(reader.pages, 1):
            for paragraph in re.split(r"\n\s*\n", page.extract_text()):
                yield from _pdf_blocks(paragraph, number)
    except (pypdf.errors.PyPdfError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        if isinstance(error, Refused):
            raise
        raise Refused(f"the PDF can't be read: {type(error).__name__}") from None


def _pdf_blocks(paragraph: str, page: int) -> Iterator[Block]:
    held: list[str] = []
    for line in paragraph.splitlines():
        found = _PDF_HEADING.match(line.strip())
        if found:
            if held:
                yield Block("\n".join(held), 0, page, page)
                held = []
            yield Block(clean(line.strip()), found[1].count(".") + 1, page, page)
        elif held and not _ITEM.match(line):
            broken = held[-1].endswith("-") and line[:1].islower()
            held[-1] = held[-1][:-1] + line.strip() if broken else f"{held[-1]} {line.strip()}"
        elif line.strip():
            held.append(line.strip())
    if held:
        yield Block("\n".join(held), 0, page, page)


def _runs_something(trailer: Any) -> bool:
    root = trailer["/Root"].get_object()
    opened: Any = root.get("/OpenAction", {}).get_object() if "/OpenAction" in root else {}
    action = opened.get("/S") if isinstance(opened, dict) else None
    names = root.get("/Names")
    scripts = names is not None and "/JavaScript" in names.get_object()
    return action in {"/JavaScript", "/Launch"} or scripts or "/AA" in root


def html(content: bytes) -> Iterator[Block]:
    """Give the shown paragraphs of a page; what a style, an attribute or a comment hides stays hidden."""
    from selectolax.lexbor import LexborHTMLParser  # noqa: PLC0415 (only the child that reads HTML pays for it)

    tree = LexborHTMLParser(_text(content))
    for hidden in tree.css(_NOT_SHOWN):
        hidden.decompose()
    if tree.body is None:
        return
    number, owner, tag, held = 1, None, "", list[str]()
    for node in tree.body.traverse(include_text=True):
        if node.tag != "-text":
            continue
        block = node.parent
        while block is not None and not _BLOCK_TAGS.fullmatch(str(block.tag)):
            block = block.parent
        if block is None:
            continue
        if owner is not None and block.mem_id != owner and "".join(held).strip():
            yield _html_block("".join(held), tag, number)
            number, held = number + 1, []
        owner, tag = block.mem_id, str(block.tag)
        held.append(node.text(deep=False) or "")
    if "".join(held).strip():
        yield _html_block("".join(held), tag, number)


def _html_block(text: str, tag: str, number: int) -> Block:
    level = int(tag[1]) if re.fullmatch(r"h[1-6]", tag) else 0
    joined = " ".join(text.split())
    return Block(f"- {joined}" if tag == "li" else joined, level, number, number)


def _text(content: bytes) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Refused("the text isn't UTF-8") from None
    if "\0" in text:
        raise Refused("the text holds NUL characters")
    return text


READERS: Final[dict[str, Callable[[bytes], Iterator[Block]]]] = {
    "pdf": pdf,
    "html": html,
    "markdown": lambda content: markup(content, _MARKDOWN_HEADING),
    "asciidoc": lambda content: markup(content, _ASCIIDOC_HEADING),
    "text": lambda content: markup(content, None),
}


def blocks_of(kind: str, content: bytes) -> list[Block]:
    r"""Return the clean, non-empty blocks of a document; raise ``Refused`` beyond a limit.

    Examples
    --------
    >>> blocks_of("markdown", b"# Seal\n\nFlush it\nfirst.")
    [Block(text='Seal', level=1, first=1, last=1), Block(text='Flush it first.', level=0, first=3, last=4)]
    """
    found, characters = list[Block](), 0
    for block in READERS[kind](content):
        text = "\n".join(line.rstrip() for line in clean(block.text).splitlines() if line.strip())
        characters += len(text)
        if characters > MAX_CHARACTERS or len(found) >= MAX_BLOCKS:
            raise Refused(f"the document holds more than {MAX_CHARACTERS} characters or {MAX_BLOCKS} paragraphs")
        if text:
            found.append(Block(text, block.level, block.first, block.last))
    return found


def main() -> None:
    """Read one document under limits."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        blocks = blocks_of(sys.argv[1], sys.stdin.buffer.read())
    except (Refused, MemoryError, RecursionError) as error:
        sys.stderr.write(str(error) or f"the document needs too much: {type(error).__name__}")
        sys.exit(REFUSED)
    sys.stdout.write(json.dumps([asdict(block) for block in blocks]))


if __name__ == "__main__":
    main()
