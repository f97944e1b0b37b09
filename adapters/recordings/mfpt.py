"""Recordings of the MFPT Society's bearing data: one acceleration channel per archive, facts in ``index.csv``.

The index has the columns ``file``, ``fs`` (Hz), ``rpm`` and ``fault``; the archive holds the samples, g, as ``gs``. All
records come from one rig with one kind of bearing.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from adapters.recordings.npz import cell_of, index_of, load_arrays, number_of, scaled_channel
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
#: Words of the index that tell the state, first match wins.
_LABELS: Final = (
    ("inner", "inner_race"),
    ("outer", "outer_race"),
    ("ball", "rolling_element"),
    ("roll", "rolling_element"),
    ("normal", "normal"),
    ("base", "normal"),
    ("health", "normal"),
    ("none", "normal"),
)


def read_mfpt(path: Path, known: Known) -> Iterator[Recording]:
    """Yield the recording of one MFPT archive."""
    arrays = load_arrays(path)
    if "gs" not in arrays:
        raise SignalError(f"{path}: no channel gs among {', '.join(arrays)}")
    # MATLAB's columns arrive as (n, 1)
    arrays["gs"] = arrays["gs"].reshape(-1) if max(arrays["gs"].shape) == arrays["gs"].size else arrays["gs"]
    entry = index_of(path).get(path.name, {})
    fault = entry.get("fault", "").strip().lower()
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
            sampling_rate_hz=required_rate_hz(path, cell_of(path, entry, "fs") or number_of(arrays, "fs"), known),
            samples=stacked(path, [("gs", scaled_channel(path, arrays, "gs", scale=1.0))]),
        ),
        speed_rpm=known_speed_rpm(path, cell_of(path, entry, "rpm") or number_of(arrays, "rpm"), known),
        label=next((label for word, label in _LABELS if word in fault), None),
        label_channel="gs",
    )
