"""Tables to train on from public data: vibration features of runs to failure, and series labelled row by row.

Vibration features come from the judge that the stream runs, window by window, so a model sees what it will score. What
is known of the machines decides what may be learnt: the healthy third of a run to failure, and of a labelled series the
rows that aren't labelled abnormal. Which rows those are is hindsight, and serves to choose what is learnt alone.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Literal, get_args

import numpy as np

from adapters.recordings import Recording, Waveform, read_recordings
from adapters.recordings.labelled import LabelledSeries
from adapters.recordings.nab import read_nab
from adapters.recordings.tep import read_tep
from adapters.recordings.text import read_labelled_skab
from contracts.assets import AssetConfiguration, Channel, DriveTrain, MeasurementPoint, WindowSettings
from contracts.errors import ConfigurationError, SignalError
from contracts.features import FEATURE_NAMES
from contracts.units import factor_to_canonical
from pipelines.evaluation.femto import HEALTHY_SHARE
from pipelines.training.table import (
    FAULTY,
    HEALTHY,
    KNOWN_FAULT,
    LEARNABLE,
    NOT_KNOWN_HEALTHY,
    SUSPECTED,
    UNKNOWN,
    FeatureTable,
    table_of,
)
from processors.cutting import GroupWindow
from processors.judging import WindowJudge
from processors.operation import Operation
from processors.own_features import FeatureCode

Format = Literal["femto", "skab", "tep", "nab"]
FORMATS: Final[tuple[str, ...]] = get_args(Format)

#: In the last part of its life a machine that ran to failure is taken for faulty.
FAULTY_SHARE: Final = 0.9
#: As many bursts share a demodulation band as in the stream, by the default settings.
_BAND_BURSTS: Final = round(WindowSettings().band_interval_s / WindowSettings().hop_s)

Progress = Callable[[str, float], None]


class _NoModels:
    """A store for an asset that names no model."""

    def load(self, name: str, version: str, sha256: str | None = None) -> bytes:
        """Refuse."""
        raise ConfigurationError(f"model {name} version {version} ({sha256}): features are computed without models")


def read_recorded(folder: Path, file_format: str, code: FeatureCode, progress: Progress) -> FeatureTable:
    """Return the table of a public data set.

    Parameters
    ----------
    folder : Path
        Where its files lie, as ``evaluate`` reads them.
    file_format : str
        One of `FORMATS`.
    code : FeatureCode
        What computes vibration features.
    progress : callable
        Told the name of what is read and the share that is done.

    Returns
    -------
    table : FeatureTable
        Of vibration features for femto, of the series' own channels otherwise.

    Raises
    ------
    ConfigurationError
        For an unknown format or a folder without such files.
    SignalError
        For a file that can't be used.
    """
    if file_format not in FORMATS:
        raise ConfigurationError(f"format {file_format!r}; training reads {', '.join(FORMATS)}, and tables .npz, .csv")
    if file_format == "femto":
        runs = [run_to_failure(one, code, progress) for one in read_recordings(folder, "femto")]
        return joined(runs, f"femto, {folder.name}")
    series = list(_labelled(folder, file_format))
    if not series:
        raise ConfigurationError(f"{folder}: no labelled series of format {file_format}")
    return joined([labelled_table(one) for one in series], f"{file_format}, {folder.name}")


def run_to_failure(
    recording: Recording, code: FeatureCode, progress: Progress = lambda _name, _share: None
) -> FeatureTable:
    """Return the features of a run to failure recorded in bursts: a row for each channel and burst.

    Raises
    ------
    SignalError
        If the recording isn't in bursts.
    """
    signal = recording.signal
    if not isinstance(signal, Waveform) or signal.burst_samples is None or signal.burst_starts_s is None:
        raise SignalError(f"{recording.name}: a run to failure in bursts needed")
    config = _asset(recording)
    ids = [channel.channel_id for point in config.points for channel in point.channels]
    judge = WindowJudge(config, config.points, ids, signal.sampling_rate_hz, _NoModels(), code)
    factors = np.array([[factor_to_canonical(c.quantity, c.unit)] for c in recording.channels], dtype=np.float32)
    length_ns = round(signal.burst_samples / signal.sampling_rate_hz * 1e9)
    starts_ns = np.round(signal.burst_starts_s * 1e9).astype(np.int64)
    operation = Operation()
    values, regimes, suspected = [], [], []
    for number, start_ns in enumerate(starts_ns.tolist()):
        samples = signal.samples[:, number * signal.burst_samples : (number + 1) * signal.burst_samples]
        window = GroupWindow(
            start_ns=start_ns,
            end_ns=start_ns + length_ns,
            samples_g=samples * factors,
            speed_rpm=recording.speed_rpm,
            load_ratio=None,
            partial=False,
            number=number + 1,
            epoch_ns=int(starts_ns[number // _BAND_BURSTS * _BAND_BURSTS]),
        )
        speed_rpm, regime = operation.of(window, recording.speed_rpm)
        judged = judge.judge(window, speed_rpm, regime, lambda _point: False, None)
        values.append([[np.nan if v is None else v for v in one.features] for one in judged.channels])
        regimes.append(regime)
        suspected.append(bool(judged.diagnoses))
        if number % 50 == 0:
            progress(recording.name, number / len(starts_ns))
    share = signal.burst_starts_s / signal.duration_s
    state = np.select([share < HEALTHY_SHARE, share >= FAULTY_SHARE], [HEALTHY, FAULTY], UNKNOWN)
    excluded = np.select(
        [state == FAULTY, state == UNKNOWN, np.array(suspected)], [KNOWN_FAULT, NOT_KNOWN_HEALTHY, SUSPECTED], LEARNABLE
    )
    n = len(ids)
    return table_of(
        FEATURE_NAMES,
        np.array(values, dtype=np.float32).reshape(-1, len(FEATURE_NAMES)),
        np.repeat(starts_ns, n),
        {
            "machine": recording.name,
            "channel": np.tile(ids, len(starts_ns)),
            "regime": np.repeat(regimes, n),
            "excluded": np.repeat(excluded, n),
            "state": np.repeat(state, n),
        },
        code_hash=code.code_hash,
        source=recording.name,
    )


def labelled_table(series: LabelledSeries) -> FeatureTable:
    """Return a labelled series as a table whose features are its channels."""
    return table_of(
        series.channels,
        series.values,
        np.round(series.times_s * 1e9).astype(np.int64),
        {
            "machine": series.name,
            "channel": "all",
            "regime": "",
            "excluded": np.where(series.abnormal, KNOWN_FAULT, LEARNABLE),
            "state": np.where(series.abnormal, FAULTY, HEALTHY),
        },
        code_hash="",
        source=series.name,
    )


def joined(tables: list[FeatureTable], source: str) -> FeatureTable:
    """Return several tables as one.

    Raises
    ------
    SignalError
        If they have other features, or other feature code, than the first; or without any.
    """
    kinds = {(table.features, table.code_hash) for table in tables}
    if len(kinds) != 1:
        raise SignalError(f"{source}: tables of {len(kinds)} kinds of features, one expected")
    facts = ("machine", "channel", "regime", "excluded", "state", "span")
    return table_of(
        tables[0].features,
        np.concatenate([table.values for table in tables]),
        np.concatenate([table.times_ns for table in tables]),
        {name: np.concatenate([getattr(table, name) for table in tables]) for name in facts},
        code_hash=tables[0].code_hash,
        source=source,
    )


def _labelled(folder: Path, file_format: str) -> Iterator[LabelledSeries]:
    if file_format == "nab":
        yield from read_nab(folder)
    elif file_format == "tep":
        yield from read_tep(folder).tests
    else:
        for path in sorted(folder.rglob("*.csv")):
            series = read_labelled_skab(path)
            if series is not None:
                yield series


def _asset(recording: Recording) -> AssetConfiguration:
    points = tuple(
        MeasurementPoint(
            point_id=channel.name,
            location=channel.name,
            direction="radial",
            bearing=channel.bearing,
            channels=(Channel(channel_id=channel.name, quantity=channel.quantity, unit=channel.unit),),
        )
        for channel in recording.channels
    )
    return AssetConfiguration(
        asset_id=recording.name,
        site_id="training",
        name=recording.name,
        asset_type="machine",
        drive_train=DriveTrain(nominal_speed_rpm=recording.speed_rpm),
        points=points,
    )
