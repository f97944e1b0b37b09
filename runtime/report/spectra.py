"""The axes of a report that show frequencies: spectrum, orders and parts of the drive train, kurtogram, envelope."""

import importlib
import math
from typing import Any, Final

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from processors import envelope
from processors.drive_train import FaultFrequency, fault_frequencies
from processors.families import LineFamily
from processors.kurtogram import kurtogram
from processors.spectrum import amplitude_spectrum
from processors.velocity import MM_S2_PER_G
from runtime.report.colours import BAND, FAINT, INK, LINES, PARTS, WARNING
from runtime.report.marks import Marks
from runtime.report.subject import Subject

#: Sidebands of a family: its modulation by shaft or cage.
_SIDEBANDS: Final = {"BPFI": "1x", "BSF": "FTF"}
_FAMILIES_SHOWN: Final = 2
_RIVAL_DB: Final = 10.0
#: A line of a family lies this close to where the geometry says.
_SLIP_SHARE: Final = 0.03
#: The spectrum of velocity is drawn up to so many orders, or to the highest line of a part, but not beyond 1 kHz.
_ORDERS_SHOWN: Final = 12.0
_HIGHEST_HZ: Final = 1000.0
#: A line is drawn by at most so many points: the largest of each group of bins, or a thin one would vanish.
_MOST_POINTS: Final = 4000


def spectrum(axis: Any, subject: Subject) -> None:
    """Draw the whole amplitude spectrum with the demodulation band and the gear meshes."""
    found = amplitude_spectrum(subject.window_g[np.newaxis], subject.rate_hz)
    frequencies_hz, levels = _thinned(found.frequencies_hz[1:], np.maximum(found.values[0, 1:], 1e-9))
    top_hz = subject.rate_hz / 2.0
    axis.semilogy(frequencies_hz, levels, color=INK, linewidth=0.5)
    low, high = subject.band_hz
    if math.isfinite(low) and math.isfinite(high):
        axis.axvspan(low, high, color=BAND, alpha=0.3, linewidth=0, label=f"envelope band {low:.0f} to {high:.0f} Hz")
        axis.legend(loc="upper right", fontsize=8, frameon=False)
    marks = Marks(axis, top_hz)
    for row in _parts(subject):
        if row.component == "gear" and row.name.startswith("mesh") and "x" not in row.name:
            marks.add(row.frequency_hz, row.name, PARTS["gear"], "--")
    axis.set(title="Acceleration spectrum", xlabel="Hz", ylabel="g peak", xlim=(0.0, top_hz))
    axis.set_ylim(float(np.quantile(levels, 0.02)), 4.0 * float(levels.max()))


def orders(axis: Any, subject: Subject) -> None:
    """Draw the velocity spectrum with the shaft's orders and the lines of the drive train's parts."""
    found = amplitude_spectrum(subject.window_g[np.newaxis], subject.rate_hz)
    omega = 2.0 * math.pi * np.maximum(found.frequencies_hz, found.bin_hz)
    velocity = found.values[0] / math.sqrt(2.0) * MM_S2_PER_G / omega
    parts = _parts(subject)
    top_hz = _top_hz(subject, parts)
    # below 2 Hz integration shows the sensor's drift, not the machine
    shown = slice(max(1, math.ceil(2.0 / found.bin_hz)), int(top_hz / found.bin_hz) + 1)
    frequencies_hz, levels = _thinned(found.frequencies_hz[shown], np.maximum(velocity[shown], 1e-9))
    axis.set(title="Velocity spectrum, orders and parts", xlabel=_hertz(subject), ylabel="mm/s rms", xlim=(0.0, top_hz))
    if levels.size < 2:
        return
    axis.semilogy(frequencies_hz, levels, color=INK, linewidth=0.6, zorder=3)
    marks = Marks(axis, top_hz)
    for row in parts:
        sideband = row.component == "gear" and "x " in row.name
        style = ":" if sideband else "--" if row.component == "shaft" else "-"
        label = "" if sideband else row.name
        marks.add(row.frequency_hz, label, PARTS[row.component], style, 0.5 if row.component == "shaft" else 0.8)
    axis.set_ylim(max(float(np.quantile(levels, 0.05)), 1e-5), 12.0 * float(levels.max()))


