"""What the forwarder has done since it started, and whether it can take more."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Counters:
    """Counts since the start; ``problems`` is empty while everything that is collected can be kept.

    ``problems`` maps a part (a collector, the buffer) to what keeps it from working.
    """

    kept: int = 0
    repeated: int = 0
    refused: int = 0
    forwarded: int = 0
    collected_too_fast: int = 0
    problems: dict[str, str] = field(default_factory=dict)

    @property
    def ready(self) -> bool:
        """Whether records are taken."""
        return not self.problems
