"""How abnormal each channel's window is: a robust baseline, and challengers beside it."""

from processors.scoring.asset import BASELINE, BUILT_IN_MODELS, AssetScoring, warm_up

__all__ = ["BASELINE", "BUILT_IN_MODELS", "AssetScoring", "warm_up"]
