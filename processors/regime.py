"""Operating regimes: windows are compared with their like only (speed bin × load bin × state)."""

import math
from typing import Final

STOPPED: Final = "stopped"
#: Below this share of the nominal speed the machine stands.
_STOPPED_SHARE: Final = 0.05
#: Width of the bins, as shares of nominal speed and full load.
_SPEED_BIN: Final = 0.1
_LOAD_BIN: Final = 0.25


def regime_of(speed_rpm: float | None, load_ratio: float | None, nominal_speed_rpm: float | None) -> str:
    """Return the name of the regime.

    Parameters
    ----------
    speed_rpm : float or None
        Shaft speed, rpm.
    load_ratio : float or None
        Load over full load, 1.
    nominal_speed_rpm : float or None
        Nominal speed, rpm; without it the bins grow geometrically with the speed.

    Returns
    -------
    regime : str
        The same name for windows that may be compared.

    Examples
    --------
    >>> regime_of(1776.0, 0.8, 1780.0)
    'speed 1.0, load 0.75'
    >>> regime_of(12.0, None, 1780.0)
    'stopped'
    """
    load = "any" if load_ratio is None else f"{round(load_ratio / _LOAD_BIN) * _LOAD_BIN:.2f}"
    if speed_rpm is None:
        return f"speed unknown, load {load}"
    if nominal_speed_rpm is None:
        step = round(math.log(max(speed_rpm, 1.0)) / math.log1p(_SPEED_BIN))
        return f"speed step {step}, load {load}"
    if speed_rpm < _STOPPED_SHARE * nominal_speed_rpm:
        return STOPPED
    return f"speed {round(speed_rpm / nominal_speed_rpm / _SPEED_BIN) * _SPEED_BIN:.1f}, load {load}"
