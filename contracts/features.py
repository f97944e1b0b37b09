"""The feature catalogue: names, units and order of the values in every feature vector.

The order is part of the contract; a change of meaning or order raises ``CATALOGUE_VERSION``.
"""

from dataclasses import dataclass
from typing import Final

CATALOGUE_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Feature:
    """One value of the feature vector: name (with unit), unit, and what it is."""

    name: str
    unit: str
    description: str


FEATURES: Final[tuple[Feature, ...]] = (
    Feature("rms_g", "g", "root mean square, mean removed"),
    Feature("peak_g", "g", "largest absolute value, mean removed"),
    Feature("peak_to_peak_g", "g", "largest minus smallest value"),
    Feature("crest_factor", "1", "peak over rms"),
    Feature("kurtosis", "1", "fourth moment over squared variance; 3 for Gaussian noise"),
    Feature("skewness", "1", "third moment over cubed standard deviation"),
    Feature("shape_factor", "1", "rms over mean absolute value"),
    Feature("impulse_factor", "1", "peak over mean absolute value"),
    Feature("clearance_factor", "1", "peak over squared mean root of absolute values"),
    Feature("velocity_rms_mm_s", "mm/s", "velocity 10-1000 Hz (2-1000 Hz below 600 rpm)"),
    Feature("displacement_rms_um", "um", "displacement over the same band, root mean square"),
    Feature("displacement_pp_um", "um", "displacement over the same band, true peak to peak"),
    Feature("order_1x_mm_s", "mm/s", "velocity rms of the line at 1x shaft speed"),
    Feature("order_2x_mm_s", "mm/s", "velocity rms of the line at 2x shaft speed"),
    Feature("order_3x_mm_s", "mm/s", "velocity rms of the line at 3x shaft speed"),
    Feature("band_low_g", "g", "acceleration rms, 10 Hz to 1 kHz"),
    Feature("band_mid_g", "g", "acceleration rms, 1 to 5 kHz (or Nyquist)"),
    Feature("band_high_g", "g", "acceleration rms above 5 kHz; null where fs <= 10 kHz"),
    Feature("spectral_centroid_hz", "Hz", "power-weighted mean frequency"),
    Feature("spectral_entropy", "1", "Shannon entropy of the power spectrum over ln K"),
    Feature("dominant_frequency_hz", "Hz", "frequency of the largest spectral line above 2 Hz"),
    Feature("dominant_amplitude_g", "g", "peak amplitude of that line"),
    Feature("bpfo_db", "dB", "squared envelope spectrum, outer-race family over its local floor"),
    Feature("bpfi_db", "dB", "the same for the inner race"),
    Feature("bsf_db", "dB", "the same for the rolling element (2x spin frequency)"),
    Feature("ftf_db", "dB", "the same for the cage"),
    Feature("envelope_low_hz", "Hz", "lower edge of the demodulation band"),
    Feature("envelope_high_hz", "Hz", "upper edge of the demodulation band"),
    Feature("clipped_samples", "1", "samples at the largest magnitude, where 3 or more are equal in a row"),
    Feature("bias_g", "g", "mean of the samples"),
)

FEATURE_NAMES: Final[tuple[str, ...]] = tuple(feature.name for feature in FEATURES)
FEATURE_INDEX: Final[dict[str, int]] = {name: index for index, name in enumerate(FEATURE_NAMES)}
