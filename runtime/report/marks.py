"""Markers on a spectrum: thin lines with labels that don't overlap."""

from typing import Any, Final

#: Labels lie at least this share of the axis apart; a marker whose label wouldn't fit has none.
_APART: Final = 0.022


class Marks:
    """Markers of one axis.

    Parameters
    ----------
    axis : matplotlib Axes
        Where they go.
    width_hz : float
        The length of its abscissa.
    """

    def __init__(self, axis: Any, width_hz: float) -> None:
        self._axis, self._width_hz = axis, width_hz
        self._labels_hz: list[float] = []

    def add(self, frequency_hz: float, label: str, colour: str, style: str = "-", strength: float = 0.8) -> None:
        """Draw a marker at a frequency, with its label at the top where there is room."""
        if not 0.0 < frequency_hz < self._width_hz:
            return
        self._axis.axvline(frequency_hz, color=colour, linewidth=0.9, linestyle=style, alpha=strength, zorder=1)
        if label and all(abs(frequency_hz - other) > _APART * self._width_hz for other in self._labels_hz):
            self._labels_hz.append(frequency_hz)
            self._axis.annotate(
                label,
                (frequency_hz, 1.0),
                xycoords=("data", "axes fraction"),
                xytext=(1.5, -2.0),
                textcoords="offset points",
                rotation=90,
                fontsize=7.5,
                color=colour,
                ha="left",
                va="top",
                zorder=4,
                bbox={"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.4},
            )
