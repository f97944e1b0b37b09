"""Features of the user's own: declared, loaded, the same in stream, batch and notebook, never in the stream's way."""

import importlib.metadata
import json
import sys
import typing
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
import structlog
from typer.testing import CliRunner

from contracts import ports
from contracts import records as r
from contracts.activations import activation_of
from contracts.assets import AssetConfiguration, Channel, MeasurementPoint, RuleSettings, WindowSettings
from contracts.codec import BundledSchemas, Codec
from contracts.errors import BadRecord, ConfigurationError, Reason
from contracts.features import FEATURE_NAMES
from contracts.own_features import OwnFeature, own_feature
from contracts.topics import MEASUREMENTS
from processors.feature_vector import features_of
from processors.own_features import ENGINE_ALONE, FeatureCode
from processors.pipeline import PartitionPipeline
from processors.whole_recording import judge_recording
from runtime import feature_code
from runtime.__main__ import application
from runtime.feature_code import Failures, code_hash, load_feature_code
from runtime.settings import Settings, load_settings

RATE_HZ: Final = 4096.0
START_NS: Final = 1_700_000_000_000_000_000
CODEC: Final = Codec(BundledSchemas())

#: A module as a user writes it; its sum is over an odd number of samples, where a wrong alignment would show.
MODULE: Final = '''
import numpy as np
from contracts.own_features import own_feature


@own_feature(unit="1", version=2, reference="plant standard 7, section 3")
def band_ratio(samples_g, sampling_rate_hz, speed_rpm):
    """Return the share of the power above a quarter of the sampling rate."""
    power = np.abs(np.fft.rfft(samples_g[1:])) ** 2
    return power[power.size // 2 :].sum() / power.sum()


@own_feature(unit="Hz", reference="definition")
def shaft_hz(samples_g, sampling_rate_hz, speed_rpm):
    return None if speed_rpm is None else speed_rpm / 60.0


@own_feature(unit="1", reference="none")
def broken(samples_g, sampling_rate_hz, speed_rpm):
    raise KeyError("threshold")


calls = iter(range(1000))


@own_feature(unit="1", reference="none")
def counter(samples_g, sampling_rate_hz, speed_rpm):
    return next(calls)


plain = 7
'''


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Give the name of an importable module with features of a user's own."""
    name = f"plant_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{name}.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield name
    sys.modules.pop(name, None)


def load(*paths: str) -> FeatureCode:
    return load_feature_code(Settings(own_features=paths))


def declared(name: str, function: typing.Callable[..., Any]) -> OwnFeature:
    return OwnFeature(name, "1", 1, "test", function)


def asset(*features: str, channels: tuple[str, ...] = ("A", "B", "C")) -> AssetConfiguration:
    points = tuple(
        MeasurementPoint(
            point_id=name,
            location=name,
            direction="radial",
            bearing="6205",
            channels=(Channel(channel_id=f"{name}.acc", quantity="acceleration", unit="g"),),
            features=features,
        )
        for name in channels
    )
    window = WindowSettings(length_s=1.0, hop_s=1.0)
    return AssetConfiguration(asset_id="P", site_id="s", name="P", asset_type="pump", points=points, window=window)


def samples(n_channels: int = 3, n_samples: int = 4096) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(5).standard_normal((n_channels, n_samples)).astype("<f4")


def block(rows: np.ndarray[Any, np.dtype[np.float32]], config: AssetConfiguration, number: int = 0) -> r.Measurement:
    return r.AcquisitionBlock(
        asset_id="P",
        device_id="daq",
        boot_id="1",
        sequence=number,
        start_ns=START_NS + number * 1_000_000_000,
        sampling_rate_hz=RATE_HZ,
        n_samples=rows.shape[1],
        channels=tuple(
            r.BlockChannel(channel_id=p.channels[0].channel_id, quantity="acceleration", unit="g")
            for p in config.points
        ),
        samples=rows.tobytes(),
        speed_rpm=1800.0,
    )


def streamed(config: AssetConfiguration, code: FeatureCode, *blocks: r.Measurement) -> list[r.Assessment]:
    pipeline = PartitionPipeline(_NoModels(), ports.Checkpoint(-1, 0, {}), code)
    pipeline.process(0, b"P", activation_of(config, START_NS, "test"))
    for offset, one in enumerate(blocks, start=1):
        assert pipeline.feed(CODEC, offset, b"P", CODEC.encode(MEASUREMENTS, one)) is None
    return pipeline.take().assessments


class _NoModels:
    def load(self, name: str, version: str, sha256: str | None = None) -> bytes:
        return b""


