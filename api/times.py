"""Moments at the API's border: RFC 3339 text outside, UTC nanoseconds inside.

Invariants: a moment goes out as RFC 3339 in UTC with nine decimals, so that text order is time order and no nanosecond
is lost; it comes in as RFC 3339 with an offset, or as a whole number of nanoseconds since 1970.
"""

import datetime as dt
import re
from typing import Final

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_LATEST_NS: Final = 2**63 - 1
_NS_PER_S: Final = 1_000_000_000
_RFC3339: Final = re.compile(r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


class Instant:
    """A moment.

    Parameters
    ----------
    ns : int
        UTC nanoseconds since 1970.

    Examples
    --------
    >>> str(Instant(1_767_225_600_000_000_001))
    '2026-01-01T00:00:00.000000001Z'
    """

    __slots__ = ("ns",)

    def __init__(self, ns: int) -> None:
        self.ns = ns

    @classmethod
    def parse(cls, given: str | int) -> "Instant":
        """Return the moment that RFC 3339 text or a number of nanoseconds names.

        Raises
        ------
        ValueError
            If `given` is neither, has no offset, or lies outside 1970 to 2262.

        Examples
        --------
        >>> Instant.parse("2026-01-01T01:00:00.5+01:00").ns
        1767225600500000000
        >>> Instant.parse("1767225600000000000") == Instant.parse("2026-01-01T00:00:00Z")
        True
        """
        if isinstance(given, int) and not isinstance(given, bool):
            ns = given
        elif isinstance(given, str) and given.isascii() and given.isdigit() and len(given) <= len(str(_LATEST_NS)):
            ns = int(given)
        elif isinstance(given, str):
            ns = _nanoseconds(given)
        else:
            raise ValueError("expected RFC 3339 text or a whole number of nanoseconds")
        if not 0 <= ns <= _LATEST_NS:
            raise ValueError("expected a moment from 1970 to 2262")
        return cls(ns)

    def __str__(self) -> str:
        seconds, rest_ns = divmod(self.ns, _NS_PER_S)
        whole = _EPOCH + dt.timedelta(seconds=seconds)
        return f"{whole:%Y-%m-%dT%H:%M:%S}.{rest_ns:09d}Z"

    def __repr__(self) -> str:
        return f"Instant({self.ns})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Instant) and self.ns == other.ns

    def __hash__(self) -> int:
        return hash(self.ns)


def _nanoseconds(text: str) -> int:
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError("expected RFC 3339 with an offset, such as 2026-01-01T00:00:00Z (a + in a URL is %2B)")
    date, time, fraction, offset = match.groups()
    whole = dt.datetime.fromisoformat(f"{date}T{time}{'+00:00' if offset in 'Zz' else offset}")
    since = whole - _EPOCH
    return (since.days * 86_400 + since.seconds) * _NS_PER_S + int((fraction or "").ljust(9, "0"))
