"""What a window's judgement carries beside features: the questions that the window was too short for."""

import weakref
from typing import Any

import numpy as np
import pytest

from contracts import records as r
from contracts.assets import AssetConfiguration, Channel, MeasurementPoint, WindowSettings
from processors import judging
from processors.cutting import GroupWindow
from processors.features import FeatureEngine
from processors.group import ChannelGroup
from processors.judging import Judgement
from processors.own_features import ENGINE_ALONE

_RATE_HZ = 4096.0
_START_NS = 1_700_000_000_000_000_000


class _NoModels:
    def load(self, name: str, version: str, sha256: str | None = None) -> bytes:
        return b""


def block_of(n_samples: int, sequence: int, start_ns: int) -> r.AcquisitionBlock:
    noise = (0.1 * np.random.default_rng(3).standard_normal(n_samples)).astype("<f4")
    return r.AcquisitionBlock(
        asset_id="P",
        device_id="daq",
        boot_id="1",
        sequence=sequence,
        start_ns=start_ns,
        sampling_rate_hz=_RATE_HZ,
        n_samples=n_samples,
        channels=(r.BlockChannel(channel_id="P-DE-H.acc", quantity="acceleration", unit="g"),),
        samples=noise.tobytes(),
    )


def configuration(length_s: float) -> AssetConfiguration:
    point = MeasurementPoint(
        point_id="P-DE-H",
        location="DE",
        direction="radial_horizontal",
        bearing="6205",
        channels=(Channel(channel_id="P-DE-H.acc", quantity="acceleration", unit="g"),),
    )
    window = WindowSettings(length_s=length_s, hop_s=length_s)
    return AssetConfiguration(asset_id="P", site_id="s", name="P", asset_type="pump", points=(point,), window=window)


def judged(length_s: float, speed_rpm: float | None) -> Judgement:
    """Judge one window of noise at a point with a 6205, whose orders are 3.58, 5.42, 2 x 2.36 and 0.40."""
    config, block = configuration(length_s), block_of(round(length_s * _RATE_HZ), 0, _START_NS)
    group = ChannelGroup.build(config, block, _NoModels(), ENGINE_ALONE)
    (full,) = group.push(0, block)
    return group.judge(full, speed_rpm, "running", lambda _point_id: False)


@pytest.mark.parametrize(
    ("length_s", "names"), [(0.125, ["BPFO", "BPFI", "BSF", "FTF"]), (0.25, ["BPFO", "FTF"]), (1.0, ["FTF"]), (4.0, [])]
)
def test_a_window_too_short_for_a_line_says_what_length_it_needs(length_s: float, names: list[str]) -> None:
    (channel,) = judged(length_s, 1800.0).channels
    assert [question.name for question in channel.not_decided] == names
    assert all(question.needed_s is not None and question.needed_s > length_s for question in channel.not_decided)
    if names == ["FTF"]:  # 3 % of 0.398 orders of 30 Hz
        assert channel.not_decided[0].needed_s == pytest.approx(1.0 / (0.03 * 0.398 * 30.0), rel=0.01)


def test_without_a_speed_no_question_is_asked() -> None:
    (channel,) = judged(0.25, None).channels
    assert channel.not_decided == ()


def test_windows_of_ever_new_lengths_leave_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    alive: weakref.WeakSet[FeatureEngine] = weakref.WeakSet()

    class Counted(FeatureEngine):
        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            alive.add(self)

    monkeypatch.setattr(judging, "FeatureEngine", Counted)
    config = configuration(1.0)
    group = ChannelGroup.build(config, block_of(64, 0, _START_NS), _NoModels(), ENGINE_ALONE)
    for number in range(1, 11):
        samples = np.zeros((1, 512 + number), np.float32)
        window = GroupWindow(_START_NS, _START_NS + 1, samples, 1800.0, None, True, number)
        group.judge(window, 1800.0, "running", lambda _point_id: False)
    assert 0 < len(alive) <= 2
