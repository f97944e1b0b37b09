"""What a coroutine itself computes: CPU time of its own steps, without that of others while it waits."""

import time
from collections.abc import Coroutine, Generator
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Costed(Generic[T]):
    """Await a coroutine and add up the CPU time that its steps take in this thread.

    Parameters
    ----------
    coroutine : coroutine
        Awaited once.

    Examples
    --------
    >>> import asyncio
    >>> async def work() -> int:
    ...     await asyncio.sleep(0.05)
    ...     return sum(range(10))
    >>> async def main() -> tuple[int, bool]:
    ...     costed = Costed(work())
    ...     return await costed, 0.0 < costed.cpu_s < 0.05
    >>> asyncio.run(main())
    (45, True)
    """

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self._coroutine = coroutine
        self.cpu_s = 0.0

    def __await__(self) -> Generator[Any, Any, T]:
        """Run the coroutine step by step."""
        error: BaseException | None = None
        while True:
            began_s = time.thread_time()
            try:
                waiting = self._coroutine.send(None) if error is None else self._coroutine.throw(error)
            except StopIteration as ended:
                result: T = ended.value
                return result
            finally:
                self.cpu_s += time.thread_time() - began_s
            try:
                error = None
                yield waiting
            except BaseException as thrown:  # noqa: BLE001 -- cancellation and all: it is the coroutine's to handle
                error = thrown
