"""The feature catalogue: names, units and order of the values in every feature vector, and where each comes from.

The order is part of the contract; a change of meaning or order raises ``CATALOGUE_VERSION``, a change of how one value
is computed the feature's own version. A measurement point chooses among them by name, or by the name of a set.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

CATALOGUE_VERSION: Final = 1


class Machines(StrEnum):
    """Which machine types a feature says something of."""

    ALL = "all"
    SHAFT = "with a shaft of known speed"
    ROLLING_BEARING = "with a known rolling bearing at known speed"


@dataclass(frozen=True, slots=True)
class Feature:
    """One value of the feature vector.

    Parameters
    ----------
    name : str
        With its unit at the end.
    unit : str
        ``1`` where dimensionless.
    description : str
        What it is.
    function : str
        Dotted path of what computes it.
    reference : str
        Standard, paper or textbook with its definition.
    machines : Machines
        Which machine types use it; null elsewhere.
    version : int
        Of its computation.
    """

    name: str
    unit: str
    description: str
    function: str
    reference: str
    machines: Machines = Machines.ALL
    version: int = 1


_MOMENTS: Final = "processors.time_domain.moments"
_INTEGRATED: Final = "processors.velocity.integrated_rms"
_ORDER: Final = "processors.mean_square.line_rms"
_BAND: Final = "processors.mean_square.band_rms"
_POWER: Final = "processors.mean_square.describe_power"
_FAMILY: Final = "processors.families.find_families"
_CHOICE: Final = "processors.band_choice.choose_bands"

_TEXTBOOK: Final = "R. B. Randall, Vibration-based Condition Monitoring, Wiley 2011"
_FACTORS: Final = "Y. Lei, Intelligent Fault Diagnosis and Remaining Useful Life Prediction of Rotating Machinery, 2017"
_SPECTRA: Final = "ISO 13373-2:2016, processing of vibration data"
_ENTROPY: Final = "C. E. Shannon, Bell Syst. Tech. J. 27 (1948), 379-423, of the power spectrum as a distribution"
_INTERPOLATED: Final = "T. Grandke, IEEE Trans. Instrum. Meas. 32 (1983), 350-355, Hann window"
_BEARINGS: Final = (
    "R. B. Randall and J. Antoni, Rolling element bearing diagnostics: a tutorial, MSSP 25 (2011), 485-520"
)
_INFOGRAM: Final = (
    "J. Antoni, The infogram, MSSP 74 (2016), 73-94; bands of the fast kurtogram, MSSP 21 (2007), 108-124"
)
_KURTOSIS: Final = "D. Dyer and R. M. Stewart, J. Mech. Design 100 (1978), 229-235"
_MOMENT_DEFINITION: Final = "standardised third moment, 1/N; textbook definition"
_HEALTH: Final = "signal health, definition of this project (processors/time_domain.py)"

FEATURES: Final[tuple[Feature, ...]] = (
    Feature("rms_g", "g", "root mean square, mean removed", _MOMENTS, _TEXTBOOK),
    Feature("peak_g", "g", "largest absolute value, mean removed", _MOMENTS, _TEXTBOOK),
    Feature("peak_to_peak_g", "g", "largest minus smallest value", _MOMENTS, _TEXTBOOK),
    Feature("crest_factor", "1", "peak over rms", _MOMENTS, _TEXTBOOK),
    Feature("kurtosis", "1", "fourth moment over squared variance; 3 for Gaussian noise", _MOMENTS, _KURTOSIS),
    Feature("skewness", "1", "third moment over cubed standard deviation", _MOMENTS, _MOMENT_DEFINITION),
    Feature("shape_factor", "1", "rms over mean absolute value", _MOMENTS, _FACTORS),
    Feature("impulse_factor", "1", "peak over mean absolute value", _MOMENTS, _FACTORS),
    Feature("clearance_factor", "1", "peak over squared mean root of absolute values", _MOMENTS, _FACTORS),
    Feature(
        "velocity_rms_mm_s",
        "mm/s",
        "velocity 10-1000 Hz (2-1000 Hz below 600 rpm)",
        _INTEGRATED,
        "ISO 20816-1:2016 and ISO 20816-3:2022",
    ),
    Feature(
        "displacement_rms_um",
        "um",
        "displacement over the same band, root mean square",
        _INTEGRATED,
        "ISO 20816-3:2022",
    ),
    Feature(
        "displacement_pp_um",
        "um",
        "displacement over the same band, true peak to peak",
        "processors.displacement.peak_to_peak",
        "ISO 20816-1:2016",
    ),
    Feature("order_1x_mm_s", "mm/s", "velocity rms of the line at 1x shaft speed", _ORDER, _TEXTBOOK, Machines.SHAFT),
    Feature("order_2x_mm_s", "mm/s", "velocity rms of the line at 2x shaft speed", _ORDER, _TEXTBOOK, Machines.SHAFT),
    Feature("order_3x_mm_s", "mm/s", "velocity rms of the line at 3x shaft speed", _ORDER, _TEXTBOOK, Machines.SHAFT),
    Feature("band_low_g", "g", "acceleration rms, 10 Hz to 1 kHz", _BAND, _SPECTRA),
    Feature("band_mid_g", "g", "acceleration rms, 1 to 5 kHz (or Nyquist)", _BAND, _SPECTRA),
    Feature("band_high_g", "g", "acceleration rms above 5 kHz; null where fs <= 10 kHz", _BAND, _SPECTRA),
    Feature("spectral_centroid_hz", "Hz", "power-weighted mean frequency", _POWER, "textbook definition"),
    Feature("spectral_entropy", "1", "Shannon entropy of the power spectrum over ln K", _POWER, _ENTROPY),
    Feature("dominant_frequency_hz", "Hz", "frequency of the largest spectral line above 2 Hz", _POWER, _INTERPOLATED),
    Feature("dominant_amplitude_g", "g", "peak amplitude of that line", _POWER, _INTERPOLATED),
    Feature(
        "bpfo_db",
        "dB",
        "squared envelope spectrum, outer-race family over its local floor",
        _FAMILY,
        _BEARINGS,
        Machines.ROLLING_BEARING,
    ),
    Feature("bpfi_db", "dB", "the same for the inner race", _FAMILY, _BEARINGS, Machines.ROLLING_BEARING),
    Feature(
        "bsf_db",
        "dB",
        "the same for the rolling element (2x spin frequency)",
        _FAMILY,
        _BEARINGS,
        Machines.ROLLING_BEARING,
    ),
    Feature("ftf_db", "dB", "the same for the cage", _FAMILY, _BEARINGS, Machines.ROLLING_BEARING),
    Feature("envelope_low_hz", "Hz", "lower edge of the demodulation band", _CHOICE, _INFOGRAM),
    Feature("envelope_high_hz", "Hz", "upper edge of the demodulation band", _CHOICE, _INFOGRAM),
    Feature(
        "clipped_samples",
        "1",
        "samples at the largest magnitude, where 3 or more are equal in a row",
        _MOMENTS,
        _HEALTH,
    ),
    Feature("bias_g", "g", "mean of the samples", _MOMENTS, "textbook definition"),
)

FEATURE_NAMES: Final[tuple[str, ...]] = tuple(feature.name for feature in FEATURES)
FEATURE_INDEX: Final[dict[str, int]] = {name: index for index, name in enumerate(FEATURE_NAMES)}

#: The set that holds the whole catalogue, and every feature of the user's own.
EVERYTHING: Final = "all"
#: Levels of the bearing's lines in the envelope spectrum.
LINE_NAMES: Final = ("bpfo_db", "bpfi_db", "bsf_db", "ftf_db")
#: What needs a demodulation band.
ENVELOPE_NAMES: Final = (*LINE_NAMES, "envelope_low_hz", "envelope_high_hz")
#: Sets that a measurement point can choose by name.
FEATURE_SETS: Final[dict[str, tuple[str, ...]]] = {
    EVERYTHING: FEATURE_NAMES,
    "overall": ("rms_g", "peak_g", "velocity_rms_mm_s", "displacement_rms_um", "displacement_pp_um"),
    "time_domain": (*FEATURE_NAMES[:9], "clipped_samples", "bias_g"),
    "orders": ("velocity_rms_mm_s", "order_1x_mm_s", "order_2x_mm_s", "order_3x_mm_s"),
    "spectrum": (
        "band_low_g",
        "band_mid_g",
        "band_high_g",
        "spectral_centroid_hz",
        "spectral_entropy",
        "dominant_frequency_hz",
        "dominant_amplitude_g",
    ),
    "bearing": ENVELOPE_NAMES,
}


def unknown_features(chosen: Iterable[str], own: Iterable[str]) -> list[str]:
    """Return what in a point's choice is neither a set nor a feature.

    Parameters
    ----------
    chosen : iterable of str
        Names of sets and features.
    own : iterable of str
        Names of the user's own features.

    Returns
    -------
    names : list of str
        In their order.

    Examples
    --------
    >>> unknown_features(("bearing", "rms_g", "band_ratio", "rsm_g"), ["band_ratio"])
    ['rsm_g']
    """
    known = {*FEATURE_SETS, *FEATURE_NAMES, *own}
    return [name for name in chosen if name not in known]
