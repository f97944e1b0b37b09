"""What a kept waveform shows: its course for drawing, and its spectra with the bearing's fault frequencies.

Computed when asked for, by the same functions that the stream uses; pure, and run off the event loop.
"""

from typing import TYPE_CHECKING, Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt
import scipy.fft
from msgspec import Struct

from api.payloads import WaveformDetail, WaveformSummary
from api.times import Instant
from contracts.errors import SignalError
from contracts.ports import WaveformSnapshot
from processors.bearings import BearingGeometry
from processors.spectrum import amplitude_spectrum

if TYPE_CHECKING:
    from processors.families import LineFamily

Kind = Literal["amplitude", "envelope"]
_NS_PER_S = 1_000_000_000


class HarmonicLevel(Struct, frozen=True, kw_only=True):
    """How high a harmonic stands over the spectrum around it."""

    frequency_hz: float
    level_db: float


class FaultLine(Struct, frozen=True, kw_only=True):
    """Where a fault of the bearing would show at the measured speed; BSF is twice the spin frequency.

    ``order`` is the frequency over the shaft's. An envelope spectrum also says what stands there: ``found_hz`` within
    3 % (balls slip), ``level_db`` over the local floor (the median of the ``harmonics``), and the shaft order that it
    can't be told from, if any; null where the waveform is too short to say. Lines at multiples of ``foreign_hz``
    belong to another comb, and don't count.
    """

    name: str
    frequency_hz: float
    order: float
    found_hz: float | None = None
    level_db: float | None = None
    harmonics: list[HarmonicLevel] = []
    ambiguous_with: str | None = None
    foreign_hz: float | None = None


class SpectrumDetail(Struct, frozen=True, kw_only=True):
    """A one-sided peak spectrum of a kept waveform, ``values[k]`` at ``k * bin_hz``.

    ``amplitude`` is that of the waveform itself; ``envelope`` that of the squared envelope of ``band_hz``.
    """

    channel_id: str
    asset_id: str
    start: Instant
    kind: Kind
    unit: str
    bin_hz: float
    values: list[float]
    band_hz: tuple[float, float] | None
    speed_rpm: float | None
    bearing: str | None
    fault_lines: list[FaultLine]


def samples_of(kept: WaveformSnapshot) -> npt.NDArray[np.float32]:
    """Return the samples, shape (n_samples,)."""
    return np.frombuffer(kept.samples, dtype="<f4")


def summary(kept: WaveformSnapshot) -> WaveformSummary:
    """Return what is known of a waveform besides its samples."""
    return WaveformSummary(**_facts(kept))


def full(kept: WaveformSnapshot) -> WaveformDetail:
    """Return a waveform with its samples as kept."""
    return WaveformDetail(**_facts(kept), samples_base64=kept.samples)


