"""What the API gives: the types behind every answer, and with them the OpenAPI schemas.

Invariant: an answer holds the fields named here and no others, whatever columns a row has.
"""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from api.times import Instant
from contracts import records as r

#: A text that names something: no control characters.
Identifier = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]


class ChannelState(Struct, frozen=True, kw_only=True):
    """One channel in an assessment; features by name, null where undefined.

    ``own_features`` are the user's own; ``not_decided`` names what the window is too short for, with the length needed.
    """

    channel_id: str
    point_id: str
    zone: r.Zone | None = None
    not_graded_because: str | None = None
    features: dict[str, float | None]
    scores: list[r.Score]
    own_features: dict[str, float | None] = {}
    not_decided: list[r.NotDecided] = []


class AssessmentDetail(Struct, frozen=True, kw_only=True):
    """Everything computed for one asset and one analysis window."""

    assessment_id: str
    asset_id: str
    site_id: str
    window_start: Instant
    window_end: Instant
    sampling_rate_hz: float
    n_samples: int
    partial: bool
    speed_rpm: float | None
    regime: str
    zone: r.Zone | None
    catalogue_version: int
    code_version: str
    configuration_version: str
    channels: list[ChannelState]
    diagnoses: list[r.Diagnosis]
    code_hash: str = ""


class ConditionChange(Struct, frozen=True, kw_only=True):
    """A rule's condition was raised or cleared."""

    condition_id: str
    asset_id: str
    point_id: str
    rule: str
    state: r.ConditionState
    sequence: int
    at: Instant
    episode_started_at: Instant
    priority: r.Priority
    latching: bool
    zone: r.Zone | None
    fault: str | None
    confidence: float | None
    reason: str
    evidence: list[r.Evidence]


class ConditionList(Struct, frozen=True, kw_only=True):
    """Condition changes of an asset, newest first."""

    conditions: list[ConditionChange]


class FeatureWindow(Struct, frozen=True, kw_only=True):
    """Feature values of one analysis window, by name; null where undefined.

    ``version`` is 1 for those that were judged in time, 2 for those that late blocks have completed. ``own_features``
    are those of the user's own that were asked for.
    """

    window_start: Instant
    version: int
    values: dict[str, float | None]
    own_features: dict[str, float | None]


class FeatureSeries(Struct, frozen=True, kw_only=True):
    """Feature values of a channel, oldest first, with the unit of each feature of the catalogue."""

    channel_id: str
    units: dict[str, str]
    windows: list[FeatureWindow]


class ScoredWindow(Struct, frozen=True, kw_only=True):
    """One model's score of one analysis window; ``explanation`` says which features a high one comes from."""

    window_start: Instant
    model: str
    version: str
    value: float | None
    threshold: float | None
    learning: bool
    explanation: tuple[r.Evidence, ...]


class ScoreSeries(Struct, frozen=True, kw_only=True):
    """Model scores of a channel, oldest first."""

    channel_id: str
    scores: list[ScoredWindow]


class ReadingPoint(Struct, frozen=True, kw_only=True):
    """One slow scalar value."""

    at: Instant
    quantity: str
    unit: str
    value: float | None
    quality: r.Quality


class ReadingSeries(Struct, frozen=True, kw_only=True):
    """Readings of a channel, oldest first."""

    channel_id: str
    readings: list[ReadingPoint]


class WaveformSummary(Struct, frozen=True, kw_only=True):
    """A kept analysis window, without its samples."""

    channel_id: str
    asset_id: str
    start: Instant
    sampling_rate_hz: float
    n_samples: int
    duration_s: float
    unit: str
    speed_rpm: float | None


class WaveformList(Struct, frozen=True, kw_only=True):
    """Kept waveforms of a channel, newest first."""

    waveforms: list[WaveformSummary]


class WaveformDetail(WaveformSummary, frozen=True, kw_only=True):
    """A kept analysis window.

    ``minimum`` and ``maximum`` are the extremes of equal stretches of ``samples_per_point`` samples, for drawing;
    ``samples_base64`` holds the samples themselves, exactly as kept: little-endian float32.
    """

    samples_per_point: int | None = None
    minimum: list[float] | None = None
    maximum: list[float] | None = None
    samples_base64: bytes | None = None


class ProblemDetail(Struct, frozen=True, kw_only=True):
    """What went wrong (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    parts: dict[str, str] | msgspec.UnsetType = msgspec.UNSET
