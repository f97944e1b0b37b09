"""MiniLM as an ONNX graph, built from its published weights: no torch, no download beyond the package of the weights.

Invariant: the graph maps ``input_ids`` and ``attention_mask`` (n, tokens) to ``embedding`` (n, 384) of unit length; it
is built once per machine and cached by whoever calls this: as ``python -m rag.minilm FILE``, since what it needs is
large and needed once.

The network is BERT as in Devlin et al. (2019), mean-pooled as sentence-transformers/all-MiniLM-L6-v2 asks for.
"""

import json
import logging
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from safetensors.numpy import load_file

from rag.embed import weights_folder

_OPSET: Final = 20
_IR_VERSION: Final = 9
_MASKED: Final = -1e4


def build(weights: Path, *, quantised: bool = True) -> bytes:
    """Return the ONNX model.

    Parameters
    ----------
    weights : Path
        A folder with ``config.json`` and ``model.safetensors``.
    quantised : bool
        Whether matrices are kept as int8: a quarter of the size, about twice as fast, the same ranking.

    Returns
    -------
    model : bytes
    """
    config = json.loads((weights / "config.json").read_text(encoding="utf-8"))
    tensors = {name.removeprefix("bert."): value for name, value in load_file(weights / "model.safetensors").items()}
    model = _Builder(tensors).model(config)
    onnx.checker.check_model(model)
    if not quantised:
        return bytes(model.SerializeToString())
    with tempfile.TemporaryDirectory() as name:
        full, small = Path(name) / "full.onnx", Path(name) / "small.onnx"
        onnx.save(model, str(full))
        logging.disable(logging.WARNING)  # it advises a step that is for images
        try:
            quantize_dynamic(full, small, weight_type=QuantType.QInt8, per_channel=True)
        finally:
            logging.disable(logging.NOTSET)
        return small.read_bytes()


class _Builder:
    """A graph in the making: nodes, and the tensors they need."""

    def __init__(self, weights: Mapping[str, NDArray[Any]]) -> None:
        self._weights = weights
        self._nodes: list[Any] = []
        self._tensors: dict[str, Any] = {}

    def model(self, config: Mapping[str, Any]) -> Any:
        """Return the model of a BERT with `config`."""
        heads, width = int(config["num_attention_heads"]), int(config["hidden_size"])
        epsilon = float(config["layer_norm_eps"])
        mask = self._op("Cast", "attention_mask", to=TensorProto.FLOAT)
        absent = self._op("Sub", self._numbers("one", 1.0), self._op("Unsqueeze", mask, self._integers("axes", 1, 2)))
        bias = self._op("Mul", absent, self._numbers("masked", _MASKED))
        hidden = self._embeddings(epsilon)
        for layer in range(int(config["num_hidden_layers"])):
            hidden = self._layer(hidden, bias, f"encoder.layer.{layer}.", heads, width, epsilon)
        self._pool(hidden, mask)
        inputs = [
            helper.make_tensor_value_info(name, TensorProto.INT64, ["n", "tokens"])
            for name in ("input_ids", "attention_mask")
        ]
        outputs = [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", width])]
        graph = helper.make_graph(self._nodes, "minilm", inputs, outputs, list(self._tensors.values()))
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)

    def _embeddings(self, epsilon: float) -> str:
        words = self._op("Gather", self._weight("embeddings.word_embeddings.weight"), "input_ids")
        length = self._op("Slice", self._op("Shape", "input_ids"), self._integers("i1", 1), self._integers("i2", 2))
        places = self._weight("embeddings.position_embeddings.weight")
        zero = self._integers("i0", 0)
        places = self._op("Slice", places, zero, length, zero)
        kind = self._tensor("token_type", self._weights["embeddings.token_type_embeddings.weight"][0])
        total = self._op("Add", self._op("Add", words, places), kind)
        return self._normalised(total, "embeddings.LayerNorm", epsilon)

    def _layer(self, x: str, bias: str, prefix: str, heads: int, width: int, epsilon: float) -> str:
        split, joined = self._integers("split", 0, 0, heads, width // heads), self._integers("joined", 0, 0, width)
        parts = {
            name: self._op(
                "Transpose",
                self._op("Reshape", self._linear(x, f"{prefix}attention.self.{name}"), split),
                perm=[0, 2, 3, 1] if name == "key" else [0, 2, 1, 3],
            )
            for name in ("query", "key", "value")
        }
        scale = self._numbers("scale", (width // heads) ** -0.5)
        scores = self._op("Mul", self._op("MatMul", parts["query"], parts["key"]), scale)
        attention = self._op("Softmax", self._op("Add", scores, bias), axis=-1)
        mixed = self._op("Transpose", self._op("MatMul", attention, parts["value"]), perm=[0, 2, 1, 3])
        out = self._linear(self._op("Reshape", mixed, joined), f"{prefix}attention.output.dense")
        x = self._normalised(self._op("Add", out, x), f"{prefix}attention.output.LayerNorm", epsilon)
        inner = self._op("Gelu", self._linear(x, f"{prefix}intermediate.dense"), approximate="none")
        out = self._linear(inner, f"{prefix}output.dense")
        return self._normalised(self._op("Add", out, x), f"{prefix}output.LayerNorm", epsilon)

    def _pool(self, x: str, mask: str) -> None:
        axis = self._integers("i1", 1)
        column = self._op("Unsqueeze", mask, self._integers("i2", 2))
        total = self._op("ReduceSum", self._op("Mul", x, column), axis, keepdims=0)
        count = self._op("Max", self._op("ReduceSum", column, axis, keepdims=0), self._numbers("tiny", 1e-9))
        mean = self._op("Div", total, count)
        self._nodes.append(helper.make_node("LpNormalization", [mean], ["embedding"], axis=1, p=2))

    def _linear(self, x: str, name: str) -> str:
        matrix = self._tensor(f"{name}.matrix", self._weights[f"{name}.weight"].T)
        return self._op("Add", self._op("MatMul", x, matrix), self._weight(f"{name}.bias"))

    def _normalised(self, x: str, name: str, epsilon: float) -> str:
        weight, bias = self._weight(f"{name}.weight"), self._weight(f"{name}.bias")
        return self._op("LayerNormalization", x, weight, bias, axis=-1, epsilon=epsilon)

    def _op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"{kind}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return name

    def _weight(self, name: str) -> str:
        return self._tensor(name, self._weights[name])

    def _numbers(self, name: str, value: float) -> str:
        return self._tensor(name, np.asarray(value, np.float32))

    def _integers(self, name: str, *values: int) -> str:
        return self._tensor(name, np.asarray(values, np.int64))

    def _tensor(self, name: str, values: NDArray[Any]) -> str:
        kept = values if values.dtype == np.int64 else values.astype(np.float32)
        self._tensors.setdefault(name, numpy_helper.from_array(np.ascontiguousarray(kept), name))
        return name


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(build(weights_folder()))
