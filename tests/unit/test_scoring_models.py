"""The models by themselves: half-space trees against River's own, ONNX files examined, thresholds, the model folder."""

import hashlib
import pathlib
import time
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper
from river.anomaly import HalfSpaceTrees

from adapters.models import BUNDLED_FOLDER, ModelFolder
from contracts.errors import ConfigurationError
from contracts.features import FEATURE_NAMES
from pipelines.training import reference_autoencoder
from processors.scoring import half_space_trees, reconstruction
from processors.scoring.baseline import Baseline, centre_and_scale
from processors.scoring.calibration import Calibration
from processors.scoring.explanation import SEVERITY_COLUMNS

N_FEATURES = len(FEATURE_NAMES)
NAME = "reference-autoencoder"


def test_a_forest_scores_like_rivers_own_object_bit_for_bit() -> None:
    rng = np.random.default_rng(2)
    forest = half_space_trees.Forest(seed=77)
    own: Any = HalfSpaceTrees(
        n_trees=half_space_trees.N_TREES,
        height=half_space_trees.HEIGHT,
        window_size=half_space_trees.WINDOW,
        seed=77,
    )
    for number, z in enumerate(rng.normal(size=(230, N_FEATURES)) * 3):
        x = dict(enumerate(half_space_trees._squash(z[SEVERITY_COLUMNS]).tolist()))
        if number % 37 == 0:
            forest = half_space_trees.Forest(seed=77, masses=forest.snapshot())
        assert forest.score(z) == float(own.score_one(x))
        assert forest.ready == (number >= half_space_trees.WINDOW)
        forest.learn(z)
        own.learn_one(x)
        nodes = [node for tree in own.trees for node in tree.iter_dfs()]
        masses = [node.r_mass for node in nodes] + [node.l_mass for node in nodes]
        assert forest.masses.ravel().tolist() == masses
        assert forest.snapshot()[:2] == bytes([own.counter, forest.ready])
        old_form = forest.snapshot()[:2] + bytes(masses)
        assert half_space_trees.Forest(seed=77, masses=old_form).snapshot() == forest.snapshot()
    assert len(forest.snapshot()) < 3_000


@pytest.mark.parametrize("seed", [0, 1, 20816, 2**64 - 1])
def test_the_trees_are_those_that_river_grows(seed: int) -> None:
    own: Any = HalfSpaceTrees(n_trees=half_space_trees.N_TREES, height=half_space_trees.HEIGHT, seed=seed)
    own.learn_one(dict.fromkeys(range(len(SEVERITY_COLUMNS)), 0.5))
    features, thresholds = half_space_trees._grow(seed)
    for tree, nodes in enumerate(own._tree_nodes):
        branches = [(place, node) for place, node in enumerate(nodes) if hasattr(node, "feature")]
        assert len(branches) == 2**half_space_trees.HEIGHT - 1
        for place, node in branches:
            assert (node.feature, node.threshold) == (features[tree, place], thresholds[tree, place])


def test_thousands_of_forests_are_restored_within_seconds() -> None:
    masses = half_space_trees.Forest(seed=0).snapshot()
    began_s = time.process_time()
    for seed in range(200):
        half_space_trees.Forest(seed, masses)
    # 2,000 channels change owner in 10 s at most; River's own objects take about 16 s
    assert time.process_time() - began_s < 200 * 2.5e-3


def test_a_grove_scores_and_learns_like_its_forests_alone() -> None:
    rng = np.random.default_rng(3)
    alone = [half_space_trees.Forest(seed) for seed in range(5)]
    moved = [half_space_trees.Forest(seed) for seed in range(5)]
    grove = half_space_trees.Grove(moved)
    for z in rng.normal(size=(130, 5, N_FEATURES)) * 3:
        z[0, rng.integers(N_FEATURES)] = np.nan
        expected = [one.score(row) if one.ready else None for one, row in zip(alone, z, strict=True)]
        assert grove.score(z) == expected
        chosen = rng.random(5) < 0.8
        grove.learn(z, chosen)
        for one, row, may in zip(alone, z, chosen.tolist(), strict=True):
            if may:
                one.learn(row)
    assert [one.snapshot() for one in moved] == [one.snapshot() for one in alone]
    assert all(one.ready for one in alone)


