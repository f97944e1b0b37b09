"""pipelines/training."""