def test_stream_batch_and_notebook_give_the_same_bits(module: str) -> None:
    code = load(f"{module}:band_ratio", f"{module}:shaft_hz")
    config, rows = asset("all"), samples()
    (assessment,) = streamed(config, code, block(rows, config))
    assert assessment.code_hash == code.code_hash != code_hash()
    for row, channel in zip(rows, assessment.channels, strict=True):
        judged = judge_recording(row, RATE_HZ, 1800.0, None, config.points[0], RuleSettings(), code)
        vector = features_of(row, RATE_HZ, speed_rpm=1800.0, bearing="6205", own=tuple(code.own.values()))
        assert channel.own_features == judged.own_features
        assert channel.own_features == {name: vector[name] for name in ("band_ratio", "shaft_hz")}
        assert channel.own_features["shaft_hz"] == 30.0
        # and so does the catalogue: the first window has the band that is chosen from it
        assert list(channel.features) == [vector[name] for name in FEATURE_NAMES]


def test_a_channel_has_the_same_bits_whatever_lies_beside_it(module: str) -> None:
    code = load(f"{module}:band_ratio")
    rows = samples(n_samples=4095)
    alone = [code.values(code.own, "", row.copy(), RATE_HZ, None) for row in rows]
    assert [code.values(code.own, "", row, RATE_HZ, None) for row in rows] == alone


def test_a_failing_feature_gives_null_and_never_stops_the_stream(module: str) -> None:
    code = load(f"{module}:broken", f"{module}:band_ratio")
    config, rows = asset("all"), samples()
    with structlog.testing.capture_logs() as logs:
        found = streamed(config, code, *(block(rows, config, number) for number in range(4)))
    assert [c.own_features["broken"] for a in found for c in a.channels] == [None] * 12
    assert all(c.own_features["band_ratio"] is not None for a in found for c in a.channels)
    assert isinstance(code.report, Failures)
    assert code.report.counts == {"broken": 12}
    assert [(log["event"], log["feature"], log["failures"]) for log in logs] == [
        ("own_feature_failed", "broken", 1),
        ("own_feature_failed", "broken", 10),
    ]
    assert logs[0]["channel_id"] == "A.acc"
    assert logs[0]["problem"] == "KeyError: 'threshold'"


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (np.nan, "gave nan, a finite float32 is needed"),
        (-np.inf, "gave -inf, a finite float32 is needed"),
        (1e39, "gave 1e+39, a finite float32 is needed"),
        ("high", "ValueError: could not convert string to float: 'high'"),
    ],
)
def test_what_is_no_finite_number_is_null_and_reported(value: object, problem: str) -> None:
    facts: list[tuple[str, str, str]] = []
    code = FeatureCode(own={"odd": declared("odd", lambda *_: value)}, report=lambda *fact: facts.append(fact))
    assert code.values(["odd"], "DE", samples()[0], RATE_HZ, None) == {"odd": None}
    assert facts == [("odd", "DE", problem)]


def test_undefined_is_no_failure_and_values_are_float32() -> None:
    facts: list[tuple[str, str, str]] = []
    own = {"none": declared("none", lambda *_: None), "tenth": declared("tenth", lambda *_: 0.1)}
    code = FeatureCode(own=own, report=lambda *fact: facts.append(fact))
    found = code.values(own, "DE", samples()[0], RATE_HZ, None)
    assert found == {"none": None, "tenth": float(np.float32(0.1))}
    assert facts == []


def test_a_feature_can_not_change_what_others_see() -> None:
    def greedy(samples_g: np.ndarray[Any, np.dtype[np.float32]], *_: object) -> float:
        samples_g[:] = 0.0
        return 0.0

    row = samples()[0]
    before = row.tobytes()
    code = FeatureCode(own={"greedy": declared("greedy", greedy)})
    assert code.values(["greedy"], "DE", row, RATE_HZ, None) == {"greedy": None}
    assert row.tobytes() == before


