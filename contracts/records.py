"""The records on the log: frozen dataclasses, each the twin of one schema in ``schemas/avro``.

Invariants: times are UTC nanoseconds, every number that carries a quantity names its unit, and a record on
``measurements`` carries (device, boot, sequence), which identifies it for ever.
"""

from dataclasses import dataclass, field
from enum import StrEnum


class Acquisition(StrEnum):
    """How a device samples: without pause, or in declared bursts whose pauses are no gaps."""

    CONTINUOUS = "continuous"
    BURST = "burst"


class Quality(StrEnum):
    """OPC UA's three classes; bad values are never scored."""

    GOOD = "good"
    UNCERTAIN = "uncertain"
    BAD = "bad"


class Zone(StrEnum):
    """Severity zone of ISO 20816: A is as new, D is damaging."""

    A = "A"
    B = "B"
    C = "C"
    D = "D"


class ConditionState(StrEnum):
    """Whether a condition now holds."""

    RAISED = "raised"
    CLEARED = "cleared"


class AlarmState(StrEnum):
    """ISA-18.2 / IEC 62682 alarm states."""

    NORMAL = "normal"
    UNACKNOWLEDGED = "unacknowledged"
    ACKNOWLEDGED = "acknowledged"
    RETURNED_UNACKNOWLEDGED = "returned_unacknowledged"
    LATCHED_UNACKNOWLEDGED = "latched_unacknowledged"
    LATCHED_ACKNOWLEDGED = "latched_acknowledged"
    SHELVED = "shelved"
    SUPPRESSED = "suppressed"
    OUT_OF_SERVICE = "out_of_service"


class CommandAction(StrEnum):
    """What an operator may ask of an alarm."""

    ACKNOWLEDGE = "acknowledge"
    RESET = "reset"
    SHELVE = "shelve"
    UNSHELVE = "unshelve"
    SUPPRESS = "suppress"
    UNSUPPRESS = "unsuppress"
    REMOVE_FROM_SERVICE = "remove_from_service"
    RETURN_TO_SERVICE = "return_to_service"


