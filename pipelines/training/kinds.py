"""The kinds of models that can be trained: how each is fitted, and within which bounds its settings are searched."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from pipelines.training import networks, trees

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Settings = Mapping[str, Any]


class Trained(Protocol):
    """A model where it was trained: the reference for what is exported."""

    def rebuild(self, x: F32) -> F64:
        """Return the newest window (m, F) of each example as the model has it."""

    def export(self) -> ModelProto:
        """Return the model in ONNX form: input ``z``, output ``rebuilt`` (rows, F)."""


#: From examples, which of them are faulty (m,), settings and seed to a model.
Fit = Callable[[F32, NDArray[np.bool_], Settings, int], Trained]


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some values."""

    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Range:
    """A number between two; ``log`` where its size counts rather than its value."""

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of model.

    ``window_count`` windows make an example; the search looks within ``space``, beginning with ``defaults``.
    ``learns_faults`` tells whether known faults are learnt as such.
    """

    name: str
    says: str
    fit: Fit
    defaults: Settings
    space: Mapping[str, Choice | Range]
    window_count: int = 1
    learns_faults: bool = False


def _network(build: Callable[[int, Settings], tuple[tuple[Any, ...], int]]) -> Fit:
    def fit(x: F32, faulty: NDArray[np.bool_], settings: Settings, seed: int) -> Trained:
        del faulty  # none is among what a network learns from
        layers, n_trained = build(x.shape[-1], settings)
        return networks.train(layers, n_trained, x, settings, seed)

    return fit


_TRAINING: Final = {"steps": 600, "learning_rate": 3e-3, "noise": 0.3}
_SEARCHED: Final[Mapping[str, Choice | Range]] = {
    "hidden": Choice((16, 32)),
    "steps": Choice((300, 600, 1200)),
    "learning_rate": Range(5e-4, 1e-2, log=True),
    "noise": Range(0.0, 1.0),
}
KINDS: Final[dict[str, Kind]] = {
    kind.name: kind
    for kind in (
        Kind(
            name="autoencoder",
            says="Train an autoencoder (JAX): one window rebuilt from a narrow code.",
            fit=_network(networks.autoencoder),
            defaults={"hidden": 32, "code": 8, **_TRAINING},
            space={"code": Choice((4, 8, 12)), **_SEARCHED},
        ),
        Kind(
            name="conv-autoencoder",
            says="Train a convolutional autoencoder (JAX) over 16 windows in a row.",
            fit=_network(networks.conv_autoencoder),
            defaults={"hidden": 32, "code": 4, **_TRAINING},
            space={"code": Choice((2, 4, 8)), **_SEARCHED},
            window_count=16,
        ),
        Kind(
            name="tcn",
            says="Train a temporal convolutional network (JAX) that foretells a window from the 15 before it.",
            fit=_network(networks.tcn),
            defaults={"hidden": 32, "blocks": 3, **_TRAINING},
            space={"blocks": Choice((2, 3, 6)), **_SEARCHED},
            window_count=16,
        ),
        Kind(
            name="isolation-forest",
            says="Train an isolation forest (scikit-learn).",
            fit=lambda x, _faulty, settings, seed: trees.isolation_forest(x, settings, seed),
            defaults={"trees": 100, "samples": 256, "features_share": 1.0},
            space={
                "trees": Choice((50, 100, 200)),
                "samples": Choice((64, 128, 256, 512)),
                "features_share": Range(0.3, 1.0),
            },
        ),
        Kind(
            name="random-forest",
            says="Train a random forest (scikit-learn) that tells known faults from healthy machines.",
            fit=trees.random_forest,
            defaults={"trees": 100, "depth": 8, "leaf": 5},
            space={"trees": Choice((50, 100, 200)), "depth": Choice((4, 6, 8, 12)), "leaf": Choice((2, 5, 10, 20))},
            learns_faults=True,
        ),
        Kind(
            name="gradient-boosting",
            says="Train boosted trees (scikit-learn) that tell known faults from healthy machines.",
            fit=trees.gradient_boosting,
            defaults={"trees": 100, "depth": 3, "learning_rate": 0.1},
            space={
                "trees": Choice((50, 100, 200)),
                "depth": Choice((2, 3, 4)),
                "learning_rate": Range(0.02, 0.3, log=True),
            },
            learns_faults=True,
        ),
    )
}
