"""A seeded mixed load: blocks, readings, duplicates, disorder, late blocks, restarts of devices, poison.

Every record is a function of the seed. Machines shake and calm down in turns, so that conditions rise and clear.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from contracts import records as r
from contracts.assets import AssetConfiguration, Channel, DriveTrain, MeasurementPoint, ModelReference, Site
from contracts.codec import Codec
from contracts.topics import MEASUREMENTS

SITE: Final = Site(site_id="ledger", name="Ledger")
RATE_HZ: Final = 2048.0
BLOCK_SAMPLES: Final = 512
CHANNELS: Final = ("H.acc", "V.acc")
#: Shares of blocks that are sent twice, out of order within the tolerance, and too late.
DUPLICATES: Final = 0.05
DISORDER: Final = 0.30
LATE: Final = 0.01
DISORDER_S: Final = 1.2
LATE_S: Final = 6.0
_SHAKE_S: Final = 9.0
_SHAFT_HZ: Final = 30.0
_CALM_G: Final = 0.02
_SHAKING_G: Final = 0.2
_NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Sending:
    """One value to send: when (seconds after the start), under which key, and what it is (none for poison)."""

    at_s: float
    key: bytes
    value: bytes
    identity: tuple[str, str, str, int] | None


def assets(count: int) -> tuple[AssetConfiguration, ...]:
    """Return `count` graded assets with two acceleration channels and a temperature each."""
    return tuple(_asset(f"L-{number:02d}") for number in range(1, count + 1))


def _asset(asset_id: str) -> AssetConfiguration:
    vibration = tuple(
        MeasurementPoint(
            point_id=f"{asset_id}-{name[0]}",
            location="drive end",
            direction="radial",
            bearing="6205",
            channels=(Channel(channel_id=f"{asset_id}-{name}", quantity="acceleration", unit="g"),),
        )
        for name in CHANNELS
    )
    warm = MeasurementPoint(
        point_id=f"{asset_id}-T",
        location="housing",
        direction="radial",
        channels=(Channel(channel_id=f"{asset_id}-T.temp", quantity="temperature", unit="degC"),),
    )
    return AssetConfiguration(
        asset_id=asset_id,
        site_id=SITE.site_id,
        name=asset_id,
        asset_type="pump",
        machine_group="2",
        support="rigid",
        drive_train=DriveTrain(nominal_speed_rpm=60 * _SHAFT_HZ),
        points=(*vibration, warm),
        models=(
            ModelReference(name="half-space-trees", version="1"),
            ModelReference(name="reference-autoencoder", version="1"),
        ),
    )


def sendings(codec: Codec, count: int, seconds: float, seed: int, start_ns: int) -> list[Sending]:
    """Return everything to send, in the order of sending."""
    chance = random.Random(seed)
    made = [
        sending
        for number, asset in enumerate(assets(count))
        for sending in _of_asset(codec, asset.asset_id, number, seconds, chance, start_ns)
    ]
    for second in range(int(seconds)):
        poison = chance.randbytes(chance.randint(0, 40))
        made.append(Sending(second + 0.5, b"L-01", poison, None))
    return sorted(made, key=lambda sending: sending.at_s)


def _of_asset(
    codec: Codec, asset_id: str, number: int, seconds: float, chance: random.Random, start_ns: int
) -> Iterator[Sending]:
    block_s = BLOCK_SAMPLES / RATE_HZ
    reboot_s = seconds * chance.uniform(0.4, 0.6)
    sequences: dict[str, int] = {}
    for k in range(int(seconds / block_s)):
        known_s = (k + 1) * block_s
        boot = "1" if known_s < reboot_s else "2"
        sequence = sequences.get(boot, 0)
        sequences[boot] = sequence + 1
        block = _block(asset_id, number, k, boot, sequence, start_ns)
        draw = chance.random()
        delay_s = LATE_S if draw < LATE else chance.uniform(0.0, DISORDER_S) if draw < DISORDER + LATE else 0.0
        identity = (asset_id, block.device_id, boot, sequence)
        sending = Sending(known_s + delay_s, asset_id.encode(), codec.encode(MEASUREMENTS, block), identity)
        yield sending
        if chance.random() < DUPLICATES:
            yield Sending(sending.at_s + chance.uniform(0.0, 2.0), sending.key, sending.value, identity)
        if k % 4 == 0:
            batch = _readings(asset_id, k, start_ns)
            value = codec.encode(MEASUREMENTS, batch)
            yield Sending(known_s, asset_id.encode(), value, (asset_id, batch.device_id, "1", batch.sequence))


def _block(asset_id: str, number: int, k: int, boot: str, sequence: int, start_ns: int) -> r.AcquisitionBlock:
    t_s = (k * BLOCK_SAMPLES + np.arange(BLOCK_SAMPLES)) / RATE_HZ
    shaking = int(t_s[0] / _SHAKE_S + number / 3) % 2 == 1
    amplitude_g = _SHAKING_G if shaking else _CALM_G
    noise = np.random.default_rng((number, k)).standard_normal((len(CHANNELS), BLOCK_SAMPLES))
    samples = amplitude_g * np.sin(2 * np.pi * _SHAFT_HZ * t_s) + 0.01 * noise
    return r.AcquisitionBlock(
        asset_id=asset_id,
        device_id=f"{asset_id}-fast",
        boot_id=boot,
        sequence=sequence,
        start_ns=start_ns + round(k * BLOCK_SAMPLES * _NS / RATE_HZ),
        sampling_rate_hz=RATE_HZ,
        n_samples=BLOCK_SAMPLES,
        channels=tuple(
            r.BlockChannel(channel_id=f"{asset_id}-{name}", quantity="acceleration", unit="g") for name in CHANNELS
        ),
        samples=samples.astype("<f4").tobytes(),
        speed_rpm=60 * _SHAFT_HZ,
    )


def _readings(asset_id: str, k: int, start_ns: int) -> r.ReadingBatch:
    at_ns = start_ns + round(k * BLOCK_SAMPLES * _NS / RATE_HZ)
    reading = r.Reading(
        channel_id=f"{asset_id}-T.temp", quantity="temperature", unit="degC", at_ns=at_ns, value=40.0 + k % 7
    )
    return r.ReadingBatch(
        asset_id=asset_id, device_id=f"{asset_id}-slow", boot_id="1", sequence=k // 4, readings=(reading,)
    )
