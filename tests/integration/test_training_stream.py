"""From a real run to failure to a model that the stream scores with: the same features, and the same bits again."""

import asyncio
import dataclasses
import importlib.util
from pathlib import Path

import numpy as np
import pytest

from adapters.models import ModelFolder
from adapters.recordings import Recording, Waveform, read_recordings
from adapters.timescale import Database, PartitionStore, migrate
from contracts import ports
from contracts import records as r
from contracts.activations import activation_of
from contracts.assets import AssetConfiguration, ModelReference
from contracts.features import FEATURE_NAMES
from contracts.topics import MEASUREMENTS
from pipelines.training.harness import train
from pipelines.training.history import read_history
from pipelines.training.kinds import KINDS, Kind
from pipelines.training.normal import baseline_z
from pipelines.training.recorded import joined, run_to_failure
from pipelines.training.table import FeatureTable
from processors.asset import MAINTENANCE
from processors.own_features import FeatureCode
from processors.pipeline import PartitionPipeline
from processors.scoring.explanation import SEVERITY_COLUMNS
from runtime.feature_code import code_hash
from runtime.replay import asset_of, recorded
from tests.training_samples import linear_kind, wish

START_NS = 1_700_000_000_000_000_000
BURSTS = 200
CODE = FeatureCode(code_hash())


@pytest.fixture(scope="module")
def runs(data_folder: Path) -> list[Recording]:
    """Give the first bursts of two bearings that ran to failure."""
    found = []
    for recording in read_recordings(data_folder / "femto_pronostia", "femto"):
        signal = recording.signal
        assert isinstance(signal, Waveform)
        assert signal.burst_samples is not None
        assert signal.burst_starts_s is not None
        if recording.name in {"Bearing2_7", "Bearing3_1"}:
            cut = dataclasses.replace(
                signal,
                samples=signal.samples[:, : BURSTS * signal.burst_samples],
                burst_starts_s=signal.burst_starts_s[:BURSTS],
            )
            found.append(dataclasses.replace(recording, signal=cut))
    assert len(found) == 2
    return found


@pytest.fixture(scope="module")
def tables(runs: list[Recording]) -> list[FeatureTable]:
    return [run_to_failure(recording, CODE) for recording in runs]


def configuration(recording: Recording, models: tuple[ModelReference, ...] = ()) -> AssetConfiguration:
    plain = asset_of(recording, recording.name, recording.name)
    return dataclasses.replace(plain, models=models)


def log(recording: Recording, config: AssetConfiguration) -> list[tuple[bytes | None, r.Measurement]]:
    made: list[tuple[bytes | None, r.Measurement]] = [(b"", activation_of(config, START_NS, "test"))]
    for due in recorded(recording, config, device_id="d", boot_id="b", start_ns=START_NS):
        made.append((b"", due.record))
        at_ns = START_NS + round(due.at_s * 1e9)
        made += [
            (None, r.Tick(topic=MEASUREMENTS, partition=0, at_ns=at_ns + ahead * 1_000_000_000, epoch=1))
            for ahead in range(1, 5)
        ]
    return [(None if key is None else config.asset_id.encode(), record) for key, record in made]


def stream(
    recording: Recording, config: AssetConfiguration, store: ModelFolder, stop: int | None = None
) -> list[r.Assessment]:
    """Run a recording through the partition's pipeline, put to sleep and resumed after offset `stop`."""
    pipeline = PartitionPipeline(store, ports.Checkpoint(-1, 0, {}), CODE)
    found: list[r.Assessment] = []
    for offset, (key, record) in enumerate(log(recording, config)):
        pipeline.process(offset, key, record)
        found += pipeline.take().assessments
        if offset == stop:
            checkpoint = pipeline.checkpoint()
            assert checkpoint.resume_offset == offset + 1  # a window is open in none of the pauses between bursts
            pipeline = PartitionPipeline(store, checkpoint, CODE)
    return found


def values_of(assessments: list[r.Assessment], row: int) -> bytes:
    rows = [[np.nan if v is None else v for v in one.channels[row].features] for one in assessments]
    return np.array(rows, dtype=np.float32).tobytes()


def test_the_table_has_the_features_of_the_stream_bit_for_bit(
    runs: list[Recording], tables: list[FeatureTable], tmp_path: Path
) -> None:
    recording, table = runs[0], tables[0]
    streamed = stream(recording, configuration(recording), ModelFolder(tmp_path))
    assert len(streamed) == BURSTS
    for row, rows in enumerate(table.series()):
        assert values_of(streamed, row) == table.values[rows].tobytes()
        assert [one.regime for one in streamed] == table.regime[rows].tolist()
    assert {one.code_hash for one in streamed} == {table.code_hash}


