"""The colours of a report: the same thing has the same colour in every part of the page."""

from typing import Final

INK: Final = "#1f2d3d"
FAINT: Final = "#90a0b0"
GRID: Final = "#e5e9ee"
WARNING: Final = "#c0392b"
GOOD: Final = "#117a65"
BAND: Final = "#f6c667"
SHAFT: Final = "#5d6d7e"
#: Fault families, and the parts of a drive train.
LINES: Final = {"BPFO": "#c0392b", "BPFI": "#8e44ad", "BSF": "#d68910", "FTF": "#117a65"}
PARTS: Final = {
    "shaft": SHAFT,
    "gear": "#1f618d",
    "impeller": "#b9770e",
    "motor": "#a04000",
    "belt": "#6c3483",
}
#: Channels of a machine, in their order.
CHANNELS: Final = ("#1f2d3d", "#2e86c1", "#d68910", "#117a65", "#8e44ad", "#c0392b", "#7f8c8d", "#5b2c6f")
