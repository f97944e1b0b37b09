"""Networks trained by JAX on one CPU: an autoencoder of one window, and a convolutional one and a TCN of several.

Each is judged by how badly it has the newest window: the autoencoders rebuild it from a narrow code, the temporal
convolutional network (Bai, Kolter & Koltun, An Empirical Evaluation of Generic Convolutional and Recurrent Networks for
Sequence Modeling, 2018) foretells it from the windows before. Invariant: the same examples, settings and seed give the
same network on the same machine.
"""

import functools
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from contracts.errors import ConfigurationError
from pipelines.training.layers import (
    Conv,
    Dense,
    Layer,
    Newest,
    Past,
    Residual,
    Softsign,
    Turned,
    Twice,
    Weights,
    exported,
    fresh_weights,
)

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Settings = Mapping[str, Any]

_BATCH: Final = 256
_STEPS_AT_ONCE: Final = 100
_ROWS_AT_ONCE: Final = 512


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """Layers and their weights; ``input_shape`` is that of one example."""

    layers: tuple[Layer, ...]
    weights: Weights
    input_shape: tuple[int, ...]
    n_features: int

    def rebuild(self, x: F32) -> F64:
        """Return the newest windows (m, F) as JAX has them."""
        run = _jitted(self.layers)
        padded = np.concatenate([x, np.zeros((-len(x) % _ROWS_AT_ONCE, *x.shape[1:]), dtype=np.float32)])
        starts = range(0, len(padded), _ROWS_AT_ONCE)  # always as many rows: compiled once
        parts = [np.asarray(run(self.weights, padded[start : start + _ROWS_AT_ONCE])) for start in starts]
        return np.concatenate(parts)[: len(x)].astype(np.float64)

    def export(self) -> ModelProto:
        """Return the network in ONNX form."""
        return exported(self.layers, self.weights, self.input_shape, self.n_features)


def autoencoder(n_features: int, settings: Settings) -> tuple[tuple[Layer, ...], int]:
    """Return the layers of an autoencoder of one window, and how many of them are trained."""
    hidden, code = settings["hidden"], settings["code"]
    widths = (n_features, hidden, code, hidden)
    layers: list[Layer] = []
    for inputs, outputs in itertools.pairwise(widths):
        layers += [Dense(inputs, outputs), Softsign()]
    layers.append(Dense(hidden, n_features))
    return tuple(layers), len(layers)


def conv_autoencoder(n_features: int, settings: Settings) -> tuple[tuple[Layer, ...], int]:
    """Return the layers of a convolutional autoencoder over windows: time is halved twice, then doubled twice."""
    hidden, code = settings["hidden"], settings["code"]
    trunk: tuple[Layer, ...] = (
        Turned(),
        Conv(n_features, hidden, 5, stride=2, before=2, after=2),
        Softsign(),
        Conv(hidden, code, 3, stride=2, before=1, after=1),
        Softsign(),
        Twice(),
        Conv(code, hidden, 3, before=1, after=1),
        Softsign(),
        Twice(),
        Conv(hidden, n_features, 5, before=2, after=2),
    )
    return (*trunk, Newest()), len(trunk)


def tcn(n_features: int, settings: Settings) -> tuple[tuple[Layer, ...], int]:
    """Return the layers of a temporal convolutional network that foretells the newest window."""
    hidden = settings["hidden"]
    blocks = tuple(
        Residual((Conv(hidden, hidden, 3, dilation=2**block, before=2 * 2**block), Softsign(), Conv(hidden, hidden, 1)))
        for block in range(settings["blocks"])
    )
    first: tuple[Layer, ...] = (Turned(), Past(), Conv(n_features, hidden, 1))
    layers = (*first, *blocks, Newest(), Dense(hidden, n_features))
    return layers, len(layers)


