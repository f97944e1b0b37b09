"""The sentence model of the assistant: built from its weights at first use, then read from the cache."""

import fcntl
import hashlib
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final

from contracts.errors import ConfigurationError, FaultlineError, Unavailable
from rag.embed import SentenceModel, weights_folder
from runtime.settings import PROJECT, Settings, child_environment

NAME: Final = "all-MiniLM-L6-v2-int8"
DIMENSIONS: Final = 384
_BUILDER: Final = PROJECT / "rag" / "minilm.py"
_BUILD_S: Final = 120.0
#: How long a question waits for a model that is still being built.
_PATIENCE_S: Final = 2.0


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
        The weights aren't installed, or the model can't be built from them.
    """
    weights = weights_folder()
    recipe = hashlib.sha256(_BUILDER.read_bytes() + str(weights).encode()).hexdigest()[:12]
    folder = settings.cache_dir / "models"
    file = folder / f"{NAME}-{recipe}.onnx"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "lock").open("a", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # other processes wait rather than build the same
            if not file.exists():
                _build(file, settings)
    return SentenceModel(NAME, file.read_bytes(), (weights / "tokenizer.json").read_text(encoding="utf-8"))


class LateSentenceModel:
    """`contracts.ports.Embedder` that is loaded in the background, so that nothing waits for it but questions."""

    name = NAME
    dimensions = DIMENSIONS

    def __init__(self, settings: Settings) -> None:
        loader = ThreadPoolExecutor(1, "sentence-model")
        self._model: Future[SentenceModel] = loader.submit(sentence_model, settings)
        loader.shutdown(wait=False)

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Return one vector for each text; raise ``Unavailable`` while there is no model."""
        try:
            model = self._model.result(_PATIENCE_S)
        except (TimeoutError, FaultlineError) as error:
            raise Unavailable("sentence model", str(error) or "it is still being built", 5.0) from error
        return model.embed(texts)


def _build(file: Path, settings: Settings) -> None:
    new = file.with_suffix(".new")
    command = [sys.executable, "-m", "rag.minilm", str(new)]
    done = subprocess.run(
        command,
        env=child_environment({}, settings),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_BUILD_S,
        check=False,
    )
    if done.returncode:
        raise ConfigurationError(f"the sentence model can't be built: {done.stderr.strip()[-300:]}")
    new.replace(file)
