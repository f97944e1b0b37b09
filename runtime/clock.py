"""The system's clock, behind the port."""

import time


class SystemClock:
    """UTC from the operating system, and a clock that never goes back."""

    def now_ns(self) -> int:
        """Return UTC nanoseconds."""
        return time.time_ns()

    def monotonic_s(self) -> float:
        """Return seconds that never go back."""
        return time.monotonic()