def test_a_notebook_is_warned_of_a_failure() -> None:
    broken = declared("broken", lambda *_: 1 / 0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert features_of(samples()[0], RATE_HZ, chosen=("broken",), own=[broken]) == {"broken": None}
    assert [str(one.message) for one in caught] == ["own feature broken: ZeroDivisionError: division by zero"]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (
            "no_such_plant.features:band_ratio",
            "'no_such_plant.features:band_ratio' can't be loaded: ModuleNotFoundError",
        ),
        ("{module}:missing", "'{module}:missing' can't be loaded: AttributeError"),
        ("{module}:plain", "'{module}:plain' is a int: declare it with"),
        ("{module}:counter", "'{module}:counter' gave 0.0 and then 1.0 for one window"),
        ("{module}", "'{module}': module:name is needed"),
        ("../plant:band_ratio", "'../plant:band_ratio': module:name is needed"),
    ],
)
def test_what_can_not_be_loaded_ends_the_start_with_its_path(module: str, path: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(path.format(module=module))
    assert said.format(module=module) in str(caught.value)


def test_two_features_of_one_name_are_refused(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    points = [importlib.metadata.EntryPoint("band_ratio", f"{__name__}:band_ratio", feature_code.GROUP)]
    monkeypatch.setattr(sys.modules[__name__], "band_ratio", declared("band_ratio", lambda *_: 0.0), raising=False)
    monkeypatch.setitem(sys.modules, __name__, sys.modules[__name__])
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: points if group == feature_code.GROUP else [])
    assert list(load().own) == ["band_ratio"]
    with pytest.raises(ConfigurationError, match="another one is named 'band_ratio' too"):
        load(f"{module}:band_ratio")


def test_entry_points_of_installed_packages_are_loaded(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    points = [importlib.metadata.EntryPoint("any", f"{module}:band_ratio", feature_code.GROUP)]
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: points if group == feature_code.GROUP else [])
    assert list(load().own) == ["band_ratio"]
    assert list(load(f"{module}:band_ratio").own) == ["band_ratio"]  # named twice, it is the same one


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "Band-Ratio"}, "can't name a feature"),
        ({"name": "rms_g"}, "the catalogue has a feature or set of that name"),
        ({"name": "bearing"}, "the catalogue has a feature or set of that name"),
        ({"unit": ""}, "states no unit"),
        ({"reference": ""}, "states no reference"),
        ({"version": 0}, "has version 0, at least 1 needed"),
    ],
)
def test_a_declaration_is_checked(changes: dict[str, Any], said: str) -> None:
    given: dict[str, Any] = {"name": "band_ratio", "unit": "1", "reference": "test", "version": 1} | changes
    with pytest.raises(ConfigurationError, match=said):
        own_feature(**given)(lambda *_: 0.0)


def test_the_log_names_features_and_loads_none(module: str) -> None:
    pipeline = PartitionPipeline(_NoModels(), ports.Checkpoint(-1, 0, {}), ENGINE_ALONE)
    for name in ("band_ratio", f"{module}:band_ratio"):
        with pytest.raises(BadRecord, match="no such feature or set") as caught:
            pipeline.process(0, b"P", activation_of(asset("bearing", name), START_NS, "test"))
        assert caught.value.reason is Reason.BAD_ACTIVATION
        pipeline.applied_offset = -1
    assert module not in sys.modules


def test_the_code_hash_follows_the_source(module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load(f"{module}:band_ratio").code_hash
    assert first == load(f"{module}:band_ratio").code_hash != load(f"{module}:shaft_hz").code_hash != code_hash()
    with (tmp_path / f"{module}.py").open("a") as source:
        source.write("# another line\n")
    assert load(f"{module}:band_ratio").code_hash != first
    sources = feature_code._engine_sources()
    assert {"contracts.features", "processors.features", "processors.families", "processors.bearings"} <= set(sources)
    assert "processors.alarms" not in sources
    assert all(sources.values())
    plain = code_hash()
    monkeypatch.setattr(feature_code, "_engine_sources", lambda: {**sources, "processors.features": b"changed"})
    assert code_hash() != plain


def test_settings_take_paths_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAULTLINE_OWN_FEATURES", "my_plant.features:band_ratio, my_plant.features:tilt,")
    assert load_settings().own_features == ("my_plant.features:band_ratio", "my_plant.features:tilt")


def test_the_command_lists_catalogue_sets_and_own_features(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAULTLINE_OWN_FEATURES", f"{module}:band_ratio")
    answer = CliRunner().invoke(application, ["features", "--json"])
    assert answer.exit_code == 0, answer.output
    told = json.loads(answer.stdout)
    assert [feature["name"] for feature in told["features"]] == list(FEATURE_NAMES)
    assert all(feature["unit"] and feature["version"] == 1 and feature["reference"] for feature in told["features"])
    assert told["own_features"] == [
        {
            "name": "band_ratio",
            "unit": "1",
            "version": 2,
            "function": f"{module}.band_ratio",
            "reference": "plant standard 7, section 3",
        }
    ]
    assert told["sets"]["bearing"][:4] == ["bpfo_db", "bpfi_db", "bsf_db", "ftf_db"]
    assert len(told["code_hash"]) == 12
    text = CliRunner().invoke(application, ["features"]).stdout
    assert [name for name in (*FEATURE_NAMES, "band_ratio") if name not in text] == []
