"""The picture of a report: one page of axes around a head of text."""

import importlib
import io
import logging
from typing import Any, Final

from contracts.errors import ConfigurationError
from runtime.report import course, spectra
from runtime.report.colours import FAINT, GOOD, GRID, INK, WARNING
from runtime.report.subject import Subject, wrapped

_WIDTH_IN: Final = 11.0
_LINE_IN: Final = 0.185
_HEAD_IN: Final = 0.95
_DPI: Final = 130


def draw(subject: Subject) -> bytes:
    """Return the picture as PNG.

    Raises
    ------
    ConfigurationError
        Without Matplotlib.
    """
    buffer = io.BytesIO()
    figure_of(subject).savefig(buffer, format="png", dpi=_DPI)
    return buffer.getvalue()


def figure_of(subject: Subject) -> Any:
    """Return the picture as a figure of Matplotlib, its axes labelled by what they show; raises as ``draw`` does."""
    try:
        figures = importlib.import_module("matplotlib.figure")
    except ModuleNotFoundError:
        raise ConfigurationError("reports need Matplotlib: uv sync --group report") from None
    logging.getLogger("matplotlib").setLevel(logging.WARNING)
    text = _text(subject)
    rows = [["head", "head"], ["wave", "kurtogram"], ["spectrum", "orders"], ["envelope", "envelope"]]
    heights = [_HEAD_IN + _LINE_IN * (text.count("\n") + 1), 2.5, 2.7, 2.9]
    if subject.recorded.speed_varies:
        rows.append(["waterfall", "waterfall"])
        heights.append(3.2)
    rows.append(["vibration", "lines"])
    heights.append(2.2)
    # one figure object: the stateful interface would keep it alive
    figure: Any = figures.Figure(figsize=(_WIDTH_IN, sum(heights) + 0.8), layout="constrained")
    figure.get_layout_engine().set(rect=(0.01, 0.008, 0.98, 0.984), hspace=0.03)
    axes = figure.subplot_mosaic(rows, height_ratios=heights, width_ratios=[1.35, 1.0])
    _head(axes["head"], subject, text, heights[0])
    course.waveform(axes["wave"], subject)
    spectra.kurtogram_of(axes["kurtogram"], subject)
    spectra.spectrum(axes["spectrum"], subject)
    spectra.orders(axes["orders"], subject)
    spectra.envelope_spectrum(axes["envelope"], subject)
    course.trends(axes["vibration"], axes["lines"], subject)
    if "waterfall" in axes:
        course.waterfall(axes["waterfall"], subject)
    for name, axis in axes.items():
        if name not in ("head", "kurtogram", "waterfall"):
            axis.grid(visible=True, color=GRID, linewidth=0.6)
            axis.spines[["top", "right"]].set_visible(False)
        axis.title.set_fontsize(10.5)
        axis.tick_params(labelsize=8.5, colors=INK)
    return figure


def _text(subject: Subject) -> str:
    evidence = [f"•  {wrapped(line)}" for line in subject.evidence()]
    notes = [wrapped(f"{name}: {text}") for name, text in subject.notes()]
    return "\n".join([*subject.facts(), *evidence, *notes])


def _head(axis: Any, subject: Subject, text: str, height_in: float) -> None:
    axis.axis("off")
    colour = WARNING if subject.diagnoses else GOOD
    places = (0.0, 0.34 / height_in, 0.66 / height_in)
    axis.text(0.0, 1.0 - places[0], subject.title, fontsize=16, weight="bold", color=INK, va="top")
    axis.text(0.0, 1.0 - places[1], subject.verdicts[0], fontsize=13, color=colour, va="top")
    axis.text(0.0, 1.0 - places[2], text, fontsize=9.2, color=INK, va="top", linespacing=1.35)
    axis.axhline(0.0, color=FAINT, linewidth=0.5)
