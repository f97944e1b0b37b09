"""What the machine must offer: programs, memory; where they are and whether they will do."""

import os
import re
import shutil
import subprocess
from typing import Final

from runtime.settings import Settings

JAVA_VERSION: Final = 17


def find_java(settings: Settings) -> str | None:
    """Return the Java program: that of ``JAVA_HOME`` if set and there, else the one on the path, else ``None``."""
    if settings.java_home is not None and (program := settings.java_home / "bin" / "java").exists():
        return str(program)
    return shutil.which("java")


def java_version(program: str) -> int | None:
    """Return the major version of a Java program, ``None`` if it doesn't say.

    Parameters
    ----------
    program : str
        Its path.
    """
    done = subprocess.run([program, "-version"], capture_output=True, text=True, check=False, timeout=30)
    found = re.search(r'version "(?:1\.)?(\d+)', done.stderr + done.stdout)
    return int(found[1]) if found else None


def total_memory_bytes() -> int:
    """Return the machine's memory, bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
