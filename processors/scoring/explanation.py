"""Why a score is high, in the field's words: which features left their baseline, from what to what."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from contracts.features import FEATURE_INDEX, FEATURES
from contracts.records import Evidence

#: Features of which more is worse. A fall isn't counted: it is the regime's, or the sensor's, business.
SEVERITY_FEATURES: Final = (
    "rms_g",
    "peak_g",
    "crest_factor",
    "kurtosis",
    "velocity_rms_mm_s",
    "displacement_rms_um",
    "order_1x_mm_s",
    "order_2x_mm_s",
    "order_3x_mm_s",
    "band_low_g",
    "band_mid_g",
    "band_high_g",
    "bpfo_db",
    "bpfi_db",
    "bsf_db",
    "ftf_db",
)
SEVERITY_COLUMNS: Final[NDArray[np.intp]] = np.array([FEATURE_INDEX[name] for name in SEVERITY_FEATURES])
#: A z beyond ± this is a wild value, and counts as this.
WILD_Z: Final = 20.0
#: Facts given with a score.
MAX_FACTS: Final = 3

_WORDS: Final = {
    "rms_g": "rms",
    "peak_g": "peak",
    "peak_to_peak_g": "peak to peak",
    "velocity_rms_mm_s": "velocity rms",
    "displacement_rms_um": "displacement rms",
    "displacement_pp_um": "displacement peak to peak",
    "order_1x_mm_s": "1X",
    "order_2x_mm_s": "2X",
    "order_3x_mm_s": "3X",
    "band_low_g": "band 10 Hz-1 kHz",
    "band_mid_g": "band 1-5 kHz",
    "band_high_g": "band above 5 kHz",
    "bpfo_db": "envelope at BPFO",
    "bpfi_db": "envelope at BPFI",
    "bsf_db": "envelope at 2xBSF",
    "ftf_db": "envelope at FTF",
}


def severity_z(z: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the z's (F,) of which more is worse; undefined ones count as normal, wild ones as `WILD_Z`."""
    severity = z[SEVERITY_COLUMNS]
    return np.asarray(np.clip(np.where(np.isfinite(severity), severity, 0.0), -WILD_Z, WILD_Z))


def severity_weights(values: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Return weights of all features (F,): `values` of those of which more is worse, NaN of the others."""
    weights = np.full(len(FEATURES), np.nan)
    weights[SEVERITY_COLUMNS] = values
    return weights


def explain(
    weights: NDArray[np.float64],
    values: NDArray[np.float64],
    centre: NDArray[np.float32],
    scale: NDArray[np.float32],
    flag_z: float,
) -> tuple[Evidence, ...]:
    """Return the features that weigh most in a score, heaviest first.

    Parameters
    ----------
    weights : ndarray, shape (F,), float64
        How much each feature contributes; NaN or values ≤ 0 are left out.
    values, centre, scale : ndarray, shape (F,)
        The window's values and the baseline's medians and spreads, in the catalogue's units.
    flag_z : float
        Robust z at which a feature counts as abnormal: gives the limit.
    """
    order = np.argsort(-np.nan_to_num(weights, nan=-np.inf), kind="stable")[:MAX_FACTS]
    facts = []
    for column in order.tolist():
        if not weights[column] > 0:
            continue
        feature, before, now = FEATURES[column], float(centre[column]), float(values[column])
        sign = 1.0 if now >= before else -1.0
        facts.append(
            Evidence(
                name=feature.name,
                value=now,
                unit=feature.unit,
                limit=before + sign * flag_z * float(scale[column]),
                frequency_hz=None,
                text=f"{_words(feature.name)} {_change(before, now, feature.unit)}",
            )
        )
    return tuple(facts)


def _change(before: float, now: float, unit: str) -> str:
    """Return what an analyst says of a change: levels by their difference, quantities from what to what."""
    if unit == "dB":
        return f"{now - before:+.0f} dB"
    return f"{before:.2g} → {now:.2g}" if unit == "1" else f"{before:.2g} → {now:.2g} {unit}"


def _words(name: str) -> str:
    return _WORDS.get(name) or name.removesuffix("_hz").removesuffix("_g").replace("_", " ")