class Priority(StrEnum):
    """Alarm priority of ISA-18.2."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockChannel:
    """One channel of an acquisition block."""

    channel_id: str
    quantity: str
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AcquisitionBlock:
    """All waveform channels of one asset over one time span.

    ``samples`` holds ``len(channels) × n_samples`` little-endian float32, channel after channel.
    ``speed_rpm`` is the shaft speed measured with the block, where the device knows it.
    """

    asset_id: str
    device_id: str
    boot_id: str
    sequence: int
    start_ns: int
    sampling_rate_hz: float
    n_samples: int
    channels: tuple[BlockChannel, ...]
    samples: bytes
    acquisition: Acquisition = Acquisition.CONTINUOUS
    speed_rpm: float | None = None
    load_ratio: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One slow scalar value."""

    channel_id: str
    quantity: str
    unit: str
    at_ns: int
    value: float
    quality: Quality = Quality.GOOD


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingBatch:
    """Slow scalar values of one asset."""

    asset_id: str
    device_id: str
    boot_id: str
    sequence: int
    readings: tuple[Reading, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineEvent:
    """Something that happened to the machine: a PLC alarm, a line stop, maintenance."""

    asset_id: str
    device_id: str
    boot_id: str
    sequence: int
    at_ns: int
    kind: str
    code: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """The partition owner's clock, once a second: the only time the core knows."""

    topic: str
    partition: int
    at_ns: int
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Activation:
    """A configuration takes effect for an asset from here on in the log.

    ``payload_json`` is the asset's whole configuration (``contracts.assets.AssetConfiguration``) as JSON.
    """

    activation_id: str
    asset_id: str
    kind: str
    version: str
    at_ns: int
    payload_json: str
    sha256: str
    actor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One measured fact that speaks for a diagnosis or a score.

    ``name`` is the field's term (``BPFO``, ``velocity_rms_mm_s``), ``limit`` the bound that was crossed, and ``text``
    a sentence a technician understands.
    """

    name: str
    value: float
    unit: str
    limit: float | None
    frequency_hz: float | None
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What is probably wrong at a measurement point, why, and how sure that is (0 to 1).

    ``confirm`` says what would confirm it, and ``excludes`` which faults the same evidence rules out.
    """

    point_id: str
    channel_id: str
    fault: str
    confidence: float
    evidence: tuple[Evidence, ...]
    confirm: str | None = None
    excludes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How abnormal a channel's window is to one model; higher is more abnormal.

    ``value`` and ``threshold`` are dimensionless; both are null while the model is ``learning``.
    """

    model: str
    version: str
    value: float | None
    threshold: float | None
    learning: bool
    explanation: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NotDecided:
    """A question that a window can't answer: its name (``BPFO``), and the window length that could.

    ``needed_s`` is null where no length helps, because the demodulation band is too narrow.
    """

    name: str
    needed_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelAssessment:
    """Features, zone and scores of one channel in one analysis window.

    ``features`` has one float32 value per name in ``contracts.features.FEATURES``, null where undefined;
    ``own_features`` the float32 values of the user's own, by name.
    """

    channel_id: str
    point_id: str
    features: tuple[float | None, ...]
    zone: Zone | None
    not_graded_because: str | None
    scores: tuple[Score, ...]
    own_features: dict[str, float | None] = field(default_factory=dict)
    not_decided: tuple[NotDecided, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """Everything computed for one asset and one analysis window (ISO 13374 stages DM, SD and HA).

    ``code_hash`` tells the feature code that computed it; it is empty in records written before it was kept.
    """

    assessment_id: str
    asset_id: str
    site_id: str
    window_start_ns: int
    window_end_ns: int
    sampling_rate_hz: float
    n_samples: int
    partial: bool
    speed_rpm: float | None
    regime: str
    catalogue_version: int
    code_version: str
    configuration_version: str
    channels: tuple[ChannelAssessment, ...]
    diagnoses: tuple[Diagnosis, ...]
    zone: Zone | None
    code_hash: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A rule's condition at a measurement point was raised or cleared; input to the alarm agent.

    ``sequence`` grows by one per asset. ``episode_started_at_ns`` is the end of the first window of the episode.
    """

    condition_id: str
    asset_id: str
    site_id: str
    point_id: str
    rule: str
    state: ConditionState
    sequence: int
    at_ns: int
    episode_started_at_ns: int
    priority: Priority
    latching: bool
    zone: Zone | None
    fault: str | None
    confidence: float | None
    reason: str
    evidence: tuple[Evidence, ...]
    traceparent: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """An operator's wish, on the log before it takes effect.

    ``until_ns`` ends a timed shelving.
    """

    command_id: str
    asset_id: str
    alarm_id: str
    action: CommandAction
    actor: str
    at_ns: int
    until_ns: int | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmTransition:
    """One step of an alarm's ISA-18.2 life cycle, as subscribers of ``alarms`` see it.

    ``sequence`` counts the transitions of the alarm's asset.
    """

    transition_id: str
    alarm_id: str
    asset_id: str
    site_id: str
    point_id: str
    rule: str
    sequence: int
    from_state: AlarmState
    state: AlarmState
    cause: str
    at_ns: int
    started_at_ns: int
    priority: Priority
    zone: Zone | None
    fault: str | None
    confidence: float | None
    reason: str
    evidence: tuple[Evidence, ...]
    actor: str | None = None
    note: str | None = None
    traceparent: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """One Kafka header."""

    name: str
    value: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A refused record, whole, with where it lay and why it was refused."""

    topic: str
    partition: int
    offset: int
    timestamp_ns: int
    reason: str
    detail: str
    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...] = field(default=())


#: What may lie on ``measurements``.
Measurement = AcquisitionBlock | ReadingBatch | MachineEvent | Tick | Activation
#: What may lie on ``conditions``.
ConditionRecord = Condition | Command | Tick | Activation
#: Every record type with a schema of its own.
Record = Measurement | ConditionRecord | Assessment | AlarmTransition | DeadLetter
