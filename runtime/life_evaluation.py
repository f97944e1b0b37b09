"""How early a run to failure is noticed, and whether anything is called out while the machine is still healthy."""

from dataclasses import dataclass
from typing import Any

import msgspec

from adapters.recordings import Recording
from pipelines.evaluation.femto import HEALTHY_SHARE, run_of
from processors.first_detection import first_rise


@dataclass(frozen=True, slots=True)
class Life:
    """One run: its length, when it was first noticed (null: never), and whether that was a false alarm."""

    record: str
    life_s: float
    detected_s: float | None

    @property
    def share(self) -> float | None:
        """Share of the life that had passed."""
        return None if self.detected_s is None else self.detected_s / self.life_s

    @property
    def false_alarm(self) -> bool:
        """Whether it was noticed in the healthy part."""
        return self.share is not None and self.share < HEALTHY_SHARE

    def as_object(self) -> dict[str, Any]:
        """Return the run for JSON."""
        return {**msgspec.to_builtins(self), "share": self.share, "false_alarm": self.false_alarm}


def judge_life(recording: Recording) -> Life:
    """Return when a run to failure, recorded in bursts, is first noticed.

    Raises
    ------
    SignalError
        If the recording isn't in bursts, or has too few of them to learn from.
    """
    run = run_of(recording)
    found = first_rise(run.levels_g)
    return Life(run.name, run.life_s, None if found is None else float(run.times_s[found]))
