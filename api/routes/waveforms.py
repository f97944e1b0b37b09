"""Kept waveforms of a channel and what they show."""

import asyncio
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from api import signals
from api.operations import Call, Operation
from api.payloads import Identifier, WaveformDetail, WaveformList
from api.problems import Problem
from api.routes.channels import Range
from api.times import Instant
from contracts.assets import DriveTrain, MeasurementPoint
from contracts.errors import ConfigurationError, NotFound
from contracts.ports import WaveformSnapshot
from processors.bearings import BearingGeometry, bearing_at

_LATEST_NS: Final = 2**63 - 1


class SomeWaveforms(Range, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Waveforms of a channel over a time."""

    limit: Annotated[int, Meta(ge=1, le=100, description="how many at most: the newest")] = 20


class OneWaveform(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A kept waveform by its start, or the newest."""

    channel_id: Identifier
    start: Annotated[str, Meta(max_length=40, description="`latest`, or the start as the list gives it")]

    def range_ns(self) -> tuple[int, int]:
        """Return a range in which the waveform is the newest one; 422 for a start that is no moment."""
        if self.start == "latest":
            return 0, _LATEST_NS
        try:
            start_ns = Instant.parse(self.start).ns
        except ValueError as error:
            raise Problem(422, f"start: {error}, or latest.") from None
        return start_ns, start_ns + 1


class ShownWaveform(OneWaveform, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to show it."""

    samples: Annotated[
        Literal["decimated", "full"], Meta(description="extremes for drawing, or the samples as kept")
    ] = "decimated"
    points: Annotated[int, Meta(ge=10, le=5000, description="how many points to draw at most")] = 1000


class ShownSpectrum(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which spectrum of which waveform."""

    channel_id: Identifier
    start: Annotated[str, Meta(max_length=40, description="`latest`, or a waveform's start")] = "latest"
    kind: Annotated[signals.Kind, Meta(description="of the waveform, or of its squared envelope")] = "amplitude"
    max_hz: Annotated[float, Meta(gt=0, le=1e7, description="where to end")] | None = None


async def list_waveforms(call: Call, arguments: SomeWaveforms) -> WaveformList:
    """Answer which waveforms are kept."""
    bounds = arguments.bounds_ns(call.services.clock.now_ns())
    kept = await call.services.reader.waveforms(call.who, arguments.channel_id, *bounds, arguments.limit)
    return WaveformList(waveforms=[signals.summary(one) for one in kept])


async def get_waveform(call: Call, arguments: ShownWaveform) -> WaveformDetail:
    """Answer one waveform."""
    kept = await _kept(call, arguments)
    if arguments.samples == "full":
        return signals.full(kept)
    return await asyncio.to_thread(signals.decimated, kept, arguments.points)


async def get_spectrum(call: Call, arguments: ShownSpectrum) -> signals.SpectrumDetail:
    """Answer a spectrum, demodulated in the band that the stream used, where it is known."""
    kept = await _kept(call, OneWaveform(channel_id=arguments.channel_id, start=arguments.start))
    band_hz = await _band_hz(call, kept) if arguments.kind == "envelope" else None
    bearing = await _bearing(call, kept)
    return await asyncio.to_thread(signals.spectrum, kept, arguments.kind, bearing, band_hz, arguments.max_hz)


async def _kept(call: Call, which: OneWaveform) -> WaveformSnapshot:
    kept = await call.services.reader.waveforms(call.who, which.channel_id, *which.range_ns(), 1)
    if not kept:
        raise NotFound(f"{which.channel_id} has no waveform {which.start}")
    return kept[0]


async def _band_hz(call: Call, kept: WaveformSnapshot) -> tuple[float, float] | None:
    names = ["envelope_low_hz", "envelope_high_hz"]
    span_ns = kept.start_ns, kept.start_ns + 1
    rows = await call.services.reader.features(call.who, kept.channel_id, names, *span_ns, limit=1, version=1)
    low_hz, high_hz = (rows[0][name] for name in names) if rows else (None, None)
    return None if low_hz is None or high_hz is None else (low_hz, high_hz)


async def _bearing(call: Call, kept: WaveformSnapshot) -> BearingGeometry | None:
    """Return the bearing that the channel listens to; null where there is none, or none of that name is known."""
    asset = await call.services.reader.asset(call.who, kept.asset_id)
    train = msgspec.convert(asset["configuration"].get("drive_train", {}), DriveTrain)
    for point in asset["configuration"]["points"]:
        if any(channel["channel_id"] == kept.channel_id for channel in point["channels"]):
            try:
                return bearing_at(msgspec.convert(point, MeasurementPoint), train)
            except ConfigurationError:
                return None
    return None


_UNKNOWN: Final = {404: "There is no such waveform within the caller's scope."}

OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/v1/channels/{channel_id}/waveforms",
        name="list_waveforms",
        summary="Kept waveforms of a channel, newest first",
        run=list_waveforms,
        arguments=SomeWaveforms,
        answer=WaveformList,
    ),
    Operation(
        method="GET",
        path="/v1/channels/{channel_id}/waveforms/{start}",
        name="get_waveform",
        summary="One kept waveform",
        run=get_waveform,
        arguments=ShownWaveform,
        answer=WaveformDetail,
        problems=_UNKNOWN,
    ),
    Operation(
        method="GET",
        path="/v1/channels/{channel_id}/spectrum",
        name="get_spectrum",
        summary="A spectrum of a kept waveform, with the bearing's fault frequencies at the measured speed",
        run=get_spectrum,
        arguments=ShownSpectrum,
        answer=signals.SpectrumDetail,
        problems=_UNKNOWN,
    ),
)
