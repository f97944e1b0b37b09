"""One page on one channel of a recording: what was measured, what stands out, and what that means.

The picture is drawn by Matplotlib, which is no part of a running worker: it belongs to the dependency group ``report``
and is imported when a report is asked for.
"""

import base64
import html
import importlib
import io
import logging
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from contracts.errors import ConfigurationError
from contracts.features import FEATURE_INDEX
from processors import envelope
from processors.families import LineFamily
from processors.kurtogram import kurtogram
from processors.severity import Grade
from processors.spectrum import amplitude_spectrum
from processors.whole_recording import RecordingJudgement

FORMATS: Final = (".html", ".png")
#: Sidebands of a family: its modulation by shaft or cage.
_SIDEBANDS: Final = {"BPFI": "1x", "BSF": "FTF"}
_COLOURS: Final = {"BPFO": "#c0392b", "BPFI": "#8e44ad", "BSF": "#d68910", "FTF": "#117a65"}
_INK, _FAINT = "#1f2d3d", "#90a0b0"
_SHOWN_S: Final = 0.5
_FAMILIES_SHOWN: Final = 2
_RIVAL_DB: Final = 10.0


@dataclass(frozen=True, slots=True)
class Subject:
    """What the report is about."""

    title: str
    channel: str
    samples_g: NDArray[np.float32]
    sampling_rate_hz: float
    speed_rpm: float | None
    judged: RecordingJudgement
    graded: Grade
    verdict: str


def write(path: Path, subject: Subject) -> None:
    """Write the report to `path`.

    Raises
    ------
    ConfigurationError
        For another ending than .html and .png, and without Matplotlib.
    """
    if path.suffix.lower() not in FORMATS:
        raise ConfigurationError(f"report {path}; the ending must be {' or '.join(FORMATS)}")
    picture = _draw(subject)
    if path.suffix.lower() == ".png":
        path.write_bytes(picture)
    else:
        path.write_text(_page(subject, picture), encoding="utf-8")


