"""The axes of a report that show time: waveform, trend over the recording, waterfall of a speed that changes."""

import math
from typing import Any, Final

import numpy as np

from contracts.errors import SignalError
from contracts.features import FEATURE_INDEX
from processors.machine_recording import Trend, trend
from processors.order import SAMPLES_PER_ORDER, resample
from processors.waterfall import Waterfall, run_up
from runtime.report.colours import CHANNELS, FAINT, INK, LINES
from runtime.report.subject import Subject

_SHOWN_S: Final = 0.5
#: Room above a trend, for its legend.
_HEADROOM: Final = 1.25
_BAND: Final = [FEATURE_INDEX["envelope_low_hz"], FEATURE_INDEX["envelope_high_hz"]]
#: Size of the waterfall as it is drawn, and the orders that it shows.
_ROWS, _COLUMNS = 300, 600
_HIGHEST_ORDER: Final = 20.0
_REVOLUTIONS: Final = (16, 8, 4)
#: Levels this far below the highest one are the colour of the ground, dB.
_RANGE_DB: Final = 60.0


def waveform(axis: Any, subject: Subject) -> None:
    """Draw the first half second of the channel as it was measured."""
    rate_hz = subject.recorded.machine.sampling_rate_hz
    samples = subject.recorded.samples_g[subject.row]
    n = min(samples.size, round(_SHOWN_S * rate_hz))
    axis.plot(np.arange(n) / rate_hz, samples[:n], color=INK, linewidth=0.5)
    axis.set(title="Waveform", xlabel="s", ylabel="g", xlim=(0.0, n / rate_hz))


def trends(vibration: Any, lines: Any, subject: Subject) -> None:
    """Draw velocity of every channel, and the fault lines of the drawn one, over the recording."""
    steady = subject.steady
    bands_hz = np.array([c.values[_BAND] for c in subject.judged.channels], dtype=np.float64)
    course = trend(steady.machine, steady.samples_g, steady.speed_rpm, steady.geometries, bands_hz)
    style: dict[str, Any] = {"linewidth": 1.1, "marker": "o", "markersize": 2.5}
    for row, name in enumerate(steady.names):
        shown = {**style, "linewidth": 1.8} if row == subject.row else style
        vibration.plot(
            course.times_s,
            course.of(row, "velocity_rms_mm_s"),
            color=CHANNELS[row % len(CHANNELS)],
            label=name,
            **shown,
        )
    rms = vibration.twinx()
    rms.plot(course.times_s, course.of(subject.row, "rms_g"), color=FAINT, linewidth=1.0, linestyle="--")
    rms.set_ylabel("g rms (dashed)", fontsize=8.5, color=FAINT)
    rms.set_ylim(0.0, _HEADROOM * rms.get_ylim()[1])
    rms.tick_params(labelsize=8.5, colors=FAINT)
    rms.spines[["top"]].set_visible(False)
    vibration.set(title=f"Trend in windows of {course.window_s:.3g} s", xlabel=_seconds(subject), ylabel="mm/s rms")
    vibration.set_ylim(0.0, _HEADROOM * vibration.get_ylim()[1])
    vibration.legend(loc="best", fontsize=7.5, framealpha=0.8, ncols=2)
    _trend_of_lines(lines, course, subject, style)


def _seconds(subject: Subject) -> str:
    return "s at the mean speed" if subject.recorded.speed_varies else "s"


def _trend_of_lines(axis: Any, course: Trend, subject: Subject, style: dict[str, Any]) -> None:
    axis.set(title="Fault lines over their floor", xlabel=_seconds(subject), ylabel="dB")
    drawn = False
    for name, colour in LINES.items():
        levels = course.of(subject.row, f"{name.lower()}_db")
        if np.isfinite(levels).any():
            axis.plot(course.times_s, levels, color=colour, label=name, **style)
            drawn = True
    if not drawn:
        axis.text(
            0.5,
            0.5,
            "no fault lines in windows\nof this length",
            transform=axis.transAxes,
            ha="center",
            va="center",
            fontsize=8.5,
            color=FAINT,
        )
        return
    bound = subject.steady.machine.rules.fault_line_db
    axis.axhline(bound, color=FAINT, linewidth=0.8, linestyle="--")
    axis.set_ylim(min(0.0, axis.get_ylim()[0]), _HEADROOM * axis.get_ylim()[1])
    axis.legend(loc="best", fontsize=7.5, framealpha=0.8, ncols=2)


def waterfall(axis: Any, subject: Subject) -> None:
    """Draw the order spectra of the drawn channel over time, with the speed beside them."""
    found = _run_up(subject)
    axis.set(title="Orders over time", xlabel="order of the shaft", ylabel="s")
    if found is None:
        axis.text(0.5, 0.5, "too few revolutions", transform=axis.transAxes, ha="center", color=FAINT)
        return
    shown = found.thinned(_ROWS, _COLUMNS)
    levels = 20.0 * np.log10(np.maximum(shown.amplitudes[0], 1e-9))
    top = float(levels[:, 1:].max())
    axis.pcolormesh(
        shown.orders,
        shown.times_s,
        levels,
        cmap="viridis",
        vmin=top - _RANGE_DB,
        vmax=top,
        shading="nearest",
        rasterized=True,
    )
    axis.set_title(f"Orders over time: violet {top - _RANGE_DB:.0f} dB and below, yellow {top:.0f} dB re 1 g peak")
    axis.set_xlim(0.0, min(_HIGHEST_ORDER, float(shown.orders[-1])))
    axis.set_xticks(range(int(axis.get_xlim()[1]) + 1))
    speed = axis.twinx()
    speed.set_ylim(axis.get_ylim())
    places = np.linspace(0, shown.times_s.size - 1, min(6, shown.times_s.size)).round().astype(int)
    speed.set_yticks(shown.times_s[places], [f"{rpm:.0f} rpm" for rpm in shown.speeds_rpm[places]], fontsize=8)


def _run_up(subject: Subject) -> Waterfall | None:
    recorded = subject.recorded
    if recorded.angle is None:
        return None
    rate_hz = recorded.machine.sampling_rate_hz
    mean_hz = (recorded.speed_rpm or 0.0) / 60.0
    highest = min(_HIGHEST_ORDER, rate_hz / mean_hz / SAMPLES_PER_ORDER)
    channel = np.nan_to_num(recorded.samples_g[subject.row : subject.row + 1])
    tracked = resample(channel, rate_hz, recorded.angle, math.floor(highest))
    for revolutions in _REVOLUTIONS:
        try:
            return run_up(tracked, revolutions, 0.75)
        except SignalError:
            continue
    return None
