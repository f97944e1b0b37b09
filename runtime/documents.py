"""Folders of documents: which files, and whom they are for."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import msgspec
import yaml
from msgspec import Meta, Struct

from contracts.documents import DocumentScope
from contracts.errors import ConfigurationError
from rag.index import SourceFile
from rag.load import KINDS, MAX_BYTES

MANIFEST: Final = "documents.yaml"
_MOST_FILES: Final = 5_000
_Name = Annotated[str, Meta(min_length=1, max_length=200)]


class _Listed(Struct, frozen=True, forbid_unknown_fields=True):
    file: _Name
    site: _Name | None = None
    assets: tuple[_Name, ...] = ()


class _Manifest(Struct, frozen=True, forbid_unknown_fields=True):
    documents: tuple[_Listed, ...]
    site: _Name | None = None


def read_folder(folder: Path, scope: DocumentScope | None = None) -> list[SourceFile]:
    """Return the documents of a folder.

    Parameters
    ----------
    folder : Path
        With a ``documents.yaml`` that lists files, their site and assets; without one every document below it counts.
    scope : DocumentScope, optional
        Whom documents are for where no ``documents.yaml`` says it.

    Returns
    -------
    files : list[SourceFile]
        Ids are ``folder/file``.

    Raises
    ------
    ConfigurationError
        There is no such folder, its ``documents.yaml`` is wrong, or nothing says whom the documents are for.
    """
    if not folder.is_dir():
        raise ConfigurationError(f"{folder} is no folder")
    root = folder.resolve()
    if (root / MANIFEST).exists():
        found = _listed(root)
    elif scope is None:
        raise ConfigurationError(f"{folder} has no {MANIFEST}: say with --site whom its documents are for")
    else:
        paths = sorted(path for path in root.rglob("*") if path.suffix.lower() in KINDS and path.is_file())
        found = [(path, scope) for path in paths]
    if len(found) > _MOST_FILES:
        raise ConfigurationError(f"{folder} holds {len(found)} documents, at most {_MOST_FILES} allowed")
    return [
        SourceFile(document_id=f"{root.name}/{path.relative_to(root).as_posix()}", content=_content(path), scope=scope)
        for path, scope in found
    ]


def _listed(root: Path) -> Sequence[tuple[Path, DocumentScope]]:
    manifest = root / MANIFEST
    try:
        listed = msgspec.convert(yaml.safe_load(manifest.read_text(encoding="utf-8")), _Manifest)
    except (yaml.YAMLError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{manifest}: {error}") from None
    found = []
    for entry in listed.documents:
        site_id = entry.site or listed.site
        path = (root / entry.file).resolve()
        if site_id is None:
            raise ConfigurationError(f"{manifest}: {entry.file} has no site")
        if not path.is_relative_to(root) or not path.is_file():
            raise ConfigurationError(f"{manifest}: {entry.file} is no file in {root}")
        found.append((path, DocumentScope(site_id=site_id, asset_ids=entry.assets)))
    return found


def _content(path: Path) -> bytes:
    """Return a file's content; of one that is too large, enough to be refused for it."""
    with path.open("rb") as file:
        return file.read(MAX_BYTES + 1)
