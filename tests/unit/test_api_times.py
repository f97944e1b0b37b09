"""Moments at the API's border."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.times import Instant


@given(st.integers(0, 2**63 - 1))
def test_api_moment_survives_the_border(ns: int) -> None:
    text = str(Instant(ns))
    assert len(text) == len("2026-01-01T00:00:00.000000000Z")
    assert Instant.parse(text).ns == ns
    assert Instant.parse(ns).ns == ns
    assert Instant.parse(str(ns)).ns == ns


@given(st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1))
def test_api_text_order_is_time_order(one: int, other: int) -> None:
    assert (str(Instant(one)) < str(Instant(other))) == (one < other)


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01t00:00:00.000000001z", 1),
        ("1970-01-01T02:00:00.5+02:00", 500_000_000),
        ("1969-12-31T22:30:00-01:30", 0),
    ],
)
def test_api_rfc3339_is_read(text: str, ns: int) -> None:
    assert Instant.parse(text).ns == ns


@pytest.mark.parametrize(
    "given_value",
    [
        "",
        "now",
        "2026-01-01",
        "2026-01-01T00:00:00",
        "2026-01-01T00:00:00 02:00",
        "2026-01-01T00:00:60Z",
        "2026-13-01T00:00:00Z",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
        "2026-01-01T00:00:00.1234567891Z",
        "1969-12-31T23:59:59Z",
        "2262-04-12T00:00:00Z",
        "٣",
        "9" * 30,
        -1,
        2**63,
        True,
        1.5,
        None,
    ],
)
def test_api_other_moments_are_refused(given_value: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        Instant.parse(given_value)  # type: ignore[arg-type]
