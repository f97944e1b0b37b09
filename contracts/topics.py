"""Kafka topics: their names, what lies on them, and the registry subject of each record type."""

from dataclasses import dataclass
from typing import Final

from contracts import records as r

MEASUREMENTS: Final = "measurements"
ASSESSMENTS: Final = "assessments"
CONDITIONS: Final = "conditions"
ALARMS: Final = "alarms"
DEAD_LETTERS: Final = "dead-letters"


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic with its record types and retention (seconds)."""

    name: str
    records: tuple[type, ...]
    retention_s: int

    def subject(self, record: type) -> str:
        """Return the registry subject of `record` here.

        A topic with one type has the subject ``<topic>-value``; where several types share a topic, each has its own.

        Examples
        --------
        >>> TOPICS[ALARMS].subject(r.AlarmTransition)
        'alarms-value'
        >>> TOPICS[MEASUREMENTS].subject(r.Tick)
        'measurements-faultline.Tick'
        """
        if len(self.records) == 1:
            return f"{self.name}-value"
        return f"{self.name}-faultline.{record.__name__}"


_DAY_S = 86_400

TOPICS: Final[dict[str, TopicSpec]] = {
    spec.name: spec
    for spec in (
        TopicSpec(MEASUREMENTS, (r.AcquisitionBlock, r.ReadingBatch, r.MachineEvent, r.Tick, r.Activation), 7 * _DAY_S),
        TopicSpec(ASSESSMENTS, (r.Assessment,), 7 * _DAY_S),
        TopicSpec(CONDITIONS, (r.Condition, r.Command, r.Tick, r.Activation), 90 * _DAY_S),
        TopicSpec(ALARMS, (r.AlarmTransition,), 90 * _DAY_S),
        TopicSpec(DEAD_LETTERS, (r.DeadLetter,), 30 * _DAY_S),
    )
}
