"""How abnormal each channel's window is: a robust baseline, and challengers beside it."""

from processors.scoring.asset import AssetScoring, warm_up
from processors.scoring.challengers import BASELINE, BUILT_IN_MODELS

__all__ = ["BASELINE", "BUILT_IN_MODELS", "AssetScoring", "warm_up"]
