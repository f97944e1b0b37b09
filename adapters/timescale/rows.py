"""Records as table rows, and both in one canonical form in which they can be compared exactly.

Invariants: everything here is a pure function; a row's key follows from the record alone; the columns of `TABLES`
stand in the order in which rows are built. Times of storage, the trace context (telemetry, not a result) and the hash
of the feature code (which source gave the result) are no part of the canonical form.
"""

import math
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from contracts import records as r
from contracts.features import FEATURE_NAMES
from contracts.ports import AlarmLimit, CorrectedFeatures, Gap, HistoryRows, ShadowScore, WaveformSnapshot

Row = tuple[Any, ...]
#: table → key → values, in canonical form.
Canonical = dict[str, dict[Row, Row]]


@dataclass(frozen=True, slots=True)
class Table:
    """One table: its key and value columns with their types, and the column of its days where it is a time series."""

    name: str
    key: Mapping[str, str]
    values: Mapping[str, str]
    time_column: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of all columns, key first."""
        return (*self.key, *self.values)

    @property
    def types(self) -> tuple[str, ...]:
        """Types of all columns, key first."""
        return (*self.key.values(), *self.values.values())


def _columns(text: str) -> dict[str, str]:
    return {name: kind for name, _, kind in (column.strip().partition(" ") for column in text.split(","))}


ASSESSMENT: Final = Table(
    "assessment",
    _columns("asset_id text, window_start_ns int8, code_version text"),
    _columns(
        "assessment_id text, site_id text, window_end_ns int8, sampling_rate_hz float8, n_samples int8, partial bool,"
        " speed_rpm float8, regime text, catalogue_version int4, configuration_version text, zone text,"
        " channel_ids text[], diagnoses jsonb, code_hash text"
    ),
    "window_start_ns",
)
FEATURE: Final = Table(
    "feature",
    _columns("channel_id text, window_start_ns int8, code_version text, asset_id text"),
    _columns(
        "point_id text, window_end_ns int8, partial bool, zone text, not_graded_because text,"
        " own_features jsonb, not_decided jsonb"
    )
    | dict.fromkeys(FEATURE_NAMES, "float4"),
    "window_start_ns",
)
#: Later versions of feature rows, in a table of their own: what was judged in time stays as it is.
CORRECTED_FEATURE: Final = Table(
    "corrected_feature", {**FEATURE.key, "version": "int4"}, FEATURE.values, FEATURE.time_column
)
SCORE: Final = Table(
    "score",
    _columns("channel_id text, window_start_ns int8, model text, model_version text, code_version text, asset_id text"),
    _columns("window_end_ns int8, value float8, threshold float8, learning bool, explanation jsonb"),
    "window_start_ns",
)
SHADOW_SCORE: Final = Table("shadow_score", SCORE.key, SCORE.values, SCORE.time_column)
READING: Final = Table(
    "reading",
    _columns("channel_id text, at_ns int8, asset_id text"),
    _columns("quantity text, unit text, value float8, quality text"),
    "at_ns",
)
WAVEFORM: Final = Table(
    "waveform",
    _columns("channel_id text, start_ns int8, asset_id text"),
    _columns("sampling_rate_hz float8, unit text, speed_rpm float8, samples bytea"),
    "start_ns",
)
MACHINE_EVENT: Final = Table(
    "machine_event",
    _columns("asset_id text, device_id text, boot_id text, sequence int8, at_ns int8"),
    _columns("kind text, code text, text text"),
)
GAP: Final = Table(
    "gap",
    _columns("asset_id text, channel_group text, from_ns int8, to_ns int8, cause text"),
    {},
)
ALARM_LIMIT: Final = Table(
    "alarm_limit",
    _columns("asset_id text, point_id text, model text, regime text, at_ns int8"),
    _columns("windows int8, windows_needed int8, alarm_limit float8, expected_per_month float8"),
)
CONDITION: Final = Table(
    "condition",
    _columns("condition_id text"),
    _columns(
        "asset_id text, site_id text, point_id text, rule text, state text, sequence int8, at_ns int8,"
        " episode_started_at_ns int8, priority text, latching bool, zone text, fault text, confidence float8,"
        " reason text, evidence jsonb"
    ),
)
ALARM_HISTORY: Final = Table(
    "alarm_history",
    _columns("asset_id text, sequence int8"),
    _columns(
        "transition_id text, alarm_id text, site_id text, point_id text, rule text, from_state text, state text,"
        " cause text, at_ns int8, started_at_ns int8, priority text, zone text, fault text, confidence float8,"
        " reason text, evidence jsonb, actor text, note text"
    ),
)

#: Columns that say where a row comes from, not what was found.
_PROVENANCE: Final = frozenset({"code_hash"})
#: What `HistoryRows` is stored in.
HISTORY: Final = (
    ASSESSMENT,
    FEATURE,
    CORRECTED_FEATURE,
    SCORE,
    SHADOW_SCORE,
    READING,
    WAVEFORM,
    MACHINE_EVENT,
    GAP,
    ALARM_LIMIT,
    CONDITION,
)
#: Every table that can be compared, by name.
TABLES: Final = {table.name: table for table in (*HISTORY, ALARM_HISTORY)}


def flatten(rows: HistoryRows) -> dict[str, list[Row]]:
    """Return the rows to store, by table, each in the order of its table's columns.

    JSON columns hold JSON text. Text is freed of NUL, which PostgreSQL can't hold.
    """
    assessments = rows.assessments
    return {
        "assessment": [_assessment(a) for a in assessments],
        "feature": [_of_channel(a, c) for a in assessments for c in a.channels],
        "corrected_feature": [_of_channel(a, c, a.version) for a in rows.corrections for c in a.channels],
        "score": [_score(a, c.channel_id, s) for a in assessments for c in a.channels for s in c.scores],
        "shadow_score": [_score(one, one.channel_id, one.score) for one in rows.shadow_scores],
        "reading": [_of(READING, stored.reading, asset_id=stored.asset_id) for stored in rows.readings],
        "waveform": [_of(WAVEFORM, waveform) for waveform in rows.waveforms],
        "machine_event": [_of(MACHINE_EVENT, event) for event in rows.events],
        "gap": [_of(GAP, gap) for gap in rows.gaps],
        "alarm_limit": [_of(ALARM_LIMIT, limit, alarm_limit=limit.limit) for limit in rows.alarm_limits],
        "condition": [_of(CONDITION, c, evidence=as_json(c.evidence)) for c in rows.conditions],
    }


def canonical_rows(rows: HistoryRows) -> Canonical:
    """Return records in canonical form: table → key → values.

    float32 and float64 stand as their bytes, JSON as nested tuples. Of several records with one key the first counts,
    as it does in the database.
    """
    canonical: Canonical = {}
    for name, flat in flatten(rows).items():
        shape = canonicaliser(TABLES[name])
        kept = canonical[name] = {}
        for row in flat:
            key, values = shape(row)
            kept.setdefault(key, values)
    return canonical


def canonical_transitions(transitions: Iterable[r.AlarmTransition]) -> dict[Row, Row]:
    """Return alarm transitions in the canonical form of the table ``alarm_history``: (asset, sequence) → values."""
    shape = canonicaliser(ALARM_HISTORY)
    kept: dict[Row, Row] = {}
    for transition in transitions:
        key, values = shape(_transition(transition))
        kept.setdefault(key, values)
    return kept


def canonicaliser(table: Table) -> Callable[[Sequence[Any]], tuple[Row, Row]]:
    """Return the function that takes a row of `table` to its canonical key and values."""
    named = enumerate(zip(table.columns, table.types, strict=True))
    shapes = [(place, _SHAPES.get(kind)) for place, (name, kind) in named if name not in _PROVENANCE]
    n_key = len(table.key)

    def canonical(row: Sequence[Any]) -> tuple[Row, Row]:
        shaped = tuple(
            row[place] if shape is None or row[place] is None else shape(row[place]) for place, shape in shapes
        )
        return shaped[:n_key], shaped[n_key:]

    return canonical


def as_json(value: object) -> str:
    """Return records as JSON text; numbers come back bit for bit, a number that isn't finite as null."""
    text = msgspec.json.encode(value).decode()
    if "\\u0000" in text:
        text = msgspec.json.encode(cleaned(msgspec.to_builtins(value))).decode()
    return text


