"""The report as a file: the picture alone, or a page of HTML with the picture and its figures in it."""

import base64
import html
from pathlib import Path
from typing import Final

from contracts.errors import ConfigurationError
from runtime.report.picture import draw
from runtime.report.subject import Subject

FORMATS: Final = (".html", ".png")
_STYLE: Final = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#1f2d3d}"
    "table{border-collapse:collapse;margin:1rem 0}td,th{padding:.2rem .8rem;text-align:right;"
    "border-bottom:1px solid #e5e9ee}td:first-child,th:first-child{text-align:left}img{max-width:100%}"
    "dt{font-weight:600}dd{margin:0 0 .4rem 1.5rem}"
)


def write(path: Path, subject: Subject) -> None:
    """Write the report to `path`.

    Raises
    ------
    ConfigurationError
        For another ending than .html and .png, and without Matplotlib.
    """
    if path.suffix.lower() not in FORMATS:
        raise ConfigurationError(f"report {path}; the ending must be {' or '.join(FORMATS)}")
    picture = draw(subject)
    if path.suffix.lower() == ".png":
        path.write_bytes(picture)
    else:
        path.write_text(_page(subject, picture), encoding="utf-8")


def _page(subject: Subject, picture: bytes) -> str:
    evidence = "".join(f"<li>{html.escape(line)}</li>" for line in subject.evidence())
    notes = "".join(f"<dt>{html.escape(name)}</dt><dd>{html.escape(text)}</dd>" for name, text in subject.notes())
    facts = "".join(f"<p>{html.escape(line)}</p>" for line in subject.facts())
    title = html.escape(subject.title)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
        f"</head><body><h1>{title}</h1><h2>{html.escape(subject.verdicts[0])}</h2><ul>{evidence}</ul>"
        f"<dl>{notes}</dl>{facts}{_table(subject)}"
        '<img alt="Waveform, kurtogram, spectra with markers, envelope spectrum and trend"'
        f' src="data:image/png;base64,{base64.b64encode(picture).decode("ascii")}"></body></html>\n'
    )


def _table(subject: Subject) -> str:
    if not subject.channel.families:
        return ""
    rows = "".join(
        f"<tr><td>{family.name}</td><td>{family.frequency_hz:.2f}</td>"
        f"<td>{'' if family.found_hz is None else f'{family.found_hz:.2f}'}</td>"
        f"<td>{'not decided' if family.score_db is None else f'{family.score_db:.1f}'}</td>"
        f"<td>{html.escape(family.ambiguous_with or '')}</td>"
        f"<td>{'' if family.foreign_hz is None else f'{family.foreign_hz:.3g}'}</td></tr>"
        for family in subject.channel.families
    )
    return (
        "<table><tr><th>line</th><th>expected Hz</th><th>found Hz</th><th>dB over the floor</th>"
        f"<th>ambiguous with</th><th>without lines every Hz</th></tr>{rows}</table>"
    )
