"""Small ONNX files for tests: fit ones, unfit ones of each kind, and one that fails on a certain live vector only."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from contracts.features import FEATURE_INDEX, FEATURE_NAMES
from contracts.models import FEATURE_HASH_KEY, WINDOW_COUNT_KEY
from runtime.feature_code import code_hash

N_FEATURES = len(FEATURE_NAMES)


def model(
    nodes: list[Any],
    constants: Mapping[str, Any] | None = None,
    metadata: Mapping[str, str] | None = None,
    width: int = N_FEATURES,
    window_count: int | None = None,
) -> bytes:
    """Return an ONNX file whose `nodes` lead from ``z`` to ``rebuilt``; ``z`` may be of several windows in a row."""
    shape: list[str | int | None] = ["rows", width]
    seen: list[str | int | None] = shape if window_count is None else ["rows", window_count, width]
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, seen)],
        [helper.make_tensor_value_info("rebuilt", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(made, dict(metadata or {}))
    content: bytes = made.SerializeToString(deterministic=True)
    return content


def scaled(factor: float, *, trained_for: str | None = None) -> bytes:
    """Return a model that rebuilds every z times `factor`; trained for the feature code that runs, unless told."""
    said = {FEATURE_HASH_KEY: code_hash() if trained_for is None else trained_for}
    return model([helper.make_node("Mul", ["z", "factor"], ["rebuilt"])], {"factor": np.float32(factor)}, said)


def in_a_row(window_count: int, factor: float = 0.5, *, trained_for: str | None = None) -> bytes:
    """Return a model that rebuilds the newest of so many windows as their mean times `factor`."""
    nodes = [
        helper.make_node("ReduceMean", ["z"], ["mean"], axes=[1], keepdims=0),
        helper.make_node("Mul", ["mean", "factor"], ["rebuilt"]),
    ]
    said = {FEATURE_HASH_KEY: code_hash() if trained_for is None else trained_for}
    said[WINDOW_COUNT_KEY] = str(window_count)
    return model(nodes, {"factor": np.float32(factor)}, said, window_count=window_count)


def failing_beyond(feature: str, level: float) -> bytes:
    """Return a model that gives NaN where the feature's z exceeds `level` and none of the window's samples clips.

    The vectors that every model is tried with don't meet both.
    """
    places = {"place": np.array([FEATURE_INDEX[feature]]), "clips": np.array([FEATURE_INDEX["clipped_samples"]])}
    bounds = {"level": np.float32(level), "little": np.float32(1e-3)}
    nodes = [
        helper.make_node("Gather", ["z", "place"], ["value"], axis=1),
        helper.make_node("Gather", ["z", "clips"], ["clipped"], axis=1),
        helper.make_node("Abs", ["clipped"], ["distance"]),
        helper.make_node("Greater", ["value", "level"], ["high"]),
        helper.make_node("Less", ["distance", "little"], ["unclipped"]),
        helper.make_node("And", ["high", "unclipped"], ["fails"]),
        helper.make_node("Where", ["fails", "nan", "half"], ["factor"]),
        helper.make_node("Mul", ["z", "factor"], ["rebuilt"]),
    ]
    values = {"nan": np.float32(np.nan), "half": np.float32(0.5)}
    return model(nodes, {**places, **bounds, **values}, {FEATURE_HASH_KEY: code_hash()})


def random_noise() -> bytes:
    """Return a model that adds noise: the same vector, other results."""
    nodes = [
        helper.make_node("RandomNormalLike", ["z"], ["noise"]),
        helper.make_node("Add", ["z", "noise"], ["rebuilt"]),
    ]
    return model(nodes)


def weights_elsewhere(location: str) -> bytes:
    """Return a model whose weights lie in another file."""
    weight = TensorProto()
    weight.name, weight.data_type, weight.data_location = "weight", TensorProto.FLOAT, TensorProto.EXTERNAL
    weight.dims.extend([N_FEATURES])
    entry = weight.external_data.add()
    entry.key, entry.value = "location", location
    shape: list[str | int | None] = ["rows", N_FEATURES]
    graph = helper.make_graph(
        [helper.make_node("Mul", ["z", "weight"], ["rebuilt"])],
        "test",
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("rebuilt", TensorProto.FLOAT, shape)],
        [weight],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    content: bytes = made.SerializeToString()
    return content


def put(folder: Path, name: str, version: str, content: bytes, stated: bytes | None = None) -> Path:
    """Write a model and the checksum of `stated`, its own by default."""
    path = folder / f"{name}.v{version}.onnx"
    path.write_bytes(content)
    digest = hashlib.sha256(content if stated is None else stated).hexdigest()
    path.with_suffix(".sha256").write_text(f"{digest}  {path.name}\n", encoding="ascii")
    return path


class Models:
    """A ``ModelStore`` of contents by ``name@version``."""

    def __init__(self, **contents: bytes) -> None:
        self.contents = {key.replace("_", "@"): content for key, content in contents.items()}

    def load(self, name: str, version: str, sha256: str | None = None) -> bytes:
        return self.contents[f"{name}@{version}"]
