"""What a measurement point chooses: the catalogue's own claims, and null where nothing was chosen."""

import functools
import importlib
from typing import Any

import numpy as np
import pytest

from contracts.assets import MeasurementPoint
from contracts.features import ENVELOPE_NAMES, FEATURE_INDEX, FEATURE_NAMES, FEATURE_SETS, FEATURES, Machines
from processors.bearings import bearing
from processors.chosen_features import ChosenFeatures, chosen_names
from processors.features import FeatureBlock, FeatureEngine, choose_bands

RATE_HZ = 25_600.0


def point(*features: str) -> MeasurementPoint:
    return MeasurementPoint(point_id="P", location="DE", direction="radial", features=features)


def samples() -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(2).standard_normal((3, 25_600)).astype(np.float32)


def computed(choice: ChosenFeatures) -> FeatureBlock:
    rows = samples()
    engine = FeatureEngine(3, rows.shape[1], RATE_HZ, choice.geometries([bearing("6205")] * 3))
    return choice.applied(engine.compute(rows, 1800.0, choice.choose_bands(rows, RATE_HZ)))


@functools.cache
def everything() -> FeatureBlock:
    return computed(ChosenFeatures.of([point("all")] * 3, ()))


def found_at(path: str) -> object:
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.name)
def test_every_feature_names_what_computes_it_and_where_it_is_defined(feature: Any) -> None:
    assert callable(found_at(feature.function))
    assert min(len(feature.unit), feature.version) >= 1
    assert len(feature.reference) > 10


def test_features_of_a_shaft_or_bearing_are_null_without_one() -> None:
    rows = samples()
    for speed_rpm, geometry, absent in (
        (None, "6205", {Machines.SHAFT, Machines.ROLLING_BEARING}),
        (6000.0, None, {Machines.ROLLING_BEARING}),
        (6000.0, "6205", set()),
    ):
        engine = FeatureEngine(3, rows.shape[1], RATE_HZ, [bearing(geometry) if geometry else None] * 3)
        values = engine.compute(rows, speed_rpm, choose_bands(rows, RATE_HZ)).values[0]
        null = {feature.machines for feature, value in zip(FEATURES, values, strict=True) if np.isnan(value)}
        assert {machines for machines in null if machines is not Machines.ALL} == absent


def test_sets_hold_features_of_the_catalogue_in_its_order() -> None:
    for members in FEATURE_SETS.values():
        assert list(members) == sorted(set(members), key=FEATURE_INDEX.__getitem__)
    assert set().union(*(FEATURE_SETS[name] for name in FEATURE_SETS if name != "all")) == set(FEATURE_NAMES)


@pytest.mark.parametrize("name", [name for name in FEATURE_SETS if name != "all"])
def test_what_is_chosen_has_the_bits_of_everything_and_the_rest_is_null(name: str) -> None:
    found = computed(ChosenFeatures.of([point("all"), point(name), point(name)], ()))
    chosen = np.array([member in FEATURE_SETS[name] for member in FEATURE_NAMES])
    assert found.values[0].tobytes() == everything().values[0].tobytes()
    assert found.values[1:, chosen].tobytes() == everything().values[1:, chosen].tobytes()
    assert np.isnan(found.values[1:, ~chosen]).all()
    assert found.values.dtype == np.float32
    assert list(found.health) == list(everything().health)


def test_no_line_is_looked_for_and_no_band_chosen_where_none_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []

    def counted(rows: Any, rate_hz: float) -> Any:
        looked.append(len(rows))
        return choose_bands(rows, rate_hz)

    monkeypatch.setattr("processors.chosen_features.choose_bands", counted)
    found = computed(ChosenFeatures.of([point("overall"), point("bearing"), point("envelope_low_hz")], ()))
    assert looked == [2]
    assert [len(families) for families in found.families] == [0, 4, 0]
    computed(ChosenFeatures.of([point("overall")] * 3, ()))
    assert looked == [2]
    assert all(name not in chosen_names(["overall"], ())[0] for name in ENVELOPE_NAMES)


def test_nothing_may_be_chosen() -> None:
    found = computed(ChosenFeatures.of([point()] * 3, ("band_ratio",)))
    assert np.isnan(found.values).all()
    assert ChosenFeatures.of([point("rms_g"), point("all"), point("band_ratio")], ("band_ratio",)).own == (
        (),
        ("band_ratio",),
        ("band_ratio",),
    )
