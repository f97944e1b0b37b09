"""How large the state of a channel can get, by what its asset's configuration names; more than the limit is refused.

A checkpoint holds the state of every channel, so its size is what a take-over and a checkpoint cost. The bound is that
of the worst case: every regime known, as many of them learning and calibrated as may be, every scorer's state full.

Invariant: what is learnt for a channel takes never more (tested by filling it). An asset's own part, which its channels
share, is set aside as it usually is: its configuration and conditions, and where the blocks lie that its windows still
need. Where every fourth block is lost these references alone can grow to 12 KiB, whatever the models are; they are gone
a minute after blocks come again, as ``lateness_s`` says.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from contracts.assets import AssetConfiguration
from contracts.errors import ConfigurationError
from contracts.features import FEATURE_NAMES
from processors.conditions.alarm_limits import LONGEST_ROW, models_of, most_regimes
from processors.detection.spot import KEPT as RATIOS
from processors.scoring.baseline import MAX_LEARNING, MAX_LEARNING_ROWS, MAX_REGIMES, MAX_ROWS
from processors.scoring.calibration import KEPT as SCORES
from processors.scoring.challengers import BASELINE, HALF_SPACE_TREES, SCORER_BYTES
from processors.scoring.half_space_trees import STATE_BYTES as FOREST_BYTES

#: What the state of a channel may take, and what is set aside of it for what doesn't grow with models: its share of the
#: asset's configuration, windows, bands and conditions.
LIMIT_BYTES: Final = 16 * 1024
REST_BYTES: Final = 1280

_ROW_BYTES: Final = 4 * len(FEATURE_NAMES)
#: A regime's name with its head, and what stands beside its arrays.
_NAME_BYTES: Final = 32
_REGIME_BYTES: Final = _NAME_BYTES + 11
#: Heads of a calibration of a score, and of one of a sustained ratio.
_CALIBRATION_HEAD: Final = 4
_LIMIT_HEAD: Final = 8
#: Regime, times and heads of windows in a row.
_SUCCESSION_BYTES: Final = 208
_HEAD: Final = 6


def most_bytes(config: AssetConfiguration, window_counts: Mapping[str, int]) -> int:
    """Return what the state of one of an asset's channels may take at most.

    Parameters
    ----------
    config : AssetConfiguration
        Names the models and how many windows raise an alarm.
    window_counts : mapping of str to int
        ``name@version`` → windows in a row that a model looks at; 1 where it isn't there.

    Examples
    --------
    >>> from contracts.assets import ModelReference
    >>> models = tuple(ModelReference(name=name, version="1") for name in ("half-space-trees", "autoencoder"))
    >>> pump = AssetConfiguration(asset_id="P", site_id="s", name="Pump", asset_type="pump", models=models)
    >>> most_bytes(pump, {}) < most_bytes(pump, {"autoencoder@1": 16}) < LIMIT_BYTES
    True
    """
    challengers = [model for model in config.models if model.name != BASELINE]
    scorers = sum(SCORER_BYTES.get(model.name, 0) + len(model.key) + _HEAD for model in challengers)
    forest = FOREST_BYTES + _HEAD if any(model.name == HALF_SPACE_TREES for model in challengers) else 0
    depth = max((window_counts.get(model.key, 1) for model in challengers), default=1)
    rows = (depth - 1) * _ROW_BYTES + _SUCCESSION_BYTES if depth > 1 else 0
    return _regimes_bytes(len(challengers)) + scorers + forest + rows + _limits_bytes(config) + REST_BYTES


def check_state(config: AssetConfiguration, window_counts: Mapping[str, int]) -> None:
    """Refuse a configuration whose channels' state may take more than `LIMIT_BYTES`.

    Raises
    ------
    ConfigurationError
        With the models, what they may take, and the limit.
    """
    needed = most_bytes(config, window_counts)
    if needed > LIMIT_BYTES:
        raise ConfigurationError(
            f"{config.asset_id}: the scorers {', '.join(model.key for model in config.models)} need up to {needed}"
            f" bytes per channel, the limit is {LIMIT_BYTES}: name fewer ({_fewer(config, window_counts)})"
        )


def _fewer(config: AssetConfiguration, window_counts: Mapping[str, int]) -> str:
    """Return what a channel's state may take without each of the models, least first."""
    left = sorted(
        (
            most_bytes(replace(config, models=tuple(one for one in config.models if one != model)), window_counts),
            model.key,
        )
        for model in config.models
    )
    return "; ".join(f"without {key} {needed}" for needed, key in left)


def _regimes_bytes(models: int) -> int:
    """Return what the regimes of a channel take, with as many of them learning as take most."""
    learnt = 2 * _ROW_BYTES + models * (_CALIBRATION_HEAD + 4 * SCORES)
    return MAX_REGIMES * _REGIME_BYTES + max(
        (MAX_REGIMES - learning) * learnt + min(learning * (MAX_ROWS - 1), MAX_LEARNING_ROWS) * _ROW_BYTES
        for learning in range(MAX_LEARNING + 1)
    )


def _limits_bytes(config: AssetConfiguration) -> int:
    """Return what the alarm limits of a point take."""
    if not config.rules.false_alarms_per_month > 0.0:
        return 0
    models = models_of(config)
    recent = 9 * min(config.rules.raise_after, LONGEST_ROW)
    each = most_regimes(len(models)) * (_LIMIT_HEAD + 2 * RATIOS) + recent + 4 * _HEAD
    return len(models) * each + sum(len(name) for name in models) + MAX_REGIMES * _NAME_BYTES
