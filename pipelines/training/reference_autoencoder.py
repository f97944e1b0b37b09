"""Train the reference autoencoder: a small model that rebuilds the robust z's of a healthy channel.

It exists so that the ONNX path has a model that anybody can make again: seeded, NumPy only, seconds on one core. Its
data are synthetic z's whose features move together as they do on a healthy machine (a louder machine is louder in every
band, an impulse lifts peak and kurtosis alike); no recording is used. A channel whose features part company is rebuilt
badly.

Invariant: the model is a function of ``SEED`` and this module. The activation is softsign, since it is made of a
division only: tanh differs between CPU kernels.

Usage: ``python -m pipelines.training.reference_autoencoder FOLDER`` writes model and checksum into FOLDER.
"""

import hashlib
import itertools
import pathlib
import sys
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, checker, helper, numpy_helper

from contracts.features import FEATURE_INDEX, FEATURE_NAMES

NAME: Final = "reference-autoencoder"
VERSION: Final = "1"
SEED: Final = 20_816

_WIDTHS: Final = (len(FEATURE_NAMES), 20, 8, 20, len(FEATURE_NAMES))
_ROWS: Final = 20_000
_BATCH: Final = 250
_EPOCHS: Final = 40
_LEARNING_RATE: Final = 3e-3
#: Opset 17 and IR 8: what every onnxruntime since 1.12 reads.
_OPSET: Final = 17
_IR_VERSION: Final = 8

_LEVEL: Final = ("rms_g", "peak_g", "peak_to_peak_g", "velocity_rms_mm_s", "band_low_g", "band_mid_g", "band_high_g")
_SHAFT: Final = (
    "velocity_rms_mm_s",
    "displacement_rms_um",
    "displacement_pp_um",
    "order_1x_mm_s",
    "order_2x_mm_s",
    "order_3x_mm_s",
    "band_low_g",
)
_IMPULSE: Final = (
    "crest_factor",
    "kurtosis",
    "shape_factor",
    "impulse_factor",
    "clearance_factor",
    "peak_g",
    "peak_to_peak_g",
)
_TILT: Final = ("spectral_centroid_hz", "spectral_entropy", "band_high_g", "band_mid_g")
_LINE: Final = ("dominant_amplitude_g", "rms_g", "dominant_frequency_hz")
_ENVELOPE: Final = ("bpfo_db", "bpfi_db", "bsf_db", "ftf_db", "kurtosis")
#: Hidden causes of a healthy machine's variation: the features each moves, and how strongly.
_CAUSES: Final = ((_LEVEL, 0.75), (_SHAFT, 0.6), (_IMPULSE, 0.65), (_TILT, 0.6), (_LINE, 0.5), (_ENVELOPE, 0.35))

Layer = tuple[NDArray[np.float64], NDArray[np.float64]]


