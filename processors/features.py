"""The feature vector of an analysis window: what one window of all channels of an asset comes down to.

Everything here is a function of the samples, the speed and the demodulation bands. One FFT serves power spectrum,
velocity, displacement and envelope. A row gives the same bits whatever rows lie beside it.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from contracts.errors import SignalError
from contracts.features import FEATURE_INDEX, FEATURES
from processors import envelope, health, mean_square, time_domain, velocity
from processors.band_choice import choose_bands
from processors.bearings import BearingGeometry, bearing
from processors.families import FAMILY_NAMES, FamiliesOfChannels, Question, bins_needed
from processors.feature_kernels import analyse, collect
from processors.health import HealthOfChannels, SensorHealth
from processors.lines import Transforms
from processors.low_bins import LowBins
from processors.order_lines import OrderLines
from processors.time_domain import INDEX

__all__ = ["FeatureBlock", "FeatureEngine", "choose_bands", "warm_up"]

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
C64 = npt.NDArray[np.complex64]

_SHORTEST: Final = 2
_LOWEST_LINE_HZ: Final = 2.0
#: Rounding moves the rms of a band by less than 5e-8 of what white noise of the signal's rms would have there; below
#: this share of that it is measured in double precision.
_SETTLED: Final = 0.01
#: A band that holds less than this share of the signal's rms holds the rounding of its numbers, no envelope.
_ROUNDING_SHARE: Final = 1e-5
#: So many channels are worked on together: a transform of four rows costs little more than one of a single row, and
#: what is made of a sample takes four times its own memory, which should fit the cache of a core.
_FEWEST_ROWS: Final = 4
_MOST_ROWS: Final = 16
_CACHED_SAMPLES: Final = 210_000
_MOTION_COLUMNS: Final = [FEATURE_INDEX[name] for name in velocity.MOTION_FEATURES]
_ACCELERATION_EDGES_HZ: Final = (10.0, 1000.0, 5000.0, math.inf)
_BANDS: Final = ("band_low_g", "band_mid_g", "band_high_g")
_FAMILY_COLUMNS: Final = [FEATURE_INDEX[f"{name.lower()}_db"] for name in FAMILY_NAMES]


@dataclass(frozen=True, slots=True)
class FeatureBlock:
    """What one analysis window comes down to.

    Parameters
    ----------
    values : ndarray, shape (n_channels, len(FEATURES)), float32
        The feature vectors; NaN where undefined.
    families : FamiliesOfChannels
        Per channel the lines of its bearing; empty without bearing, speed or usable signal.
    health : sequence of SensorHealth
        Per channel the state of the signal itself.
    transforms : Transforms or None
        What the features were made from; the engine's next window overwrites it.
    """

    values: F32
    families: FamiliesOfChannels
    health: Sequence[SensorHealth]
    transforms: Transforms | None = None


class FeatureEngine:
    """Features of windows of one shape.

    Parameters
    ----------
    n_channels, n_samples : int
        Shape of the windows; at least 2 samples.
    sampling_rate_hz : float
        Their sampling rate.
    bearings : sequence of BearingGeometry or None
        The bearing each channel listens to.

    Raises
    ------
    SignalError
        If the shape, the sampling rate or the number of bearings is unusable.
    """

    def __init__(
        self, n_channels: int, n_samples: int, sampling_rate_hz: float, bearings: Sequence[BearingGeometry | None]
    ) -> None:
        if n_channels < 1 or n_samples < _SHORTEST:
            raise SignalError(f"{n_channels} channels of {n_samples} samples; at least 1 and {_SHORTEST} needed")
        if not 0 < sampling_rate_hz < math.inf:
            raise SignalError(f"sampling rate {sampling_rate_hz} Hz; a positive number needed")
        if len(bearings) != n_channels:
            raise SignalError(f"{len(bearings)} bearings for {n_channels} channels")
        self._shape = (n_channels, n_samples)
        self._rate_hz = sampling_rate_hz
        self._bin_hz = sampling_rate_hz / n_samples
        self._bearings = tuple(bearings)
        n_bins = n_samples // 2 + 1
        self._moments = np.empty((n_channels, len(time_domain.COLUMNS)))
        rows = max(_FEWEST_ROWS, min(_MOST_ROWS, _CACHED_SAMPLES // n_samples))
        self._centred = np.empty((rows, n_samples), np.float32)
        self._lowest_bin = math.ceil(_LOWEST_LINE_HZ / self._bin_hz)
        self._spectrum = np.empty((n_channels, n_bins), np.complex64)
        self._power = np.empty((n_channels, n_bins), np.float32)
        self._power_shape = np.empty((n_channels, len(mean_square.SHAPE_COLUMNS)))
        self._power_units = np.array([self._bin_hz, 1.0, self._bin_hz, 1.0])
        self._band_columns, self._edges = _band_edges(self._bin_hz, n_bins)
        self._bands_g = np.empty((n_channels, len(self._edges)))
        self._settled = _SETTLED * np.sqrt((self._edges[:, 1] - self._edges[:, 0]) * 2.0 / n_samples)
        self._envelopes = envelope.Envelopes(n_samples)
        self._lowest = LowBins(n_channels, n_samples, sampling_rate_hz)
        self._motion = velocity.Motion(n_channels, n_samples, sampling_rate_hz, self._lowest)
        self._orders = OrderLines(n_channels, n_samples, sampling_rate_hz, self._lowest)

    def compute(self, samples_g: F32, speed_rpm: float | None, bands_hz: F64) -> FeatureBlock:
        """Return the features of one window.

        Parameters
        ----------
        samples_g : ndarray, shape (n_channels, n_samples), float32, C-contiguous
            Acceleration, g.
        speed_rpm : float or None
            Shaft speed; without one (or at standstill) nothing that depends on it is defined.
        bands_hz : ndarray, shape (n_channels, 2), float64
            Demodulation bands, as `choose_bands` returns them.

        Returns
        -------
        block : FeatureBlock
            Feature vectors, fault lines and sensor health.

        Raises
        ------
        SignalError
            If an array has another shape or type than it should, or the speed isn't a number.
        """
        self._check(samples_g, speed_rpm, bands_hz)
        speed = speed_rpm if speed_rpm is not None and speed_rpm > 0 else None
        analyse(
            samples_g,
            self._centred,
            self._moments,
            self._spectrum,
            self._power,
            self._lowest_bin,
            self._power_shape,
            self._edges,
            self._bands_g,
        )
        self._lowest.start(samples_g, self._moments, self._spectrum)
        self._mend_bands()
        values = np.empty((self._shape[0], len(FEATURES)))
        collect(self._moments, self._power_shape, self._power_units, self._bands_g, self._band_columns, values)
        motion = self._motion.measure(self._moments, self._spectrum, self._power, speed)
        if motion is not None:
            values[:, _MOTION_COLUMNS] = motion
        if speed is not None:
            self._orders.measure(self._moments, self._power, speed, values)
        states = HealthOfChannels(self._moments.copy(), self._shape[1])
        families = self._bearing_features(values, speed, bands_hz)
        if self._moments[:, INDEX["not_finite"]].any():
            values[self._moments[:, INDEX["not_finite"]] > 0] = np.nan
        return FeatureBlock(values.astype(np.float32), families, states, Transforms(self._spectrum, self._power))

    def _check(self, samples_g: F32, speed_rpm: float | None, bands_hz: F64) -> None:
        if samples_g.shape != self._shape or samples_g.dtype != np.float32 or not samples_g.flags.c_contiguous:
            raise SignalError(f"samples {samples_g.dtype}{samples_g.shape}; C-contiguous float32{self._shape} needed")
        if speed_rpm is not None and not math.isfinite(speed_rpm):
            raise SignalError(f"speed {speed_rpm} rpm is not a number")
        if bands_hz.shape != (self._shape[0], 2):
            raise SignalError(f"bands of shape {bands_hz.shape}; {(self._shape[0], 2)} needed")

    def _mend_bands(self) -> None:
        """Measure the bands of a channel that has next to nothing in one of them in double precision."""
        faint = (self._bands_g < self._settled * self._moments[:, INDEX["rms"], np.newaxis]).any(axis=1)
        for c in np.flatnonzero(faint).tolist():
            mean_square.band_rms(self._lowest.whole_power(c), self._edges, self._bands_g[c : c + 1])

    def _bearing_features(self, values: F64, speed_rpm: float | None, bands_hz: F64) -> FamiliesOfChannels:
        values[:, FEATURE_INDEX["envelope_low_hz"]] = bands_hz[:, 0]
        values[:, FEATURE_INDEX["envelope_high_hz"]] = bands_hz[:, 1]
        found = FamiliesOfChannels(self._shape[0])
        if speed_rpm is None or not any(self._bearings):
            return found
        holds_signal = health.holds_signal(self._moments, self._shape[1])
        for band, geometry, channels in self._alike(bands_hz, holds_signal):
            first, last = envelope.band_bins(*band, self._bin_hz, self._shape[1])
            n_bins = min(bins_needed(self._bin_hz, geometry, speed_rpm), last - first)
            question = Question.of(geometry, speed_rpm, self._bin_hz, n_bins)
            if question.answerable:
                amplitudes, mean_squares = self._envelopes.spectra(self._spectrum, channels, first, last, n_bins)
                answers = question.answer(amplitudes)
                floors = (_ROUNDING_SHARE * self._moments[channels, INDEX["rms"]]) ** 2
                answers[~(0.5 * mean_squares > floors)] = np.nan
                values[channels[:, np.newaxis], _FAMILY_COLUMNS] = answers[:, :, 1]
            else:
                answers = np.full((channels.size, len(FAMILY_NAMES), 1), np.nan)
            for c, answer in zip(channels.tolist(), answers, strict=True):
                found.answer(c, question, answer)
        return found

    def _alike(
        self, bands_hz: F64, holds_signal: npt.NDArray[np.bool_]
    ) -> list[tuple[tuple[float, float], BearingGeometry, npt.NDArray[np.int64]]]:
        """Return the channels that have the same band and bearing, which are worked on together."""
        alike: dict[tuple[float, float, BearingGeometry], list[int]] = {}
        for c, (geometry, (low_hz, high_hz)) in enumerate(zip(self._bearings, bands_hz.tolist(), strict=True)):
            if geometry is not None and holds_signal[c]:
                alike.setdefault((low_hz, high_hz, geometry), []).append(c)
        return [((low, high), geometry, np.array(rows)) for (low, high, geometry), rows in alike.items()]


def _band_edges(bin_hz: float, n_bins: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the columns of the acceleration bands that the spectrum reaches, and their first and last bins."""
    nyquist_hz = (n_bins - 1) * bin_hz
    bins = [n_bins if edge >= nyquist_hz else math.ceil(edge / bin_hz - 1e-9) for edge in _ACCELERATION_EDGES_HZ]
    held = [(FEATURE_INDEX[name], b) for name, b in zip(_BANDS, itertools.pairwise(bins), strict=True) if b[1] > b[0]]
    columns = np.array([column for column, _ in held], np.int64)
    return columns, np.array([edges for _, edges in held], np.int64).reshape(-1, 2)


def warm_up(report: Callable[[str], None] = lambda _: None) -> None:
    """Compile every kernel (or load it from the cache), so that no stream waits for it later.

    Parameters
    ----------
    report : callable
        Called with the name of each step before it starts.
    """
    noise = np.random.default_rng(1).standard_normal((2, 4096)).astype(np.float32)
    report("demodulation bands")
    bands_hz = choose_bands(noise, 4096.0)
    report("features")
    for n_channels in (1, 2):  # a column of one row lies in memory as a whole, and is another type to a kernel
        engine = FeatureEngine(n_channels, 4096, 4096.0, (bearing("6205"),) * n_channels)
        engine.compute(noise[:n_channels], 1800.0, bands_hz[:n_channels])
    # next to a strong line there is little that moves, or nothing: both kinds of double precision
    line = np.sin(2.0 * np.pi * 900.0 / 4096.0 * np.arange(4096.0)).astype(np.float32)
    for share in (0.01, 0.0):
        FeatureEngine(1, 4096, 4096.0, (None,)).compute(line + np.float32(share) * noise[:1], 1800.0, bands_hz[:1])
