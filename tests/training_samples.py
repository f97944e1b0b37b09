"""Feature tables with known faults, and a small linear model that needs nothing but NumPy."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from contracts.features import FEATURE_INDEX, FEATURE_NAMES
from pipelines.training.harness import Wish
from pipelines.training.kinds import Choice, Kind, Trained
from pipelines.training.layers import Dense, exported
from pipelines.training.reference_autoencoder import healthy_z
from pipelines.training.table import FAULTY, HEALTHY, KNOWN_FAULT, LEARNABLE, FeatureTable, table_of

CODE = "0123456789ab"
SECOND_NS = 1_000_000_000


def table(machines: int = 4, windows: int = 90, faulty: int = 25, seed: int = 1) -> FeatureTable:
    """Return machines of two channels, whose last windows are faulty: kurtosis and envelope lines rise."""
    rng = np.random.default_rng(seed)
    n = machines * 2 * windows
    z = healthy_z(n, rng)
    number = np.tile(np.arange(windows), machines * 2)
    bad = number >= windows - faulty
    for name in ("kurtosis", "bpfo_db", "rms_g", "peak_g"):
        z[bad, FEATURE_INDEX[name]] += 6.0
    names = np.repeat([f"M{1 + number}" for number in range(machines)], 2 * windows)
    return table_of(
        FEATURE_NAMES,
        10.0 + z,
        number * SECOND_NS,
        {
            "machine": names,
            "channel": np.tile(np.repeat(["DE", "NDE"], windows), machines),
            "regime": "speed 1.0, load any",
            "excluded": np.where(bad, KNOWN_FAULT, LEARNABLE),
            "state": np.where(bad, FAULTY, HEALTHY),
        },
        code_hash=CODE,
        source="made",
    )


@dataclass(frozen=True)
class Linear:
    """Rebuilds z from its main directions; what it exports is off by ``bias``."""

    directions: NDArray[np.float32]
    bias: float = 0.0

    def rebuild(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.asarray(x @ self.directions @ self.directions.T, dtype=np.float64)

    def export(self) -> ModelProto:
        inner, n = self.directions.shape[1], self.directions.shape[0]
        weights = [
            (self.directions, np.zeros(inner, np.float32)),
            (np.ascontiguousarray(self.directions.T), np.full(n, self.bias, np.float32)),
        ]
        return exported((Dense(n, inner), Dense(inner, n)), weights, (n,), n)


def linear_kind(bias: float = 0.0) -> Kind:
    """Return the kind of `Linear`."""

    def fit(x: NDArray[np.float32], faulty: NDArray[np.bool_], settings: Mapping[str, Any], seed: int) -> Trained:
        assert not faulty.any()
        _, _, directions = np.linalg.svd(x, full_matrices=False)
        return Linear(np.ascontiguousarray(directions[: settings["inner"]].T), bias)

    return Kind(name="linear", says="", fit=fit, defaults={"inner": 6}, space={"inner": Choice((2, 6))})


def wish(kind: Kind, **changes: Any) -> Wish:
    """Return a wish for one trial."""
    plain: dict[str, Any] = {"name": "made", "version": "1", "by": "a test", "at": "2026-01-01T00:00:00+00:00"}
    return Wish(kind=kind, **{**plain, "trials": 1, "baseline_windows": 10, **changes})
