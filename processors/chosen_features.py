"""What a measurement point's configuration has chosen among the features.

What isn't chosen is null in the vector, and nothing that follows (zone, score, diagnosis) sees it. Envelope lines and
the choice of a demodulation band are most of the cost, so they aren't computed where no chosen feature needs them; the
rest costs less than leaving it out would save.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from contracts.assets import MeasurementPoint
from contracts.features import ENVELOPE_NAMES, EVERYTHING, FEATURE_NAMES, FEATURE_SETS, LINE_NAMES
from processors.bearings import BearingGeometry
from processors.features import FeatureBlock, choose_bands

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


def chosen_names(chosen: Iterable[str], own: Iterable[str]) -> tuple[frozenset[str], tuple[str, ...]]:
    """Return the features of the catalogue, and those of the user's own, that a choice stands for.

    Parameters
    ----------
    chosen : iterable of str
        Names of sets and features.
    own : iterable of str
        Names of the user's own features.

    Returns
    -------
    catalogue : frozenset of str
        Names in the catalogue.
    own : tuple of str
        Names of own features, sorted.

    Examples
    --------
    >>> catalogue, own = chosen_names(("orders", "rms_g", "band_ratio"), ["band_ratio", "tilt_deg"])
    >>> sorted(catalogue), own
    (['order_1x_mm_s', 'order_2x_mm_s', 'order_3x_mm_s', 'rms_g', 'velocity_rms_mm_s'], ('band_ratio',))
    """
    wanted = list(chosen)
    names = {name for entry in wanted for name in FEATURE_SETS.get(entry, (entry,))}
    everything = EVERYTHING in wanted
    return frozenset(names.intersection(FEATURE_NAMES)), tuple(
        sorted(name for name in own if everything or name in names)
    )


@dataclass(frozen=True, slots=True)
class ChosenFeatures:
    """The choice for each channel of a group; made by `of`.

    Parameters
    ----------
    blank : ndarray, shape (n_channels, len(FEATURES)), bool
        What isn't chosen.
    lines : ndarray, shape (n_channels,), bool
        Channels whose bearing lines are looked for.
    bands : ndarray, shape (n_channels,), bool
        Channels for which a demodulation band is chosen.
    own : tuple of tuple of str
        Own features of each channel.
    """

    blank: Flags
    lines: Flags
    bands: Flags
    own: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, points: Sequence[MeasurementPoint], own: Iterable[str]) -> "ChosenFeatures":
        """Return what the points of a group's channels have chosen, of the catalogue and of `own` names."""
        known = tuple(own)
        choices = [chosen_names(point.features, known) for point in points]
        chosen = np.array([[name in names for name in FEATURE_NAMES] for names, _ in choices], dtype=np.bool_)
        lines = np.array([not names.isdisjoint(LINE_NAMES) for names, _ in choices], dtype=np.bool_)
        bands = np.array([not names.isdisjoint(ENVELOPE_NAMES) for names, _ in choices], dtype=np.bool_)
        return cls(~chosen, lines, bands, tuple(names for _, names in choices))

    def geometries(self, known: Sequence[BearingGeometry | None]) -> tuple[BearingGeometry | None, ...]:
        """Return the bearings whose lines are looked for."""
        return tuple(geometry if line else None for geometry, line in zip(known, self.lines, strict=True))

    def choose_bands(self, samples_g: F32, sampling_rate_hz: float) -> F64:
        """Return demodulation bands (n_channels, 2), Hz; NaN for channels that need none."""
        bands_hz = np.full((samples_g.shape[0], 2), np.nan)
        if self.bands.all():
            bands_hz[:] = choose_bands(samples_g, sampling_rate_hz)
        elif self.bands.any():
            bands_hz[self.bands] = choose_bands(samples_g[self.bands], sampling_rate_hz)
        return bands_hz

    def applied(self, block: FeatureBlock) -> FeatureBlock:
        """Return `block` with null where nothing was chosen."""
        if not self.blank.any():
            return block
        return replace(block, values=np.where(self.blank, np.float32(np.nan), block.values))
