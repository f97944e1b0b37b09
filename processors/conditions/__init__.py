"""Conditions of one asset: what its assessments say, once it has persisted."""

from processors.conditions.logic import ConditionLogic

__all__ = ["ConditionLogic"]
