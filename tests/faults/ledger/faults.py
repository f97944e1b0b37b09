"""The faults that strike, one function each; every one returns once it is over, if not yet recovered from."""

import os
import random
import signal
import time
from collections.abc import Callable
from typing import Final

import psycopg

from tests.faults.ledger.rig import WORKERS, Rig

#: Longer than the consumers' session time-out of 10 s: a frozen worker wakes up as a stale owner.
FREEZE_S: Final = 14.0
BROKER_PAUSE_S: Final = 6.0
LONG_BROKER_PAUSE_S: Final = 30.0
DATABASE_AWAY_S: Final = 5.0
#: Longer than a worker waits for an answer of the database: its transactions fail, and begin again.
LOCK_S: Final = 60.0
STORM_ROUNDS: Final = 6
STORM_S: Final = 5.0


def kill_worker(rig: Rig, chance: random.Random) -> None:
    """SIGKILL of a worker."""
    os.kill(rig.worker(chance.choice(WORKERS)).pid, signal.SIGKILL)


def freeze_worker(rig: Rig, chance: random.Random) -> None:
    """SIGSTOP of a worker beyond its session time-out, then SIGCONT: a stale owner wakes up."""
    _freeze(rig.worker(chance.choice(WORKERS)).pid, FREEZE_S)


def kill_broker(rig: Rig, _chance: random.Random) -> None:
    """SIGKILL of Kafka, and a restart."""
    broker = rig.service("kafka")
    os.kill(broker.pid, signal.SIGKILL)
    broker.stop()
    rig.restart_service("kafka")


def pause_broker(rig: Rig, _chance: random.Random) -> None:
    """SIGSTOP of Kafka for a few seconds."""
    _freeze(rig.service("kafka").pid, BROKER_PAUSE_S)


def pause_broker_for_long(rig: Rig, _chance: random.Random) -> None:
    """SIGSTOP of Kafka beyond every session's time-out."""
    _freeze(rig.service("kafka").pid, LONG_BROKER_PAUSE_S)


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


def lock_tables(rig: Rig, _chance: random.Random) -> None:
    """ACCESS EXCLUSIVE locks on history and checkpoints: the database answers, and lets nobody in."""
    with psycopg.connect(rig.urls.database) as connection:
        connection.execute("LOCK TABLE assessment, checkpoint IN ACCESS EXCLUSIVE MODE")
        time.sleep(LOCK_S)


def rebalance_storm(rig: Rig, _chance: random.Random) -> None:
    """A third worker that comes and goes every few seconds."""
    for _ in range(STORM_ROUNDS):
        with rig.another_worker():
            time.sleep(STORM_S)


def _freeze(pid: int, seconds: float) -> None:
    os.kill(pid, signal.SIGSTOP)
    time.sleep(seconds)
    os.kill(pid, signal.SIGCONT)


Fault = Callable[[Rig, random.Random], None]

_OF_BOTH: Final[tuple[Fault, ...]] = (kill_worker, cut_commit, kill_broker, freeze_worker, stop_database)
#: Of the short run: each is over within seconds.
FAULTS: Final[tuple[Fault, ...]] = (*_OF_BOTH, pause_broker)
LONG_FAULTS: Final[tuple[Fault, ...]] = (*_OF_BOTH, pause_broker_for_long, rebalance_storm, lock_tables)
