"""A recording of several channels of one machine, judged as a whole.

Each channel says what its sensor and its bearing have, over the whole recording; the facts of the machine are measured
in every window and put together by the median. The trend cuts the recording more finely: it is to be looked at, and
decides nothing.
"""

import collections
import dataclasses
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from contracts.features import FEATURE_INDEX
from processors.bearings import BearingGeometry
from processors.features import FeatureEngine
from processors.machine_diagnosis import Machine, MachineVerdict, is_sound, measure_all
from processors.machine_readings import Facts
from processors.own_features import ENGINE_ALONE, FeatureCode
from processors.whole_recording import RecordingJudgement, judge_recording

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

#: A trend has at most so many windows, none shorter nor longer than these (s).
_TREND_POINTS: Final = 60
_TREND_S: Final = (1.0, 10.0)
#: Of a longer recording the facts of so many windows are measured, evenly spread.
_FACT_WINDOWS: Final = 12


@dataclass(frozen=True, slots=True)
class Trend:
    """Features over the recording: ``values`` (n_windows, n_channels, len(FEATURES)) at ``times_s`` (middles)."""

    times_s: F64
    window_s: float
    values: F32

    def of(self, row: int, feature: str) -> F64:
        """Return a feature of a channel over time; NaN where undefined."""
        column: F64 = self.values[:, row, FEATURE_INDEX[feature]].astype(np.float64)
        return column


@dataclass(frozen=True, slots=True)
class MachineJudgement:
    """What a recording says of a machine.

    Parameters
    ----------
    channels : tuple of RecordingJudgement
        What each channel says by itself.
    verdict : MachineVerdict
        What they say together.
    """

    channels: tuple[RecordingJudgement, ...]
    verdict: MachineVerdict

    def row_of(self, machine: Machine) -> int:
        """Return the channel that the surest diagnosis is placed at; without one the channel that shakes most."""
        found = max(self.verdict.diagnoses, key=lambda one: one.confidence, default=None)
        if found is not None:
            return list(machine.channel_ids).index(found.channel_id)
        levels = [np.nan_to_num(c.values[FEATURE_INDEX["velocity_rms_mm_s"]], nan=-1.0) for c in self.channels]
        return int(np.argmax(levels))


def judge_machine(
    machine: Machine,
    samples_g: F32,
    speed_rpm: float | None,
    geometries: Sequence[BearingGeometry | None],
    code: FeatureCode = ENGINE_ALONE,
) -> MachineJudgement:
    """Return what a recording of several channels says.

    Parameters
    ----------
    machine : Machine
        The channels and what is known of the machine.
    samples_g : ndarray, shape (n_channels, n_samples), float32
        Acceleration, g.
    speed_rpm : float or None
        Speed of the reference shaft.
    geometries : sequence of BearingGeometry or None
        The bearing that each channel listens to.
    code : FeatureCode
        The user's own features.

    Returns
    -------
    judgement : MachineJudgement
        Of the channels and of the machine.

    Raises
    ------
    SignalError
        If a channel is shorter than two samples, or the sampling rate is unusable.
    """
    judged = tuple(
        judge_recording(samples, machine.sampling_rate_hz, speed_rpm, geometry, point, machine.rules, code)
        for samples, geometry, point in zip(samples_g, geometries, machine.points, strict=True)
    )
    single = [
        None if one.diagnosis is None else dataclasses.replace(one.diagnosis, channel_id=channel_id)
        for one, channel_id in zip(judged, machine.channel_ids, strict=True)
    ]
    values = np.stack([one.values for one in judged])
    trusted = [is_sound(found) for found in single]
    length = round(judged[0].window_s * machine.sampling_rate_hz)
    available = samples_g.shape[1] // length
    picked = sorted({round(i) for i in np.linspace(0, available - 1, min(available, _FACT_WINDOWS))})
    windows = [
        machine.readings(samples_g[:, i * length : (i + 1) * length], values, speed_rpm, trusted) for i in picked
    ]
    facts = merged([measure_all(window) for window in windows])
    return MachineJudgement(judged, machine.conclude(windows[0], facts, single))


def merged(windows: Sequence[Facts]) -> Facts:
    """Return the facts that most windows have: their median, on the channel where most measured them.

    Parameters
    ----------
    windows : sequence of Facts
        At least one.
    """
    result = Facts(needed_s=dict(windows[0].needed_s))
    for name in dict.fromkeys(name for facts in windows for name in facts.values):
        having = [facts for facts in windows if name in facts.values]
        if 2 * len(having) <= len(windows):
            continue
        result.values[name] = statistics.median(facts.values[name] for facts in having)
        result.rows[name] = collections.Counter(facts.rows[name] for facts in having).most_common(1)[0][0]
        lines_hz = [facts.lines_hz[name] for facts in having if name in facts.lines_hz]
        if lines_hz:
            result.lines_hz[name] = statistics.median(lines_hz)
        parts = collections.Counter(facts.parts[name] for facts in having if name in facts.parts)
        if parts:
            result.parts[name] = parts.most_common(1)[0][0]
    return result


def trend(
    machine: Machine,
    samples_g: F32,
    speed_rpm: float | None,
    geometries: Sequence[BearingGeometry | None],
    bands_hz: F64,
) -> Trend:
    """Return the features over a recording.

    Parameters
    ----------
    machine : Machine
        The channels.
    samples_g : ndarray, shape (n_channels, n_samples), float32
        Acceleration, g.
    speed_rpm : float or None
        Speed of the reference shaft.
    geometries : sequence of BearingGeometry or None
        The bearing that each channel listens to.
    bands_hz : ndarray, shape (n_channels, 2)
        Demodulation bands, the same all along.

    Returns
    -------
    course : Trend
        One window where the recording is no longer than that.
    """
    rate_hz, n = machine.sampling_rate_hz, samples_g.shape[1]
    wanted_s = min(max(n / rate_hz / _TREND_POINTS, _TREND_S[0]), _TREND_S[1])
    length = min(n, round(wanted_s * rate_hz))
    starts = np.unique(np.linspace(0, n - length, min(n // length, _TREND_POINTS)).round().astype(np.int64))
    # a channel without a single usable window has no band
    known_hz = np.nan_to_num(bands_hz)
    engine = FeatureEngine(len(machine.points), length, rate_hz, geometries)
    rows = [
        engine.compute(np.ascontiguousarray(samples_g[:, s : s + length], np.float32), speed_rpm, known_hz).values
        for s in starts
    ]
    return Trend((starts + 0.5 * length) / rate_hz, length / rate_hz, np.stack(rows))
