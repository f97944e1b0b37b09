"""A backlog and the worker that works it off: the part that several benchmarks share.

The backlog lies on the log before the worker is started, so that the generator doesn't compete with it. Time and CPU
count from an early assessment to the last one that a subscriber receives: start-up and shutdown are left out.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from contracts.errors import ConfigurationError, Unavailable
from loadtests.log import LoadGenerator, Subscriber
from loadtests.machine import Usage
from loadtests.plant import Load, Plant
from runtime.measured import MeasuredStack
from runtime.registry import codec_for

#: A backlog beyond this is refused: it would fill the disk and the page cache.
MAX_BACKLOG_BYTES: Final = 8 * 2**30
#: The worker gets this long for a backlog, s.
_LIMIT_S: Final = 240.0
_WAIT_S: Final = 0.1
_SAY_BLOCKS: Final = 8_192

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Drained:
    """What the assessments from `warm_up` to `expected` took: time by the clock (s), and the worker's use."""

    wall_s: float
    usage: Usage


def expected_assessments(load: Load, seconds: float) -> int:
    """Return how many whole windows lie in so much signal of every machine.

    Examples
    --------
    >>> expected_assessments(Load(assets=3), 10.0)
    27
    """
    n_samples = int(seconds / load.block_s + 1e-9) * load.block_samples
    return load.assets * ((n_samples - load.window_samples) // load.hop_samples + 1)


def check_backlog(load: Load, seconds: float) -> None:
    """Refuse a backlog that is too large.

    Raises
    ------
    ConfigurationError
        If it has more than ``MAX_BACKLOG_BYTES``.
    """
    size = load.assets * seconds / load.block_s * load.block_bytes
    if size > MAX_BACKLOG_BYTES:
        raise ConfigurationError(f"a backlog of {size / 2**30:.1f} GiB, at most {MAX_BACKLOG_BYTES >> 30} GiB")


def fill_backlog(stack: MeasuredStack, plant: Plant, seconds: float, say: Say) -> None:
    """Write so much signal of every machine to the log."""

    def progress(count: int) -> None:
        if count % _SAY_BLOCKS == 0:
            say(f"backlog: {count} blocks")

    count = LoadGenerator(stack.urls.kafka, codec_for(stack.settings)).fill(plant.blocks(seconds), progress)
    say(f"backlog: {count} blocks, {count * plant.load.block_bytes / 2**20:.0f} MiB")


def drain_backlog(stack: MeasuredStack, expected: int, warm_up: int = 1) -> Drained:
    """Start the worker and have it work a backlog off.

    Parameters
    ----------
    stack : MeasuredStack
        With the backlog on its log.
    expected : int
        Assessments that follow from the backlog.
    warm_up : int
        The assessment from which on it counts.

    Returns
    -------
    drained : Drained
        What it took.

    Raises
    ------
    Unavailable
        If the worker ends or doesn't get through in time.
    """
    marks: list[tuple[float, Usage]] = []
    arrived = 0

    def mark(count: int) -> None:
        nonlocal arrived
        arrived = count
        if count in {warm_up, expected}:
            marks.append((time.monotonic(), stack.usage()))

    with Subscriber(stack.urls.kafka, mark):
        stack.start_worker()
        deadline_s = time.monotonic() + _LIMIT_S
        while len(marks) < 2:
            if stack.ended or time.monotonic() > deadline_s:
                raise Unavailable("worker", f"{arrived} of {expected} assessments have arrived; {stack.last_words()}")
            time.sleep(_WAIT_S)
    (began_s, before), (ended_s, after) = marks
    return Drained(ended_s - began_s, after.since(before))
