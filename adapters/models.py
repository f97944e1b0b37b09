"""Scoring models from a folder: one ONNX file per model and version, each with its checksum beside it.

Invariant: bytes that don't match their checksum never leave this module, since a model is part of what a result is a
function of.
"""

import hashlib
import pathlib
from typing import Final

from contracts.errors import ConfigurationError
from contracts.models import MODEL_NAME, MODEL_VERSION

#: The models that come with the code.
BUNDLED_FOLDER: Final = pathlib.Path(__file__).resolve().parent.parent / "models" / "onnx"
#: Larger files are refused (bytes).
MAX_MODEL_BYTES: Final = 64 * 1024 * 1024


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
            If the name isn't one, a file is absent or too large, or the content isn't what the checksum beside it or
            `sha256` says.
        """
        if not MODEL_NAME.fullmatch(name) or not MODEL_VERSION.fullmatch(version):
            raise ConfigurationError(
                f"{name!r} version {version!r} can't name a model; e.g. 'reference-autoencoder', '1'"
            )
        path = self._folder / f"{name}.v{version}.onnx"
        try:
            size = path.stat().st_size
            if size > MAX_MODEL_BYTES:
                raise ConfigurationError(f"model {path} has {size} bytes, at most {MAX_MODEL_BYTES} allowed")
            content = path.read_bytes()
            stated = path.with_suffix(".sha256").read_text(encoding="ascii").split(maxsplit=1)[0]
        except (OSError, UnicodeDecodeError, IndexError) as error:
            raise ConfigurationError(f"model {name} version {version} can't be read: {error}") from None
        digest = hashlib.sha256(content).hexdigest()
        for expected in (stated, sha256):
            if expected is not None and expected.lower() != digest:
                raise ConfigurationError(f"model {path} has SHA-256 {digest}, {expected} expected")
        return content
