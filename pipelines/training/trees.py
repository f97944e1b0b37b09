"""Isolation forests and classifiers of scikit-learn, in the form that the stream scores.

The stream's scorer takes a model that rebuilds z and scores how badly. So a forest's score s becomes a residual of
that size along z: ``rebuilt = z - s √F z / |z|``. Its root mean is s, and its share in each feature is the feature's
share in z², by which the score is explained. Nothing of the order of scores is lost.

Source of the forest: Liu, Ting & Zhou, Isolation Forest (2008); s is their anomaly score, 0 to 1.
"""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, checker, helper, numpy_helper

from contracts.errors import ConfigurationError
from pipelines.training.layers import INPUT, IR_VERSION, OPSET, OUTPUT

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Settings = Mapping[str, Any]

_SMALLEST: Final = 1e-6
_ML_OPSET: Final = 3


@dataclass(frozen=True, slots=True, eq=False)
class Trees:
    """A fitted ensemble; ``is_classifier`` tells whether its score is the probability of a fault."""

    ensemble: Any
    n_features: int
    is_classifier: bool

    def score(self, x: F32) -> F64:
        """Return how abnormal rows (m, F) are: 0 to 1."""
        if self.is_classifier:
            return np.asarray(self.ensemble.predict_proba(x)[:, 1], dtype=np.float64)
        return np.asarray(-self.ensemble.score_samples(x), dtype=np.float64)

    def rebuild(self, x: F32) -> F64:
        """Return z's (m, F) whose residual is the score."""
        z = x.astype(np.float64)
        length = np.maximum(np.linalg.norm(z, axis=1, keepdims=True), _SMALLEST)
        return np.asarray(z - self.score(x)[:, np.newaxis] * np.sqrt(self.n_features) * z / length)

    def export(self) -> ModelProto:
        """Return the ensemble in ONNX form."""
        sklearn_onnx = _imported("skl2onnx")
        floats = _imported("skl2onnx.common.data_types").FloatTensorType
        options = {id(self.ensemble): {"zipmap": False}} if self.is_classifier else None
        model = sklearn_onnx.convert_sklearn(
            self.ensemble,
            name="faultline",
            initial_types=[(INPUT, floats([None, self.n_features]))],
            target_opset={"": OPSET, "ai.onnx.ml": _ML_OPSET},
            options=options,
        )
        return _as_rebuilder(model, self.n_features, is_classifier=self.is_classifier)


def isolation_forest(x: F32, settings: Settings, seed: int) -> Trees:
    """Return a forest fitted to healthy rows (m, F)."""
    ensembles = _imported("sklearn.ensemble")
    forest = ensembles.IsolationForest(
        n_estimators=settings["trees"],
        max_samples=min(settings["samples"], len(x)),
        max_features=settings["features_share"],
        random_state=seed,
        n_jobs=1,
    )
    return Trees(forest.fit(x), x.shape[1], is_classifier=False)


def random_forest(x: F32, faulty: NDArray[np.bool_], settings: Settings, seed: int) -> Trees:
    """Return a forest fitted to rows (m, F) that are healthy or faulty."""
    ensembles = _imported("sklearn.ensemble")
    forest = ensembles.RandomForestClassifier(
        n_estimators=settings["trees"],
        max_depth=settings["depth"],
        min_samples_leaf=settings["leaf"],
        class_weight="balanced",
        random_state=seed,
        n_jobs=1,
    )
    return Trees(forest.fit(x, faulty), x.shape[1], is_classifier=True)


def gradient_boosting(x: F32, faulty: NDArray[np.bool_], settings: Settings, seed: int) -> Trees:
    """Return boosted trees fitted to rows (m, F) that are healthy or faulty."""
    ensembles = _imported("sklearn.ensemble")
    boosted = ensembles.GradientBoostingClassifier(
        n_estimators=settings["trees"],
        max_depth=settings["depth"],
        learning_rate=settings["learning_rate"],
        subsample=0.7,
        random_state=seed,
    )
    return Trees(boosted.fit(x, faulty), x.shape[1], is_classifier=True)


def _as_rebuilder(model: ModelProto, n_features: int, *, is_classifier: bool) -> ModelProto:
    """Return a converted ensemble with one output, ``rebuilt``."""
    graph = model.graph
    raw = graph.output[1].name  # the first is the label
    constants: dict[str, NDArray[Any]] = {
        "smallest": np.array([_SMALLEST], dtype=np.float32),
        "root": np.array([np.sqrt(n_features)], dtype=np.float32),
        "column": np.array([-1, 1], dtype=np.int64),
    }
    if is_classifier:  # the probabilities of healthy and faulty
        first = helper.make_node("Gather", [raw, "fl_picked"], ["fl_raw"], axis=1)
        constants["picked"] = np.array([1], dtype=np.int64)
    else:  # the forest's decision function, 0.5 - score
        first = helper.make_node("Sub", ["fl_half", raw], ["fl_raw"])
        constants["half"] = np.array([[0.5]], dtype=np.float32)
    nodes = [
        first,
        helper.make_node("Reshape", ["fl_raw", "fl_column"], ["fl_score"]),
        helper.make_node("ReduceL2", [INPUT], ["fl_norm"], axes=[1], keepdims=1),
        helper.make_node("Max", ["fl_norm", "fl_smallest"], ["fl_length"]),
        helper.make_node("Div", [INPUT, "fl_length"], ["fl_direction"]),
        helper.make_node("Mul", ["fl_score", "fl_root"], ["fl_size"]),
        helper.make_node("Mul", ["fl_direction", "fl_size"], ["fl_residual"]),
        helper.make_node("Sub", [INPUT, "fl_residual"], [OUTPUT]),
    ]
    graph.node.extend(nodes)
    graph.initializer.extend(numpy_helper.from_array(values, f"fl_{name}") for name, values in constants.items())
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["rows", n_features]))
    graph.input[0].type.tensor_type.shape.dim[0].dim_param = "rows"
    model.ir_version = IR_VERSION
    checker.check_model(model)
    return model


def _imported(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ConfigurationError(f"{error.name} isn't installed: ./faultline bootstrap train") from None
