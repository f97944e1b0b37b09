"""How early a run to failure is noticed, and whether anything is called out while the machine is still healthy."""

from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np

from adapters.recordings import Recording, Waveform
from contracts.errors import SignalError
from contracts.units import factor_to_canonical
from processors.first_detection import first_rise

#: Until this share of its life a machine is taken for healthy.
HEALTHY_SHARE: Final = 1.0 / 3.0


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
    signal = recording.signal
    if not isinstance(signal, Waveform) or signal.burst_samples is None or signal.burst_starts_s is None:
        raise SignalError(f"{recording.name}: a run to failure in bursts needed")
    factors = np.array([[[factor_to_canonical(each.quantity, each.unit)]] for each in recording.channels])
    bursts = signal.samples.reshape(len(recording.channels), -1, signal.burst_samples) * factors
    found = first_rise(bursts.std(axis=2))
    return Life(recording.name, signal.duration_s, None if found is None else float(signal.burst_starts_s[found]))
