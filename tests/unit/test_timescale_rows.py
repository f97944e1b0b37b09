"""Records as rows: shapes, keys and the canonical form."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.timescale import canonical_rows, canonical_transitions
from adapters.timescale.rows import FEATURE, TABLES, as_json, canonicaliser, cleaned, flatten
from contracts.features import FEATURE_NAMES
from contracts.ports import HistoryRows, StoredReading
from contracts.records import Evidence, Quality, Reading


def reading(at_ns: int, value: float, quality: Quality = Quality.GOOD) -> StoredReading:
    return StoredReading(
        asset_id="a",
        reading=Reading(channel_id="c", quantity="temperature", unit="degC", at_ns=at_ns, value=value, quality=quality),
    )


def test_no_column_stands_twice() -> None:
    for table in TABLES.values():
        assert len(set(table.columns)) == len(table.columns) == len(table.types)
        assert table.time_column is None or table.time_column in table.key


def test_feature_columns_end_with_the_catalogue() -> None:
    assert FEATURE.columns[-len(FEATURE_NAMES) :] == FEATURE_NAMES


def test_empty_history_has_every_table_and_no_rows() -> None:
    assert all(rows == [] for rows in flatten(HistoryRows()).values())
    assert canonical_transitions([]) == {}


def test_first_record_under_a_key_counts() -> None:
    rows = HistoryRows(readings=[reading(1, 1.0), reading(1, 2.0), reading(2, 3.0)])
    assert (
        canonical_rows(rows)["reading"]
        == canonical_rows(HistoryRows(readings=[reading(1, 1.0), reading(2, 3.0)]))["reading"]
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [(0.1, 0.1 + 2**-56), (0.0, -0.0), (math.nan, 0.0), (1.0, None)],
)
def test_values_that_differ_in_one_bit_differ(one: float, other: float | None) -> None:
    shape = canonicaliser(TABLES["reading"])
    rows = [shape(("c", 1, "a", "q", "u", value, "good")) for value in (one, other)]
    assert rows[0] != rows[1]
    assert rows[0] == shape(("c", 1, "a", "q", "u", one, "good"))


def test_enumerations_compare_as_their_text() -> None:
    shape = canonicaliser(TABLES["reading"])
    [(key, values)] = canonical_rows(HistoryRows(readings=[reading(1, 1.0, Quality.BAD)]))["reading"].items()
    assert (key, values) == shape(("c", 1, "a", "temperature", "degC", 1.0, "bad"))
    assert type(values[-1]) is str


def test_numbers_in_json_compare_by_value() -> None:
    shape = canonicaliser(TABLES["condition"])
    n_others = len(TABLES["condition"].columns) - 1
    found = shape([None] * n_others + [[{"value": 100000000000000000000, "limit": None, "ok": True}]])
    assert found == shape([None] * n_others + ['[{"ok": true, "limit": null, "value": 1e20}]'])
    assert found != shape([None] * n_others + ['[{"ok": true, "limit": null, "value": 1.0000000000000002e20}]'])


@given(st.text(), st.floats(allow_nan=False, allow_infinity=False))
def test_json_holds_everything_but_nul(text: str, number: float) -> None:
    evidence = Evidence(name="n", value=number, unit="g", limit=None, frequency_hz=None, text=text)
    found = json.loads(as_json((evidence,)))[0]
    assert found["value"] == number
    assert found["text"] == text.replace("\0", "\N{REPLACEMENT CHARACTER}") == cleaned(text)


def test_literal_escape_is_no_nul() -> None:
    assert json.loads(as_json({"text": "\\u0000 \0"})) == {"text": "\\u0000 \N{REPLACEMENT CHARACTER}"}
