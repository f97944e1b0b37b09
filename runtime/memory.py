"""Memory that a process of steady load keeps: arrays of each window come and go, and their pages should stay.

By default glibc gives large freed blocks back to the kernel, which zeroes the pages again at the next window: several
hundred page faults for each, a tenth of the worker's time. What is kept is bounded by the process's own peak.

Objects come and go as well, by the ten thousand and nearly all without cycles: by default the collector would look
through them for each seven hundred, and now and then through everything that was imported.
"""

import ctypes
import gc
from typing import Final

#: Parameters of ``mallopt`` (malloc.h): free memory at the top that is kept, and the size from which a block is mapped.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_KEPT_BYTES: Final = 256 * 1024 * 1024
#: glibc takes no larger threshold for mapping.
_MAPPED_BYTES: Final = 32 * 1024 * 1024
#: Objects beyond those of the last collection before the next, and collections of a generation before the one after it.
_COLLECTED: Final = (20_000, 10, 10)


def keep_freed_memory() -> bool:
    """Tell the allocator to keep freed memory for reuse; return whether it understood (glibc does)."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # another C library, e.g. musl
        return False
    return bool(mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)) and bool(mallopt(_MMAP_THRESHOLD, _MAPPED_BYTES))


def hold_collector() -> None:
    """Collect nothing until `spare_collector`: what is made at start-up stays."""
    gc.disable()


def spare_collector() -> None:
    """Leave what start-up has made out of every later collection, and collect less often."""
    gc.enable()
    gc.freeze()
    gc.set_threshold(*_COLLECTED)
