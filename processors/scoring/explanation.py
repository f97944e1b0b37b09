"""Why a score is high, in the field's words: which features left their baseline, from what to what."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from contracts.features import FEATURE_INDEX, FEATURES
from contracts.records import Evidence
from processors.scoring.baseline import FLAG_Z

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


class Reasons:
    """Why the scores of one window of several channels are high: a fact is put into words once, whatever it explains.

    Parameters
    ----------
    values : ndarray, shape (n, F), float64
        The window's features, in the catalogue's units.
    centres, scales : ndarray, shape (n, F), float64
        The baselines of the channels' regimes.
    """

    def __init__(self, values: NDArray[np.float64], centres: NDArray[np.float64], scales: NDArray[np.float64]) -> None:
        self._values, self._centres, self._scales = values, centres, scales
        self._known = np.isfinite(values) & np.isfinite(centres)
        self._said: dict[int, Evidence] = {}

    def heaviest(self, rows: Sequence[int], weights: NDArray[np.float64]) -> dict[int, tuple[Evidence, ...]]:
        """Return for some channels the features that weigh most, (n, F).

        Left out are weights that aren't above 0, and features that the window or the baseline doesn't know: a model
        rebuilds those, too.
        """
        of_rows = np.where(self._known[rows], weights[rows], np.nan)
        heavy = of_rows > 0.0
        columns = np.argsort(-np.where(heavy, of_rows, -np.inf), axis=1, kind="stable")[:, :MAX_FACTS]
        # a place is that of a feature of a channel: row by row, as in `values`
        places = (columns + np.array(rows, np.intp)[:, np.newaxis] * len(FEATURES)).tolist()
        chosen = [of_row[:count] for of_row, count in zip(places, heavy.sum(axis=1).tolist(), strict=True)]
        said = self._said
        self._say([place for of_row in chosen for place in of_row if place not in said])
        return {row: tuple([said[place] for place in of_row]) for row, of_row in zip(rows, chosen, strict=True)}

    def _say(self, places: list[int]) -> None:
        now, before = self._values.take(places), self._centres.take(places)
        spread = FLAG_Z * self._scales.take(places)
        limits = np.where(now >= before, before + spread, before - spread).tolist()
        columns = (np.array(places, np.intp) % len(FEATURES)).tolist()
        facts = map(_fact, columns, now.tolist(), before.tolist(), limits)
        # all at once, since a frozen record's own constructor takes twice as long
        self._said.update(zip(places, msgspec.convert(list(facts), list[Evidence]), strict=True))


def _fact(column: int, now: float, before: float, limit: float) -> dict[str, Any]:
    """Return the fields of an `Evidence`; as analysts do, levels are told by their difference, the rest from … to."""
    name, unit, words, shown = _SAID[column]
    change = f"{now - before:+.0f}" if unit == "dB" else f"{before:.2g} → {now:.2g}"
    text = f"{words} {change}{shown}"
    return {"name": name, "value": now, "unit": unit, "limit": limit, "frequency_hz": None, "text": text}


def _words(name: str) -> str:
    return _WORDS.get(name) or name.removesuffix("_hz").removesuffix("_g").replace("_", " ")


#: Name, unit and words of each feature, and how the unit is shown.
_SAID: Final = tuple(
    (feature.name, feature.unit, _words(feature.name), "" if feature.unit == "1" else f" {feature.unit}")
    for feature in FEATURES
)
