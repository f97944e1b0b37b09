"""One asset's past again, from the log, with other rules or models if asked: nothing is written.

``PartitionPipeline`` and ``AlarmPartition`` do the work, as they do live. They begin where the log does, so that
baselines and windows are those of history; a variant is taken to have been in force all along. What the log no longer
holds can't be learnt again: then the result is marked as incomplete.
"""

import dataclasses
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from adapters.kafka import LogRecord
from adapters.timescale import canonical_rows, canonical_transitions
from contracts import ports, topics
from contracts import records as r
from contracts.activations import activation_of, configuration_of
from contracts.assets import AssetConfiguration, ModelReference
from contracts.codec import Codec
from contracts.errors import BadRecord, ConfigurationError, Reason
from contracts.validation import validate
from processors.alarm_partition import AlarmPartition
from processors.configured import misfits
from processors.own_features import FeatureCode
from processors.pipeline import PartitionPipeline
from runtime.episodes import Span

_BEGINNING: Final = ports.Checkpoint(-1, 0, {})
_ACTOR: Final = "replay"
#: Tables whose rows are compared one by one, and the columns by which they are in the span.
_SERIES: Final = {"feature": 1, "score": 1}

Table = dict[tuple[Any, ...], tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Variant:
    """What is tried: rules by name, and models instead of, or beside, those of the configuration."""

    rules: Mapping[str, Any] = field(default_factory=dict)
    models: tuple[ModelReference, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.rules or self.models)

    def of(self, config: AssetConfiguration) -> AssetConfiguration:
        """Return `config` with what is tried."""
        tried = {model.name: model for model in self.models}
        # in its name's first place, and alone: a model in shadow would be named twice
        models = dict.fromkeys(tried.get(model.name, model) for model in config.models)
        rules = dataclasses.replace(config.rules, **self.rules)
        return dataclasses.replace(config, rules=rules, models=tuple(models | dict.fromkeys(tried.values())))


@dataclass(slots=True)
class Survey:
    """What a partition of the log holds of an asset: event times (ns), records, whether it begins at the beginning."""

    first_ns: int | None = None
    last_ns: int | None = None
    records: int = 0
    from_beginning: bool = True
    configured: bool = False

    @classmethod
    def of(cls, log: Iterable[LogRecord], codec: Codec, asset_id: str) -> "Survey":
        """Return the survey of `log`, one partition of ``measurements``."""
        found, key = cls(), asset_id.encode()
        last_tick_ns: int | None = None
        for place, entry in enumerate(log):
            if place == 0:
                found.from_beginning = entry.offset == 0
            if entry.key not in {None, key}:
                continue
            try:
                record = codec.decode(entry.value)
                validate(record, last_tick_ns)
            except BadRecord:
                continue
            if isinstance(record, r.Tick):
                last_tick_ns = record.at_ns
            elif entry.key == key:
                found.take(record)
        return found

    def take(self, record: r.Record) -> None:
        """Count a record of the asset."""
        self.records += 1
        times = _times_ns(record)
        if times is None:
            # an activation after the first measurement doesn't tell what was in force before
            self.configured = self.configured or self.first_ns is None
            return
        self.first_ns = times[0] if self.first_ns is None else min(self.first_ns, times[0])
        self.last_ns = times[1] if self.last_ns is None else max(self.last_ns, times[1])


@dataclass(slots=True)
class Past:
    """What was recomputed: rows of the span by table, all conditions and alarm transitions, in canonical form."""

    series: dict[str, Table] = field(default_factory=lambda: {name: {} for name in _SERIES})
    conditions: Table = field(default_factory=dict)
    transitions: Table = field(default_factory=dict)
    windows: int = 0
    refused: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Recomputation:
    """The past of one asset.

    Parameters
    ----------
    codec : Codec
        Decodes the log.
    models : ModelStore
        Scoring models.
    code : FeatureCode
        The user's own features.
    asset_id : str
        Whose past.
    span : tuple of int, int
        Features and scores of windows that begin in it are kept; UTC nanoseconds.
    variant : Variant
        What is tried.
    progress : callable
        Told after each measurement.
    """

    codec: Codec
    models: ports.ModelStore
    code: FeatureCode
    asset_id: str
    span: Span
    variant: Variant
    progress: Callable[[], None]
    past: Past = field(default_factory=Past)
    _made: list[r.Condition] = field(default_factory=list)

    def measurements(self, log: Iterable[LogRecord], config: AssetConfiguration | None) -> None:
        """Run the asset's partition of ``measurements``.

        Parameters
        ----------
        log : iterable of LogRecord
            The partition, from its beginning.
        config : AssetConfiguration or None
            In force from the beginning, where the log no longer says.

        Raises
        ------
        ConfigurationError
            The variant can't be worked with, e.g. a model is missing.
        """
        pipeline = PartitionPipeline(self.models, _BEGINNING, self.code)
        key = self.asset_id.encode()
        if config is not None:
            activation = activation_of(self._tried(config), self.span[0], _ACTOR)
            self._feed(pipeline, 0, key, self._encoded(activation))
        for entry in log:
            if entry.key is None:
                pipeline.feed(self.codec, entry.offset, None, entry.value)
                self._keep(pipeline)
            elif entry.key == key:
                self._feed(pipeline, entry.offset, key, self._varied(entry.value))
                self.progress()

    def _feed(self, pipeline: PartitionPipeline, offset: int, key: bytes, value: bytes | None) -> None:
        refusal = pipeline.feed(self.codec, offset, key, value)
        if refusal is not None and refusal.reason is Reason.BAD_ACTIVATION and self.variant:
            raise ConfigurationError(f"this can't be tried on {self.asset_id}: {refusal.detail}")
        if refusal is not None:
            self.past.refused[refusal.reason.value] += 1
        self._keep(pipeline)

    def _varied(self, value: bytes | None) -> bytes | None:
        """Return the record with the variant in it where it is an activation."""
        if not self.variant:
            return value
        try:
            record = self.codec.decode(value)
            if not isinstance(record, r.Activation):
                return value
            return self._encoded(activation_of(self._tried(configuration_of(record)), record.at_ns, record.actor))
        except BadRecord:
            return value  # refused by the pipeline, as it was

    def _tried(self, config: AssetConfiguration) -> AssetConfiguration:
        """Return `config` with the variant in it; a model that would be refused for its features can't be tried."""
        tried = self.variant.of(config)
        if not self.variant.models:
            return tried
        try:
            unfit = misfits(tried, self.models, self.code)
        except ConfigurationError as error:
            raise ConfigurationError(f"this can't be tried on {self.asset_id}: {error}") from None
        for why in (unfit[model.key] for model in self.variant.models if model.key in unfit):
            raise ConfigurationError(f"this can't be tried on {self.asset_id}: {why}")
        return tried

    def _encoded(self, record: r.Record) -> bytes:
        return self.codec.encode(topics.MEASUREMENTS, record)

    def _keep(self, pipeline: PartitionPipeline) -> None:
        if not len(pipeline.results):
            return
        results = pipeline.take()
        self._made += results.conditions
        kept = [a for a in results.assessments if self.span[0] <= a.window_start_ns < self.span[1]]
        self.past.windows += len(kept)
        tables = canonical_rows(ports.HistoryRows(assessments=kept, conditions=results.conditions))
        for name, column in _SERIES.items():
            for key, values in tables[name].items():
                if self.span[0] <= key[column] < self.span[1]:
                    self.past.series[name].setdefault(key, values)
        for key, values in tables["condition"].items():
            self.past.conditions.setdefault(key, values)

    def alarms(self, open_log: Callable[[], Iterable[LogRecord]]) -> None:
        """Run the asset's partition of ``conditions``: its commands and ticks, with the recomputed conditions.

        A condition that is on the log too is applied where it stands there; one that isn't, before the first command or
        tick after its time.

        Parameters
        ----------
        open_log : callable
            Gives the partition from its beginning; called twice, since a log of months doesn't fit into memory.
        """
        key = self.asset_id.encode()
        walk = _Alarms(self.codec, self._made, self.past.transitions)
        mine = (walk.decoded(entry) for entry in open_log() if entry.key == key)
        walk.logged = {record.condition_id for record in mine if isinstance(record, r.Condition)}
        for entry in open_log():
            if entry.key in {None, key}:
                walk.take(entry)
        walk.apply_rest()


@dataclass(slots=True)
class _Alarms:
    """Recomputed conditions among the commands and ticks of the log."""

    codec: Codec
    made: list[r.Condition]
    transitions: Table
    logged: set[str] = field(default_factory=set)
    book: AlarmPartition = field(default_factory=lambda: AlarmPartition(_BEGINNING))
    _waiting: deque[r.Condition] = field(init=False)
    _waiting_ids: set[str] = field(init=False)

    def __post_init__(self) -> None:
        self._waiting = deque(self.made)
        self._waiting_ids = {condition.condition_id for condition in self.made}

    def decoded(self, entry: LogRecord) -> r.Record | None:
        """Return the record, ``None`` where it can't be decoded."""
        try:
            return self.codec.decode(entry.value)
        except BadRecord:
            return None

    def take(self, entry: LogRecord) -> None:
        record = self.decoded(entry)
        if isinstance(record, r.Condition):
            while record.condition_id in self._waiting_ids:
                self._apply_next()
        elif isinstance(record, r.Command | r.Tick):
            while self._waiting and self._is_new(self._waiting[0]) and self._waiting[0].at_ns <= record.at_ns:
                self._apply_next()
            self._apply(entry.key, entry.value)

    def apply_rest(self) -> None:
        while self._waiting:
            self._apply_next()

    def _is_new(self, condition: r.Condition) -> bool:
        return condition.condition_id not in self.logged

    def _apply_next(self) -> None:
        condition = self._waiting.popleft()
        self._waiting_ids.discard(condition.condition_id)
        self._apply(condition.asset_id.encode(), self.codec.encode(topics.CONDITIONS, condition))

    def _apply(self, key: bytes | None, value: bytes | None) -> None:
        step = self.book.feed(self.codec, self.book.applied_offset + 1, key, value)
        for place, values in canonical_transitions(step.transitions).items():
            self.transitions.setdefault(place, values)


def _times_ns(record: r.Record) -> tuple[int, int] | None:
    """Return the first and the last event time of a measurement; ``None`` for what isn't one."""
    if isinstance(record, r.AcquisitionBlock):
        return record.start_ns, record.start_ns + round(record.n_samples / record.sampling_rate_hz * 1e9)
    if isinstance(record, r.ReadingBatch):
        times = [reading.at_ns for reading in record.readings]
        return min(times), max(times)
    return (record.at_ns, record.at_ns) if isinstance(record, r.MachineEvent) else None
