"""An activation carries a configuration through the log unchanged, or is refused with a reason."""

import dataclasses
import datetime as dt
import hashlib

import pytest

from contracts.activations import activation_of, configuration_of
from contracts.assets import AssetConfiguration, Channel, DriveTrain, Gear, MeasurementPoint, ModelReference
from contracts.errors import BadRecord, Reason
from contracts.records import Activation

CONFIG = AssetConfiguration(
    asset_id="P-101",
    site_id="demo",
    name="Feed pump",
    asset_type="pump",
    installed_at=dt.date(2019, 4, 1),
    machine_group="2",
    support="rigid",
    drive_train=DriveTrain(nominal_speed_rpm=1780.0, gears=(Gear(name="pinion", teeth=23),)),
    points=(
        MeasurementPoint(
            point_id="P-101-DE-H",
            location="drive end",
            direction="radial_horizontal",
            bearing="6205",
            channels=(Channel(channel_id="P-101-DE-H.acc", quantity="acceleration", unit="g"),),
        ),
    ),
    models=(ModelReference(name="half-space-trees", version="1"),),
)


def _with_payload(record: Activation, payload: str) -> Activation:
    return dataclasses.replace(record, payload_json=payload, sha256=hashlib.sha256(payload.encode()).hexdigest())


def test_the_configuration_comes_back_whole() -> None:
    assert configuration_of(activation_of(CONFIG, 5, "operator")) == CONFIG


def test_the_version_depends_on_the_content_alone() -> None:
    first, later = activation_of(CONFIG, 5, "operator"), activation_of(CONFIG, 6, "somebody else")
    other = activation_of(dataclasses.replace(CONFIG, name="Booster pump"), 5, "operator")
    assert first.version == later.version == first.sha256[:16]
    assert first.activation_id != later.activation_id
    assert other.version != first.version


@pytest.mark.parametrize(
    ("record", "says"),
    [
        (dataclasses.replace(activation_of(CONFIG, 5, "x"), kind="model"), "kind 'model'"),
        (dataclasses.replace(activation_of(CONFIG, 5, "x"), asset_id="P-102"), "P-102"),
        (dataclasses.replace(activation_of(CONFIG, 5, "x"), payload_json="{}"), "sha256"),
        (_with_payload(activation_of(CONFIG, 5, "x"), "{}"), "missing required field"),
        (_with_payload(activation_of(CONFIG, 5, "x"), "{"), "no asset configuration"),
        (_with_payload(activation_of(CONFIG, 5, "x"), '{"asset_id": 1}'), "no asset configuration"),
    ],
)
def test_what_is_no_configuration_is_refused(record: Activation, says: str) -> None:
    with pytest.raises(BadRecord, match=says) as caught:
        configuration_of(record)
    assert caught.value.reason is Reason.BAD_ACTIVATION
