"""Recompute the log in one undisturbed process and compare with the stored history: the yardstick of exactness.

Both stages run from their own log: features, scores and conditions from ``measurements``, alarm transitions from
``conditions``. Every column counts but ingestion and delivery times; floats are compared by their bits. Rows that
follow from records beyond a partition's checkpoint may be stored already or not: they are ``pending``, not missing.
Where the log's beginning has expired, a kept checkpoint takes its place (`runtime.beginnings`).
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from adapters.kafka import read_log
from adapters.timescale import Database, canonical_rows, canonical_transitions, read_history_since
from adapters.timescale.history import applied_offsets
from contracts import ports, topics
from contracts.codec import Codec
from contracts.errors import BadRecord
from processors.alarm_partition import AlarmPartition
from processors.own_features import FeatureCode
from processors.pipeline import PartitionPipeline
from runtime.beginnings import Beginnings, find_beginnings

#: How many differences are shown.
SHOWN: Final = 20
_PROGRESS_RECORDS: Final = 500

Key = tuple[str, tuple[Any, ...]]
Values = tuple[Any, ...]


@dataclass(slots=True)
class Comparison:
    """What was compared and what differs.

    ``missing`` rows were recomputed but aren't stored, ``unexpected`` ones are stored but weren't recomputed,
    ``changed`` ones have the same key and other values.
    """

    compared: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    log_records: Counter[str] = field(default_factory=Counter)
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    pending: int = 0
    #: Where the log's beginning has expired: from where it was recomputed, a line each.
    beginnings: list[str] = field(default_factory=list)

    @property
    def different(self) -> int:
        """How many rows differ."""
        return len(self.missing) + len(self.unexpected) + len(self.changed)

    def as_json(self) -> dict[str, Any]:
        """Return the figures, and the first differences."""
        return {
            "compared": sum(self.compared.values()),
            "different": self.different,
            "missing": len(self.missing),
            "unexpected": len(self.unexpected),
            "changed": len(self.changed),
            "pending": self.pending,
            "beginnings": self.beginnings,
            "tables": dict(self.compared),
            "refused": dict(self.refused),
            "log_records": dict(self.log_records),
            "examples": (self.changed + self.missing + self.unexpected)[:SHOWN],
        }


@dataclass(slots=True)
class _Recomputation:
    """The rows that a log leads to; the first record to give a key counts, as in the database."""

    codec: Codec
    models: ports.ModelStore
    code: FeatureCode
    beginnings: Beginnings
    applied: Mapping[tuple[str, int], int]
    progress: Callable[[str, int], None]
    comparison: Comparison
    rows: dict[Key, Values] = field(default_factory=dict)
    #: Keys that follow from records beyond the checkpoint.
    open_keys: set[Key] = field(default_factory=set)

    def measurements(self, kafka_url: str) -> None:
        """Run ``measurements``: features, scores, conditions and what else a pipeline gives."""
        pipelines: dict[int, PartitionPipeline] = {}
        topic = topics.MEASUREMENTS
        for record in read_log(kafka_url, topic, self.beginnings.offsets(topic)):
            pipeline = pipelines.get(record.partition)
            if pipeline is None:
                first = self.beginnings.checkpoint(topic, record.partition)
                pipeline = pipelines[record.partition] = PartitionPipeline(self.models, first, self.code)
            refusal = pipeline.feed(self.codec, record.offset, record.key, record.value)
            self._count(topic, refusal)
            if len(pipeline.results):
                self._keep(topic, record.partition, record.offset, canonical_rows(pipeline.take()))

    def conditions(self, kafka_url: str) -> None:
        """Run ``conditions``: alarm transitions."""
        partitions: dict[int, AlarmPartition] = {}
        topic = topics.CONDITIONS
        for record in read_log(kafka_url, topic, self.beginnings.offsets(topic)):
            alarms = partitions.get(record.partition)
            if alarms is None:
                first = self.beginnings.checkpoint(topic, record.partition)
                alarms = partitions[record.partition] = AlarmPartition(first)
            step = alarms.feed(self.codec, record.offset, record.key, record.value)
            self._count(topic, step.refusal)
            if step.transitions:
                rows = {"alarm_history": canonical_transitions(step.transitions)}
                self._keep(topic, record.partition, record.offset, rows)

    def _keep(self, topic: str, partition: int, offset: int, tables: Mapping[str, Mapping[Any, Values]]) -> None:
        is_open = offset > self.applied.get((topic, partition), -1)
        for key, values in _keyed(tables):
            if key not in self.rows:
                self.rows[key] = values
                if is_open:
                    self.open_keys.add(key)

    def _count(self, topic: str, refusal: BadRecord | None) -> None:
        self.comparison.log_records[topic] += 1
        if refusal is not None:
            self.comparison.refused[refusal.reason.value] += 1
        if self.comparison.log_records[topic] % _PROGRESS_RECORDS == 0:
            self.progress(topic, self.comparison.log_records[topic])


async def compare_with_log(
    database: Database,
    kafka_url: str,
    codec: Codec,
    models: ports.ModelStore,
    code: FeatureCode,
    progress: Callable[[str, int], None],
) -> Comparison:
    """Recompute what the log holds and compare it with the database.

    Parameters
    ----------
    database : Database
        Holds the history.
    kafka_url : str
        Bootstrap servers of the log.
    codec : Codec
        Decodes the log.
    models : ModelStore
        Scoring models.
    code : FeatureCode
        The user's own features.
    progress : callable
        Told the topic and how many of its records are done.

    Returns
    -------
    comparison : Comparison
        What was compared and what differs.

    Raises
    ------
    ConfigurationError
        The log's beginning has expired, and no kept checkpoint lies on what is left.
    """
    beginnings = await find_beginnings(database, kafka_url)
    comparison = Comparison(beginnings=beginnings.lines())
    work = _Recomputation(codec, models, code, beginnings, await applied_offsets(database), progress, comparison)
    work.measurements(kafka_url)
    work.conditions(kafka_url)
    beginnings.check(kafka_url)
    tables = dict.fromkeys(canonical_rows(ports.HistoryRows()), beginnings.judged_after(topics.MEASUREMENTS))
    tables["alarm_history"] = beginnings.judged_after(topics.CONDITIONS)
    async for table, key, values, judged in read_history_since(database, tables):
        if not judged:
            work.rows.pop((table, key), None)
            continue
        comparison.compared[table] += 1
        expected = work.rows.pop((table, key), None)
        if expected is None:
            comparison.unexpected.append(f"{table} {key}: stored, not recomputed")
        elif expected != values:
            comparison.changed.append(_difference(table, key, values, expected))
    for table, key in work.rows:
        if (table, key) in work.open_keys:
            comparison.pending += 1
        else:
            comparison.compared[table] += 1
            comparison.missing.append(f"{table} {key}: recomputed, not stored")
    return comparison


def _difference(table: str, key: tuple[Any, ...], stored: Values, recomputed: Values) -> str:
    columns = [i for i, (a, b) in enumerate(zip(stored, recomputed, strict=True)) if a != b]
    first = columns[0]
    return f"{table} {key}: value {first}: stored {stored[first]!r:.200}, recomputed {recomputed[first]!r:.200}"


def _keyed(tables: Mapping[str, Mapping[Any, Values]]) -> Iterator[tuple[Key, Values]]:
    for table, rows in tables.items():
        for key, values in rows.items():
            yield (table, key), values
