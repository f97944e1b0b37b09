"""Bounded load: what Faultline costs and how quick it is, measured through the real parts; results in ``results/``."""
