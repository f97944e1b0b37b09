"""Files that must not become models, each kind refused by name, and the last good content that stays."""

import asyncio
import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from adapters.models import ModelFolder
from adapters.timescale import StoredModels
from contracts.activations import activation_of
from contracts.assets import AssetConfiguration, ModelReference
from contracts.codec import BundledSchemas, Codec
from contracts.errors import BadRecord, ConfigurationError, Reason, Unavailable
from contracts.models import CATALOGUE_VERSION_KEY, CLIP_Z_KEY, FEATURE_HASH_KEY, FEATURES_KEY, WINDOW_COUNT_KEY
from contracts.ports import Checkpoint
from contracts.topics import MEASUREMENTS
from loadtests.plant import Load, Plant
from processors.own_features import ENGINE_ALONE, FeatureCode
from processors.pipeline import PartitionPipeline
from processors.scoring import reconstruction
from runtime.feature_code import code_hash
from runtime.model_gate import examine, is_current
from streams import retry
from streams.conditions import ConditionWorker
from streams.dead_letters import DeadLetters
from tests.model_files import Models, in_a_row, model, put, random_noise, scaled, weights_elsewhere
from tests.stream_doubles import Journal, ManualClock, MemoryAccount, MemoryOutlet, MemoryStore

START_NS = 1_700_000_000_000_000_000
CODE = FeatureCode(code_hash())
NOWHERE = "postgresql://nobody@127.0.0.1:1/nowhere?connect_timeout=1"


def same(metadata: dict[str, str]) -> bytes:
    """Return a model that rebuilds everything as it is."""
    return model([helper.make_node("Identity", ["z"], ["rebuilt"])], metadata=metadata)


