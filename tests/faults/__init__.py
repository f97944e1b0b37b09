"""Faults that the product survives, with an oracle outside of it."""