def train(layers: tuple[Layer, ...], n_trained: int, x: F32, settings: Settings, seed: int) -> Network:
    """Return a network trained by Adam on the squared error, with noise on its input.

    Parameters
    ----------
    layers : tuple of Layer
        The network.
    n_trained : int
        Layers whose result the loss compares: with all windows (m, F, T), or with the newest (m, F).
    x : ndarray, shape (m, F) or (m, T, F), float32
        Examples of healthy machines, clipped robust z's.
    settings : mapping
        ``steps`` (of 256 examples each), ``learning_rate``, ``noise`` (standard deviations).
    seed : int
        Of weights, noise and order.

    Raises
    ------
    ConfigurationError
        If JAX or Optax isn't installed.
    """
    jax, optax = _jax()
    rng = np.random.default_rng(seed)
    weights = fresh_weights(layers, seed)
    state = (weights, optax.scale_by_adam().init(weights))
    rates = _rates(settings["learning_rate"], settings["steps"])
    steps = _steps(layers[:n_trained])
    for start in range(0, len(rates), _STEPS_AT_ONCE):
        rows = x[rng.integers(0, len(x), (_STEPS_AT_ONCE, _BATCH))]
        keys = jax.random.split(jax.random.key(rng.integers(2**31)), _STEPS_AT_ONCE)
        state = steps(state, rows, keys, rates[start : start + _STEPS_AT_ONCE], np.float32(settings["noise"]))
    trained = [(np.asarray(weight), np.asarray(bias)) for weight, bias in state[0]]
    return Network(layers, trained, x.shape[1:], x.shape[-1])


@functools.lru_cache(maxsize=32)
def _steps(trunk: tuple[Layer, ...]) -> Any:
    """Return what takes so many steps of training, compiled once for a network whatever it learns from."""
    jax, optax = _jax()
    adam = optax.scale_by_adam()
    whole = trunk[0] == Turned() and not isinstance(trunk[-1], Dense)

    def loss(weights: Weights, rows: Any, key: Any, noise: Any) -> Any:
        noisy = rows + noise * jax.random.normal(key, rows.shape)
        wanted = rows.swapaxes(1, 2) if whole else (rows if rows.ndim == 2 else rows[:, -1])
        return ((apply(trunk, weights, noisy) - wanted) ** 2).mean()

    def steps(state: Any, rows: Any, keys: Any, rates: Any, noise: Any) -> Any:
        def step(state: Any, given: Any) -> Any:
            weights, moments = state
            rows, key, rate = given
            slopes = jax.grad(loss)(weights, rows, key, noise)
            changes, moments = adam.update(slopes, moments)
            return (jax.tree.map(lambda weight, change: weight - rate * change, weights, changes), moments), None

        return jax.lax.scan(step, state, (rows, keys, rates))[0]

    return jax.jit(steps)


def _rates(first: float, steps: int) -> F32:
    """Return the learning rate of each step, falling as half a cosine; a multiple of the steps at once."""
    n = -(-steps // _STEPS_AT_ONCE) * _STEPS_AT_ONCE
    return np.asarray(first * 0.5 * (1.0 + np.cos(np.pi * np.arange(n) / n)), dtype=np.float32)


def apply(layers: Sequence[Layer], weights: Weights, x: Any) -> Any:
    """Return what layers make of x, by JAX."""
    return _applied(layers, iter(weights), x)


def _applied(layers: Sequence[Layer], weights: Any, x: Any) -> Any:
    for layer in layers:
        match layer:
            case Dense():
                weight, bias = next(weights)
                x = x @ weight + bias
            case Conv():
                weight, bias = next(weights)
                x = _convolved(layer, weight, bias, x)
            case Softsign():
                x = x / (1 + abs(x))
            case Twice():
                x = x.repeat(2, axis=2)
            case Turned():
                x = x.swapaxes(1, 2)
            case Newest():
                x = x[:, :, -1]
            case Past():
                x = x[:, :, :-1]
            case Residual(layers=inner):
                x = x + _applied(inner, weights, x)
    return x


def _convolved(layer: Conv, weight: Any, bias: Any, x: Any) -> Any:
    """Return a convolution as a sum of matrix products, which XLA runs many times faster on a CPU inside a loop."""
    jax, _ = _jax()
    padded = jax.numpy.pad(x, ((0, 0), (0, 0), (layer.before, layer.after)))
    reach = layer.dilation * (layer.width - 1)
    taps = [
        padded[:, :, tap * layer.dilation : padded.shape[2] - reach + tap * layer.dilation : layer.stride]
        for tap in range(layer.width)
    ]
    return sum(jax.numpy.einsum("mct,oc->mot", one, weight[:, :, tap]) for tap, one in enumerate(taps)) + bias[:, None]


@functools.lru_cache(maxsize=8)
def _jitted(layers: tuple[Layer, ...]) -> Any:
    jax, _ = _jax()
    return jax.jit(functools.partial(apply, layers))


def _jax() -> tuple[Any, Any]:
    try:
        import jax  # noqa: PLC0415 -- 3 s, and not installed by default
        import optax  # noqa: PLC0415 -- as above
    except ModuleNotFoundError as error:
        raise ConfigurationError(f"{error.name} isn't installed: ./faultline bootstrap train") from None
    return jax, optax