def twice_the_rows() -> bytes:
    """Return a model whose answer has another shape than it says."""
    return model([helper.make_node("Concat", ["z", "z"], ["rebuilt"], axis=0)])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "can't be loaded"),
        (b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x94.", "can't be loaded"),  # a pickle
        (scaled(0.5)[:90], "can't be loaded"),
        (model([helper.make_node("Identity", ["z"], ["rebuilt"])], width=7), "inputs and outputs"),
        (twice_the_rows(), "fails or gives results that aren't finite"),
        (model([helper.make_node("Log", ["z"], ["rebuilt"])]), "fails or gives results that aren't finite"),
        (scaled(float("inf")), "fails or gives results that aren't finite"),
        (random_noise(), "other results for the same input"),
        (weights_elsewhere("weights.bin"), "can't be loaded"),
        (weights_elsewhere("../weights.bin"), "can't be loaded"),
        (same({CATALOGUE_VERSION_KEY: "999"}), "catalogue_version '999'"),
        (same({FEATURES_KEY: "temperature,pressure"}), "features 'temperature,pressure'"),
        (same({WINDOW_COUNT_KEY: "16"}), "window_count '16'"),
        (same({CLIP_Z_KEY: "8"}), "clip_z '8'"),
        (model([helper.make_node("ReduceMean", ["z"], ["rebuilt"], axes=[1], keepdims=0)], {}, {}, 7, 4), "inputs and"),
        (model([helper.make_node("Identity", ["z"], ["rebuilt"])], window_count=4), "inputs and"),
        (in_a_row(17), "17 windows in a row; at most 16"),
    ],
    ids=[
        "empty",
        "pickle",
        "truncated",
        "wrong width",
        "wrong number of rows",
        "NaN",
        "infinite",
        "random",
        "weights beside it",
        "weights above it",
        "another catalogue",
        "other features",
        "several windows",
        "another bound",
        "wrong width in a row",
        "all windows of a row",
        "too long a row",
    ],
)
def test_an_unfit_file_is_refused_by_name(
    content: bytes, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    for folder in (here, tmp_path):
        (folder / "weights.bin").write_bytes(np.ones(reconstruction.N_FEATURES, "<f4").tobytes())
    monkeypatch.chdir(here)
    with pytest.raises(ConfigurationError, match=f"model ae@2 .*{message}"):
        examine("ae@2", content, code_hash(), CODE)


def test_a_model_for_other_feature_code_is_refused() -> None:
    assert examine("ae@2", scaled(0.5), None, CODE) == code_hash()
    assert examine("row@1", in_a_row(16), None, CODE) == code_hash()
    with pytest.raises(ConfigurationError, match="ae@2 was trained for feature code 0123456789ab"):
        examine("ae@2", scaled(0.5, trained_for="0123456789ab"), None, CODE)
    with pytest.raises(ConfigurationError, match="not fedcba987654"):
        examine("ae@2", scaled(0.5), "fedcba987654", CODE)
    silent = same({})
    with pytest.raises(ConfigurationError, match="doesn't say for which"):
        examine("ae@2", same({FEATURE_HASH_KEY: ""}), None, CODE)
    with pytest.raises(ConfigurationError, match=FEATURE_HASH_KEY):
        examine("ae@2", silent, None, CODE)
    assert examine("ae@2", silent, code_hash(), CODE) == code_hash()
    with_own = FeatureCode("a hash with features of one's own")
    assert is_current(code_hash(), with_own)
    assert is_current(with_own.code_hash, with_own)


def test_a_damaged_file_is_refused_and_what_was_loaded_before_stays(tmp_path: Path) -> None:
    content = scaled(0.5)
    digest = hashlib.sha256(content).hexdigest()
    path = put(tmp_path, "ae", "2", content)
    store = StoredModels(NOWHERE, ModelFolder(tmp_path))
    assert store.load("ae", "2", digest) == content
    path.write_bytes(content[:-1] + b"\0")
    with pytest.raises(ConfigurationError, match="SHA-256"):
        ModelFolder(tmp_path).load("ae", "2")
    assert store.load("ae", "2", digest) == content
    other = scaled(0.25)
    put(tmp_path, "ae", "2", other)  # with a checksum that fits: not the content that is asked for
    assert store.load("ae", "2", digest) == content
    with pytest.raises(Unavailable, match="database"):
        StoredModels(NOWHERE, ModelFolder(tmp_path)).load("ae", "2", digest)


def asset(*models: ModelReference) -> AssetConfiguration:
    return AssetConfiguration(asset_id="P", site_id="s", name="P", asset_type="pump", models=models)


def test_an_activation_with_an_unfit_model_is_refused_by_name_and_the_last_one_stays_in_force() -> None:
    store = Models(ae_1=scaled(0.5), ae_2=b"not a model")
    pipeline = PartitionPipeline(store, Checkpoint(-1, 0, {}))
    good = ModelReference(name="ae", version="1")
    pipeline.process(0, b"P", activation_of(asset(good), 1, "me"))
    before = pipeline.checkpoint().states
    with pytest.raises(BadRecord, match="model ae@2 can't be loaded") as refused:
        pipeline.process(1, b"P", activation_of(asset(ModelReference(name="ae", version="2")), 2, "me"))
    assert refused.value.reason is Reason.BAD_ACTIVATION
    twice = asset(good, ModelReference(name="ae", version="1", shadow=True))
    with pytest.raises(BadRecord, match="named twice, and once in shadow: ae@1"):
        pipeline.process(2, b"P", activation_of(twice, 3, "me"))
    pipeline._changed.add("P")
    assert pipeline.checkpoint().states == before


def test_a_store_that_cannot_answer_stops_the_record_and_refuses_nothing() -> None:
    class Away:
        def load(self, name: str, version: str, sha256: str | None = None) -> bytes:
            raise Unavailable("database", "gone")

    codec = Codec(BundledSchemas())
    value = codec.encode("measurements", activation_of(asset(ModelReference(name="ae", version="1")), 1, "me"))
    with pytest.raises(Unavailable):
        PartitionPipeline(Away(), Checkpoint(-1, 0, {})).feed(codec, 0, b"P", value)


def test_a_worker_that_takes_over_waits_for_the_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "_LONGEST_S", 0.0)
    load = Load(assets=1, channels=1, sampling_rate_hz=10_240.0, period_s=1.0)
    (pump,) = load.configurations()
    pump = dataclasses.replace(pump, models=(ModelReference(name="ae", version="1"),))
    content = scaled(0.5)
    pipeline = PartitionPipeline(Models(ae_1=content), Checkpoint(-1, 0, {}))
    key = pump.asset_id.encode()
    pipeline.process(0, key, activation_of(pump, START_NS, "me"))
    pipeline.process(1, key, next(Plant(load, START_NS).blocks(1.0)))

    class AwayTwice:
        asked = 0

        def load(self, name: str, version: str, sha256: str | None = None) -> bytes:
            self.asked += 1
            if self.asked <= 2:
                raise Unavailable("database", "gone", retry_after_s=0.0)
            return content

    models, journal, clock = AwayTwice(), Journal(), ManualClock()
    store, outlet = MemoryStore(journal), MemoryOutlet(journal)
    store.checkpoints[MEASUREMENTS, 0] = pipeline.checkpoint()
    codec, letters = Codec(BundledSchemas()), DeadLetters(outlet, MemoryAccount(clock), clock)
    worker = ConditionWorker(store, models, ENGINE_ALONE, codec, outlet, letters, clock, "me")
    assert asyncio.run(worker.claim(0)) == 1  # the block is read again
    assert models.asked == 4  # away twice; then once to see for which features, and once to score
    assert worker.applied() == {0: 1}
