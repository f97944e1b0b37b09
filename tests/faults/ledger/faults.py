"""The faults that strike, one function each; every one returns once it is over, if not yet recovered from."""

import os
import random
import signal
import time
from collections.abc import Callable
from typing import Final

from tests.faults.ledger.rig import WORKERS, Rig

#: Longer than the consumers' session time-out of 10 s: a frozen worker wakes up as a stale owner.
FREEZE_S: Final = 14.0
BROKER_PAUSE_S: Final = 6.0
DATABASE_AWAY_S: Final = 5.0


def kill_worker(rig: Rig, chance: random.Random) -> None:
    """SIGKILL of a worker."""
    os.kill(rig.worker(chance.choice(WORKERS)).pid, signal.SIGKILL)


def freeze_worker(rig: Rig, chance: random.Random) -> None:
    """SIGSTOP of a worker beyond its session time-out, then SIGCONT: a stale owner wakes up."""
    pid = rig.worker(chance.choice(WORKERS)).pid
    os.kill(pid, signal.SIGSTOP)
    time.sleep(FREEZE_S)
    os.kill(pid, signal.SIGCONT)


def kill_broker(rig: Rig, _chance: random.Random) -> None:
    """SIGKILL of Kafka, and a restart."""
    broker = rig.service("kafka")
    os.kill(broker.pid, signal.SIGKILL)
    broker.stop()
    rig.restart_service("kafka")


def pause_broker(rig: Rig, _chance: random.Random) -> None:
    """SIGSTOP of Kafka for a few seconds."""
    pid = rig.service("kafka").pid
    os.kill(pid, signal.SIGSTOP)
    time.sleep(BROKER_PAUSE_S)
    os.kill(pid, signal.SIGCONT)


def stop_database(rig: Rig, _chance: random.Random) -> None:
    """PostgreSQL stopped for a few seconds, and started again."""
    rig.service("postgres").stop()
    time.sleep(DATABASE_AWAY_S)
    rig.restart_service("postgres")


def cut_commit(rig: Rig, _chance: random.Random) -> None:
    """The answer to a COMMIT is lost: the connection is cut right after it was sent."""
    before = rig.proxy.cuts
    rig.proxy.arm()
    deadline_s = time.monotonic() + 10.0
    while rig.proxy.cuts == before and time.monotonic() < deadline_s:
        time.sleep(0.05)


FAULTS: Final[tuple[Callable[[Rig, random.Random], None], ...]] = (
    kill_worker,
    cut_commit,
    kill_broker,
    freeze_worker,
    stop_database,
    pause_broker,
)
