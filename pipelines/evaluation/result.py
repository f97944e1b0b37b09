"""What an evaluation says: the measures by name, a row for each file, and what others have published."""

from dataclasses import dataclass
from typing import Any

import msgspec


@dataclass(frozen=True, slots=True)
class Published:
    """A figure of others: of which measure, who reached it, where that stands, and what was otherwise than here."""

    measure: str
    value: float
    who: str
    source: str
    differs: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The evaluation of one data set.

    ``goals`` are bounds that were set beforehand, as text by measure: ``≥ 0.8``, ``≤ 0.12``, or ``all of 1, 6, 13``;
    ``notes`` are what a reader must know to judge the figures.
    """

    task: str
    data_set: str
    measures: dict[str, Any]
    files: tuple[dict[str, Any], ...]
    seeds: tuple[int, ...]
    settings: dict[str, Any]
    published: tuple[Published, ...]
    goals: dict[str, str]
    notes: tuple[str, ...] = ()

    def as_object(self) -> dict[str, Any]:
        """Return the result for JSON: the measures stand beside the rest."""
        rest: dict[str, Any] = msgspec.to_builtins(self)
        measures = rest.pop("measures")
        return {"task": rest.pop("task"), "data_set": rest.pop("data_set"), **measures, **rest}
