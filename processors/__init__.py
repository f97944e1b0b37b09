"""The core: pure, deterministic functions and state machines from samples to alarms.

No module here reads a clock, a file, the environment or the network: time, configuration, rules and models reach it
as log records, so that results are a function of the log.
"""

from typing import Final

#: Goes with every result; raised when the same log would give other results.
CODE_VERSION: Final = "7"
