"""Recordings in WAV files: float samples are values in the stated unit, integers need the value of full scale."""

import struct
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.io import wavfile

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
from contracts.errors import ConfigurationError, SignalError


def read_wav(path: Path, known: Known) -> Iterator[Recording]:
    """Yield the one recording of a WAV file."""
    unit = required_unit(path, None, known)
    try:
        with warnings.catch_warnings():
            # SciPy goes on after a truncated data chunk with a warning: half a recording is a broken one.
            warnings.simplefilter("error", wavfile.WavFileWarning)
            rate_hz, data = wavfile.read(path)
    except (ValueError, EOFError, OSError, struct.error, wavfile.WavFileWarning) as error:
        raise SignalError(f"{path}: no readable WAV file, perhaps truncated: {error}") from None
    columns = np.atleast_2d(data.T)
    if data.dtype.kind != "f":
        if known.full_scale is None or not 0.0 < known.full_scale < np.inf:
            raise ConfigurationError(
                f"{path}: integer samples ({data.dtype}); full scale is {known.full_scale}, above 0 {unit} needed"
            )
        middle = 128.0 if data.dtype == np.uint8 else 0.0
        largest = 128.0 if data.dtype == np.uint8 else float(-np.iinfo(data.dtype).min)
        columns = (columns - middle) / largest * known.full_scale
    names = [str(number) for number in range(1, len(columns) + 1)]
    yield Recording(
        name=path.stem,
        channels=tuple(
            RecordedChannel(name=name, quantity=known.quantity, unit=unit, bearing=known.bearing) for name in names
        ),
        signal=Waveform(
            sampling_rate_hz=required_rate_hz(path, float(rate_hz), known),
            samples=stacked(path, list(zip(names, columns, strict=True))),
        ),
        speed_rpm=known_speed_rpm(path, None, known),
    )