def cleaned(value: Any) -> Any:
    """Return `value` with its texts as PostgreSQL can hold them: plain, without NUL."""
    if isinstance(value, str):
        return value.replace("\0", "\N{REPLACEMENT CHARACTER}") if "\0" in value else str(value)
    if isinstance(value, list | tuple):
        return [cleaned(item) for item in value]
    if isinstance(value, dict):
        return {name: cleaned(item) for name, item in value.items()}
    return value


def transition_of(row: Mapping[str, Any]) -> r.AlarmTransition:
    """Return the alarm transition in a row of ``alarm_history``."""
    evidence = [
        {**item, "value": math.nan if item["value"] is None else item["value"]}  # JSON knows no number but finite ones
        for item in row["evidence"]
    ]
    return msgspec.convert({**row, "evidence": evidence}, r.AlarmTransition)


def transition_row(transition: r.AlarmTransition) -> dict[str, Any]:
    """Return the columns of ``alarm_history`` for an alarm transition."""
    row = dict(zip(ALARM_HISTORY.columns, _transition(transition), strict=True))
    return {**row, "traceparent": cleaned(transition.traceparent)}


_Source = (
    r.Assessment | r.MachineEvent | r.Condition | r.AlarmTransition | r.Reading | WaveformSnapshot | Gap | AlarmLimit
)


def _of(table: Table, record: _Source, **given: Any) -> Row:
    return tuple(cleaned(given[column] if column in given else getattr(record, column)) for column in table.columns)


def _transition(transition: r.AlarmTransition) -> Row:
    return _of(ALARM_HISTORY, transition, evidence=as_json(transition.evidence))


def _assessment(a: r.Assessment) -> Row:
    return _of(ASSESSMENT, a, channel_ids=[c.channel_id for c in a.channels], diagnoses=as_json(a.diagnoses))


def _of_channel(a: r.Assessment | CorrectedFeatures, c: r.ChannelAssessment, *version: int) -> Row:
    key = (c.channel_id, a.window_start_ns, a.code_version, a.asset_id, *version)
    judged = (c.zone, c.not_graded_because, as_json(c.own_features), as_json(c.not_decided))
    return (*key, c.point_id, a.window_end_ns, a.partial, *judged, *c.features)


def _score(a: r.Assessment | ShadowScore, channel_id: str, s: r.Score) -> Row:
    key = (channel_id, a.window_start_ns, s.model, s.version, a.code_version, a.asset_id)
    return (*key, a.window_end_ns, s.value, s.threshold, s.learning, as_json(s.explanation))


def _frozen(value: Any) -> Any:
    if isinstance(value, dict):
        return tuple((name, _frozen(value[name])) for name in sorted(value))
    if isinstance(value, list):
        return tuple(_frozen(item) for item in value)
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _json(value: Any) -> Any:
    return _frozen(msgspec.json.decode(value) if isinstance(value, str) else value)


_SHAPES: Final[dict[str, Callable[[Any], Any]]] = {
    "float4": struct.Struct("<f").pack,
    "float8": struct.Struct("<d").pack,
    "jsonb": _json,
    "bytea": bytes,
    "text[]": tuple,
    "text": str,
}
