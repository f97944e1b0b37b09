"""Networks as lists of layers, which JAX trains and ONNX runs: one description, two readers.

Invariant: what is listed here is all that a network is made of, so the export can't lack a part. The activation is
softsign, made of a division only; tanh differs between CPU kernels.
"""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, checker, helper, numpy_helper

F32 = NDArray[np.float32]

#: Opset 17 and IR 8: what every onnxruntime since 1.12 reads.
OPSET: Final = 17
IR_VERSION: Final = 8
INPUT: Final = "z"
OUTPUT: Final = "rebuilt"


@dataclass(frozen=True, slots=True)
class Dense:
    """A matrix and a bias: (m, inputs) to (m, outputs)."""

    inputs: int
    outputs: int


@dataclass(frozen=True, slots=True)
class Conv:
    """A convolution over time: (m, inputs, T) to (m, outputs, T'), padded by zeros before and after."""

    inputs: int
    outputs: int
    width: int
    stride: int = 1
    dilation: int = 1
    before: int = 0
    after: int = 0


@dataclass(frozen=True, slots=True)
class Softsign:
    """x / (1 + |x|)."""


@dataclass(frozen=True, slots=True)
class Twice:
    """Each step of time twice: (m, c, T) to (m, c, 2 T)."""


@dataclass(frozen=True, slots=True)
class Turned:
    """The last two axes exchanged: (m, T, F) to (m, F, T) and back."""


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest step of time: (m, c, T) to (m, c)."""


@dataclass(frozen=True, slots=True)
class Past:
    """All steps of time but the newest: (m, c, T) to (m, c, T - 1)."""


@dataclass(frozen=True, slots=True)
class Residual:
    """What the layers make of their input, added to it."""

    layers: tuple["Layer", ...]


Layer = Dense | Conv | Softsign | Twice | Turned | Newest | Past | Residual
#: Weight and bias of each dense layer and convolution, in the order of the layers.
Weights = list[tuple[F32, F32]]


def flat(layers: Iterable[Layer]) -> list[Layer]:
    """Return the layers with those inside residuals, in order."""
    return list(
        itertools.chain.from_iterable(flat(one.layers) if isinstance(one, Residual) else [one] for one in layers)
    )


def fresh_weights(layers: Sequence[Layer], seed: int) -> Weights:
    """Return weights drawn for layers: normal, with the variance of one over the inputs; biases 0."""
    rng = np.random.default_rng(seed)
    weights: Weights = []
    for layer in flat(layers):
        if isinstance(layer, Dense):
            shape: tuple[int, ...] = (layer.inputs, layer.outputs)
        elif isinstance(layer, Conv):
            shape = (layer.outputs, layer.inputs, layer.width)
        else:
            continue
        inputs = layer.inputs * (layer.width if isinstance(layer, Conv) else 1)
        drawn = rng.normal(scale=1.0 / np.sqrt(inputs), size=shape).astype(np.float32)
        weights.append((drawn, np.zeros(layer.outputs, dtype=np.float32)))
    return weights


def exported(layers: Sequence[Layer], weights: Weights, input_shape: Sequence[int], n_features: int) -> ModelProto:
    """Return a network as an ONNX model: input ``z`` (rows, …), output ``rebuilt`` (rows, n_features).

    Parameters
    ----------
    layers : sequence of Layer
        The whole network.
    weights : list of (ndarray, ndarray)
        Of its layers in order.
    input_shape : sequence of int
        Without the rows.
    n_features : int
        Width of the output.
    """
    graph = _Graph(iter(weights))
    last = graph.add_all(layers, INPUT)
    graph.nodes.append(helper.make_node("Identity", [last], [OUTPUT]))
    made = helper.make_graph(
        graph.nodes,
        "faultline",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["rows", *input_shape])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["rows", n_features])],
        graph.constants,
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    checker.check_model(model, full_check=True)
    return model


class _Graph:
    """Nodes and constants of a model in the making."""

    def __init__(self, weights: Any) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._weights = weights

    def add_all(self, layers: Iterable[Layer], name: str) -> str:
        for layer in layers:
            name = self._add(layer, name)
        return name

    def _add(self, layer: Layer, name: str) -> str:  # noqa: PLR0911 -- one result for each kind of layer
        match layer:
            case Dense():
                return self._node("Gemm", [name, *self._parameters()])
            case Conv(width=width, stride=stride, dilation=dilation, before=before, after=after):
                attributes = {"kernel_shape": [width], "strides": [stride], "dilations": [dilation]}
                return self._node("Conv", [name, *self._parameters()], pads=[before, after], **attributes)
            case Softsign():
                return self._node("Softsign", [name])
            case Twice():
                scales = self._constant(np.array([1.0, 1.0, 2.0], dtype=np.float32))
                how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
                return self._node("Resize", [name, "", scales], **how)
            case Turned():
                return self._node("Transpose", [name], perm=[0, 2, 1])
            case Newest():
                return self._node("Gather", [name, self._constant(np.array(-1, dtype=np.int64))], axis=2)
            case Past():
                ends = [self._constant(np.array([value], dtype=np.int64)) for value in (0, -1, 2)]
                return self._node("Slice", [name, *ends])
            case Residual(layers=layers):
                return self._node("Add", [name, self.add_all(layers, name)])

    def _parameters(self) -> list[str]:
        weight, bias = next(self._weights)
        return [self._constant(weight), self._constant(bias)]

    def _constant(self, values: NDArray[Any]) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def _node(self, kind: str, inputs: list[str], **attributes: Any) -> str:
        name = f"value_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name
