"""How good the detectors and forecasts are, on data sets whose truth is known and by their own rules.

Invariants: nothing that is judged has seen the future or the machine it is judged on, and each run proves the former
(``causality``); settings belong to a data set, never to one of its files; what was published by others stands beside,
with its source.
"""
