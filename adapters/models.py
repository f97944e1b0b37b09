"""Scoring models from a folder: one ONNX file per model and version, each with its checksum and its card beside it.

Invariants: bytes that don't match their checksum never leave this module, since a model is part of what a result is a
function of; nor do those of a model whose card names other features than the catalogue. For which feature code a model
was trained, the stream looks up in the bytes themselves. A model is never written over.
"""

import hashlib
import pathlib
from typing import Final

from contracts.errors import ConfigurationError
from contracts.model_card import ModelCard, as_json, as_markdown, check_features, file_stem, read_card

#: The models that come with the code.
BUNDLED_FOLDER: Final = pathlib.Path(__file__).resolve().parent.parent / "models" / "onnx"
#: Larger files are refused (bytes).
MAX_MODEL_BYTES: Final = 64 * 1024 * 1024
#: Models of a folder that a refusal names.
_NAMED: Final = 8


class ModelFolder:
    """A ``ModelStore`` over files named ``<name>.v<version>.onnx``.

    Parameters
    ----------
    folder : pathlib.Path
        Where the files and their ``.sha256`` lie.

    Examples
    --------
    >>> len(ModelFolder(BUNDLED_FOLDER).load("reference-autoencoder", "1")) > 1000
    True
    """

    def __init__(self, folder: pathlib.Path = BUNDLED_FOLDER) -> None:
        self._folder = folder

    def load(self, name: str, version: str, sha256: str | None = None) -> bytes:
        """Return the model's bytes.

        Parameters
        ----------
        name : str
            Lower-case letters, digits and hyphens.
        version : str
            Numbers, with points between them.
        sha256 : str, optional
            The content that a configuration asks for, as 64 hexadecimal digits.

        Raises
        ------
        ConfigurationError
            If the name isn't one, a file is absent or too large, the content isn't what `sha256`, the checksum beside
            it or its card says, or the model was trained on other features.
        """
        path = self._folder / f"{file_stem(name, version)}.onnx"
        checksum = path.with_suffix(".sha256")
        if path.is_file() and not checksum.is_file():
            raise ConfigurationError(
                f"model {name} version {version} has no checksum beside it: write it where the file was made, by"
                f" `sha256sum {path.name} > {checksum.name}`"
            )
        try:
            size = path.stat().st_size
            if size > MAX_MODEL_BYTES:
                raise ConfigurationError(f"model {path} has {size} bytes, at most {MAX_MODEL_BYTES} allowed")
            content = path.read_bytes()
            stated = checksum.read_text(encoding="ascii").split(maxsplit=1)[0]
        except FileNotFoundError:
            there = ", ".join(sorted(file.stem for file in self._folder.glob("*.onnx"))[:_NAMED]) or "none"
            raise ConfigurationError(
                f"no model {name} version {version}: {path} isn't there; the folder has {there}"
            ) from None
        except (OSError, UnicodeDecodeError, IndexError) as error:
            raise ConfigurationError(f"model {name} version {version} can't be read: {error}") from None
        card = read_card(path)
        digest = hashlib.sha256(content).hexdigest()
        for expected in (stated, sha256, None if card is None else card.sha256):
            if expected is not None and expected.lower() != digest:
                raise ConfigurationError(f"model {path} has SHA-256 {digest}, {expected} expected")
        if card is not None:
            check_features(card)
        return content

    def add(self, card: ModelCard, content: bytes) -> pathlib.Path:
        """Write a model with its checksum and card, the model last; return its path.

        Raises
        ------
        ConfigurationError
            If this version is there already, or the folder can't be written to.
        """
        path = self._folder / f"{card.stem}.onnx"
        beside = {
            ".json": as_json(card),
            ".md": as_markdown(card).encode(),
            ".sha256": f"{card.sha256}  {path.name}\n".encode("ascii"),
            ".onnx": content,
        }
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            if path.exists():
                raise ConfigurationError(f"model {path} is there already: versions aren't written over")
            for ending, written in beside.items():
                new = path.with_suffix(f"{ending}.new")
                new.write_bytes(written)
                new.replace(path.with_suffix(ending))
        except OSError as error:
            raise ConfigurationError(f"model {path} can't be written: {error}") from None
        return path
