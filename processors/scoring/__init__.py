"""How abnormal each channel's window is: a robust baseline, and challengers beside it."""

from processors.scoring.asset import BUILT_IN_MODELS, AssetScoring, warm_up

__all__ = ["BUILT_IN_MODELS", "AssetScoring", "warm_up"]
