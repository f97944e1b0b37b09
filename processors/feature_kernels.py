"""The two kernels that most of a feature vector comes from: what is measured of a channel, and where it is written."""

from typing import Final

import numpy as np
import numpy.typing as npt
from rocket_fft import r2c

from contracts.features import FEATURE_INDEX
from processors import mean_square, time_domain
from processors.kernel import kernel
from processors.time_domain import INDEX

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
C64 = npt.NDArray[np.complex64]

#: Which features come from which columns of the moments, and from those of the power spectrum's shape.
_FROM_MOMENTS: Final = {
    "rms_g": "rms",
    "peak_g": "peak",
    "peak_to_peak_g": "peak_to_peak",
    "crest_factor": "crest_factor",
    "kurtosis": "kurtosis",
    "skewness": "skewness",
    "shape_factor": "shape_factor",
    "impulse_factor": "impulse_factor",
    "clearance_factor": "clearance_factor",
    "clipped_samples": "clipped",
    "bias_g": "mean",
}
_MOMENT_COLUMNS: Final = np.array([FEATURE_INDEX[name] for name in _FROM_MOMENTS])
_MOMENTS: Final = np.array([INDEX[column] for column in _FROM_MOMENTS.values()])
_POWER_COLUMNS: Final = np.array(
    [
        FEATURE_INDEX[name]
        for name in ("spectral_centroid_hz", "spectral_entropy", "dominant_frequency_hz", "dominant_amplitude_g")
    ]
)


@kernel()
def collect(
    moments: F64, shape: F64, units: F64, bands_g: F64, band_columns: npt.NDArray[np.int64], values: F64
) -> None:
    """Fill the columns of `values` that come from moments, power and bands, the others with NaN."""
    values[:] = np.nan
    for c in range(values.shape[0]):
        for k in range(_MOMENTS.size):
            values[c, _MOMENT_COLUMNS[k]] = moments[c, _MOMENTS[k]]
        for k in range(_POWER_COLUMNS.size):
            values[c, _POWER_COLUMNS[k]] = shape[c, k] * units[k]
        for k in range(band_columns.size):
            values[c, band_columns[k]] = bands_g[c, k]


@kernel()
def analyse(
    samples: F32,
    centred: F32,
    moments: F64,
    spectrum: C64,
    power: F32,
    lowest_bin: int,
    shape: F64,
    edges: npt.NDArray[np.int64],
    bands_g: F64,
) -> None:
    """Fill moments, plain FFT, mean square, its shape and its bands; `centred` (rows, n_samples) holds a few at a time.

    So many rows stay in the processor's cache from the samples to the bands.
    """
    axes = np.array([1])
    for start in range(0, samples.shape[0], centred.shape[0]):
        stop = min(start + centred.shape[0], samples.shape[0])
        rows = centred[: stop - start]
        time_domain.moments(samples[start:stop], moments[start:stop], rows)
        r2c(rows, spectrum[start:stop], axes, True, 1.0, 1)
        mean_square.hann_mean_square(spectrum[start:stop], samples.shape[1], power[start:stop])
        mean_square.describe_power(power[start:stop], lowest_bin, shape[start:stop])
        mean_square.band_rms(power[start:stop], edges, bands_g[start:stop])
