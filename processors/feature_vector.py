"""One window's features by name, for whoever has samples in hand: a notebook, a test, a script.

The same engine as in the stream and, with the same band, the same bits.
"""

import math
import warnings
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from contracts.assets import MeasurementPoint
from contracts.errors import ConfigurationError, SignalError
from contracts.features import EVERYTHING, FEATURE_NAMES, unknown_features
from contracts.own_features import OwnFeature
from processors.bearings import bearing as geometry_of
from processors.chosen_features import ChosenFeatures, chosen_names
from processors.features import FeatureEngine
from processors.own_features import FeatureCode


def features_of(
    samples_g: npt.ArrayLike,
    sampling_rate_hz: float,
    *,
    speed_rpm: float | None = None,
    bearing: str | None = None,
    band_hz: tuple[float, float] | None = None,
    chosen: Sequence[str] = (EVERYTHING,),
    own: Sequence[OwnFeature] = (),
) -> dict[str, float | None]:
    """Return the features of one window of one channel.

    Parameters
    ----------
    samples_g : array_like, shape (n_samples,)
        Acceleration, g; computed as float32.
    sampling_rate_hz : float
        Sampling rate.
    speed_rpm : float, optional
        Shaft speed; without it orders and bearing lines aren't defined.
    bearing : str, optional
        Designation of the bearing, e.g. ``6205``.
    band_hz : tuple of (float, float), optional
        Demodulation band. The stream keeps one for several windows; without it, it is chosen from this window.
    chosen : sequence of str
        Sets and features, as at a measurement point.
    own : sequence of OwnFeature
        Features of the user's own; one that fails gives null and a warning.

    Returns
    -------
    features : dict of str to float or None
        The chosen features of the catalogue in its order, then the own ones by name; null where undefined.

    Raises
    ------
    ConfigurationError
        If a name or the bearing isn't known.
    SignalError
        If the samples aren't one-dimensional or are too few, or the sampling rate or the speed is unusable.

    Examples
    --------
    >>> from contracts.own_features import own_feature
    >>> @own_feature(unit="1", reference="plant standard 7")
    ... def share_above_1_g(samples_g, sampling_rate_hz, speed_rpm):
    ...     return float(np.mean(np.abs(samples_g) > 1.0))
    >>> seconds = np.arange(25_600) / 25_600.0
    >>> sine = 2.0 * np.sin(2.0 * np.pi * 160.0 * seconds)
    >>> found = features_of(sine, 25_600.0, chosen=("overall", "share_above_1_g"), own=[share_above_1_g])
    >>> for name, value in found.items():
    ...     print(f"{name} {value:.2f}")
    rms_g 1.41
    peak_g 2.00
    velocity_rms_mm_s 13.80
    displacement_rms_um 13.72
    displacement_pp_um 38.81
    share_above_1_g 0.66
    """
    samples = np.ascontiguousarray(samples_g, dtype=np.float32)
    if samples.ndim != 1:
        raise SignalError(f"samples of shape {samples.shape}; one channel, (n_samples,), needed")
    code = FeatureCode(own={feature.name: feature for feature in own}, report=_warn)
    unknown = unknown_features(chosen, code.own)
    if unknown:
        raise ConfigurationError(f"no such feature or set: {', '.join(unknown)}")
    point = MeasurementPoint(point_id="", location="", direction="radial", features=tuple(chosen))
    choice = ChosenFeatures.of([point], code.own)
    geometry = geometry_of(bearing) if bearing is not None else None
    engine = FeatureEngine(1, samples.size, sampling_rate_hz, choice.geometries([geometry]))
    rows = samples[np.newaxis]
    bands_hz = choice.choose_bands(rows, sampling_rate_hz) if band_hz is None else np.array([band_hz], np.float64)
    values = choice.applied(engine.compute(rows, speed_rpm, bands_hz)).values[0].tolist()
    names, _ = chosen_names(chosen, code.own)
    catalogue = {
        name: None if math.isnan(value) else value
        for name, value in zip(FEATURE_NAMES, values, strict=True)
        if name in names
    }
    return catalogue | code.values(choice.own[0], "", samples, sampling_rate_hz, speed_rpm)


def _warn(feature: str, channel_id: str, problem: str) -> None:
    del channel_id
    warnings.warn(f"own feature {feature}: {problem}", RuntimeWarning, stacklevel=4)
