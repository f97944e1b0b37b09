"""The user's own features in the core: called once for each channel and window, never in the way of the stream.

What the core may call is given to it, as the models are: the shell loads it and knows its hash. A function sees a copy
of its channel's window, so it can't change what others see; the copy lies at the same alignment always, so that a sum
has the same bits wherever the channel stood among its neighbours. A function that fails, or gives no finite number,
gives null and is reported.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from contracts.own_features import OwnFeature

F32 = npt.NDArray[np.float32]

#: Told the feature, the channel and what went wrong.
Report = Callable[[str, str, str], None]
#: Bytes; as wide as any vector register.
_ALIGNMENT: Final = 64
_LARGEST: Final = float(np.finfo(np.float32).max)


def _to_nobody(feature: str, channel_id: str, problem: str) -> None:
    del feature, channel_id, problem


@dataclass(frozen=True, slots=True)
class FeatureCode:
    """Which feature code runs: its hash, and the user's own features.

    Parameters
    ----------
    code_hash : str
        Short SHA-256 of the feature code, the catalogue and the user's own features; goes with every assessment.
    own : mapping of str to OwnFeature
        The user's own features by name.
    report : callable
        Told of each failure of one of them.
    engine_hash : str
        The same of the engine alone: models see no features of the user's own.
    """

    code_hash: str = ""
    own: Mapping[str, OwnFeature] = field(default_factory=dict)
    report: Report = _to_nobody
    engine_hash: str = ""

    def accepts(self, feature_hash: str) -> bool:
        """Return whether a model for this feature code may score here; any may where the code has no hash.

        Examples
        --------
        >>> [FeatureCode("new").accepts("old"), FeatureCode("old").accepts("old"), FeatureCode().accepts("old")]
        [False, True, True]
        """
        return not self.code_hash or feature_hash in {self.code_hash, self.engine_hash}

    def values(
        self,
        names: Iterable[str],
        channel_id: str,
        samples_g: F32,
        sampling_rate_hz: float,
        speed_rpm: float | None,
    ) -> dict[str, float | None]:
        """Return the own features of one channel's window.

        Parameters
        ----------
        names : iterable of str
            Those to compute; all of them known here.
        channel_id : str
            The channel, for the report.
        samples_g : ndarray, shape (n_samples,), float32
            Acceleration, g.
        sampling_rate_hz : float
            Sampling rate.
        speed_rpm : float or None
            Shaft speed.

        Returns
        -------
        values : dict of str to float or None
            float32 values, sorted by name; null where undefined or failed.

        Examples
        --------
        >>> mean = OwnFeature("mean_g", "g", 1, "textbook", lambda x, rate_hz, rpm: float(x.mean()))
        >>> broken = OwnFeature("broken", "1", 1, "none", lambda x, rate_hz, rpm: 1 / 0)
        >>> code = FeatureCode(own={"mean_g": mean, "broken": broken}, report=lambda *fact: print(fact))
        >>> code.values(("mean_g", "broken"), "DE", np.ones(8, np.float32), 25_600.0, None)
        ('broken', 'DE', 'ZeroDivisionError: division by zero')
        {'broken': None, 'mean_g': 1.0}
        """
        wanted = sorted(names)
        if not wanted:
            return {}
        window = _aligned(samples_g)
        return {name: self._value(self.own[name], channel_id, window, sampling_rate_hz, speed_rpm) for name in wanted}

    def _value(
        self, feature: OwnFeature, channel_id: str, window: F32, sampling_rate_hz: float, speed_rpm: float | None
    ) -> float | None:
        try:
            with np.errstate(all="ignore"):
                found = feature(window, sampling_rate_hz, speed_rpm)
                value = None if found is None else float(found)
        except Exception as error:  # noqa: BLE001 -- whatever the user's code trips over, the stream goes on
            self.report(feature.name, channel_id, f"{type(error).__name__}: {error}")
            return None
        if value is None:
            return None
        if not math.isfinite(value) or abs(value) > _LARGEST:
            self.report(feature.name, channel_id, f"gave {value}, a finite float32 is needed")
            return None
        return float(np.float32(value))


#: The engine and no features of the user's own.
ENGINE_ALONE: Final = FeatureCode()


def own_medians(
    code: FeatureCode, channel_id: str, windows: Sequence[F32], sampling_rate_hz: float, speed_rpm: float | None
) -> dict[str, float | None]:
    """Return the median of each own feature over the windows of a recording in which it is defined; null in none.

    Examples
    --------
    >>> peak = OwnFeature("top_g", "g", 1, "textbook", lambda x, rate_hz, rpm: x.max() if x.max() > 0 else None)
    >>> windows = [np.full(4, level, np.float32) for level in (1.0, 3.0, -1.0)]
    >>> own_medians(FeatureCode(own={"top_g": peak}), "DE", windows, 25_600.0, None)
    {'top_g': 2.0}
    """
    found = [code.values(code.own, channel_id, window, sampling_rate_hz, speed_rpm) for window in windows]
    defined = {name: [value for values in found if (value := values[name]) is not None] for name in sorted(code.own)}
    return {name: float(np.float32(np.median(values))) if values else None for name, values in defined.items()}


def _aligned(samples_g: F32) -> F32:
    """Return a copy that can't be written to, at a fixed alignment."""
    room = np.empty(samples_g.nbytes + _ALIGNMENT, np.uint8)
    start = -room.ctypes.data % _ALIGNMENT
    copy = room[start : start + samples_g.nbytes].view(np.float32)
    copy[:] = samples_g
    copy.flags.writeable = False
    return copy
