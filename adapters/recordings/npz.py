"""Recordings in NumPy archives: our own plain layout, CWRU's bearings, and the PRONOSTIA run-to-failure bursts.

A plain archive holds one 1-D array per channel; ``<channel>_scale`` turns counts into the unit; the scalars ``fs`` (or
``sampling_rate_hz``), ``rpm`` (or ``speed_rpm``) and ``unit`` are taken where present. Pickled objects are never
loaded.
"""

import math
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from adapters.recordings.index import cell_of, entry_of, state_of
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

Arrays = dict[str, NDArray[Any]]

#: Case Western Reserve University's motor: drive end and fan end.
_CWRU_BEARINGS: Final = {"DE": "6205", "FE": "6203"}
#: The test bed's own bearing, as the catalogue of bearings names it.
_FEMTO_BEARING: Final = "FEMTO"
_FEMTO_CHANNELS: Final = ("acc_h", "acc_v")


def read_plain(path: Path, known: Known) -> Iterator[Recording]:
    """Yield the one recording of a plain archive."""
    arrays = load_arrays(path)
    rows = [(name, scaled_channel(path, arrays, name)) for name, values in arrays.items() if _is_channel(values)]
    unit = required_unit(path, _text(arrays, "unit"), known)
    yield Recording(
        name=path.stem,
        channels=tuple(
            RecordedChannel(name=name, quantity=known.quantity, unit=unit, bearing=known.bearing) for name, _ in rows
        ),
        signal=Waveform(
            sampling_rate_hz=required_rate_hz(path, number_of(arrays, "fs", "sampling_rate_hz"), known),
            samples=stacked(path, rows),
        ),
        speed_rpm=known_speed_rpm(path, number_of(arrays, "rpm", "speed_rpm"), known),
    )


def read_cwru(path: Path, known: Known) -> Iterator[Recording]:
    """Yield the recording of one CWRU archive; ``index.csv`` beside it tells what was wrong with the bearing.

    Where the archive lacks the damaged end, the other end's sensor listens to that bearing, through the motor.
    """
    arrays = load_arrays(path)
    entry = entry_of(path)
    found = [name for name in _CWRU_BEARINGS if name in arrays and arrays[name].size > 1]
    if not found:
        raise SignalError(f"{path}: no channel DE or FE among {', '.join(arrays)}")
    unit = required_unit(path, "g", known)
    fault_end = {"d": "DE", "f": "FE"}.get(entry.get("set", "")[:1])
    heard = {name: name if fault_end is None or fault_end in found else fault_end for name in found}
    yield Recording(
        name=path.stem,
        channels=tuple(
            RecordedChannel(
                name=name, quantity="acceleration", unit=unit, bearing=known.bearing or _CWRU_BEARINGS[heard[name]]
            )
            for name in found
        ),
        signal=Waveform(
            sampling_rate_hz=required_rate_hz(
                path, number_of(arrays, "fs") or cell_of(path, entry, "fs_hz", "fs"), known
            ),
            samples=stacked(path, [(name, scaled_channel(path, arrays, name)) for name in found]),
        ),
        speed_rpm=known_speed_rpm(
            path, number_of(arrays, "rpm") or cell_of(path, entry, "rpm", "rpm_in_file", "rpm_nominal"), known
        ),
        label=state_of(entry),
        label_channel=fault_end,
    )


def read_femto(path: Path, known: Known) -> Iterator[Recording]:
    """Yield the run to failure of one PRONOSTIA bearing, in bursts of 0.1 s every 10 s."""
    arrays = load_arrays(path)
    missing = [name for name in (*_FEMTO_CHANNELS, "scale_g", "fs", "t_s") if name not in arrays]
    if missing:
        raise SignalError(f"{path}: {', '.join(missing)} missing; there are {', '.join(arrays)}")
    scale_g = float(arrays["scale_g"])
    shapes = {arrays[name].shape for name in _FEMTO_CHANNELS}
    starts_s = arrays["t_s"].astype(np.float64)
    shape = shapes.pop()
    if shapes or len(shape) != 2 or shape[0] != starts_s.size:
        raise SignalError(
            f"{path}: bursts of shapes {[arrays[n].shape for n in _FEMTO_CHANNELS]}, {starts_s.size} times"
        )
    rate_hz = required_rate_hz(path, number_of(arrays, "fs"), known)
    if (np.diff(starts_s) < shape[1] / rate_hz).any():
        raise SignalError(f"{path}: bursts overlap, or their times t_s don't increase")
    unit = required_unit(path, "g", known)
    yield Recording(
        name=path.stem,
        channels=tuple(
            RecordedChannel(
                name=name.removeprefix("acc_").upper(),
                quantity="acceleration",
                unit=unit,
                bearing=known.bearing or _FEMTO_BEARING,
            )
            for name in _FEMTO_CHANNELS
        ),
        signal=Waveform(
            sampling_rate_hz=rate_hz,
            samples=stacked(path, [(name, arrays[name].reshape(-1) * scale_g) for name in _FEMTO_CHANNELS]),
            burst_samples=shape[1],
            burst_starts_s=starts_s - starts_s[0],
        ),
        speed_rpm=known_speed_rpm(path, cell_of(path, entry_of(path), "rpm"), known),
        label="run_to_failure",
    )


def load_arrays(path: Path) -> Arrays:
    """Return the arrays of an archive; pickled objects are refused."""
    try:
        # opened here: np.load leaves a file of its own open when the archive is broken
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise SignalError(f"{path}: one bare array, an archive (.npz) expected")
            return {name: archive[name] for name in archive.files}
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, KeyError) as error:
        if isinstance(error, SignalError):
            raise
        pickled = "allow_pickle" in str(error)  # NumPy's advice to load it all the same isn't passed on
        why = "no array, or pickled objects, which are never loaded" if pickled else error
        raise SignalError(f"{path}: no readable NumPy archive, perhaps truncated: {why}") from None


def _is_channel(values: NDArray[Any]) -> bool:
    return values.ndim == 1 and values.dtype.kind in "fiu"


def scaled_channel(path: Path, arrays: Arrays, name: str, scale: float | None = None) -> NDArray[np.floating]:
    """Return a channel in its unit; counts need `scale`, or the archive's ``<name>_scale``."""
    values = as_row(arrays[name])
    own = number_of(arrays, f"{name}_scale")
    scale = scale if own is None else own
    if values.ndim != 1:
        raise SignalError(f"{path}: channel {name} has {values.ndim} dimensions, 1 expected")
    if values.dtype.kind in "iu" and scale is None:
        raise ConfigurationError(f"{path}: channel {name} holds counts ({values.dtype}) and no {name}_scale")
    return values * (1.0 if scale is None else scale)


def number_of(arrays: Arrays, *names: str) -> float | None:
    """Return the first scalar that the archive has of `names`, also as MATLAB's (1, 1); NaN counts as none."""
    for name in names:
        if name in arrays and arrays[name].size == 1 and arrays[name].dtype.kind in "fiu":
            value = float(arrays[name].reshape(()))
            if not math.isnan(value):
                return value
    return None


def as_row(values: NDArray[Any]) -> NDArray[Any]:
    """Return MATLAB's columns and rows, (n, 1) or (1, n), as (n,); anything else as it is."""
    return values.reshape(-1) if values.ndim == 2 and 1 in values.shape else values


def _text(arrays: Arrays, name: str) -> str | None:
    return str(arrays[name]) if name in arrays and arrays[name].dtype.kind == "U" else None
