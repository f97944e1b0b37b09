"""Recordings of the MFPT Society's bearing data: one acceleration channel per archive, facts in ``index.csv``.

The index has the columns ``file``, ``fs`` (Hz), ``rpm`` and ``fault``; the archive holds the samples, g, as ``gs``, and
perhaps ``sr`` (Hz) and ``rate`` (shaft, Hz) as the original files do. All records come from one rig with one kind of
bearing at one speed, which holds where neither index nor archive says otherwise.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from adapters.recordings.index import cell_of, entry_of, state_of
from adapters.recordings.npz import load_arrays, number_of, scaled_channel
from adapters.recordings.recording import (
    Known,
    RecordedChannel,
    Recording,
    Waveform,
    known_speed_rpm,
    required_rate_hz,
    required_unit,
    stacked,
)
from contracts.errors import SignalError

#: The rig's bearing, as the catalogue of bearings names it.
_BEARING: Final = "NICE"
#: Its shaft turned at 25 Hz in every record.
_SPEED_RPM: Final = 1500.0


def read_mfpt(path: Path, known: Known) -> Iterator[Recording]:
    """Yield the recording of one MFPT archive."""
    arrays = load_arrays(path)
    if "gs" not in arrays:
        raise SignalError(f"{path}: no channel gs among {', '.join(arrays)}")
    entry = entry_of(path)
    rate_hz = cell_of(path, entry, "fs", "fs_hz", "sr", "sampling_rate_hz") or number_of(arrays, "fs", "sr")
    speed_rpm = cell_of(path, entry, "rpm", "speed_rpm") or number_of(arrays, "rpm", "speed_rpm")
    shaft_hz = cell_of(path, entry, "shaft_hz", "rate") or number_of(arrays, "shaft_hz", "rate")
    if speed_rpm is None:
        speed_rpm = _SPEED_RPM if shaft_hz is None else 60.0 * shaft_hz
    yield Recording(
        name=path.stem,
        channels=(
            RecordedChannel(
                name="gs",
                quantity="acceleration",
                unit=required_unit(path, "g", known),
                bearing=known.bearing or _BEARING,
            ),
        ),
        signal=Waveform(
            sampling_rate_hz=required_rate_hz(path, rate_hz, known),
            samples=stacked(path, [("gs", scaled_channel(path, arrays, "gs", scale=1.0))]),
        ),
        speed_rpm=known_speed_rpm(path, speed_rpm, known),
        label=state_of(entry, otherwise=path.stem),
        label_channel="gs",
    )