def _parts(subject: Subject) -> list[FaultFrequency]:
    """Return the lines of shafts, gears, blades, motor and belts; those of bearings stand in the envelope."""
    if subject.shaft_hz is None:
        return []
    rows = fault_frequencies(subject.recorded.machine.train, 60.0 * subject.shaft_hz)
    # the shaft's orders come first, so that their labels have their places
    return sorted((row for row in rows if row.name != "1/2x"), key=lambda row: row.component != "shaft")


def _top_hz(subject: Subject, parts: list[FaultFrequency]) -> float:
    nyquist_hz = subject.rate_hz / 2.0
    if subject.shaft_hz is None:
        return min(_HIGHEST_HZ, nyquist_hz)
    reached = [1.15 * row.frequency_hz for row in parts if 1.15 * row.frequency_hz <= _HIGHEST_HZ]
    return min(max(_ORDERS_SHOWN * subject.shaft_hz, *reached), max(_HIGHEST_HZ, 4.0 * subject.shaft_hz), nyquist_hz)


def _hertz(subject: Subject) -> str:
    return "Hz at the mean speed" if subject.recorded.speed_varies else "Hz"


def _thinned(x: NDArray[Any], y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return at most so many points: of each group of bins the largest."""
    group = math.ceil(x.size / _MOST_POINTS)
    if group <= 1:
        return x, y
    starts = np.arange(0, x.size, group)
    return x[starts], np.maximum.reduceat(y, starts)


def kurtogram_of(axis: Any, subject: Subject) -> None:
    """Draw the kurtogram as a table of bands, the chosen one framed."""
    colours = importlib.import_module("matplotlib").colormaps["viridis"]
    bands = kurtogram(subject.window_g, subject.rate_hz)
    # below 1 there is nothing but noise to be seen
    top = max([1.0, *(band.kurtosis for band in bands)])
    low, high = subject.band_hz
    level, previous_hz, rejected = 0, -1.0, False
    for band in bands:
        # a band that begins no higher than the one before begins a finer division
        level, previous_hz = level + (band.low_hz <= previous_hz), band.low_hz
        width = band.high_hz - band.low_hz
        shade = colours(min(max(band.kurtosis / top, 0.0), 1.0))
        hatch = "//" if band.clarity is None else None
        rejected = rejected or hatch is not None
        axis.barh(-level, width, left=band.low_hz, height=0.92, color=shade, hatch=hatch, edgecolor="w", linewidth=0.4)
        if abs(band.low_hz - low) < 1.0 and abs(band.high_hz - high) < 1.0:
            axis.barh(-level, width, left=low, height=0.92, fill=False, edgecolor=WARNING, linewidth=2.2, zorder=3)
    axis.set(title="Kurtogram", ylabel="finer bands below", yticks=[])
    hatched = "; hatched: rejected" if rejected else ""
    axis.set_xlabel(f"Hz\nkurtosis: violet 0, yellow {top:.1f}; framed: chosen by its lines{hatched}", fontsize=8)
    axis.spines[["top", "right", "left"]].set_visible(False)


def envelope_spectrum(axis: Any, subject: Subject) -> None:
    """Draw the squared envelope spectrum with the bearing's fault frequencies and their sidebands."""
    window, (low, high) = subject.window_g, subject.band_hz
    axis.set(title="Squared envelope spectrum", xlabel=_hertz(subject), ylabel="dB over the median")
    bin_hz = subject.rate_hz / window.size
    first, last = envelope.band_bins(low, high, bin_hz, window.size) if math.isfinite(low) else (0, 0)
    if last - first < 4:
        axis.text(0.5, 0.5, "no demodulation band", transform=axis.transAxes, ha="center", color=FAINT)
        return
    transform = scipy.fft.rfft(window[np.newaxis] - window.mean(), axis=1)
    amplitudes = envelope.envelope_spectrum(envelope.squared_envelope(transform, window.size, first, last))[0]
    highest_hz = min(last - first, amplitudes.size - 1) * bin_hz
    lines = [frequency for family in subject.channel.families for frequency, _ in family.harmonics]
    shown_hz = min(highest_hz, 1.12 * max(lines, default=500.0))
    count = max(min(amplitudes.size, int(shown_hz / bin_hz)), 4)
    floor = float(np.median(amplitudes[1:count]))
    levels = 20.0 * np.log10(np.maximum(amplitudes[1:count], 1e-30) / max(floor, 1e-30))
    axis.plot(*_thinned(bin_hz * np.arange(1, count), levels), color=INK, linewidth=0.6, zorder=3)
    marks = Marks(axis, shown_hz)
    for family in _shown_families(subject):
        _mark_family(marks, family, subject)
    if subject.shaft_hz is not None:
        for order in (1, 2, 3):
            marks.add(order * subject.shaft_hz, f"{order}x", PARTS["shaft"], "--", 0.5)
    limit_db = subject.channel.limit_db
    axis.axhline(limit_db, color=FAINT, linewidth=0.8, linestyle="--")
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.0}
    label = "bound over the local floor"
    axis.text(shown_hz, limit_db, label, fontsize=7.5, color=FAINT, ha="right", va="bottom", bbox=box, zorder=4)
    axis.set(xlim=(0.0, shown_hz), ylim=(-12.0, 1.3 * max(float(levels.max()), limit_db) + 4.0))


