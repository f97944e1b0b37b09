"""Detectors for slow channels and process data: each learns what is normal and says how far a row lies outside it.

Invariants: pure and causal; a score depends on the rows up to its own and on what was learnt before, so that cutting or
replacing the future changes no bit of it; rows and channels are treated one by one, whatever came in the same call.
"""
