"""The soak: millions of small blocks in real time, and what the worker holds meanwhile.

In real time everything that hangs on the clock takes its turn: ticks, checkpoints, stored rows, alarms that come and
go. Memory and descriptors are looked at once a second; the slope is that of the second half, when everything that is
allocated once has been allocated.
"""

import statistics
import time
from dataclasses import dataclass, field
from typing import Any, Final

from contracts.errors import Unavailable
from loadtests.log import LoadGenerator
from loadtests.machine import Cores, Usage, describe_machine
from loadtests.plant import SITE, Load, Plant
from loadtests.results import rounded
from runtime.backlog import Say, expected_assessments
from runtime.measured import MeasuredStack, measured_stack
from runtime.registry import codec_for
from runtime.settings import Settings

#: A growth beyond this isn't noise, MiB for a million blocks.
SLOPE_LIMIT_MB: Final = 4.0
#: The pool of database connections opens and closes some as it needs them.
_CONNECTIONS: Final = 4
_LINGER_MS: Final = 5
_LOOK_S: Final = 1.0
_SAY_S: Final = 30.0
#: What was sent is stored within so long, s.
_DRAIN_S: Final = 60.0
_SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class Look:
    """What the worker held once: blocks sent by then, resident memory (MiB), open descriptors."""

    blocks: int
    rss_mb: float
    descriptors: int


@dataclass(slots=True)
class Soak:
    """What was seen."""

    load: Load
    blocks: int
    windows: int
    stored: int = 0
    wall_s: float = 0.0
    usage: Usage = field(default_factory=lambda: Usage(0.0, {}, 0.0))
    looks: list[Look] = field(default_factory=list)

    @property
    def _second_half(self) -> list[Look]:
        return self.looks[len(self.looks) // 2 :]

    @property
    def slope_mb(self) -> float:
        """Growth of the resident memory in the second half, MiB for a million blocks."""
        half = self._second_half
        return 1e6 * statistics.linear_regression([x.blocks for x in half], [x.rss_mb for x in half]).slope

    @property
    def descriptors(self) -> tuple[int, int]:
        """Fewest and most open descriptors in the second half."""
        counts = [look.descriptors for look in self._second_half]
        return min(counts), max(counts)

    @property
    def steady(self) -> bool:
        """Whether nothing is lost, and neither memory nor descriptors grow."""
        most_before = max(look.descriptors for look in self.looks[: len(self.looks) // 2])
        constant = self.descriptors[1] <= most_before + _CONNECTIONS
        return self.stored == self.windows and self.slope_mb <= SLOPE_LIMIT_MB and constant

    def as_json(self) -> dict[str, Any]:
        """Return the figures for a program."""
        fewest, most = self.descriptors
        step = max(1, len(self.looks) // _SHOWN)
        return {
            "blocks": self.blocks,
            "wall_s": rounded(self.wall_s, 0),
            "rss_slope_mb_per_million_blocks": rounded(self.slope_mb),
            "rss_mb_first": rounded(self.looks[0].rss_mb),
            "rss_mb_half": rounded(self._second_half[0].rss_mb),
            "rss_mb_last": rounded(self.looks[-1].rss_mb),
            "descriptors_fewest": fewest,
            "descriptors_most": most,
            "windows": self.windows,
            "different": abs(self.windows - self.stored),
            "steady": self.steady,
            "cpu_us_per_block": rounded(self.usage.cpu_s / self.blocks * 1e6),
            "load": f"{self.load.assets} assets x {self.load.channels} channels x {self.load.block_samples} samples",
            "rss_mb_by_blocks": {str(look.blocks): rounded(look.rss_mb) for look in self.looks[::step]},
            "machine": describe_machine(),
        }


def measure_soak(load: Load, blocks: int, settings: Settings, say: Say) -> Soak:
    """Run the soak; bounded by `blocks`, in real time.

    Parameters
    ----------
    load : Load
        The plant.
    blocks : int
        How many blocks are sent, at least; rounded up to whole blocks of every machine.
    settings : Settings
        Of this process.
    say : callable
        Told in a line what is going on.

    Returns
    -------
    soak : Soak
        What was seen.

    Raises
    ------
    Unavailable
        The worker ended, or doesn't store what was sent.
    """
    each = -(-blocks // load.assets)
    seconds = each * load.block_s
    soak = Soak(load, each * load.assets, expected_assessments(load, seconds))
    say(f"{soak.blocks} blocks in {seconds:.0f} s")
    with measured_stack(settings, Cores.share(), lambda status: say(str(status))) as stack:
        stack.prepare(SITE, load.configurations())
        stack.start_worker()
        generator = LoadGenerator(stack.urls.kafka, codec_for(stack.settings), _LINGER_MS)
        began_s, before = time.monotonic(), stack.usage()
        said_s = 0.0

        def look() -> None:
            nonlocal said_s
            seen = Look(generator.sent, stack.usage().rss_mb, stack.descriptors())
            soak.looks.append(seen)
            if time.monotonic() - said_s >= _SAY_S:
                said_s = time.monotonic()
                say(f"{seen.blocks} blocks, {seen.rss_mb:.0f} MiB, {seen.descriptors} descriptors")

        with stack.watched(look, _LOOK_S):
            generator.pace(Plant(load, time.time_ns()).blocks(seconds))
        if stack.ended:
            raise Unavailable("worker", f"it has ended; {stack.last_words()}")
        soak.wall_s = time.monotonic() - began_s
        soak.usage = stack.usage().since(before)
        soak.stored = _stored(stack, soak.windows)
    return soak


def _stored(stack: MeasuredStack, windows: int) -> int:
    """Return how many windows are stored once no more are to be expected."""
    deadline_s = time.monotonic() + _DRAIN_S
    while (stored := stack.count_assessments()) < windows and time.monotonic() < deadline_s:
        if stack.ended:
            raise Unavailable("worker", f"{stored} of {windows} windows are stored; {stack.last_words()}")
        time.sleep(_LOOK_S)
    return stored