def healthy_z(n_rows: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return synthetic robust z's of a healthy channel.

    Parameters
    ----------
    n_rows : int
        Windows to make.
    rng : numpy.random.Generator
        Source of chance.

    Returns
    -------
    z : ndarray, shape (n_rows, F), float64
        Features in the catalogue's order: common causes, own noise, and a row's spread that varies by a quarter,
        since a baseline of a few windows knows its scale no better.
    """
    loadings = np.zeros((len(_CAUSES), len(FEATURE_NAMES)))
    for cause, (names, strength) in enumerate(_CAUSES):
        loadings[cause, [FEATURE_INDEX[name] for name in names]] = strength
    loadings /= np.maximum(1.0, np.sqrt(np.square(loadings).sum(axis=0)) / 0.95)
    own = np.sqrt(1.0 - np.square(loadings).sum(axis=0))
    common = rng.normal(size=(n_rows, len(_CAUSES)))
    z = common @ loadings + own * rng.normal(size=(n_rows, len(FEATURE_NAMES)))
    return np.asarray(z * np.exp(0.25 * rng.normal(size=(n_rows, 1))), dtype=np.float64)


def train(seed: int = SEED) -> list[Layer]:
    """Return weights and biases of the layers, trained by Adam on the squared error."""
    rng = np.random.default_rng(seed)
    rows = healthy_z(_ROWS, rng)
    layers = [
        (rng.normal(scale=1.0 / np.sqrt(wide), size=(wide, narrow)), np.zeros(narrow))
        for wide, narrow in itertools.pairwise(_WIDTHS)
    ]
    parameters = [array for layer in layers for array in layer]
    means = [np.zeros_like(array) for array in parameters]
    squares = [np.zeros_like(array) for array in parameters]
    step = 0
    for epoch in range(_EPOCHS):
        rate = _LEARNING_RATE * 0.5 ** (epoch / 8)
        for batch in rng.permutation(_ROWS).reshape(-1, _BATCH):
            step += 1
            gradients = _gradients(layers, rows[batch])
            for index, gradient in enumerate(gradients):
                means[index] += 0.1 * (gradient - means[index])
                squares[index] += 0.001 * (np.square(gradient) - squares[index])
                mean, square = means[index] / (1 - 0.9**step), squares[index] / (1 - 0.999**step)
                parameters[index] -= rate * mean / (np.sqrt(square) + 1e-8)
    return layers


def rebuild(layers: Sequence[Layer], z: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return z's (n, F) as the layers rebuild them, in float64: the reference for the exported model."""
    return _forward(layers, z)[-1]


def export(layers: Sequence[Layer]) -> bytes:
    """Return the layers as an ONNX file with input ``z`` and output ``rebuilt``, both float32 of shape (rows, F)."""
    nodes, weights, name = [], [], "z"
    for number, (weight, bias) in enumerate(layers):
        weights.append(numpy_helper.from_array(weight.astype(np.float32), f"weight_{number}"))
        weights.append(numpy_helper.from_array(bias.astype(np.float32), f"bias_{number}"))
        last = number == len(layers) - 1
        out = "rebuilt" if last else f"linear_{number}"
        nodes.append(helper.make_node("Gemm", [name, f"weight_{number}", f"bias_{number}"], [out]))
        if not last:
            nodes.append(helper.make_node("Softsign", [out], [f"hidden_{number}"]))
            name = f"hidden_{number}"
    shape: list[str | int | None] = ["rows", len(FEATURE_NAMES)]
    graph = helper.make_graph(
        nodes,
        NAME,
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("rebuilt", TensorProto.FLOAT, shape)],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)
    model.producer_name, model.producer_version = "faultline", VERSION
    checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def write(folder: pathlib.Path) -> pathlib.Path:
    """Train, export and write the model with its checksum into `folder`; return the model's path."""
    path = folder / f"{NAME}.v{VERSION}.onnx"
    content = export(train())
    path.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    path.with_suffix(".sha256").write_text(f"{digest}  {path.name}\n", encoding="ascii")
    return path


def _forward(layers: Sequence[Layer], z: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Return input, then the activation of every hidden layer, then the output."""
    values = [z]
    for weight, bias in layers[:-1]:
        linear = values[-1] @ weight + bias
        values.append(linear / (1 + np.abs(linear)))
    weight, bias = layers[-1]
    return [*values, values[-1] @ weight + bias]


def _gradients(layers: Sequence[Layer], z: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Return the gradients of the mean squared error: weight and bias of the first layer, of the second, and so on."""
    values = _forward(layers, z)
    slope = 2.0 * (values[-1] - z) / z.size
    gradients: list[NDArray[np.float64]] = []
    for number in range(len(layers) - 1, -1, -1):
        gradients[:0] = [values[number].T @ slope, slope.sum(axis=0)]
        # Softsign's derivative is (1 - |y|)², from its value y alone.
        slope = (slope @ layers[number][0].T) * np.square(1.0 - np.abs(values[number])) if number else slope
    return gradients


if __name__ == "__main__":
    write(pathlib.Path(sys.argv[1]))
