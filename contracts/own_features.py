"""Features of the user's own: what such a function looks like, and how it is declared.

A feature is a function of one channel's window. It is called once for each channel and window, in the stream, in a
recomputation, for a recording and in a notebook alike, so it must give the same value for the same arguments: no clock,
no randomness, no memory of earlier windows. Its samples can't be written to.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from contracts.errors import ConfigurationError
from contracts.features import FEATURE_INDEX, FEATURE_SETS

#: Samples of one channel (g, float32), sampling rate (Hz) and shaft speed (rpm, None where unknown) to a value; None
#: where the feature isn't defined.
FeatureFunction = Callable[[npt.NDArray[np.float32], float, float | None], float | None]

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,62}")


@dataclass(frozen=True, slots=True)
class OwnFeature:
    """A feature of the user's own; can be called like its function.

    Parameters
    ----------
    name : str
        Lower-case letters, digits and underscores, with the unit at the end; no name of the catalogue.
    unit : str
        ``1`` where dimensionless.
    version : int
        Raised when the same window gives another value.
    reference : str
        Where its definition comes from.
    function : callable
        Computes it.

    Raises
    ------
    ConfigurationError
        If the name can't name a feature or is taken, the unit or reference is empty, or the version is below 1.
    """

    name: str
    unit: str
    version: int
    reference: str
    function: FeatureFunction

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ConfigurationError(
                f"{self.name!r} can't name a feature: 1 to 63 lower-case letters, digits and underscores are needed"
            )
        if self.name in FEATURE_INDEX or self.name in FEATURE_SETS:
            raise ConfigurationError(f"own feature {self.name!r}: the catalogue has a feature or set of that name")
        if not self.unit or not self.reference:
            raise ConfigurationError(f"own feature {self.name!r} states no {'reference' if self.unit else 'unit'}")
        if self.version < 1:
            raise ConfigurationError(f"own feature {self.name!r} has version {self.version}, at least 1 needed")

    def __call__(
        self, samples_g: npt.NDArray[np.float32], sampling_rate_hz: float, speed_rpm: float | None
    ) -> float | None:
        """Return the function's value."""
        return self.function(samples_g, sampling_rate_hz, speed_rpm)


def own_feature(
    *, unit: str, reference: str, version: int = 1, name: str | None = None
) -> Callable[[Callable[..., Any]], OwnFeature]:
    """Declare the decorated function as a feature.

    Parameters
    ----------
    unit : str
        Unit of its value; ``1`` where dimensionless.
    reference : str
        Where its definition comes from: a standard, a paper, a plant's own instruction.
    version : int
        Raised when the same window gives another value.
    name : str, optional
        Its name; the function's without it.

    Returns
    -------
    decorate : callable
        Takes the function, gives the `OwnFeature`.

    Raises
    ------
    ConfigurationError
        As for `OwnFeature`, when the function is decorated.

    Examples
    --------
    >>> @own_feature(unit="1", reference="plant standard 7")
    ... def share_above_1_g(samples_g, sampling_rate_hz, speed_rpm):
    ...     return float(np.mean(np.abs(samples_g) > 1.0))
    >>> share_above_1_g(np.array([0.0, 2.0, -3.0, 0.5], np.float32), 25_600.0, None)
    0.5
    >>> share_above_1_g.name
    'share_above_1_g'
    """

    def decorate(function: Callable[..., Any]) -> OwnFeature:
        return OwnFeature(name or function.__name__, unit, version, reference, function)

    return decorate
