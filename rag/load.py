"""Files to blocks of text, each read by a child process that can't take the others down with it.

Invariants: size and kind are checked before anything is parsed; the child gets nothing of this process's environment
and is killed when its time is over.
"""

import hashlib
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from contracts.errors import DocumentRefused
from rag.parse import REFUSED, Block

MAX_BYTES: Final = 20 * 1024 * 1024
DEADLINE_S: Final = 30.0
_ROOT: Final = Path(__file__).resolve().parents[1]
#: What a file's name says it is; what it begins with must not contradict.
KINDS: Final = {
    ".pdf": "pdf",
    ".html": "html",
    ".htm": "html",
    ".md": "markdown",
    ".markdown": "markdown",
    ".adoc": "asciidoc",
    ".asciidoc": "asciidoc",
    ".txt": "text",
}
_PLACES: Final = {"pdf": "page", "html": "paragraph"}
_NO_TEXT: Final = (
    b"%PDF-",
    b"PK\x03\x04",
    b"\x1f\x8b",
    b"\x7fELF",
    b"MZ",
    b"\x89PNG",
    b"\xff\xd8\xff",
    b"GIF8",
    b"{\\rtf",
)


@dataclass(frozen=True, slots=True)
class LoadedDocument:
    """A document's blocks; ``place`` is what they are counted in (``line``, ``page`` or ``paragraph``)."""

    title: str
    place: str
    blocks: tuple[Block, ...]


def digest_of(content: bytes) -> str:
    """Return the SHA-256 of a file's content, hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def load(name: str, content: bytes, *, deadline_s: float = DEADLINE_S) -> LoadedDocument:
    """Return the blocks of a document.

    Parameters
    ----------
    name : str
        Its file name; the extension says what it is.
    content : bytes
        The file.
    deadline_s : float
        How long reading may take.

    Returns
    -------
    document : LoadedDocument

    Raises
    ------
    DocumentRefused
        Unknown extension, more than 20 MB, content that isn't what the extension says, encrypted, a script in it, or a
        limit of time, memory or length was reached.
    """
    kind = _kind_of(name, content)
    command = [sys.executable, "-m", "rag.parse", kind]
    environment = {"PYTHONPATH": str(_ROOT), "PYTHONSAFEPATH": "1", "LC_ALL": "C.UTF-8", "PYTHONUTF8": "1"}
    try:
        done = subprocess.run(
            command, input=content, capture_output=True, env=environment, cwd="/", timeout=deadline_s, check=False
        )
    except subprocess.TimeoutExpired:
        raise DocumentRefused(f"{name}: reading took more than {deadline_s:g} s") from None
    if done.returncode == REFUSED:
        raise DocumentRefused(f"{name}: {done.stderr.decode('utf-8', 'replace')[-300:]}")
    if done.returncode:
        raise DocumentRefused(f"{name}: the reader ended with {done.returncode}: a limit was reached, or it is broken")
    blocks = tuple(Block(**block) for block in json.loads(done.stdout))
    headings = (block.text for block in blocks if block.level == 1 and kind != "pdf")  # a PDF's are guesses
    title = next(headings, Path(name).stem.replace("_", " "))
    return LoadedDocument(title, _PLACES.get(kind, "line"), blocks)


def _kind_of(name: str, content: bytes) -> str:
    kind = KINDS.get(Path(name).suffix.lower())
    if kind is None:
        raise DocumentRefused(f"{name}: not a document; known are {', '.join(KINDS)}")
    if len(content) > MAX_BYTES:
        raise DocumentRefused(f"{name}: {len(content)} bytes, at most {MAX_BYTES} allowed")
    is_pdf = content.startswith(b"%PDF-")
    if (kind == "pdf") != is_pdf or (kind != "pdf" and content.startswith(_NO_TEXT)):
        raise DocumentRefused(f"{name}: the content isn't what the name says")
    return kind
