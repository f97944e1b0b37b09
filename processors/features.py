"""The feature vector of an analysis window: what one window of all channels of an asset comes down to.

Everything here is a function of the samples, the speed and the demodulation bands. One FFT serves power spectrum,
velocity, displacement and envelope. A row gives the same bits whatever rows lie beside it.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import scipy.fft

from contracts.errors import SignalError
from contracts.features import FEATURE_INDEX, FEATURES
from processors import envelope, health, mean_square, time_domain, velocity
from processors.bearings import BearingGeometry, bearing
from processors.envelope import choose_bands
from processors.families import LineFamily, bins_needed, find_families
from processors.health import SensorHealth
from processors.spectrum import interpolated_peak
from processors.time_domain import INDEX

__all__ = ["FeatureBlock", "FeatureEngine", "choose_bands", "warm_up"]

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
C64 = npt.NDArray[np.complex64]

_SHORTEST: Final = 2
_LOWEST_LINE_HZ: Final = 2.0
#: An order line is looked for within this share of its frequency, and at least so many bins.
_ORDER_SHARE: Final = 0.01
_ORDER_BINS: Final = 1.5
#: Orders of the shaft lie at least this many bins apart, or they are not told from each other.
_ORDER_SPACING_BINS: Final = 4.0
#: A band that holds less than this share of the signal's rms holds the rounding of its numbers, no envelope.
_ROUNDING_SHARE: Final = 1e-5
#: Stands for no power where a logarithm is taken; such a bin has no share in the entropy.
_SMALLEST: Final = float(np.finfo(np.float64).tiny)
_ACCELERATION_EDGES_HZ: Final = (10.0, 1000.0, 5000.0, math.inf)


@dataclass(frozen=True, slots=True)
class FeatureBlock:
    """What one analysis window comes down to.

    Parameters
    ----------
    values : ndarray, shape (n_channels, len(FEATURES)), float32
        The feature vectors; NaN where undefined.
    families : tuple of tuple of LineFamily
        Per channel the lines of its bearing; empty without bearing, speed or usable signal.
    health : tuple of SensorHealth
        Per channel the state of the signal itself.
    """

    values: F32
    families: tuple[tuple[LineFamily, ...], ...]
    health: tuple[SensorHealth, ...]


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
        self._centred = np.empty(self._shape, np.float32)
        self._power = np.empty((n_channels, n_bins))
        self._logarithms = np.empty((n_channels, n_bins))
        self._power_shape = np.empty((n_channels, len(mean_square.SHAPE_COLUMNS)))
        self._integrated = np.empty((n_channels, 2))
        self._line = np.empty((n_channels, 2))
        self._edges = _band_edges(self._bin_hz, n_bins)
        self._bands_g = np.empty((n_channels, len(self._edges)))
        self._wave = velocity.DisplacementWave(n_channels, n_samples, sampling_rate_hz)

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
        time_domain.moments(samples_g, self._moments, self._centred)
        spectrum: C64 = scipy.fft.rfft(self._centred, axis=1)
        mean_square.hann_mean_square(spectrum, self._shape[1], self._power)
        values = np.full((self._shape[0], len(FEATURES)), np.nan)
        self._time_features(values)
        self._power_features(values)
        self._motion_features(values, speed)
        if speed is not None:
            self._order_features(values, speed)
        states = tuple(health.judge(row, self._shape[1]) for row in self._moments)
        families = self._bearing_features(values, spectrum, speed, bands_hz, states)
        values[self._moments[:, INDEX["not_finite"]] > 0] = np.nan
        return FeatureBlock(values.astype(np.float32), families, states)

    def _check(self, samples_g: F32, speed_rpm: float | None, bands_hz: F64) -> None:
        if samples_g.shape != self._shape or samples_g.dtype != np.float32 or not samples_g.flags.c_contiguous:
            raise SignalError(f"samples {samples_g.dtype}{samples_g.shape}; C-contiguous float32{self._shape} needed")
        if speed_rpm is not None and not math.isfinite(speed_rpm):
            raise SignalError(f"speed {speed_rpm} rpm is not a number")
        if bands_hz.shape != (self._shape[0], 2):
            raise SignalError(f"bands of shape {bands_hz.shape}; {(self._shape[0], 2)} needed")

    def _time_features(self, values: F64) -> None:
        moments = self._moments
        crest, shape, impulse, clearance = time_domain.ratios(moments)
        columns = {
            "rms_g": moments[:, INDEX["rms"]],
            "peak_g": moments[:, INDEX["peak"]],
            "peak_to_peak_g": moments[:, INDEX["peak_to_peak"]],
            "crest_factor": crest,
            "kurtosis": moments[:, INDEX["kurtosis"]],
            "skewness": moments[:, INDEX["skewness"]],
            "shape_factor": shape,
            "impulse_factor": impulse,
            "clearance_factor": clearance,
            "clipped_samples": moments[:, INDEX["clipped"]],
            "bias_g": moments[:, INDEX["mean"]],
        }
        for name, column in columns.items():
            values[:, FEATURE_INDEX[name]] = column

    def _power_features(self, values: F64) -> None:
        # whole arrays of logarithms are five times as fast as one at a time in the kernel
        np.log(np.maximum(self._power, _SMALLEST, out=self._logarithms), out=self._logarithms)
        lowest_bin = math.ceil(_LOWEST_LINE_HZ / self._bin_hz)
        mean_square.describe_power(self._power, self._logarithms, lowest_bin, self._power_shape)
        mean_square.band_rms(self._power, self._edges, self._bands_g)
        values[:, FEATURE_INDEX["spectral_centroid_hz"]] = self._power_shape[:, 0] * self._bin_hz
        values[:, FEATURE_INDEX["spectral_entropy"]] = self._power_shape[:, 1]
        for index, name in enumerate(("band_low_g", "band_mid_g", "band_high_g")):
            if self._edges[index, 1] > self._edges[index, 0]:
                values[:, FEATURE_INDEX[name]] = self._bands_g[:, index]
        for c, dominant in enumerate(self._power_shape[:, 2]):
            if math.isfinite(dominant) and 1 <= dominant < self._power.shape[1] - 1:
                k = int(dominant)
                # √3 takes the rms share of a bin to the Hann amplitude of the line in it
                magnitudes = np.sqrt(3.0 * self._power[c, k - 1 : k + 2])
                position, amplitude = interpolated_peak(magnitudes, 1)
                values[c, FEATURE_INDEX["dominant_frequency_hz"]] = (k - 1 + position) * self._bin_hz
                values[c, FEATURE_INDEX["dominant_amplitude_g"]] = amplitude

    def _motion_features(self, values: F64, speed_rpm: float | None) -> None:
        low_hz, high_hz = velocity.band_hz(speed_rpm)
        if self._bin_hz > low_hz or self._rate_hz < 2.0 * high_hz:
            return
        first = math.ceil(low_hz / self._bin_hz - 1e-9)
        last = min(math.floor(high_hz / self._bin_hz + 1e-9), self._power.shape[1] - 1)
        velocity.integrated_rms(self._power, first, last, self._bin_hz, self._integrated)
        values[:, FEATURE_INDEX["velocity_rms_mm_s"]] = self._integrated[:, 0]
        values[:, FEATURE_INDEX["displacement_rms_um"]] = self._integrated[:, 1]
        values[:, FEATURE_INDEX["displacement_pp_um"]] = self._wave.peak_to_peak_um(self._centred, first, last)

    def _order_features(self, values: F64, speed_rpm: float) -> None:
        shaft_bins = speed_rpm / 60.0 / self._bin_hz
        if shaft_bins < _ORDER_SPACING_BINS:
            return
        for order in (1, 2, 3):
            position = order * shaft_bins
            mean_square.line_rms(self._power, position, max(_ORDER_BINS, _ORDER_SHARE * position), self._line)
            omega = 2.0 * math.pi * self._bin_hz * self._line[:, 0]
            values[:, FEATURE_INDEX[f"order_{order}x_mm_s"]] = velocity.MM_S2_PER_G * self._line[:, 1] / omega

    def _bearing_features(
        self,
        values: F64,
        spectrum: C64,
        speed_rpm: float | None,
        bands_hz: F64,
        states: tuple[SensorHealth, ...],
    ) -> tuple[tuple[LineFamily, ...], ...]:
        values[:, FEATURE_INDEX["envelope_low_hz"]] = bands_hz[:, 0]
        values[:, FEATURE_INDEX["envelope_high_hz"]] = bands_hz[:, 1]
        found: list[tuple[LineFamily, ...]] = [()] * len(self._bearings)
        if speed_rpm is None:
            return tuple(found)
        for c, geometry, amplitudes in self._envelope_spectra(spectrum, speed_rpm, bands_hz, states):
            found[c] = find_families(amplitudes, self._bin_hz, geometry, speed_rpm)
            for family in found[c]:
                if family.score_db is not None:
                    values[c, FEATURE_INDEX[f"{family.name.lower()}_db"]] = family.score_db
        return tuple(found)

    def _envelope_spectra(
        self, spectrum: C64, speed_rpm: float, bands_hz: F64, states: tuple[SensorHealth, ...]
    ) -> Iterator[tuple[int, BearingGeometry, F32]]:
        """Yield channel, bearing and squared envelope spectrum; empty where the band holds nothing to look at.

        Channels with the same band and as many lines to look at are transformed together: that is twice as fast.
        """
        alike: dict[tuple[int, int, int], list[tuple[int, BearingGeometry]]] = {}
        for c, geometry in enumerate(self._bearings):
            if geometry is not None and states[c].verdict not in ("invalid", "dead"):
                first, last = envelope.band_bins(bands_hz[c, 0], bands_hz[c, 1], self._bin_hz, self._shape[1])
                needed = min(bins_needed(self._bin_hz, geometry, speed_rpm), last - first)
                alike.setdefault((first, last, needed), []).append((c, geometry))
        for (first, last, needed), members in alike.items():
            if last == first:
                yield from ((c, geometry, np.empty(0, np.float32)) for c, geometry in members)
                continue
            channels = [c for c, _ in members]
            every = len(channels) == self._shape[0]
            squared = envelope.squared_envelope(
                spectrum if every else spectrum[channels], self._shape[1], first, last, needed
            )
            amplitudes: F32 = envelope.envelope_spectrum(squared, needed)
            for row, (c, geometry) in enumerate(members):
                holds_signal = 0.5 * float(squared[row].mean()) > (_ROUNDING_SHARE * states[c].rms_g) ** 2
                yield c, geometry, amplitudes[row] if holds_signal else amplitudes[row, :0]


def _band_edges(bin_hz: float, n_bins: int) -> npt.NDArray[np.int64]:
    nyquist_hz = (n_bins - 1) * bin_hz
    bins = [n_bins if edge >= nyquist_hz else math.ceil(edge / bin_hz - 1e-9) for edge in _ACCELERATION_EDGES_HZ]
    return np.array(list(itertools.pairwise(bins)), np.int64)


def warm_up(report: Callable[[str], None] = lambda _: None) -> None:
    """Compile every kernel (or load it from the cache), so that no stream waits for it later.

    Parameters
    ----------
    report : callable
        Called with the name of each step before it starts.
    """
    noise = np.random.default_rng(1).standard_normal((1, 4096)).astype(np.float32)
    report("demodulation bands")
    bands_hz = choose_bands(noise, 4096.0)
    report("features")
    FeatureEngine(1, 4096, 4096.0, (bearing("6205"),)).compute(noise, 1800.0, bands_hz)