def decimated(kept: WaveformSnapshot, points: int) -> WaveformDetail:
    """Return a waveform as the extremes of at most `points` equal stretches: no peak is lost, unlike by skipping."""
    samples = samples_of(kept)
    stretch = max(1, -(-samples.size // points))
    starts = np.arange(0, samples.size, stretch)
    return WaveformDetail(
        **_facts(kept),
        samples_per_point=stretch,
        minimum=_short(np.minimum.reduceat(samples, starts)),
        maximum=_short(np.maximum.reduceat(samples, starts)),
    )


def spectrum(
    kept: WaveformSnapshot,
    kind: Kind,
    geometry: BearingGeometry | None,
    band_hz: tuple[float, float] | None,
    max_hz: float | None,
) -> SpectrumDetail:
    """Return a spectrum of a kept waveform.

    Parameters
    ----------
    kept : WaveformSnapshot
        The waveform.
    kind : str
        ``amplitude``, or ``envelope`` for the squared envelope.
    geometry : BearingGeometry, optional
        The bearing that the channel listens to.
    band_hz : (float, float), optional
        The band to demodulate; the most impulsive one by default.
    max_hz : float, optional
        Where to end.

    Returns
    -------
    spectrum : SpectrumDetail

    Raises
    ------
    SignalError
        If the waveform is too short.
    """
    rows = samples_of(kept)[np.newaxis]
    unit = kept.unit
    if kind == "amplitude":
        band_hz = None
        found = amplitude_spectrum(rows, kept.sampling_rate_hz)
        values, bin_hz = found.values[0], found.bin_hz
    else:
        unit = f"({unit})2"
        bin_hz = kept.sampling_rate_hz / rows.shape[1]
        values, band_hz = _envelope(rows, kept.sampling_rate_hz, band_hz)
    shown = values if max_hz is None else values[: int(max_hz / bin_hz) + 1]
    return SpectrumDetail(
        channel_id=kept.channel_id,
        asset_id=kept.asset_id,
        start=Instant(kept.start_ns),
        kind=kind,
        unit=unit,
        bin_hz=bin_hz,
        values=_short(shown),
        band_hz=band_hz,
        speed_rpm=kept.speed_rpm,
        bearing=None if geometry is None else geometry.designation,
        fault_lines=fault_lines(geometry, kept.speed_rpm, (values, bin_hz) if kind == "envelope" else None),
    )


def fault_lines(
    geometry: BearingGeometry | None,
    speed_rpm: float | None,
    envelope: tuple[npt.NDArray[np.floating], float] | None = None,
) -> list[FaultLine]:
    """Return the fault frequencies of a bearing; none where bearing or speed is unknown.

    Parameters
    ----------
    geometry : BearingGeometry or None
        The bearing.
    speed_rpm : float or None
        Shaft speed; a shaft that stands still has no fault frequencies.
    envelope : (ndarray, float), optional
        Squared envelope spectrum, shape (n_bins,), and its resolution, Hz: what stands at the frequencies is added.

    Returns
    -------
    lines : list of FaultLine

    Examples
    --------
    >>> from processors.bearings import bearing
    >>> [(line.name, round(line.frequency_hz, 1)) for line in fault_lines(bearing("6205"), 1797.0)]
    [('BPFO', 107.4), ('BPFI', 162.2), ('BSF', 141.2), ('FTF', 11.9)]
    """
    if geometry is None or speed_rpm is None or speed_rpm <= 0.0:
        return []
    orders = geometry.orders
    named = {"BPFO": orders.bpfo, "BPFI": orders.bpfi, "BSF": 2.0 * orders.bsf, "FTF": orders.ftf}
    shaft_hz = speed_rpm / 60.0
    lines = [FaultLine(name=name, frequency_hz=order * shaft_hz, order=order) for name, order in named.items()]
    if envelope is None:
        return lines
    from processors.families import find_families  # noqa: PLC0415 -- its compiler takes a second to load

    families = find_families(*envelope, geometry, speed_rpm)
    return [_with_levels(line, family) for line, family in zip(lines, families, strict=True)]


def _with_levels(line: FaultLine, family: "LineFamily") -> FaultLine:
    return msgspec.structs.replace(
        line,
        found_hz=family.found_hz,
        level_db=family.score_db,
        harmonics=[HarmonicLevel(frequency_hz=hz, level_db=level) for hz, level in family.harmonics],
        ambiguous_with=family.ambiguous_with,
        foreign_hz=family.foreign_hz,
    )


def _envelope(
    rows: npt.NDArray[np.float32], sampling_rate_hz: float, band_hz: tuple[float, float] | None
) -> tuple[npt.NDArray[np.floating], tuple[float, float]]:
    from processors import band_choice, envelope  # noqa: PLC0415 -- their compiler takes a second to load

    if band_hz is None:
        low_hz, high_hz = band_choice.choose_bands(rows, sampling_rate_hz)[0].tolist()
    else:
        low_hz, high_hz = band_hz
    n = rows.shape[1]
    first, last = envelope.band_bins(low_hz, high_hz, sampling_rate_hz / n, n)
    if first == last:
        raise SignalError(f"the band from {low_hz:g} to {high_hz:g} Hz lies outside the spectrum")
    squared = envelope.squared_envelope(scipy.fft.rfft(rows, axis=1), n, first, last)
    return envelope.envelope_spectrum(squared)[0, : last - first], (low_hz, high_hz)


def _facts(kept: WaveformSnapshot) -> dict[str, Any]:
    n_samples = len(kept.samples) // 4
    return {
        "channel_id": kept.channel_id,
        "asset_id": kept.asset_id,
        "start": Instant(kept.start_ns),
        "sampling_rate_hz": kept.sampling_rate_hz,
        "n_samples": n_samples,
        "duration_s": n_samples / kept.sampling_rate_hz,
        "unit": kept.unit,
        "speed_rpm": kept.speed_rpm,
    }


def _short(values: npt.NDArray[np.floating]) -> list[float]:
    """Return `values` with six significant digits, which float32 holds."""
    return [float(f"{value:.6g}") for value in values.tolist()]