def _draw(subject: Subject) -> bytes:
    try:
        figures = importlib.import_module("matplotlib.figure")
    except ModuleNotFoundError:
        raise ConfigurationError("reports need Matplotlib: uv sync --group report") from None
    logging.getLogger("matplotlib").setLevel(logging.WARNING)
    # one figure object: the stateful interface would keep it alive
    figure: Any = figures.Figure(figsize=(11.0, 13.5), layout="constrained")
    axes = figure.subplot_mosaic(
        [["head", "head"], ["wave", "kurtogram"], ["spectrum", "spectrum"], ["envelope", "envelope"]],
        height_ratios=[0.55, 1.0, 1.0, 1.2],
        width_ratios=[1.5, 1.0],
    )
    _head(axes["head"], subject)
    _waveform(axes["wave"], subject)
    _kurtogram(axes["kurtogram"], subject)
    _spectrum(axes["spectrum"], subject)
    _envelope(axes["envelope"], subject)
    for name in ("wave", "spectrum", "envelope"):
        axes[name].grid(visible=True, color="#e5e9ee", linewidth=0.6)
        axes[name].spines[["top", "right"]].set_visible(False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    return buffer.getvalue()


def _window(subject: Subject) -> NDArray[np.float32]:
    """Return the stretch that the judgement looked at first."""
    length = min(subject.samples_g.size, round(subject.judged.window_s * subject.sampling_rate_hz))
    return subject.samples_g[:length]


def _facts(subject: Subject) -> list[str]:
    judged, graded = subject.judged, subject.graded
    velocity = float(judged.values[FEATURE_INDEX["velocity_rms_mm_s"]])
    zone = f"zone {graded.zone.value}" if graded.zone is not None else f"not graded: {graded.not_graded_because}"
    speed = "speed unknown" if subject.speed_rpm is None else f"{subject.speed_rpm:g} rpm"
    rms_g, kurtosis = (float(judged.values[FEATURE_INDEX[name]]) for name in ("rms_g", "kurtosis"))
    return [
        f"{judged.n_windows} x {judged.window_s:.2f} s at {subject.sampling_rate_hz:g} Hz, {speed}",
        f"Velocity {velocity:.2f} mm/s rms, {zone}; acceleration {rms_g:.3g} g rms, kurtosis {kurtosis:.2f}",
    ]


def _evidence(subject: Subject) -> list[str]:
    found = subject.judged.diagnosis
    if found is not None:
        return [evidence.text for evidence in found.evidence]
    return [
        f"{family.name}: {family.score_db:.1f} dB over the floor, {subject.judged.limit_db:.1f} dB needed"
        for family in subject.judged.families
        if family.score_db is not None
    ]


def _head(axis: Any, subject: Subject) -> None:
    axis.axis("off")
    axis.text(0.0, 1.0, f"{subject.title}, channel {subject.channel}", fontsize=16, weight="bold", color=_INK, va="top")
    axis.text(
        0.0, 0.80, subject.verdict, fontsize=13, color="#c0392b" if subject.judged.diagnosis else "#117a65", va="top"
    )
    text = "\n".join([*_facts(subject), *(f"•  {line}" for line in _wrapped(_evidence(subject)))])
    axis.text(0.0, 0.60, text, fontsize=9.5, color=_INK, va="top", linespacing=1.5)


def _wrapped(lines: list[str], width: int = 135) -> list[str]:
    return ["\n    ".join(textwrap.wrap(line, width)) for line in lines[:4]]


def _waveform(axis: Any, subject: Subject) -> None:
    n = min(subject.samples_g.size, round(_SHOWN_S * subject.sampling_rate_hz))
    axis.plot(np.arange(n) / subject.sampling_rate_hz, subject.samples_g[:n], color=_INK, linewidth=0.5)
    axis.set(title="Waveform", xlabel="s", ylabel="g", xlim=(0.0, n / subject.sampling_rate_hz))
    if subject.speed_rpm:
        for turn in np.arange(0.0, n / subject.sampling_rate_hz, 60.0 / subject.speed_rpm):
            axis.axvline(turn, color=_FAINT, linewidth=0.5, linestyle=":")


def _spectrum(axis: Any, subject: Subject) -> None:
    spectrum = amplitude_spectrum(_window(subject)[np.newaxis], subject.sampling_rate_hz)
    levels = np.maximum(spectrum.values[0, 1:], 1e-9)
    axis.semilogy(spectrum.frequencies_hz[1:], levels, color=_INK, linewidth=0.5)
    low, high = _band_hz(subject)
    if np.isfinite(low) and np.isfinite(high):
        axis.axvspan(
            low, high, color="#f6c667", alpha=0.25, linewidth=0, label=f"envelope band {low:.0f}-{high:.0f} Hz"
        )
    if subject.speed_rpm:
        shaft_hz = subject.speed_rpm / 60.0
        for order in (1, 2, 3):
            axis.axvline(
                order * shaft_hz, color=_FAINT, linewidth=0.8, linestyle="--", label="1x 2x 3x" if order == 1 else None
            )
    axis.set(title="Amplitude spectrum", xlabel="Hz", ylabel="g peak", xlim=(0.0, subject.sampling_rate_hz / 2.0))
    axis.set_ylim(bottom=float(np.quantile(levels, 0.02)))
    axis.legend(loc="upper right", fontsize=8, frameon=False)


def _kurtogram(axis: Any, subject: Subject) -> None:
    bands = kurtogram(_window(subject), subject.sampling_rate_hz)
    colours = importlib.import_module("matplotlib").colormaps["viridis"]
    top = max((band.kurtosis for band in bands), default=1.0)
    low, high = _band_hz(subject)
    level, previous_hz = 0, -1.0
    for band in bands:
        # a band that begins no higher than the one before begins a finer division
        level, previous_hz = level + (band.low_hz <= previous_hz), band.low_hz
        width = band.high_hz - band.low_hz
        shade = colours(min(max(band.kurtosis / max(top, 1e-9), 0.0), 1.0))
        hatch = "//" if band.clarity is None else None
        axis.barh(-level, width, left=band.low_hz, height=0.92, color=shade, hatch=hatch, edgecolor="w")
        if abs(band.low_hz - low) < 1.0 and abs(band.high_hz - high) < 1.0:
            axis.barh(-level, width, left=low, height=0.92, fill=False, edgecolor="#c0392b", linewidth=2.5, zorder=3)
    axis.set(
        title=f"Kurtogram: yellow {top:.1f}, blue 0; red frame: band",
        xlabel="Hz",
        ylabel="finer bands below",
        yticks=[],
    )
    axis.spines[["top", "right", "left"]].set_visible(False)


def _band_hz(subject: Subject) -> tuple[float, float]:
    low, high = (float(subject.judged.values[FEATURE_INDEX[f"envelope_{edge}_hz"]]) for edge in ("low", "high"))
    return low, high


def _envelope(axis: Any, subject: Subject) -> None:
    window = _window(subject)
    low, high = _band_hz(subject)
    axis.set(title="Squared envelope spectrum", xlabel="Hz", ylabel="dB over the median")
    first, last = envelope.band_bins(low, high, subject.sampling_rate_hz / window.size, window.size)
    if last - first < 2:
        return
    spectrum = scipy.fft.rfft(window[np.newaxis] - window.mean(), axis=1)
    amplitudes = envelope.envelope_spectrum(envelope.squared_envelope(spectrum, window.size, first, last))[0]
    bin_hz = subject.sampling_rate_hz / window.size
    shown_hz = _shown_hz(subject, min(last - first, amplitudes.size - 1) * bin_hz)
    count = min(amplitudes.size, int(shown_hz / bin_hz))
    levels = 20.0 * np.log10(np.maximum(amplitudes[1:count], 1e-30) / np.median(amplitudes[1:count]))
    axis.plot(bin_hz * np.arange(1, count), levels, color=_INK, linewidth=0.6)
    top = float(levels.max())
    for family in _shown_families(subject):
        _mark(axis, family, subject, top, shown_hz)
    axis.axhline(
        subject.judged.limit_db, color=_FAINT, linewidth=0.8, linestyle="--", label="bound over the local floor"
    )
    axis.legend(loc="lower right", fontsize=8, framealpha=0.9)
    axis.set(xlim=(0.0, shown_hz), ylim=(-10.0, 1.18 * top + 4.0))


def _shown_families(subject: Subject) -> list[LineFamily]:
    """Return the family that stands highest, and the next one where it nearly reaches it."""
    scored = [(family.score_db, family) for family in subject.judged.families if family.score_db is not None]
    ranked = sorted(scored, key=lambda pair: pair[0], reverse=True)
    bound = max(subject.judged.limit_db, ranked[0][0] - _RIVAL_DB) if ranked else 0.0
    return [family for index, (score, family) in enumerate(ranked[:_FAMILIES_SHOWN]) if index == 0 or score >= bound]


def _shown_hz(subject: Subject, highest_hz: float) -> float:
    lines = [frequency for family in subject.judged.families for frequency, _ in family.harmonics]
    return min(highest_hz, 1.12 * max(lines, default=500.0))


def _mark(axis: Any, family: LineFamily, subject: Subject, top: float, shown_hz: float) -> None:
    colour = _COLOURS[family.name]
    for number, (frequency, _) in enumerate(family.harmonics, start=1):
        if frequency > shown_hz:
            continue
        axis.axvline(frequency, color=colour, linewidth=1.0, alpha=0.7)
        label = f"{number}x{family.name}" if number > 1 else f"{family.name} {frequency:.1f}"
        axis.text(frequency, 1.08 * top + 2.0, label, color=colour, fontsize=8, ha="center")
        for side in _sideband_hz(family, subject):
            for sign in (-1, 1):
                axis.axvline(frequency + sign * side, color=colour, linewidth=0.7, linestyle=":", alpha=0.7)


def _sideband_hz(family: LineFamily, subject: Subject) -> tuple[float, ...]:
    kind = _SIDEBANDS.get(family.name)
    if kind == "1x" and subject.speed_rpm:
        return (subject.speed_rpm / 60.0,)
    cage = next((f.frequency_hz for f in subject.judged.families if f.name == "FTF"), None)
    return (cage,) if kind == "FTF" and cage is not None else ()


def _page(subject: Subject, picture: bytes) -> str:
    rows = "".join(
        f"<tr><td>{family.name}</td><td>{family.frequency_hz:.2f}</td>"
        f"<td>{'' if family.found_hz is None else f'{family.found_hz:.2f}'}</td>"
        f"<td>{'not decided' if family.score_db is None else f'{family.score_db:.1f}'}</td>"
        f"<td>{html.escape(family.ambiguous_with or '')}</td></tr>"
        for family in subject.judged.families
    )
    evidence = "".join(f"<li>{html.escape(line)}</li>" for line in _evidence(subject))
    facts = "".join(f"<p>{html.escape(line)}</p>" for line in _facts(subject))
    title = html.escape(f"{subject.title}, channel {subject.channel}")
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>'
        "body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#1f2d3d}"
        "table{border-collapse:collapse}td,th{padding:.2rem .8rem;text-align:right;border-bottom:1px solid #e5e9ee}"
        "img{max-width:100%}</style></head><body>"
        f"<h1>{title}</h1><h2>{html.escape(subject.verdict)}</h2><ul>{evidence}</ul>{facts}"
        "<table><tr><th>line</th><th>expected Hz</th><th>found Hz</th><th>dB over the floor</th>"
        "<th>ambiguous with</th></tr>"
        f"{rows}</table>"
        f'<img alt="Waveform, kurtogram, spectrum and envelope spectrum"'
        f' src="data:image/png;base64,{base64.b64encode(picture).decode("ascii")}"></body></html>\n'
    )