def test_a_forest_depends_on_its_seed_and_refuses_foreign_masses() -> None:
    z = np.random.default_rng(3).normal(size=(60, N_FEATURES))
    snapshots = []
    for seed in (1, 1, 2):
        forest = half_space_trees.Forest(seed)
        for row in z:
            forest.learn(row)
        snapshots.append(forest.snapshot())
    assert snapshots[0] == snapshots[1] != snapshots[2]
    with pytest.raises(ConfigurationError, match="bytes of state"):
        half_space_trees.Forest(1, b"\x00\x00\x00")


def reference() -> bytes:
    return ModelFolder().load(NAME, "1")


@pytest.mark.parametrize("batch", [1, 2, 4, 5, 7, 8, 16, 33, 64])
def test_the_autoencoder_gives_the_same_bits_in_any_batch(batch: int) -> None:
    model = reconstruction.load(NAME, reference())
    z = np.random.default_rng(4).normal(scale=4.0, size=(64, N_FEATURES))
    alone = np.concatenate([model.rebuild(row[np.newaxis]) for row in z])
    batched = np.concatenate([model.rebuild(z[start : start + batch]) for start in range(0, 64, batch)])
    assert batched.tobytes() == alone.tobytes()
    scores = np.concatenate([reconstruction.root_mean(batched[start : start + batch]) for start in range(0, 64, batch)])
    assert scores.tobytes() == reconstruction.root_mean(alone).tobytes()


def test_a_model_whose_bits_depend_on_the_batch_is_run_row_by_row() -> None:
    model = reconstruction.Autoencoder("mean", onnx_model([("ReduceMean", ["z"], {"axes": [0], "keepdims": 1})]))
    assert model.row_by_row
    z = np.random.default_rng(4).normal(size=(6, N_FEATURES))
    assert model.rebuild(z).tobytes() == np.concatenate([model.rebuild(row[np.newaxis]) for row in z]).tobytes()


def onnx_model(nodes: list[tuple[str, list[str], dict[str, Any]]], width: int = N_FEATURES) -> bytes:
    """Return a model that applies nodes to ``z``; the last one is expanded back to the input's shape."""
    made, name = [], "z"
    for number, (kind, inputs, attributes) in enumerate(nodes):
        made.append(helper.make_node(kind, [name if i == "z" else i for i in inputs], [f"v{number}"], **attributes))
        name = f"v{number}"
    made += [helper.make_node("Shape", ["z"], ["shape"]), helper.make_node("Expand", [name, "shape"], ["rebuilt"])]
    shape: list[str | int | None] = ["rows", width]
    graph = helper.make_graph(
        made,
        "test",
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("rebuilt", TensorProto.FLOAT, shape)],
    )
    opset = helper.make_opsetid("", 17)
    content: bytes = helper.make_model(graph, opset_imports=[opset], ir_version=8).SerializeToString()
    return content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"not a model", "can't be loaded"),
        (b"", "can't be loaded"),
        (onnx_model([("Identity", ["z"], {})], width=7), "inputs and outputs"),
        (onnx_model([("Log", ["z"], {})]), "finite"),
        (onnx_model([("Exp", ["z"], {}), ("Exp", ["z"], {})]), "finite"),
    ],
    ids=["garbage", "empty", "wrong width", "NaN", "infinite"],
)
def test_an_unfit_model_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        reconstruction.load("unfit", content)


def test_the_threshold_is_the_conformal_quantile_of_the_first_scores() -> None:
    rng = np.random.default_rng(6)
    scores = rng.normal(size=1500)
    calibration = Calibration()
    for number, score in enumerate(scores.tolist(), start=1):
        calibration.add(score)
        n = min(number, 999)
        rank = int(np.ceil((n + 1) * 0.99))
        if n < 99:
            assert calibration.threshold is None
            continue
        expected = float(np.sort(scores[:n])[rank - 1])
        assert calibration.threshold is not None
        assert expected <= calibration.threshold == np.float16(calibration.threshold) <= expected * (1 + 2**-10)
    assert len(calibration.largest) == 1