def kinds() -> list[object]:
    lacking = [name for name in ("jax", "optax", "sklearn", "skl2onnx") if importlib.util.find_spec(name) is None]
    reason = f"not installed: {', '.join(lacking)}; ./faultline bootstrap train"
    asked = [KINDS[name] for name in ("autoencoder", "isolation-forest")]
    small = {"hidden": 16, "steps": 100}
    asked += [
        dataclasses.replace(KINDS[name], defaults={**KINDS[name].defaults, **small})
        for name in ("conv-autoencoder", "tcn")
    ]
    return [
        pytest.param(linear_kind(), id="linear"),
        *(pytest.param(kind, id=kind.name, marks=pytest.mark.skipif(bool(lacking), reason=reason)) for kind in asked),
    ]


@pytest.mark.parametrize("kind", kinds())
def test_a_trained_model_scores_in_the_stream_and_goes_on_bit_for_bit(
    runs: list[Recording], tables: list[FeatureTable], tmp_path: Path, kind: Kind
) -> None:
    table = joined(tables, "two bearings")
    trained = train(table, CODE.code_hash, wish(kind, name="femto", held_out="Bearing2_7", seed=1))
    store = ModelFolder(tmp_path)
    store.add(trained.card, trained.content)
    named = ModelReference(name="femto", version="1", sha256=trained.card.sha256)
    recording = next(one for one in runs if one.name == "Bearing2_7")
    config = configuration(recording, (named,))

    whole = stream(recording, config, store)
    scores = [score for one in whole for channel in one.channels for score in channel.scores if score.model == "femto"]
    judged = [score for score in scores if not score.learning]
    assert len(scores) == 2 * BURSTS
    assert judged
    assert all(score.value is not None and np.isfinite(score.value) for score in judged)

    for stop in (1 + 5 * 60, 1 + 5 * 150):  # while learning, and with a threshold
        assert stream(recording, config, store, stop - 1) == whole

    other = PartitionPipeline(store, ports.Checkpoint(-1, 0, {}), FeatureCode("ffffffffffff"))
    other.process(0, config.asset_id.encode(), activation_of(config, START_NS, "test"))
    other.process(1, None, r.Tick(topic=MEASUREMENTS, partition=0, at_ns=START_NS, epoch=1))
    (refused,) = other.take().conditions
    assert refused.rule == "model_refused"
    assert f"femto@1 was trained for feature code {CODE.code_hash}, ffffffffffff is in use" in refused.reason


def test_history_across_maintenance_is_standardised_as_the_stream_did(
    runs: list[Recording], tmp_path: Path, database_url: str
) -> None:
    config = configuration(runs[0])
    course = log(runs[0], config)[: 1 + 5 * 60]
    at_ns = START_NS + 305 * 1_000_000_000  # between the bursts at 300 and 310 s
    done = r.MachineEvent(
        asset_id=config.asset_id,
        device_id="d",
        boot_id="b",
        sequence=0,
        at_ns=at_ns,
        kind=MAINTENANCE,
        code="bearing_replaced",
        text="",
    )
    place = next(
        at for at, (_, one) in enumerate(course) if isinstance(one, r.AcquisitionBlock) and one.start_ns > at_ns
    )
    pipeline = PartitionPipeline(ModelFolder(tmp_path), ports.Checkpoint(-1, 0, {}), CODE)
    for offset, (key, record) in enumerate([*course[:place], (course[1][0], done), *course[place:]]):
        pipeline.process(offset, key, record)
    rows = pipeline.take()

    async def stored() -> FeatureTable:
        await migrate(database_url)
        async with Database(database_url) as database:
            await PartitionStore(database).append(rows)
            return await read_history(database, [config.asset_id], None, START_NS, 2 * START_NS, CODE.code_hash)

    table = asyncio.run(stored())
    scores = {
        (channel.channel_id, one.window_start_ns): channel.scores[0].value
        for one in rows.assessments
        for channel in one.channels
    }
    assert len(table.series()) == 4  # two channels, before and after
    for series in table.series():
        z = baseline_z(table, series, config.rules.baseline_windows)[:, SEVERITY_COLUMNS]
        known = [scores[str(table.channel[row]), int(table.times_ns[row])] for row in series.tolist()]
        assert known[: config.rules.baseline_windows] == [None] * config.rules.baseline_windows
        assert sum(value is not None for value in known) >= 15
        for value, row in zip(known, z, strict=True):
            assert value == (None if np.isnan(row).all() else max(0.0, float(np.nanmax(row))))


def test_features_are_those_of_the_catalogue(tables: list[FeatureTable]) -> None:
    assert {table.features for table in tables} == {FEATURE_NAMES}
