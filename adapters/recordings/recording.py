"""A recording: what a file of signals holds, whatever its format.

Invariants: samples are finite, in the unit that the channel states, and nothing that the file and its reader don't know
is filled in: an unknown speed or bearing stays null.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from contracts.errors import BadRecord, ConfigurationError, SignalError
from contracts.units import factor_to_canonical

MAX_SAMPLING_RATE_HZ: Final = 10e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the caller knows and a file may not say.

    ``full_scale`` is the value (in ``unit``) of an integer WAV sample at its largest.
    """

    sampling_rate_hz: float | None = None
    unit: str | None = None
    quantity: str = "acceleration"
    speed_rpm: float | None = None
    bearing: str | None = None
    full_scale: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedChannel:
    """One channel of a recording; ``bearing`` is the designation of the bearing it listens to, where known."""

    name: str
    quantity: str
    unit: str
    bearing: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Waveform:
    """Samples of all channels, equally spaced, or in bursts.

    ``samples`` has shape (n_channels, n_samples), float32. Bursts follow one another in it: each has ``burst_samples``
    samples and begins at its entry of ``burst_starts_s`` (s since the first).
    """

    sampling_rate_hz: float
    samples: NDArray[np.float32]
    burst_samples: int | None = None
    burst_starts_s: NDArray[np.float64] | None = None

    @property
    def duration_s(self) -> float:
        """Seconds from the first sample to the end of the last."""
        n_samples = self.samples.shape[1]
        if self.burst_starts_s is None or self.burst_samples is None:
            return float(n_samples / self.sampling_rate_hz)
        return float(self.burst_starts_s[-1]) + self.burst_samples / self.sampling_rate_hz


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Series:
    """Slow values: ``times_ns`` (UTC) with shape (n,), int64, and ``values`` with shape (n_channels, n), float64."""

    times_ns: NDArray[np.int64]
    values: NDArray[np.float64]

    @property
    def duration_s(self) -> float:
        """Seconds from the first value to the last."""
        return float(self.times_ns[-1] - self.times_ns[0]) / 1e9


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Recording:
    """One recording of one machine.

    ``label`` is the true state of the machine where the data set knows it (``outer_race``, ``normal`` …), and
    ``label_channel`` the channel next to the damage.
    """

    name: str
    channels: tuple[RecordedChannel, ...]
    signal: Waveform | Series
    speed_rpm: float | None = None
    label: str | None = None
    label_channel: str | None = None


def required_rate_hz(path: Path, in_file: float | None, known: Known) -> float:
    """Return the sampling rate; raise ``ConfigurationError`` where it is unknown, contradictory or impossible."""
    given = known.sampling_rate_hz
    if in_file is not None and given is not None and abs(in_file - given) > 1e-6 * abs(in_file):
        raise ConfigurationError(f"{path}: the file says {in_file} Hz, sampling rate {given} Hz was given")
    rate_hz = in_file if in_file is not None else given
    if rate_hz is None:
        raise ConfigurationError(f"{path}: the file states no sampling rate; give one (Hz)")
    if not 0.0 < rate_hz <= MAX_SAMPLING_RATE_HZ:  # false for NaN too
        raise ConfigurationError(f"{path}: sampling rate {rate_hz} Hz, above 0 and at most {MAX_SAMPLING_RATE_HZ:.0f}")
    return float(rate_hz)


def required_unit(path: Path, in_file: str | None, known: Known) -> str:
    """Return the unit; raise ``ConfigurationError`` where it is unknown or none of the quantity's."""
    if in_file is not None and known.unit is not None and in_file != known.unit:
        raise ConfigurationError(f"{path}: the file says unit {in_file!r}, {known.unit!r} was given")
    unit = in_file if in_file is not None else known.unit
    try:
        factor_to_canonical(known.quantity, unit or "")
    except BadRecord as error:
        raise ConfigurationError(f"{path}: {error.detail}") from None
    return unit or ""


def known_speed_rpm(path: Path, in_file: float | None, known: Known) -> float | None:
    """Return the shaft speed: the caller's word before the file's; raise ``ConfigurationError`` for one below 0."""
    speed_rpm = known.speed_rpm if known.speed_rpm is not None else in_file
    if speed_rpm is not None and not 0.0 <= speed_rpm < 1e6:
        raise ConfigurationError(f"{path}: speed {speed_rpm} rpm, at least 0 and below 1e6 expected")
    return None if speed_rpm is None else float(speed_rpm)


def stacked(path: Path, rows: list[tuple[str, NDArray[np.floating]]]) -> NDArray[np.float32]:
    """Return channels as one array, shape (n_channels, n_samples), float32.

    Raises
    ------
    SignalError
        Without a channel or a sample, for channels of different lengths, and for NaN or infinity.
    """
    if not rows:
        raise SignalError(f"{path}: 0 channels, at least 1 needed")
    lengths = {name: values.shape[-1] for name, values in rows}
    if len(set(lengths.values())) != 1:
        raise SignalError(f"{path}: channels of different lengths: {lengths}")
    if next(iter(lengths.values())) == 0:
        raise SignalError(f"{path}: 0 samples, at least 1 needed")
    for name, values in rows:
        finite = np.isfinite(values)
        if not finite.all():
            first = int(np.argmin(finite))
            raise SignalError(f"{path}: channel {name} has {values[first]} at sample {first}")
    return np.stack([values.astype(np.float32) for _, values in rows])
