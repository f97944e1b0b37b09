"""Files of recorded signals, read one at a time and never written.

``read_recordings`` takes a file or a folder. What a file doesn't say (sampling rate, unit) the caller must: a missing
fact is an error that names it, never a default. A file that can't be read whole isn't read at all.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Literal, get_args

from adapters.recordings.mfpt import read_mfpt
from adapters.recordings.npz import read_cwru, read_femto, read_plain
from adapters.recordings.recording import Known, RecordedChannel, Recording, Series, Waveform
from adapters.recordings.text import read_csv, read_skab
from adapters.recordings.wav import read_wav
from contracts.errors import ConfigurationError

__all__ = [
    "FORMATS",
    "Format",
    "Known",
    "RecordedChannel",
    "Recording",
    "Series",
    "Waveform",
    "read_recording",
    "read_recordings",
]

Format = Literal["cwru", "skab", "femto", "mfpt", "csv", "npz", "wav"]
FORMATS: Final[tuple[str, ...]] = get_args(Format)

_READERS: Final[dict[str, tuple[str, Callable[[Path, Known], Iterator[Recording]]]]] = {
    "cwru": (".npz", read_cwru),
    "skab": (".csv", read_skab),
    "femto": (".npz", read_femto),
    "mfpt": (".npz", read_mfpt),
    "csv": (".csv", read_csv),
    "npz": (".npz", read_plain),
    "wav": (".wav", read_wav),
}


def read_recordings(path: Path, file_format: str, known: Known | None = None) -> Iterator[Recording]:
    """Yield the recordings in a file, or in all files of the format below a folder, by path.

    Parameters
    ----------
    path : Path
        A file, or a folder that is searched with all its subfolders.
    file_format : str
        One of ``FORMATS``.
    known : Known, optional
        What the files don't say.

    Yields
    ------
    Recording
        One at a time; a file is opened when its turn comes.

    Raises
    ------
    ConfigurationError
        For an unknown format, a path that doesn't exist, a folder without such files, and a fact that is missing,
        impossible or contradicts the file.
    SignalError
        For an empty, truncated or foreign file, wrong columns, and values that aren't finite.
    """
    if file_format not in _READERS:
        raise ConfigurationError(f"format {file_format!r}; known formats are {', '.join(FORMATS)}")
    suffix, read = _READERS[file_format]
    if not path.exists():
        raise ConfigurationError(f"{path} doesn't exist")
    files = sorted(file for file in path.rglob(f"*{suffix}") if file.name != "index.csv") if path.is_dir() else [path]
    if not files:
        raise ConfigurationError(f"{path}: no file *{suffix} in this folder or below")
    for file in files:
        yield from read(file, known or Known())


def read_recording(path: Path, file_format: str | None = None, known: Known | None = None) -> Recording:
    """Return the one recording in the file `path`; without a format its ending decides (``npz``, ``csv`` or ``wav``).

    Raises
    ------
    ConfigurationError
        If `path` is a folder or has another ending, and as `read_recordings`.
    SignalError
        As `read_recordings`.
    """
    if path.is_dir():
        raise ConfigurationError(f"{path} is a folder, a file expected")
    return next(read_recordings(path, file_format or path.suffix.removeprefix(".").lower(), known))