def test_median_and_spread_agree_with_numpy() -> None:
    rng = np.random.default_rng(7)
    for count in (3, 4, 10, 16):
        rows = rng.normal(loc=10.0, scale=3.0, size=(count, N_FEATURES)).astype(np.float32)
        rows[0, :5] = np.nan
        centre, scale = centre_and_scale(rows)
        if count > 3:
            np.testing.assert_allclose(centre, np.nanmedian(rows, axis=0), rtol=2**-11)
            mad = np.nanmedian(np.abs(rows - np.nanmedian(rows, axis=0)), axis=0)
            n = np.isfinite(rows).sum(axis=0)
            expected = 1.4826 * mad * n / (n - 0.8)
            floored = np.maximum(expected, 0.05 * np.abs(centre))
            wide = expected > 1.1  # above every unit's floor
            np.testing.assert_allclose(scale[wide], floored[wide], rtol=2**-11)
        else:
            assert np.isnan(centre[:5]).all()  # two values don't tell a spread


def test_a_learnt_regime_is_frozen() -> None:
    baseline = Baseline(windows=3)
    for _ in range(3):
        baseline.learn("r", np.ones(N_FEATURES))
    for _ in range(50):
        baseline.learn("r", np.full(N_FEATURES, 9.0))
    regime = baseline.visit("r")
    assert regime is not None
    assert regime.centre is not None
    assert (regime.centre == 1.0).all()
    assert (regime.seen, regime.rows) == (3, [])


def test_the_bundled_model_matches_its_checksum_and_the_training_script() -> None:
    content = reference()
    stated = (BUNDLED_FOLDER / f"{NAME}.v1.sha256").read_text(encoding="ascii").split()
    assert stated == [hashlib.sha256(content).hexdigest(), f"{NAME}.v1.onnx"]
    layers = reference_autoencoder.train()
    z = reconstruction.as_seen(np.random.default_rng(8).normal(scale=4.0, size=(50, N_FEATURES))).astype(np.float64)
    again = np.square(z - reference_autoencoder.rebuild(layers, z))
    bundled = reconstruction.load(NAME, content).rebuild(z)
    np.testing.assert_allclose(bundled, again, rtol=1e-2, atol=1e-3)
    exported = reconstruction.load("again", reference_autoencoder.export(layers)).rebuild(z)
    np.testing.assert_allclose(exported, again, rtol=1e-3, atol=1e-4)


def test_the_gradients_agree_with_differences() -> None:
    rng = np.random.default_rng(9)
    z = reference_autoencoder.healthy_z(20, rng)
    layers = [(rng.normal(size=(N_FEATURES, 4)), rng.normal(size=4)), (rng.normal(size=(4, N_FEATURES)), np.zeros(30))]
    gradients = reference_autoencoder._gradients(layers, z)
    for number, array in enumerate(array for layer in layers for array in layer):
        kept, step = array.flat[1], 1e-6
        losses = []
        for value in (kept + step, kept - step):
            array.flat[1] = value
            losses.append(np.square(reference_autoencoder.rebuild(layers, z) - z).mean())
        array.flat[1] = kept
        assert gradients[number].flat[1] == pytest.approx((losses[0] - losses[1]) / (2 * step), rel=1e-4, abs=1e-9)


def test_the_folder_refuses_what_it_should(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "m.v1.onnx"
    path.write_bytes(b"content")
    store = ModelFolder(tmp_path)
    digest = hashlib.sha256(b"content").hexdigest()
    with pytest.raises(ConfigurationError, match=r"no checksum beside it: .*`sha256sum m.v1.onnx > m.v1.sha256`"):
        store.load("m", "1")
    (tmp_path / "m.v1.sha256").write_text(f"{digest}  m.v1.onnx\n")
    assert store.load("m", "1", digest.upper()) == b"content"
    for name, version, sha256, message in (
        ("absent", "1", None, "no model absent version 1: .* the folder has m.v1"),
        ("../m", "1", None, "can't name"),
        ("m", "1/../1", None, "can't name"),
        ("m", "1", "0" * 64, "expected"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            store.load(name, version, sha256)
    path.write_bytes(b"changed")
    with pytest.raises(ConfigurationError, match="expected"):
        store.load("m", "1")
