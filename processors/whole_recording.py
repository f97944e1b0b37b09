"""One channel of a recording, judged as a whole.

A stream must answer every second; a recording can be looked at for longer, and a line that stands still gains 10 dB
over its floor with every tenfold length. So a recording is cut into windows of up to ten seconds (a steady machine is
assumed for that long), and what the windows say is put together by the median. Longer windows also have more bins in
which chance can look like a line, so the bound on fault lines rises with the window.
"""

import collections
import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import scipy.fft

from contracts.assets import MeasurementPoint, RuleSettings
from contracts.errors import SignalError
from contracts.records import Diagnosis
from processors.bearings import BearingGeometry
from processors.diagnosis import diagnose
from processors.families import LineFamily
from processors.features import FeatureBlock, FeatureEngine, choose_bands
from processors.health import SensorHealth
from processors.own_features import ENGINE_ALONE, FeatureCode, own_medians
from processors.second_look import look_again, revise

F32 = npt.NDArray[np.float32]

_LONGEST_WINDOW_S: Final = 10.0
#: Of a longer recording this many windows are looked at, evenly spread.
_MOST_WINDOWS: Final = 30
#: By how much the bound on fault lines rises for a window ten times longer than one second.
_CHANCE_DB_PER_DECADE: Final = 4.0


@dataclass(frozen=True, slots=True)
class RecordingJudgement:
    """What a channel of a recording says.

    Parameters
    ----------
    values : ndarray, shape (len(FEATURES),), float32
        Median feature vector; NaN where undefined.
    families : tuple of LineFamily
        Lines of the bearing, put together over the windows.
    health : SensorHealth
        State of the signal.
    diagnosis : Diagnosis or None
        What is probably wrong.
    limit_db : float
        The bound on fault lines that held.
    window_s : float
        Length of a window.
    n_windows : int
        How many windows were looked at.
    own_features : dict of str to float or None
        Medians of the user's own features; null where undefined.
    """

    values: F32
    families: tuple[LineFamily, ...]
    health: SensorHealth
    diagnosis: Diagnosis | None
    limit_db: float
    window_s: float
    n_windows: int
    own_features: dict[str, float | None]


def judge_recording(
    samples_g: F32,
    sampling_rate_hz: float,
    speed_rpm: float | None,
    geometry: BearingGeometry | None,
    point: MeasurementPoint,
    rules: RuleSettings,
    code: FeatureCode = ENGINE_ALONE,
) -> RecordingJudgement:
    """Return what one channel of a recording says.

    Parameters
    ----------
    samples_g : ndarray, shape (n_samples,), float32
        Acceleration, g.
    sampling_rate_hz : float
        Sampling rate.
    speed_rpm : float or None
        Shaft speed.
    geometry : BearingGeometry or None
        The bearing the channel listens to.
    point : MeasurementPoint
        Where the channel measures; its id names the channel too.
    rules : RuleSettings
        Bounds of the detection rules, for windows of one second.
    code : FeatureCode
        The user's own features.

    Returns
    -------
    judgement : RecordingJudgement
        Features, lines, health and diagnosis.

    Raises
    ------
    SignalError
        If the signal is shorter than two samples or not one-dimensional, or the sampling rate is unusable.
    """
    if samples_g.ndim != 1 or samples_g.size < 2:
        raise SignalError(f"a recording of shape {samples_g.shape}; one dimension and at least 2 samples needed")
    if not 0 < sampling_rate_hz < math.inf:
        raise SignalError(f"sampling rate {sampling_rate_hz} Hz; a positive number needed")
    length = scipy.fft.prev_fast_len(max(2, min(samples_g.size, int(_LONGEST_WINDOW_S * sampling_rate_hz))))
    available = samples_g.size // length
    picked = sorted({round(i) for i in np.linspace(0, available - 1, min(available, _MOST_WINDOWS))})
    engine = FeatureEngine(1, length, sampling_rate_hz, (geometry,))
    rows = [
        np.ascontiguousarray(samples_g[np.newaxis, i * length : (i + 1) * length], dtype=np.float32) for i in picked
    ]
    bands = [choose_bands(row, sampling_rate_hz) for row in rows]
    blocks = [engine.compute(row, speed_rpm, band) for row, band in zip(rows, bands, strict=True)]
    health, usable = _common_health(blocks)
    values = _median_values(usable)
    families = _merge_families([block.families[0] for block in usable])
    window_s = length / sampling_rate_hz
    limit_db = rules.fault_line_db + _CHANCE_DB_PER_DECADE * max(0.0, math.log10(window_s))
    bounds = dataclasses.replace(rules, fault_line_db=limit_db)
    found = diagnose(point, point.point_id, values, families, health, speed_rpm, bounds)
    if geometry is not None and speed_rpm is not None and speed_rpm > 0 and health.verdict is None:
        looks = [
            look_again(row, sampling_rate_hz, geometry, speed_rpm, (float(band[0, 0]), float(band[0, 1])))
            for row, band, block in zip(rows, bands, blocks, strict=True)
            if block.health[0].verdict is None
        ]
        found = revise(found, families, looks, point.point_id, bounds)
    own = own_medians(code, point.point_id, [row[0] for row in rows], sampling_rate_hz, speed_rpm)
    return RecordingJudgement(values, families, health, found, limit_db, window_s, len(picked), own)


def _common_health(blocks: Sequence[FeatureBlock]) -> tuple[SensorHealth, list[FeatureBlock]]:
    """Return the health that holds for the recording, and the windows to look at.

    A sensor fault in half the windows is the recording's; one in fewer only takes its windows away.
    """
    broken = [block.health[0] for block in blocks if block.health[0].verdict is not None]
    if 2 * len(broken) >= len(blocks):
        verdict = collections.Counter(health.verdict for health in broken).most_common(1)[0][0]
        return next(health for health in broken if health.verdict == verdict), list(blocks)
    usable = [block for block in blocks if block.health[0].verdict is None]
    return usable[0].health[0], usable


def _median_values(blocks: Sequence[FeatureBlock]) -> F32:
    rows = np.stack([block.values[0] for block in blocks])
    medians = np.full(rows.shape[1], np.nan, np.float32)
    for column in range(rows.shape[1]):
        defined = rows[np.isfinite(rows[:, column]), column]
        if defined.size:
            medians[column] = np.median(defined)
    return medians


def _merge_families(windows: Sequence[tuple[LineFamily, ...]]) -> tuple[LineFamily, ...]:
    seen = [families for families in windows if families]
    return tuple(_merge_family(members) for members in zip(*seen, strict=True))


def _merge_family(members: Sequence[LineFamily]) -> LineFamily:
    decided = [member for member in members if member.decided]
    if not decided:
        return members[0]
    found_hz = float(np.median([member.found_hz for member in decided if member.found_hz is not None]))
    n_harmonics = min(len(member.harmonics) for member in decided)
    levels = [float(np.median([member.harmonics[h][1] for member in decided])) for h in range(n_harmonics)]
    foreign = [member.foreign_hz for member in decided if member.foreign_hz is not None]
    ambiguous = [member.ambiguous_with for member in decided if member.ambiguous_with is not None]
    return dataclasses.replace(
        decided[0],
        found_hz=found_hz,
        score_db=float(np.median(levels)),
        harmonics=tuple((found_hz * (h + 1), level) for h, level in enumerate(levels)),
        ambiguous_with=ambiguous[0] if 2 * len(ambiguous) > len(decided) else None,
        foreign_hz=float(np.median(foreign)) if 2 * len(foreign) > len(decided) else None,
    )
