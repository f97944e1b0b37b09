"""What a decoded measurement must fulfil before anything is computed from it.

The schema guards the form, this module the meaning. A record either passes whole or is refused whole, with the value
and the bound in the detail; nothing is mended and nothing is guessed. Whether the asset, its channels and their units
are those configured is the core's question, since only the core knows the configuration in force.
"""

import math
from typing import Final

import numpy as np

from contracts import records as r
from contracts.errors import BadRecord, Reason
from contracts.units import factor_to_canonical

MAX_SAMPLING_RATE_HZ: Final = 10e6
#: 2000-01-01 and 2100-01-01, UTC nanoseconds.
EARLIEST_NS: Final = 946_684_800_000_000_000
LATEST_NS: Final = 4_102_444_800_000_000_000
#: How far a record may be ahead of the log's clock (nanoseconds).
MAX_AHEAD_NS: Final = 300_000_000_000

_SAMPLE_BYTES: Final = 4
_SAMPLE: Final = np.dtype("<f4")


def validate(record: r.Record, now_ns: int | None) -> None:
    """Check a record by its type; records that the product itself writes pass.

    Parameters
    ----------
    record : Record
        What was decoded.
    now_ns : int or None
        The log's clock (the last tick), UTC nanoseconds; None before the first tick, when no time is too late.

    Raises
    ------
    BadRecord
        As for the record's own check.
    """
    match record:
        case r.AcquisitionBlock():
            validate_block(record, now_ns)
        case r.ReadingBatch():
            validate_readings(record, now_ns)
        case r.MachineEvent():
            validate_event(record, now_ns)
        case _:
            pass


