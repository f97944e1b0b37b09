"""Recordings as sources: what a file holds, as if a device measured it now.

Invariants: a recording is replayed sample for sample in its own units; nothing that it doesn't say (speed, bearing,
support of the machine) is made up for the asset.
"""

import itertools
from collections.abc import Iterator
from typing import Final

from adapters.recordings import Recording, Series, Waveform
from contracts import records as r
from contracts.assets import AssetConfiguration, Channel, DriveTrain, MeasurementPoint, Site
from contracts.errors import ConfigurationError
from runtime.device import Device
from runtime.sources import Due

RECORDINGS_SITE: Final = Site(site_id="recordings", name="Recordings")
BLOCK_SAMPLES: Final = 2048
_MOST_BYTES: Final = 256 * 1024
_SAMPLE_BYTES: Final = 4
#: The last part of a channel's id.
_SUFFIXES: Final = {"acceleration": "acc", "temperature": "temp"}


def asset_of(recording: Recording, asset_id: str, name: str) -> AssetConfiguration:
    """Return an asset with the recording's channels, speed and bearings, and nothing that isn't known of it.

    Without a machine group and a support it isn't graded.
    """
    return AssetConfiguration(
        asset_id=asset_id,
        site_id=RECORDINGS_SITE.site_id,
        name=name,
        asset_type="recording",
        drive_train=DriveTrain(nominal_speed_rpm=recording.speed_rpm or None),
        points=tuple(
            MeasurementPoint(
                point_id=f"{asset_id}-{channel.name}",
                location=channel.name,
                direction="radial",
                bearing=channel.bearing,
                channels=(
                    Channel(
                        channel_id=f"{asset_id}-{channel.name}.{_SUFFIXES.get(channel.quantity, channel.quantity)}",
                        quantity=channel.quantity,
                        unit=channel.unit,
                    ),
                ),
            )
            for channel in recording.channels
        ),
    )


def recorded(
    recording: Recording, asset: AssetConfiguration, *, device_id: str, boot_id: str, start_ns: int
) -> Iterator[Due]:
    """Yield a recording as records of `asset`; its channels are the asset's, in order.

    Parameters
    ----------
    recording : Recording
        What to replay.
    asset : AssetConfiguration
        Whose channels it becomes.
    device_id, boot_id : str
        The device that seems to have measured it.
    start_ns : int
        When the recording begins, UTC nanoseconds, in place of its own time.

    Yields
    ------
    Due
        Blocks (a declared burst each, where the recording is bursts) or one batch of readings a second.

    Raises
    ------
    ConfigurationError
        If the asset's channels differ from the recording's in number, quantity or unit.
    """
    channels = matching_channels(recording, asset)
    device = Device(device_id, boot_id)
    if isinstance(recording.signal, Series):
        yield from _series(recording.signal, channels, asset.asset_id, device, start_ns)
    else:
        named = tuple(r.BlockChannel(channel_id=c.channel_id, quantity=c.quantity, unit=c.unit) for c in channels)
        yield from _blocks(recording.signal, named, asset.asset_id, device, start_ns, recording.speed_rpm)


def matching_channels(recording: Recording, asset: AssetConfiguration) -> list[Channel]:
    """Return the asset's channels that the recording's become; raise ``ConfigurationError`` where they differ."""
    channels = [channel for point in asset.points for channel in point.channels]
    there = [(channel.quantity, channel.unit) for channel in channels]
    here = [(channel.quantity, channel.unit) for channel in recording.channels]
    if there != here:
        raise ConfigurationError(f"{recording.name} has channels {here}, asset {asset.asset_id} has {there}")
    return channels


def block_samples(n_channels: int, sampling_rate_hz: float) -> int:
    """Return the samples of a block: 2048, but at most 256 KiB and at most one second.

    Examples
    --------
    >>> block_samples(2, 25_600.0), block_samples(64, 25_600.0), block_samples(1, 100.0)
    (2048, 1024, 100)
    """
    return max(1, min(BLOCK_SAMPLES, _MOST_BYTES // (_SAMPLE_BYTES * n_channels), int(sampling_rate_hz)))


def _blocks(
    signal: Waveform,
    channels: tuple[r.BlockChannel, ...],
    asset_id: str,
    device: Device,
    start_ns: int,
    speed_rpm: float | None,
) -> Iterator[Due]:
    rate_hz, samples = signal.sampling_rate_hz, signal.samples
    if signal.burst_starts_s is not None and signal.burst_samples is not None:
        length, acquisition = signal.burst_samples, r.Acquisition.BURST
        starts_s = signal.burst_starts_s.tolist()
    else:
        length, acquisition = block_samples(len(channels), rate_hz), r.Acquisition.CONTINUOUS
        starts_s = [first / rate_hz for first in range(0, samples.shape[1], length)]
    for number, block_start_s in enumerate(starts_s):
        part = samples[:, number * length : (number + 1) * length]
        at_ns = start_ns + round(block_start_s * 1e9)
        record = device.block(asset_id, at_ns, rate_hz, channels, part, speed_rpm, None, acquisition)
        yield Due(block_start_s + part.shape[1] / rate_hz, record)


def _series(signal: Series, channels: list[Channel], asset_id: str, device: Device, start_ns: int) -> Iterator[Due]:
    since_ns = signal.times_ns - signal.times_ns[0]
    for _, places in itertools.groupby(range(since_ns.size), key=lambda place: int(since_ns[place]) // 1_000_000_000):
        rows = list(places)
        readings = tuple(
            _reading(channel, start_ns + int(since_ns[place]), float(signal.values[row, place]))
            for place in rows
            for row, channel in enumerate(channels)
        )
        yield Due(float(since_ns[rows[-1]]) / 1e9, device.readings(asset_id, readings))


def _reading(channel: Channel, at_ns: int, value: float) -> r.Reading:
    return r.Reading(
        channel_id=channel.channel_id, quantity=channel.quantity, unit=channel.unit, at_ns=at_ns, value=value
    )
