"""The seams between the shells and the outside: protocols that ``adapters`` implement and ``runtime`` binds.

``streams``, ``api`` and the other shells see these only.
"""

import dataclasses
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from contracts import records as r
from contracts.assets import AssetConfiguration, ServiceEvent, Site
from contracts.documents import Answer, Draft, Message, Passage


class Clock(Protocol):
    """Time, where a shell needs it."""

    def now_ns(self) -> int:
        """Return UTC nanoseconds."""

    def monotonic_s(self) -> float:
        """Return seconds that never go back."""


class ModelStore(Protocol):
    """Scoring models by name and version."""

    def load(self, name: str, version: str, sha256: str | None = None) -> bytes:
        """Return the model's bytes.

        Raises ``ConfigurationError`` where they are absent or differ from `sha256`, ``Unavailable`` where that can't
        be told now.
        """


# --- streams: history and exactness -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ownership:
    """The right to write for one partition, until somebody else claims it."""

    topic: str
    partition: int
    epoch: int


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a new owner starts from.

    ``applied_offset`` is the last offset whose results are stored (-1 for none), ``resume_offset`` the oldest record
    still needed by an open window, ``states`` the state of each asset.
    """

    applied_offset: int
    resume_offset: int
    states: Mapping[str, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveformSnapshot:
    """One analysis window of one channel, kept whole; ``samples`` is little-endian float32."""

    channel_id: str
    asset_id: str
    start_ns: int
    sampling_rate_hz: float
    unit: str
    speed_rpm: float | None
    samples: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Samples that a channel group lacked in time, ``from_ns`` to ``to_ns``, and why.

    ``cause`` is ``lost``, ``restart``, ``idle`` or ``retention`` for what isn't there, ``late`` for a block that came
    after the out-of-order tolerance, ``too_late`` for one that no window waited for any longer.
    """

    asset_id: str
    channel_group: str
    from_ns: int
    to_ns: int
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectedFeatures:
    """Features of a window that late blocks have completed; what was judged in time stands beside them unchanged.

    ``version`` is 2: version 1 are the features that were judged. The channels have no scores.
    """

    asset_id: str
    window_start_ns: int
    window_end_ns: int
    partial: bool
    code_version: str
    version: int
    channels: tuple[r.ChannelAssessment, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowScore:
    """What a model in shadow said of one channel's window; nobody is told but those who compare models."""

    asset_id: str
    channel_id: str
    window_start_ns: int
    window_end_ns: int
    code_version: str
    score: r.Score


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredReading:
    """One reading as stored."""

    asset_id: str
    reading: r.Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmLimit:
    """How far a model's scores must stay over their threshold at a point to raise an alarm, and how well that is known.

    ``limit`` is a ratio to the threshold; it is null, and no alarm is raised, while ``windows`` are fewer than
    ``windows_needed``. ``expected_per_month`` are the false alarms that the calibration lets expect.
    """

    asset_id: str
    point_id: str
    model: str
    regime: str
    at_ns: int
    windows: int
    windows_needed: int
    limit: float | None
    expected_per_month: float


@dataclass(slots=True)
class HistoryRows:
    """Results that await storage; each has a deterministic key, so storing it twice changes nothing."""

    assessments: list[r.Assessment] = dataclasses.field(default_factory=list)
    conditions: list[r.Condition] = dataclasses.field(default_factory=list)
    readings: list[StoredReading] = dataclasses.field(default_factory=list)
    events: list[r.MachineEvent] = dataclasses.field(default_factory=list)
    waveforms: list[WaveformSnapshot] = dataclasses.field(default_factory=list)
    gaps: list[Gap] = dataclasses.field(default_factory=list)
    corrections: list[CorrectedFeatures] = dataclasses.field(default_factory=list)
    shadow_scores: list[ShadowScore] = dataclasses.field(default_factory=list)
    alarm_limits: list[AlarmLimit] = dataclasses.field(default_factory=list)

    def extend(self, more: "HistoryRows") -> None:
        """Add all of `more`."""
        for name in self.__slots__:
            getattr(self, name).extend(getattr(more, name))

    def __len__(self) -> int:
        return sum(len(getattr(self, name)) for name in self.__slots__)


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """An alarm transition that waits to be relayed to Kafka."""

    sequence: int
    transition: r.AlarmTransition


class PartitionStore(Protocol):
    """State and history of partitions: every state-bearing transaction checks the owner's epoch.

    Every method raises ``Unavailable`` while the database is away, and ``StaleOwner`` once the epoch is no longer the
    partition's.
    """

    async def claim(self, topic: str, partition: int, owner: str) -> tuple[Ownership, Checkpoint]:
        """Take the partition: raise its epoch and return the checkpoint to start from."""

    async def append(self, rows: HistoryRows) -> None:
        """Store results, idempotently, in one transaction."""

    async def checkpoint(self, ownership: Ownership, checkpoint: Checkpoint) -> None:
        """Store offsets and the given (changed) states in one transaction that checks the epoch."""

    async def apply_alarms(
        self, ownership: Ownership, checkpoint: Checkpoint, transitions: Sequence[r.AlarmTransition]
    ) -> None:
        """Store alarm states, history, outbox rows and the checkpoint in one transaction that checks the epoch."""

    async def unsent(self, ownership: Ownership, limit: int) -> list[OutboxRow]:
        """Return the partition's oldest outbox rows that no acknowledged relay has covered."""

    async def mark_sent(self, ownership: Ownership, sequence: int) -> None:
        """Record that all outbox rows of the partition up to `sequence` are on the topic."""


class CheckpointKeeper(Protocol):
    """Keeps checkpoints with their states, so that a log whose beginning has expired can still be recomputed."""

    async def keep(self, ownership: Ownership, log_start: int) -> None:
        """Keep the stored checkpoint if the last one is old enough; forget those that begin before `log_start`.

        Raises ``Unavailable`` while the database is away, and ``StaleOwner`` once the epoch is no longer the
        partition's.
        """


class RefusalAccount(Protocol):
    """How many records all workers together have refused within a minute."""

    async def allow_refusals(self, records: int, limit: int) -> int:
        """Allow so many refusals, as far as `limit` a minute leaves room; return how many, 0 where there is none.

        Raises ``Unavailable`` while the database is away.
        """


# --- assets -----------------------------------------------------------------------------------------------------------


class AssetRegistry(Protocol):
    """Sites, assets and their service history in the database."""

    async def import_assets(
        self, sites: Sequence[Site], assets: Sequence[AssetConfiguration], events: Sequence[ServiceEvent], actor: str
    ) -> list[AssetConfiguration]:
        """Store everything in one transaction; return the assets whose configuration is new or has changed."""

    async def assets(self) -> list[AssetConfiguration]:
        """Return every asset, ordered by id."""

    async def sites(self) -> list[Site]:
        """Return every site, ordered by id."""

    async def service_history(self, asset_id: str) -> list[ServiceEvent]:
        """Return an asset's service events, newest first."""

    async def unactivated(self) -> list[AssetConfiguration]:
        """Return the assets whose newest configuration isn't on the log yet."""

    async def mark_activated(self, asset_id: str, version: str) -> None:
        """Record that the configuration `version` of the asset is on the log."""


# --- api --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks, and for what part of the plant; ``sites`` or ``assets`` of ``None`` means all."""

    subject: str
    roles: frozenset[str]
    sites: frozenset[str] | None = None
    assets: frozenset[str] | None = None


class HistoryReader(Protocol):
    """Queries; each carries the caller's scope, and what lies outside it doesn't exist for the caller.

    Rows are plain mappings with the column names of the schema (times as integers ``*_ns``).
    """

    async def assets(self, who: Principal) -> list[dict[str, Any]]:
        """Return the assets in scope with newest zone, fault, speed and standing alarms."""

    async def asset(self, who: Principal, asset_id: str) -> dict[str, Any]:
        """Return one asset with its whole configuration; raise ``NotFound``."""

    async def latest_assessment(self, who: Principal, asset_id: str) -> dict[str, Any]:
        """Return the newest assessment with channels, scores and diagnoses; raise ``NotFound``."""

    async def features(
        self,
        who: Principal,
        channel_id: str,
        names: Sequence[str],
        from_ns: int,
        to_ns: int,
        limit: int,
        version: int | None = None,
    ) -> list[dict[str, Any]]:
        """Return feature values of a channel by window start, oldest first, at most `limit` (the newest).

        ``version`` tells features judged in time (1) from those that late blocks have completed (2); the newest is
        returned, or the newest up to `version`.
        """

    async def scores(
        self, who: Principal, channel_id: str, from_ns: int, to_ns: int, limit: int
    ) -> list[dict[str, Any]]:
        """Return model scores of a channel by window start, oldest first, at most `limit` (the newest)."""

    async def readings(
        self, who: Principal, channel_id: str, from_ns: int, to_ns: int, limit: int
    ) -> list[dict[str, Any]]:
        """Return readings of a channel, oldest first, at most `limit` (the newest)."""

    async def waveforms(
        self, who: Principal, channel_id: str, from_ns: int, to_ns: int, limit: int
    ) -> list[WaveformSnapshot]:
        """Return kept waveforms, newest first."""

    async def conditions(self, who: Principal, asset_id: str, limit: int) -> list[dict[str, Any]]:
        """Return condition changes of an asset, newest first."""

    async def hourly_velocity(self, who: Principal, channel_id: str, from_ns: int, to_ns: int) -> list[dict[str, Any]]:
        """Return hourly means of a channel's velocity, oldest first: ``hour_start_ns``, ``velocity_rms_mm_s_avg``."""

    async def alarm_record(self, who: Principal, asset_id: str, since_ns: int) -> dict[str, Any]:
        """Return how often an asset has alarmed since, and how far the calibration of its alarm limits has come."""

    async def models(self, who: Principal) -> list[dict[str, Any]]:
        """Return the versions of scoring models that concern the scope, by name and number, with their newest step."""

    async def alarms(
        self, who: Principal, *, asset_id: str | None = None, standing: bool | None = None, limit: int = 100
    ) -> list[dict[str, Any]]:
        """Return alarms, newest first; `standing` picks those not in state normal."""

    async def alarm(self, who: Principal, alarm_id: str) -> dict[str, Any]:
        """Return one alarm; raise ``NotFound``."""

    async def alarm_history(self, who: Principal, alarm_id: str) -> list[dict[str, Any]]:
        """Return the transitions of one alarm, oldest first."""

    async def changes(self, who: Principal, after: int, limit: int) -> list[tuple[int, r.AlarmTransition]]:
        """Return (position, transition) of alarm history after position `after`, in commit order."""

    async def change_position(self) -> int:
        """Return the newest position of alarm history (0 for none)."""

    async def ready(self) -> None:
        """Return when the database answers; raise ``Unavailable`` otherwise."""


class CommandLog(Protocol):
    """Where commands go: the log, before they take effect."""

    async def append(self, command: r.Command) -> None:
        """Return once the broker has acknowledged the command; raise ``Unavailable`` otherwise."""


class Identity(Protocol):
    """Who is behind a request."""

    async def authenticate(self, headers: Mapping[str, str], client_host: str | None) -> Principal | None:
        """Return the caller, or ``None`` when the request proves nobody."""


class TokenIssuer(Protocol):
    """The development login: a token for whoever sits at the machine."""

    def issue(self, who: Principal, headers: Mapping[str, str], client_host: str | None) -> tuple[str, int] | None:
        """Return a bearer token and when it expires (UTC nanoseconds); ``None`` for a request from elsewhere."""


# --- assistant --------------------------------------------------------------------------------------------------------

#: A text's place among meanings: unit length, so that the scalar product of two is their cosine.
Vector = Sequence[float]


class Embedder(Protocol):
    """Texts to vectors; the same text gives the same vector."""

    #: Names model and precision: vectors of another name aren't comparable.
    name: str
    dimensions: int

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Return one vector of unit length for each text (CPU-bound: milliseconds a text)."""


class SearchIndex(Protocol):
    """Passages, found by their words and by their meaning, within the caller's scope.

    Every method raises ``Unavailable`` when the search engine doesn't answer in time.
    """

    async def documents(self) -> dict[str, str]:
        """Return the content digest of every document put so far, by document id."""

    async def replace(
        self, document_id: str, digest: str, passages: Sequence[Passage], vectors: Sequence[Vector]
    ) -> None:
        """Put the passages in the place of all that the document had."""

    async def remove(self, document_id: str) -> None:
        """Forget a document."""

    async def publish(self) -> None:
        """Return once everything that was put is found; a new generation of the index takes over at once."""

    async def find(
        self, who: Principal, words: str, vector: Vector, *, asset_id: str | None, site_id: str | None, limit: int
    ) -> list[Passage]:
        """Return the best passages, best first.

        `asset_id` leaves passages of that asset, and those for all assets of a site; `site_id` those of that site.
        What lies outside the scope of `who` takes no part in the search.
        """


class LanguageModel(Protocol):
    """Whoever words an answer."""

    def write(self, messages: Sequence[Message]) -> AsyncGenerator[str, None]:
        """Give the reply piece by piece; raise ``Unavailable`` when it fails or takes too long."""


class Assistant(Protocol):
    """Answers questions about machines, from documents and live conditions, within the caller's scope."""

    def ask(self, who: Principal, question: str, asset_id: str | None) -> AsyncGenerator[Draft | Answer, None]:
        """Give drafts, if any, and last the answer; raise ``NotFound`` for an asset outside the caller's scope."""


# --- notify -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A webhook endpoint; ``secrets`` (``whsec_…``) holds two during a rotation."""

    endpoint_id: str
    url: str
    secrets: tuple[str, ...] = dataclasses.field(repr=False)
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message that one endpoint should receive; ``message_id`` is the same on every ``attempt`` (1, 2, …)."""

    delivery_id: int
    endpoint_id: str
    message_id: str
    body: bytes
    attempt: int


class DeliveryQueue(Protocol):
    """Webhook deliveries in the database; survives any crash."""

    async def put_endpoint(self, endpoint: Endpoint) -> None:
        """Create or replace an endpoint."""

    async def endpoints(self) -> list[Endpoint]:
        """Return all endpoints."""

    async def enqueue(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Queue (message id, body) for every enabled endpoint; a known (message, endpoint) pair is left alone."""

    async def take(self, limit: int, lease_s: float, busy: Sequence[str] = ()) -> list[Delivery]:
        """Lease due deliveries of endpoints that aren't `busy`; each counts as an attempt, from 1.

        A lease that isn't settled in time is handed out again.
        """

    async def succeed(self, delivery: Delivery, status: int) -> None:
        """Settle a delivery."""

    async def retry(self, delivery: Delivery, after_s: float, detail: str) -> None:
        """Put a delivery back, due in `after_s`."""

    async def give_up(self, delivery: Delivery, detail: str, *, disable_endpoint: bool = False) -> None:
        """Move a delivery to the dead letters; on 410 the endpoint is disabled too."""


class BlockSink(Protocol):
    """Where measurements go (a producer on ``measurements``)."""

    async def put(self, record: r.Measurement) -> None:
        """Hand over a record; waits while too much is under way."""

    async def flush(self) -> None:
        """Return once everything handed over is acknowledged; raise ``Unavailable`` otherwise."""


class Outlet(Protocol):
    """Where the stream's own records go.

    ``Unavailable`` from either method means that a record handed over earlier may be missing: what followed from it
    has to be produced again.
    """

    async def send(
        self,
        topic: str,
        key: str | None,
        record: r.Record,
        *,
        partition: int = -1,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> None:
        """Hand over a record; waits while too much is under way."""

    async def flush(self) -> None:
        """Return once everything handed over is acknowledged."""
