"""Why a score is high, in the field's words: which features left their baseline, from what to what."""

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from contracts.features import FEATURE_INDEX, FEATURES
from contracts.records import Evidence
from processors.scoring.baseline import FLAG_Z, Regime

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
    learnt : sequence of Regime or None
        Each channel's regime, where it has been learnt.
    """

    def __init__(self, values: NDArray[np.float64], learnt: Sequence[Regime | None]) -> None:
        self._values = values
        self._learnt = learnt
        self._said: dict[tuple[int, int], Evidence] = {}

    def heaviest(self, rows: Iterable[int], weights: NDArray[np.float64]) -> dict[int, tuple[Evidence, ...]]:
        """Return for some channels the features that weigh most, (n, F); NaN or weights ≤ 0 are left out."""
        chosen = [row for row in rows if self._learnt[row] is not None]
        of_rows = weights[chosen]
        columns = np.argsort(-np.where(of_rows > 0.0, of_rows, -np.inf), axis=1, kind="stable")[:, :MAX_FACTS]
        counts = (of_rows > 0.0).sum(axis=1)
        return {
            row: tuple([self._said.get((row, column)) or self._say(row, column) for column in heaviest[:count]])
            for row, heaviest, count in zip(chosen, columns.tolist(), counts.tolist(), strict=True)
        }

    def _say(self, row: int, column: int) -> Evidence:
        regime, feature, now = self._learnt[row], FEATURES[column], self._values.item(row, column)
        if regime is None or regime.centre is None or regime.scale is None:
            raise ValueError(f"channel {row} has no baseline to compare with")
        before, spread = regime.centre.item(column), FLAG_Z * regime.scale.item(column)
        self._said[row, column] = said = Evidence(
            name=feature.name,
            value=now,
            unit=feature.unit,
            limit=before + spread if now >= before else before - spread,
            frequency_hz=None,
            text=f"{_SAID[column]} {_change(before, now, feature.unit)}",
        )
        return said


def _change(before: float, now: float, unit: str) -> str:
    """Return what an analyst says of a change: levels by their difference, quantities from what to what."""
    if unit == "dB":
        return f"{now - before:+.0f} dB"
    return f"{before:.2g} → {now:.2g}" if unit == "1" else f"{before:.2g} → {now:.2g} {unit}"


def _words(name: str) -> str:
    return _WORDS.get(name) or name.removesuffix("_hz").removesuffix("_g").replace("_", " ")


_SAID: Final = tuple(_words(feature.name) for feature in FEATURES)
