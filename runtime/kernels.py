"""Compiled kernels: all there before the first record, so that no stream ever waits for a compiler.

The first time on a machine they are compiled, which takes seconds and is told step by step; later they are loaded from
the cache in ``FAULTLINE_CACHE_DIR``.
"""

import sys
import time
from collections.abc import Callable, Iterator

from numba.core.dispatcher import Dispatcher

from processors import lines, scoring
from processors.features import warm_up


def load_kernels(say: Callable[[str], None]) -> None:
    """Load every kernel of the stream, or compile it.

    Parameters
    ----------
    say : callable
        Told after each step that had to compile; nothing is said where all was in the cache.
    """
    progress = _Progress(say)
    warm_up(progress.begin)
    progress.begin("machine facts")
    lines.warm_up()
    progress.begin("scores")
    scoring.warm_up()
    progress.end()


def kernels() -> Iterator[Dispatcher]:
    """Yield the kernels of all modules of the core that are imported, each once."""
    seen: set[int] = set()
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "processors":
            for value in vars(module).values():
                if isinstance(value, Dispatcher) and id(value) not in seen:
                    seen.add(id(value))
                    yield value


class _Progress:
    """Tells what each step has compiled, once the next begins."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._step: str | None = None
        self._began_s = 0.0
        self._compiled = 0

    def begin(self, step: str) -> None:
        self.end()
        self._step, self._began_s, self._compiled = step, _monotonic_s(), _count_compiled()

    def end(self) -> None:
        if self._step is None:
            return
        new = _count_compiled() - self._compiled
        if new:
            took_s = _monotonic_s() - self._began_s
            self._say(f"compiled {new} kernels for {self._step} in {took_s:.1f} s; from now on they are loaded")
        self._step = None


def _count_compiled() -> int:
    return sum(sum(kernel.stats.cache_misses.values()) for kernel in kernels())


def _monotonic_s() -> float:
    return time.monotonic()
