"""Isolation forests and classifiers of scikit-learn, in the form that the stream scores.

The stream's scorer takes a model that rebuilds z and scores how badly. So a forest's score s becomes a residual of
that size along z: ``rebuilt = z - s √F z / |z|``. Its root mean is s, and its share in each feature is the feature's
share in z², by which the score is explained. Nothing of the order of scores is lost.

Invariant: a row's bits don't depend on the rows with it. So the forest is exported as one sum over its trees, and its
score is made by a division: logarithms and powers of a whole batch differ from those of one row in their last bits.

Source of the forest: Liu, Ting & Zhou, Isolation Forest (2008). Where theirs is 2^(-E/c), for a mean path of E and c
the path of chance, the score here is 1 / (1 + E/c): the same order, 0.5 for the same path, 0 to 1 as well.
"""

import importlib
from collections.abc import Mapping, Sequence
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
_SCORE: Final = "fl_score"
_NODE_COLUMNS: Final = tuple(
    f"nodes_{name}" for name in ("treeids", "nodeids", "featureids", "modes", "values", "truenodeids", "falsenodeids")
)
_LEAF_COLUMNS: Final = tuple(f"target_{name}" for name in ("treeids", "nodeids", "ids", "weights"))


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
        return np.asarray(1.0 / (1.0 - np.log2(-self.ensemble.score_samples(x))), dtype=np.float64)

    def rebuild(self, x: F32) -> F64:
        """Return z's (m, F) whose residual is the score."""
        z = x.astype(np.float64)
        length = np.maximum(np.linalg.norm(z, axis=1, keepdims=True), _SMALLEST)
        return np.asarray(z - self.score(x)[:, np.newaxis] * np.sqrt(self.n_features) * z / length)

    def export(self) -> ModelProto:
        """Return the ensemble in ONNX form."""
        return _classifier(self.ensemble, self.n_features) if self.is_classifier else _forest(self.ensemble)


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


def _classifier(ensemble: Any, n_features: int) -> ModelProto:
    """Return a classifier as a model whose residual is the probability of a fault."""
    floats = _imported("skl2onnx.common.data_types").FloatTensorType
    model: ModelProto = _imported("skl2onnx").convert_sklearn(
        ensemble,
        name="faultline",
        initial_types=[(INPUT, floats([None, n_features]))],
        target_opset={"": OPSET, "ai.onnx.ml": _ML_OPSET},
        options={id(ensemble): {"zipmap": False}},
    )
    probabilities = model.graph.output[1].name  # of healthy and faulty; the first output is the label
    second = numpy_helper.from_array(np.array([1], dtype=np.int64), "fl_second")
    picked = helper.make_node("Gather", [probabilities, "fl_second"], [_SCORE], axis=1)
    return _as_rebuilder([*model.graph.node, picked], [*model.graph.initializer, second], n_features)


def _forest(ensemble: Any) -> ModelProto:
    """Return an isolation forest as a model whose residual is its score."""
    chance = float(_chance_path(np.array([ensemble.max_samples_]))[0])
    columns: dict[str, Any] = {name: [] for name in (*_NODE_COLUMNS, *_LEAF_COLUMNS)}
    for number, (tree, features) in enumerate(zip(ensemble.estimators_, ensemble.estimators_features_, strict=True)):
        _add_tree(columns, number, tree.tree_, features, 1.0 / (chance * len(ensemble.estimators_)))
    one = numpy_helper.from_array(np.array([1.0], dtype=np.float32), "fl_number_one")
    nodes = [
        helper.make_node("TreeEnsembleRegressor", [INPUT], ["fl_path"], domain="ai.onnx.ml", n_targets=1, **columns),
        helper.make_node("Add", ["fl_path", "fl_number_one"], ["fl_longer"]),
        helper.make_node("Div", ["fl_number_one", "fl_longer"], [_SCORE]),
    ]
    return _as_rebuilder(nodes, [one], ensemble.n_features_in_)


def _add_tree(columns: dict[str, list[Any]], number: int, tree: Any, features: NDArray[np.int64], share: float) -> None:
    """Add a tree's nodes, and for its leaves the share of the mean path: depth and what chance would add."""
    depth = np.zeros(tree.node_count)
    is_leaf = tree.children_left < 0
    for node in np.flatnonzero(~is_leaf):  # parents come before their children
        depth[[tree.children_left[node], tree.children_right[node]]] = depth[node] + 1
    # a float32 lies at or below a threshold if and only if it lies at or below the next float32 below that
    bounds = tree.threshold.astype(np.float32)
    bounds = np.where(bounds > tree.threshold, np.nextafter(bounds, np.float32(-np.inf)), bounds)
    columns["nodes_treeids"] += [number] * tree.node_count
    columns["nodes_nodeids"] += range(tree.node_count)
    columns["nodes_featureids"] += np.where(is_leaf, 0, features[np.maximum(tree.feature, 0)]).tolist()
    columns["nodes_modes"] += np.where(is_leaf, "LEAF", "BRANCH_LEQ").tolist()
    columns["nodes_values"] += np.where(is_leaf, 0.0, bounds).tolist()
    columns["nodes_truenodeids"] += np.maximum(tree.children_left, 0).tolist()
    columns["nodes_falsenodeids"] += np.maximum(tree.children_right, 0).tolist()
    leaves = np.flatnonzero(is_leaf)
    columns["target_treeids"] += [number] * len(leaves)
    columns["target_nodeids"] += leaves.tolist()
    columns["target_ids"] += [0] * len(leaves)
    columns["target_weights"] += (share * (depth + _chance_path(tree.n_node_samples))[leaves]).tolist()


def _chance_path(samples: NDArray[Any]) -> F64:
    """Return the mean path of an unsuccessful search among so many samples."""
    n = np.maximum(samples, 3).astype(np.float64)
    path = 2.0 * (np.log(n - 1.0) + np.euler_gamma) - 2.0 * (n - 1.0) / n
    return np.asarray(np.select([samples <= 1, samples == 2], [0.0, 1.0], path))


def _as_rebuilder(nodes: Sequence[Any], constants: Sequence[Any], n_features: int) -> ModelProto:
    """Return a model with the output ``rebuilt``: z less a residual of the score's size."""
    made: dict[str, NDArray[Any]] = {
        "fl_smallest": np.array([_SMALLEST], dtype=np.float32),
        "fl_root": np.array([np.sqrt(n_features)], dtype=np.float32),
        "fl_column": np.array([-1, 1], dtype=np.int64),
    }
    graph = helper.make_graph(
        [
            *nodes,
            helper.make_node("Reshape", [_SCORE, "fl_column"], ["fl_upright"]),
            helper.make_node("ReduceL2", [INPUT], ["fl_norm"], axes=[1], keepdims=1),
            helper.make_node("Max", ["fl_norm", "fl_smallest"], ["fl_length"]),
            helper.make_node("Div", [INPUT, "fl_length"], ["fl_direction"]),
            helper.make_node("Mul", ["fl_upright", "fl_root"], ["fl_size"]),
            helper.make_node("Mul", ["fl_direction", "fl_size"], ["fl_residual"]),
            helper.make_node("Sub", [INPUT, "fl_residual"], [OUTPUT]),
        ],
        "faultline",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["rows", n_features])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["rows", n_features])],
        [*constants, *(numpy_helper.from_array(values, name) for name, values in made.items())],
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", _ML_OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
    checker.check_model(model)
    return model


def _imported(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ConfigurationError(f"{error.name} isn't installed: ./faultline bootstrap train") from None
