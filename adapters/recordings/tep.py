"""Runs of the simulated Tennessee Eastman process (Braatz's set): 52 values every 3 minutes, normal and with 21 faults.

A folder's archives (``*.npz``) hold arrays of rows × 52: ``d00`` the normal run to learn from, ``d00_te`` a normal run
to test on, ``dNN_te`` a run in which fault NN sets in after 160 rows. The training runs of faults (``dNN``) are fault
from their first row on and aren't read.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from adapters.recordings.labelled import LabelledSeries
from adapters.recordings.npz import Arrays, load_arrays
from contracts.errors import ConfigurationError, SignalError

INTERVAL_S: Final = 180.0
#: Rows of a test run before its fault.
ONSET: Final = 160
_CHANNELS: Final = tuple([f"XMEAS {i}" for i in range(1, 42)] + [f"XMV {i}" for i in range(1, 12)])


@dataclass(frozen=True, slots=True, eq=False)
class ProcessRuns:
    """The normal run to learn from (rows, 52), its name, and the runs to test on."""

    learnt_from: str
    normal: NDArray[np.float64]
    tests: tuple[LabelledSeries, ...]


def read_tep(folder: Path) -> ProcessRuns:
    """Return the runs in a folder's archives.

    Where there is no ``d00``, the normal test run is what is learnt from, and isn't tested on.

    Raises
    ------
    ConfigurationError
        If the folder has no archive, no normal run, or no test run.
    SignalError
        For an array of another shape or with values that aren't finite.
    """
    paths = sorted(folder.glob("*.npz"))
    if not paths:
        raise ConfigurationError(f"{folder}: no archive *.npz in this folder")
    arrays: Arrays = {}
    for path in paths:
        arrays.update({name: _rows(path, name, values) for name, values in load_arrays(path).items()})
    learnt_from = next((name for name in ("d00", "d00_te") if name in arrays), None)
    if learnt_from is None:
        raise ConfigurationError(f"{folder}: no normal run d00 or d00_te among {', '.join(arrays)}")
    names = [name for name in sorted(arrays) if re.fullmatch(r"d\d\d_te", name) and name != learnt_from]
    if not names:
        raise ConfigurationError(f"{folder}: no test run dNN_te among {', '.join(arrays)}")
    return ProcessRuns(learnt_from, arrays[learnt_from], tuple(_test(name, arrays[name]) for name in names))


def _rows(path: Path, name: str, values: NDArray[np.generic]) -> NDArray[np.float64]:
    if values.ndim != 2 or values.shape[1] != len(_CHANNELS) or not np.isfinite(values).all():
        raise SignalError(f"{path}: {name} has shape {values.shape}; finite rows of {len(_CHANNELS)} values expected")
    return values.astype(np.float64)


def _test(name: str, values: NDArray[np.float64]) -> LabelledSeries:
    abnormal = np.zeros(len(values), dtype=np.bool_)
    if name != "d00_te":
        abnormal[ONSET:] = True
    return LabelledSeries(
        name=name,
        group="normal" if name == "d00_te" else f"fault {int(name[1:3])}",
        channels=_CHANNELS,
        interval_s=INTERVAL_S,
        times_s=np.arange(len(values), dtype=np.float64) * INTERVAL_S,
        values=values,
        abnormal=abnormal,
    )
