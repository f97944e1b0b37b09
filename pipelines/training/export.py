"""Exported models: deterministic bytes with what they say of their input, compared with the model that was trained."""

import hashlib
from collections.abc import Mapping
from typing import Final

import numpy as np
from onnx import ModelProto

from contracts.errors import ExportMismatch
from contracts.model_card import ExportCheck
from pipelines.training.kinds import Trained
from pipelines.training.normal import Examples
from processors.scoring import reconstruction

#: Largest difference between both, robust standard deviations; float32 sums in another order give some 1e-5.
TOLERANCE: Final = 1e-3


def as_bytes(model: ModelProto, metadata: Mapping[str, str], name: str, version: str) -> bytes:
    """Return the file of a model: the same bytes for the same model."""
    model.producer_name, model.producer_version = "faultline", f"{name}@{version}"
    del model.metadata_props[:]
    for key, value in sorted(metadata.items()):
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def sha256(content: bytes) -> str:
    """Return the SHA-256 of a model's file, 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def compared(name: str, content: bytes, model: Trained, examples: Examples, tolerance: float) -> ExportCheck:
    """Return how far the exported model is from the trained one.

    Parameters
    ----------
    name : str
        For messages.
    content : bytes
        The exported model.
    model : Trained
        The trained one.
    examples : Examples
        Windows that neither has learnt from.
    tolerance : float
        In the output's unit, robust standard deviations.

    Raises
    ------
    ExportMismatch
        If a value differs by more, isn't finite, or there is nothing to compare on.
    ConfigurationError
        If a model of vibration features isn't one that the stream's scorer takes.
    """
    session = reconstruction.runtime().InferenceSession(content, providers=["CPUExecutionProvider"])
    if not len(examples):
        raise ExportMismatch(f"model {name}: no held-out window to compare the export on")
    wanted = model.rebuild(examples.x)
    got = session.run(None, {session.get_inputs()[0].name: examples.x})[0].astype(np.float64)
    difference = float(np.abs(got - wanted).max()) if got.shape == wanted.shape else float("inf")
    if not difference <= tolerance:  # true for NaN too
        raise ExportMismatch(
            f"model {name}: the exported model differs by {difference:.3g} on {len(examples)} held-out windows, at most"
            f" {tolerance:g} allowed; shapes {got.shape} and {wanted.shape}"
        )
    if examples.x.shape[-1] == reconstruction.N_FEATURES:
        squared = reconstruction.load(name, content).rebuild(examples.x[:1])
        if not np.isfinite(squared).all():
            raise ExportMismatch(f"model {name}: the stream's scorer gives {squared}")
    return ExportCheck(windows=len(examples), largest_difference=difference, tolerance=tolerance)
