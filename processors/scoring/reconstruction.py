"""Autoencoders in ONNX form: how badly a channel's feature vector is rebuilt is how abnormal it is.

Invariants: a model that isn't what it should be (one float32 input of shape (rows, F), or (rows, T, F) for T windows in
a row, oldest first; one output of shape (rows, F); finite results that are a function of the input; no data beside the
file) is refused when it is loaded; a row's score has the same bits
whatever rows were scored with it: that is tested at load, and a model that fails the test is run row by row. A model
that fails while it runs gives NaN, never an error.
"""

import functools
import os
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from contracts.errors import ConfigurationError, OtherFeatures
from contracts.features import CATALOGUE_VERSION, FEATURE_NAMES
from contracts.models import CATALOGUE_VERSION_KEY, CLIP_Z_KEY, FEATURES_KEY, WINDOW_COUNT_KEY
from processors.scoring.succession import MAX_WINDOW_COUNT

N_FEATURES: Final = len(FEATURE_NAMES)
#: Robust z's are clipped to ± this, so that one wild value can't overflow a model.
CLIP_Z: Final = 20.0
_BATCHES: Final = (1, 2, 3, 5, 8, 64)
#: What a model is given; one that says it was made for something else is refused.
_INPUT: Final = {
    CATALOGUE_VERSION_KEY: str(CATALOGUE_VERSION),
    FEATURES_KEY: ",".join(FEATURE_NAMES),
    CLIP_Z_KEY: f"{CLIP_Z:g}",
}
_OF_FEATURES: Final = frozenset({CATALOGUE_VERSION_KEY, FEATURES_KEY})


class Autoencoder:
    """One loaded model.

    Parameters
    ----------
    name : str
        For messages.
    content : bytes
        The ONNX file.

    Raises
    ------
    OtherFeatures
        If it was made for another catalogue.
    ConfigurationError
        If the content isn't a model or was made for other vectors, has other inputs or outputs, or gives results that
        aren't finite, or others each time.
    """

    def __init__(self, name: str, content: bytes) -> None:
        self._session = _session(name, content)
        #: What the file says of itself.
        self.metadata: Mapping[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        shapes = [(io.type, list(io.shape)[1:]) for io in (*inputs, *outputs)]
        several = shapes[0][1][:-1] if shapes else []
        #: Windows in a row that it looks at.
        self.window_count = several[0] if several and isinstance(several[0], int) else 1
        for key, ours in (_INPUT | {WINDOW_COUNT_KEY: str(self.window_count)}).items():
            theirs = self.metadata.get(key, ours)
            if theirs != ours:
                kind = OtherFeatures if key in _OF_FEATURES else ConfigurationError
                raise kind(f"model {name} was made for {key} {theirs[:80]!r}; {ours[:80]!r} is in use")
        self._shape = (N_FEATURES,) if self.window_count == 1 else (self.window_count, N_FEATURES)
        if shapes != [("tensor(float)", list(self._shape)), ("tensor(float)", [N_FEATURES])]:
            raise ConfigurationError(
                f"model {name} has inputs and outputs {shapes}; one float32 input of shape (rows, {N_FEATURES}), or of "
                f"windows in a row (rows, windows, {N_FEATURES}), and one output of shape (rows, {N_FEATURES}) are "
                "needed"
            )
        if not 1 <= self.window_count <= MAX_WINDOW_COUNT:
            raise ConfigurationError(
                f"model {name} looks at {self.window_count} windows in a row; at most {MAX_WINDOW_COUNT} are kept"
            )
        self._input = inputs[0].name
        self.row_by_row = False
        self._examine(name)

    def rebuild(self, z: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Return the squared residual of every feature of the newest window.

        Parameters
        ----------
        z : ndarray, shape (n, F), or (n, T, F) for a model of T windows in a row, float
            Robust z's, oldest windows first; what is undefined counts as normal.

        Returns
        -------
        squared : ndarray, shape (n, F), float64
            NaN in a row for which the model has failed.
        """
        if not len(z):
            return np.empty((0, N_FEATURES))
        seen = as_seen(z)
        batches = seen[:, np.newaxis] if self.row_by_row else seen[np.newaxis]
        rebuilt = np.concatenate([self._run(batch) for batch in batches])
        newest = seen if seen.ndim == 2 else seen[:, -1]
        return np.asarray(np.square(newest - rebuilt), dtype=np.float64)

    def _run(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        try:
            rebuilt: NDArray[np.float32] = self._session.run(None, {self._input: rows})[0]
        except Exception:  # noqa: BLE001 -- as in _session; a model that can't answer is refused for it by the caller
            return np.full((len(rows), N_FEATURES), np.nan)
        fits = rebuilt.shape == (len(rows), N_FEATURES)
        return rebuilt.astype(np.float64) if fits else np.full((len(rows), N_FEATURES), np.nan)

    def _examine(self, name: str) -> None:
        probe = np.random.default_rng(20816).normal(scale=3.0, size=(max(_BATCHES), *self._shape))
        probe[0], probe[1] = CLIP_Z, -CLIP_Z
        results = [np.concatenate([self.rebuild(rows) for rows in _split(probe, size)]) for size in _BATCHES]
        failed = int((~np.isfinite(results[0]).all(axis=1)).sum())
        if failed:
            raise ConfigurationError(
                f"model {name} fails or gives results that aren't finite for {failed} of {len(probe)} inputs within"
                f" ±{CLIP_Z:g}"
            )
        again = np.concatenate([self.rebuild(rows) for rows in _split(probe, 1)])
        if again.tobytes() != results[0].tobytes():
            raise ConfigurationError(f"model {name} gives other results for the same input: it draws random numbers")
        self.row_by_row = any(result.tobytes() != results[0].tobytes() for result in results)


def as_seen(z: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Return robust z's as models see them: clipped to ± `CLIP_Z`, 0 where undefined, and what a float16 can hold.

    So a snapshot keeps windows in a row in half the bytes, and a model sees the same in training as in the stream.
    """
    return np.where(np.isfinite(z), np.clip(z, -CLIP_Z, CLIP_Z), 0.0).astype(np.float16).astype(np.float32)


def root_mean(squared: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the root mean of squared residuals (n, F) over the features: the score, robust standard deviations."""
    # Row by row of a contiguous array: the order of additions doesn't depend on the number of rows.
    return np.asarray(np.sqrt(np.ascontiguousarray(squared).mean(axis=1)), dtype=np.float64)


@functools.lru_cache(maxsize=16)
def load(name: str, content: bytes) -> Autoencoder:
    """Return the model in `content`; assets that share a model share its session."""
    return Autoencoder(name, content)


def _split(rows: NDArray[np.float64], size: int) -> list[NDArray[np.float64]]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]


@functools.cache
def runtime() -> Any:
    """Return onnxruntime, imported on first use: processes that never score don't pay for it."""
    import onnxruntime  # noqa: PLC0415 -- see above

    return onnxruntime


def _session(name: str, content: bytes) -> Any:
    onnxruntime = runtime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what goes wrong is told by the error
    # Weights must lie in the file, whose SHA-256 names the model: a folder that is none holds no others.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", os.devnull)
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 -- onnxruntime raises a dozen types without a common root
        raise ConfigurationError(
            f"model {name} can't be loaded, its {len(content)} bytes are no whole ONNX model: {str(error)[:500]}"
        ) from None
