"""How large the state of a channel can get, by what its asset's configuration names; more than the limit is refused.

A checkpoint holds the state of every channel, so its size is what a take-over and a checkpoint cost. The bound is that
of the worst case: every regime known, as many of them learning and calibrated as may be, every scorer's state full,
every condition raised, and as many windows waiting for late blocks as may wait. What the channels of an asset share is
divided among them; each is taken for a channel group of its own. A model that failed leaves a sentence instead of what
it had learnt, which is less.

Invariant: a state takes never more (tested by filling it), as long as no more than `WAITING_BLOCKS` blocks make up a
window and the out-of-order tolerance. Each further one takes up to three bytes; refusing it would be losing data.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from contracts.assets import AssetConfiguration
from contracts.errors import ConfigurationError
from contracts.features import FEATURE_NAMES
from processors.bands import MOST_CHOICES
from processors.conditions.alarm_limits import LONGEST_ROW, models_of, most_regimes
from processors.conditions.findings import RULES
from processors.detection.spot import KEPT as RATIOS
from processors.late import KEPT_BLOCKS_PER_CHANNEL, MOST_PENDING
from processors.operation import MOST_SPEEDS
from processors.packed_configuration import packed_configuration
from processors.regime import MOST as KNOWN_REGIMES
from processors.reorder import FORMER_BOOTS, FORMER_RANGES, MISSING_RANGES
from processors.scoring.baseline import MAX_LEARNING, MAX_LEARNING_ROWS, MAX_REGIMES, MAX_ROWS
from processors.scoring.calibration import KEPT as SCORES
from processors.scoring.challengers import BASELINE, HALF_SPACE_TREES, SCORER_BYTES
from processors.scoring.half_space_trees import STATE_BYTES as FOREST_BYTES

#: What the state of a channel may take.
LIMIT_BYTES: Final = 16 * 1024
#: Blocks of a window that is open and of the tolerance after it.
WAITING_BLOCKS: Final = 128

_ROW_BYTES: Final = 2 * len(FEATURE_NAMES)
#: A regime's name, and what stands for it and beside its arrays.
_NAME_BYTES: Final = 32
_REGIME_BYTES: Final = 8 + 11
#: Heads of a calibration of a score, and of one of a sustained ratio.
_CALIBRATION_HEAD: Final = 4
_LIMIT_HEAD: Final = 12
#: Regime, times and heads of windows in a row.
_SUCCESSION_BYTES: Final = 208
_HEAD: Final = 6

#: In few bytes: an offset beside its neighbour, a time beside its neighbour, a sequence number, a small number.
_OFFSET: Final = 3
_TIME: Final = 6
_SEQUENCE: Final = 2
_SMALL: Final = 1
#: A number or a time that stands alone, with its head.
_ALONE: Final = 9
#: A condition's gate: its rule, the faults and zones it knows, counts.
GATE_BYTES: Final = 96
#: An asset's speed readings and regimes; a channel group's newest windows, and a channel's bands.
SPEEDS_BYTES: Final = MOST_SPEEDS * (_TIME + 8) + 2 * _HEAD
REGIMES_BYTES: Final = 2 * KNOWN_REGIMES * (2 * _ALONE + 2) + 2 * _HEAD
ROW_BYTES: Final = _NAME_BYTES + 3 * (2 * _ALONE + 1) + _HEAD
BANDS_BYTES: Final = (1 + MOST_CHOICES) * (2 * _TIME + _SMALL + 8 + 16) + 4 * _HEAD


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
    return learnt_bytes(config, window_counts) + own_bytes(config)


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


# --- what is learnt ---------------------------------------------------------------------------------------------------


def learnt_bytes(config: AssetConfiguration, window_counts: Mapping[str, int]) -> int:
    """Return what a channel's scorers and alarm limits may take; see `most_bytes`."""
    challengers = [model for model in config.models if model.name != BASELINE]
    scorers = sum(SCORER_BYTES.get(model.name, 0) + len(model.key) + _HEAD for model in challengers)
    forest = FOREST_BYTES + _HEAD if any(model.name == HALF_SPACE_TREES for model in challengers) else 0
    depth = max((window_counts.get(model.key, 1) for model in challengers), default=1)
    rows = (depth - 1) * _ROW_BYTES + _SUCCESSION_BYTES if depth > 1 else 0
    return _regimes_bytes(len(challengers)) + scorers + forest + rows + _limits_bytes(config)


def _regimes_bytes(models: int) -> int:
    """Return what the regimes of a channel take, with as many of them learning as take most."""
    learnt = 2 * _ROW_BYTES + models * (_CALIBRATION_HEAD + 2 * SCORES)
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
    return len(models) * each + sum(len(name) for name in models)


# --- what an asset and its channel groups keep beside -----------------------------------------------------------------


def own_bytes(config: AssetConfiguration) -> int:
    """Return a channel's share of what its asset keeps beside, and what its group and its point do."""
    channels = [one for point in config.points for one in point.channels if one.quantity == "acceleration"]
    asset = (
        len(packed_configuration(config))
        + SPEEDS_BYTES
        + REGIMES_BYTES
        + 2 * (GATE_BYTES + len(config.asset_id))
        + 8 * _HEAD
    )
    points = sum(len(RULES) * GATE_BYTES + len(point.point_id) + _HEAD for point in config.points)
    names = sum(len(f"{channel.quantity}{channel.unit}") + 4 * len(channel.channel_id) + 8 for channel in channels)
    return -(-(asset + points + names) // max(len(channels), 1)) + group_bytes()


def group_bytes() -> int:
    """Return what the windows of a channel group of one channel take, its names aside."""
    missing = (MISSING_RANGES + FORMER_BOOTS * FORMER_RANGES) * 2 * _SEQUENCE
    boots = (1 + FORMER_BOOTS) * (2 * _ALONE + _HEAD) + missing
    waiting = (WAITING_BLOCKS + KEPT_BLOCKS_PER_CHANNEL) * _OFFSET
    pending = MOST_PENDING * (2 * _TIME + _SMALL + 2 * _TIME) + FORMER_BOOTS * _ALONE
    return boots + waiting + pending + BANDS_BYTES + ROW_BYTES + 7 * _ALONE + 12 * _HEAD
