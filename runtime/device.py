"""What a measuring device adds to its values: who it is, which boot, and a number for every record."""

import itertools
from typing import Final

import numpy as np
from numpy.typing import NDArray

from contracts import records as r

#: Blocks carry little-endian float32.
_WIRE: Final = np.dtype("<f4")


class Device:
    """Makes the records of one device, numbered from 0 since its boot, without a hole.

    Parameters
    ----------
    device_id : str
        Which device.
    boot_id : str
        A new one whenever it starts.
    """

    def __init__(self, device_id: str, boot_id: str) -> None:
        self._device_id = device_id
        self._boot_id = boot_id
        self._sequences = itertools.count()

    def block(
        self,
        asset_id: str,
        start_ns: int,
        rate_hz: float,
        channels: tuple[r.BlockChannel, ...],
        samples: NDArray[np.float32],
        speed_rpm: float | None,
        load_ratio: float | None,
        acquisition: r.Acquisition = r.Acquisition.CONTINUOUS,
    ) -> r.AcquisitionBlock:
        """Return a block of `samples`, shape (n_channels, n_samples), in the units of `channels`."""
        return r.AcquisitionBlock(
            asset_id=asset_id,
            device_id=self._device_id,
            boot_id=self._boot_id,
            sequence=next(self._sequences),
            start_ns=start_ns,
            sampling_rate_hz=rate_hz,
            n_samples=samples.shape[1],
            channels=channels,
            samples=samples.astype(_WIRE, copy=False).tobytes(),
            acquisition=acquisition,
            speed_rpm=speed_rpm,
            load_ratio=load_ratio,
        )

    def readings(self, asset_id: str, readings: tuple[r.Reading, ...]) -> r.ReadingBatch:
        """Return a batch of readings."""
        return r.ReadingBatch(
            asset_id=asset_id,
            device_id=self._device_id,
            boot_id=self._boot_id,
            sequence=next(self._sequences),
            readings=readings,
        )

    def event(self, asset_id: str, at_ns: int, kind: str, code: str, text: str) -> r.MachineEvent:
        """Return what happened to the machine at `at_ns`."""
        return r.MachineEvent(
            asset_id=asset_id,
            device_id=self._device_id,
            boot_id=self._boot_id,
            sequence=next(self._sequences),
            at_ns=at_ns,
            kind=kind,
            code=code,
            text=text,
        )
