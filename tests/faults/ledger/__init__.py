"""The ledger test: a mixed load while faults strike, and an account of every record afterwards.

The oracle stands outside the product: a ledger of what the broker acknowledged, and the log itself. Run it with
``python -m tests.faults.ledger [--short]``; it ends with ``lost=0 doubled=0 different=0 faults=N``.
"""
