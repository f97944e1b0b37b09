"""The short ledger test: a minute of mixed load, six faults, and an account of every record."""

import re
import subprocess
import sys

import pytest

from runtime.settings import PROJECT

pytestmark = pytest.mark.services


def test_nothing_is_lost_doubled_or_different_whatever_strikes() -> None:
    """SIGKILL, SIGSTOP beyond the session, a lost COMMIT answer, the broker killed and paused, the database away."""
    outcome = subprocess.run(
        [sys.executable, "-m", "tests.faults.ledger", "--short"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=480.0,
        check=False,
    )
    lines = outcome.stdout.splitlines()
    assert outcome.returncode == 0, (lines[-2:], outcome.stderr[-4000:])
    assert re.fullmatch(r"lost=0 doubled=0 different=0 faults=6", lines[-1])
