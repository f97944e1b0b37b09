"""A channel's past: features, scores and readings over a range of time."""

from typing import Annotated, Final

from msgspec import Meta, Struct, field

from api.operations import Call, Operation
from api.payloads import (
    FeatureSeries,
    FeatureWindow,
    Identifier,
    ReadingPoint,
    ReadingSeries,
    ScoredWindow,
    ScoreSeries,
)
from api.problems import Problem
from api.times import Instant
from api.wire import finite, row_to, rows_to
from contracts.features import FEATURE_INDEX, FEATURE_NAMES, FEATURES

_HOUR_NS: Final = 3600 * 1_000_000_000
#: Tells a feature of the user's own from one of the catalogue.
_OWN: Final = "own."
_LONGEST_NS: Final = 400 * 24 * _HOUR_NS

#: A comma-separated list; the text's own bound keeps it from being endless.
Names = Annotated[
    str,
    Meta(
        max_length=2000,
        description="features, separated by commas, the user's own as own.NAME; all of both without it",
    ),
]


class Range(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A channel over a time: ``from`` (included) to ``to`` (not included); the last hour without them."""

    channel_id: Identifier
    from_at: Instant | None = field(name="from", default=None)
    to_at: Instant | None = field(name="to", default=None)
    limit: Annotated[int, Meta(ge=1, le=5000, description="how many at most: the newest")] = 1000

    def bounds_ns(self, now_ns: int) -> tuple[int, int]:
        """Return the range in nanoseconds.

        Raises
        ------
        Problem
            422 unless ``from`` lies before ``to``, by 400 days at most.
        """
        to_ns = now_ns + 1 if self.to_at is None else self.to_at.ns
        from_ns = max(0, to_ns - _HOUR_NS) if self.from_at is None else self.from_at.ns
        if not from_ns < to_ns:
            raise Problem(422, f"from: {Instant(from_ns)} doesn't lie before {Instant(to_ns)}.")
        if to_ns - from_ns > _LONGEST_NS:
            raise Problem(422, f"from: {Instant(from_ns)} lies more than 400 days before {Instant(to_ns)}.")
        return from_ns, to_ns


class FeatureRange(Range, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Some features of a channel over a time."""

    names: Names | None = None
    version: Annotated[int, Meta(ge=1, le=1000, description="the newest up to this one; the newest without")] | None = (
        None
    )

    def chosen(self) -> tuple[list[str], list[str] | None]:
        """Return what is asked for: names in the catalogue, and own features, ``None`` for all of them.

        Which own features there are is known to the rows alone: one that was never computed gives nothing. A name
        that is neither own nor in the catalogue is a problem 422.
        """
        if self.names is None:
            return list(FEATURE_NAMES), None
        names = list(dict.fromkeys(self.names.split(",")))
        own = [name.removeprefix(_OWN) for name in names if name.startswith(_OWN)]
        names = [name for name in names if not name.startswith(_OWN)]
        for name in names:
            if name not in FEATURE_INDEX:
                raise Problem(422, f"names: {name[:80]!r} is no feature; known are {', '.join(FEATURE_NAMES)}.")
        return names, own


async def list_features(call: Call, arguments: FeatureRange) -> FeatureSeries:
    """Answer feature values."""
    names, own = arguments.chosen()
    bounds = arguments.bounds_ns(call.services.clock.now_ns())
    rows = await call.services.reader.features(
        call.who, arguments.channel_id, names, *bounds, arguments.limit, arguments.version
    )
    windows = [
        FeatureWindow(
            window_start=Instant(row["window_start_ns"]),
            version=row["version"],
            values={name: finite(row[name]) for name in names},
            own_features={name: value for name, value in row["own_features"].items() if own is None or name in own},
        )
        for row in rows
    ]
    units = {name: FEATURES[FEATURE_INDEX[name]].unit for name in names}
    return FeatureSeries(channel_id=arguments.channel_id, units=units, windows=windows)


async def list_scores(call: Call, arguments: Range) -> ScoreSeries:
    """Answer model scores."""
    bounds = arguments.bounds_ns(call.services.clock.now_ns())
    rows = await call.services.reader.scores(call.who, arguments.channel_id, *bounds, arguments.limit)
    scores = [row_to(ScoredWindow, row) for row in rows]
    return ScoreSeries(channel_id=arguments.channel_id, scores=scores)


async def list_readings(call: Call, arguments: Range) -> ReadingSeries:
    """Answer readings."""
    bounds = arguments.bounds_ns(call.services.clock.now_ns())
    rows = await call.services.reader.readings(call.who, arguments.channel_id, *bounds, arguments.limit)
    return ReadingSeries(channel_id=arguments.channel_id, readings=rows_to(ReadingPoint, rows))


OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/v1/channels/{channel_id}/features",
        name="list_features",
        summary="Feature values of a channel, oldest first",
        run=list_features,
        arguments=FeatureRange,
        answer=FeatureSeries,
    ),
    Operation(
        method="GET",
        path="/v1/channels/{channel_id}/scores",
        name="list_scores",
        summary="Model scores of a channel, oldest first",
        run=list_scores,
        arguments=Range,
        answer=ScoreSeries,
    ),
    Operation(
        method="GET",
        path="/v1/channels/{channel_id}/readings",
        name="list_readings",
        summary="Readings of a channel, oldest first",
        run=list_readings,
        arguments=Range,
        answer=ReadingSeries,
    ),
)