def validate_block(block: r.AcquisitionBlock, now_ns: int | None) -> None:
    """Check an acquisition block.

    Parameters
    ----------
    block : AcquisitionBlock
        What was decoded.
    now_ns : int or None
        The log's clock, UTC nanoseconds; None before the first tick.

    Raises
    ------
    BadRecord
        ``unknown_asset`` without an asset id; ``bad_sequence`` below 0; ``bad_sampling_rate`` outside (0, 10 MHz];
        ``bad_time`` outside 2000 to 2100; ``future_time`` over 5 minutes ahead; ``bad_channels`` for none, or one
        twice; ``missing_unit``; ``unknown_unit``; ``bad_length`` where samples and channels don't fit; ``out_of_range``
        for a negative speed or load; ``not_finite`` for NaN or infinity.

    Examples
    --------
    >>> channel = r.BlockChannel(channel_id="P-101-DE-H", quantity="acceleration", unit="")
    >>> block = r.AcquisitionBlock(
    ...     asset_id="P-101", device_id="daq", boot_id="1", sequence=0, start_ns=1_700_000_000_000_000_000,
    ...     sampling_rate_hz=25_600.0, n_samples=1, channels=(channel,), samples=bytes(4))
    >>> validate_block(block, None)
    Traceback (most recent call last):
    ...
    contracts.errors.BadRecord: missing_unit: acceleration has no unit; state one of g, m/s2
    """
    _check_origin(block.asset_id, block.sequence)
    if not 0.0 < block.sampling_rate_hz <= MAX_SAMPLING_RATE_HZ:  # false for NaN too
        raise BadRecord(
            Reason.BAD_SAMPLING_RATE,
            f"{block.sampling_rate_hz} Hz, above 0 and at most {MAX_SAMPLING_RATE_HZ:.0f} needed",
        )
    _check_time(block.start_ns, now_ns)
    _check_channels(block.channels)
    _check_length(block)
    _check_not_negative("speed_rpm", block.speed_rpm)
    _check_not_negative("load_ratio", block.load_ratio)
    samples = np.frombuffer(block.samples, _SAMPLE)
    finite = np.isfinite(samples)
    if not finite.all():
        first = int(np.argmin(finite))
        channel = block.channels[first // block.n_samples].channel_id
        detail = f"{channel} has {samples[first]} at sample {first % block.n_samples}"
        raise BadRecord(Reason.NOT_FINITE, f"{detail}; {finite.size - np.count_nonzero(finite)} samples aren't finite")


def validate_readings(batch: r.ReadingBatch, now_ns: int | None) -> None:
    """Check a reading batch.

    Parameters
    ----------
    batch : ReadingBatch
        What was decoded.
    now_ns : int or None
        The log's clock, UTC nanoseconds; None before the first tick.

    Raises
    ------
    BadRecord
        ``unknown_asset``, ``bad_sequence``, ``missing_unit``, ``unknown_unit``, ``bad_time``, ``future_time`` as for a
        block; ``bad_length`` without a reading; ``bad_channels`` for a reading without a channel id; ``not_finite``.
    """
    _check_origin(batch.asset_id, batch.sequence)
    if not batch.readings:
        raise BadRecord(Reason.BAD_LENGTH, "0 readings, at least 1 needed")
    for reading in batch.readings:
        if not reading.channel_id:
            raise BadRecord(Reason.BAD_CHANNELS, f"a {reading.quantity} reading names no channel")
        factor_to_canonical(reading.quantity, reading.unit)
        _check_time(reading.at_ns, now_ns)
        if not math.isfinite(reading.value):
            raise BadRecord(Reason.NOT_FINITE, f"{reading.channel_id} is {reading.value}")


def validate_event(event: r.MachineEvent, now_ns: int | None) -> None:
    """Check a machine event.

    Parameters
    ----------
    event : MachineEvent
        What was decoded.
    now_ns : int or None
        The log's clock, UTC nanoseconds; None before the first tick.

    Raises
    ------
    BadRecord
        ``unknown_asset``, ``bad_sequence``, ``bad_time``, ``future_time`` as for a block.
    """
    _check_origin(event.asset_id, event.sequence)
    _check_time(event.at_ns, now_ns)


def _check_origin(asset_id: str, sequence: int) -> None:
    if not asset_id:
        raise BadRecord(Reason.UNKNOWN_ASSET, "the record names no asset")
    if sequence < 0:
        raise BadRecord(Reason.BAD_SEQUENCE, f"sequence {sequence}, at least 0 needed")


def _check_time(at_ns: int, now_ns: int | None) -> None:
    if not EARLIEST_NS <= at_ns < LATEST_NS:
        raise BadRecord(Reason.BAD_TIME, f"{at_ns} ns isn't from 2000 ({EARLIEST_NS}) to 2100 ({LATEST_NS})")
    if now_ns is not None and at_ns > now_ns + MAX_AHEAD_NS:
        ahead_s = (at_ns - now_ns) / 1e9
        raise BadRecord(Reason.FUTURE_TIME, f"{at_ns} ns is {ahead_s:.1f} s ahead of the log, 300 s allowed")


def _check_channels(channels: tuple[r.BlockChannel, ...]) -> None:
    if not channels:
        raise BadRecord(Reason.BAD_CHANNELS, "0 channels, at least 1 needed")
    seen: set[str] = set()
    for channel in channels:
        if not channel.channel_id or channel.channel_id in seen:
            raise BadRecord(Reason.BAD_CHANNELS, f"channel id {channel.channel_id!r} is empty or occurs twice")
        seen.add(channel.channel_id)
        factor_to_canonical(channel.quantity, channel.unit)


def _check_length(block: r.AcquisitionBlock) -> None:
    if block.n_samples < 1:
        raise BadRecord(Reason.BAD_LENGTH, f"n_samples {block.n_samples}, at least 1 needed")
    needed = len(block.channels) * block.n_samples * _SAMPLE_BYTES
    if len(block.samples) != needed:
        declared = f"{len(block.channels)} channels x {block.n_samples} samples are {needed}"
        raise BadRecord(Reason.BAD_LENGTH, f"{len(block.samples)} bytes of samples, {declared}")


def _check_not_negative(name: str, value: float | None) -> None:
    if value is None:
        return
    if not math.isfinite(value):
        raise BadRecord(Reason.NOT_FINITE, f"{name} is {value}")
    if value < 0.0:
        raise BadRecord(Reason.OUT_OF_RANGE, f"{name} is {value}, at least 0 needed")
