"""Identifiers that are a function of what they name, so that a second computation gives the same ones."""

import hashlib


def stable_id(prefix: str, *parts: str | int) -> str:
    """Return ``prefix_`` and 24 hexadecimal digits that depend on the parts alone.

    Examples
    --------
    >>> stable_id("alm", "P-101", "P-101-DE-H", "bearing_fault", 0)
    'alm_b01d13a80cb0ff9bdaf76bfa'
    """
    digest = hashlib.sha256("\x1f".join(str(part) for part in parts).encode()).hexdigest()
    return f"{prefix}_{digest[:24]}"