def _shown_families(subject: Subject) -> list[LineFamily]:
    """Return the family that stands highest, the next one where it nearly reaches it, and those of the verdict."""
    scored = [(family.score_db, family) for family in subject.channel.families if family.score_db is not None]
    ranked = sorted(scored, key=lambda pair: pair[0], reverse=True)
    bound = max(subject.channel.limit_db, ranked[0][0] - _RIVAL_DB) if ranked else 0.0
    shown = [family for index, (score, family) in enumerate(ranked[:_FAMILIES_SHOWN]) if index == 0 or score >= bound]
    grounds = [item.frequency_hz for item in subject.diagnoses[0].evidence] if subject.diagnoses else []
    said = [family for _, family in ranked if any(_is_of(frequency_hz, family) for frequency_hz in grounds)]
    return shown + [family for family in said if family not in shown]


def _is_of(frequency_hz: float | None, family: LineFamily) -> bool:
    return frequency_hz is not None and abs(frequency_hz - family.frequency_hz) <= _SLIP_SHARE * family.frequency_hz


def _mark_family(marks: Marks, family: LineFamily, subject: Subject) -> None:
    colour = LINES[family.name]
    strength = 0.8 if (family.score_db or 0.0) >= subject.channel.limit_db else 0.35
    for number, (frequency, _) in enumerate(family.harmonics, start=1):
        label = f"{number}x{family.name}" if number > 1 else f"{family.name} {frequency:.1f} Hz"
        marks.add(frequency, label, colour, strength=strength)
        for side_hz in _sideband_hz(family, subject):
            for sign in (-1, 1):
                marks.add(frequency + sign * side_hz, "", colour, ":", strength)


def _sideband_hz(family: LineFamily, subject: Subject) -> tuple[float, ...]:
    kind = _SIDEBANDS.get(family.name)
    if kind == "1x" and subject.shaft_hz is not None:
        return (subject.shaft_hz,)
    cage = next((f.frequency_hz for f in subject.channel.families if f.name == "FTF"), None)
    return (cage,) if kind == "FTF" and cage is not None else ()
