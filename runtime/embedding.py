"""The sentence model of the assistant: built from its weights at first use, then read from the cache."""

import fcntl
import hashlib
import tempfile
from pathlib import Path
from typing import Final

from rag import minilm
from rag.embed import SentenceModel
from runtime.settings import Settings

_NAME: Final = "all-MiniLM-L6-v2-int8"


def sentence_model(settings: Settings) -> SentenceModel:
    """Return the sentence model; the first call on a machine takes some seconds.

    Parameters
    ----------
    settings : Settings
        Whose cache folder keeps it.

    Returns
    -------
    model : SentenceModel

    Raises
    ------
    ConfigurationError
        The weights aren't installed.
    """
    weights = minilm.weights_folder()
    recipe = hashlib.sha256(Path(minilm.__file__).read_bytes() + str(weights).encode()).hexdigest()[:12]
    folder = settings.cache_dir / "models"
    file = folder / f"{_NAME}-{recipe}.onnx"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "lock").open("a", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # other processes wait rather than build the same
            if not file.exists():
                _write(file, minilm.build(weights))
    return SentenceModel(_NAME, file.read_bytes(), (weights / "tokenizer.json").read_text(encoding="utf-8"))


def _write(file: Path, content: bytes) -> None:
    with tempfile.NamedTemporaryFile(dir=file.parent, delete=False) as new:
        new.write(content)
    Path(new.name).replace(file)
