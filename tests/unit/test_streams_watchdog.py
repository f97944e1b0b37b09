"""The watchdog: it sees a partition stand still with records waiting, and nothing else."""

import dataclasses

from streams.watchdog import Watchdog
from tests.stream_doubles import ManualClock


@dataclasses.dataclass
class Worker:
    clock: ManualClock = dataclasses.field(default_factory=ManualClock)
    applied: dict[int, int] = dataclasses.field(default_factory=lambda: {0: 10, 1: 10})
    ends: dict[int, int | None] = dataclasses.field(default_factory=lambda: {0: 20, 1: 20})
    waiting: bool = False

    def watchdog(self) -> Watchdog:
        return Watchdog(
            "measurements",
            2,
            lambda: dict(self.applied),
            lambda partition: self.ends[partition],
            lambda: self.waiting,
            self.clock,
            30.0,
        )

    def passes(self, seconds: float) -> None:
        self.clock.at_ns += int(seconds * 1e9)


def test_a_partition_that_stands_still_with_records_waiting_has_stalled() -> None:
    worker = Worker()
    dog = worker.watchdog()
    assert dog.look() == []
    worker.passes(20.0)
    worker.applied[1] = 11
    assert dog.look() == []
    worker.passes(11.0)
    assert dog.look() == [0]


def test_a_partition_at_its_end_is_idle_not_stalled() -> None:
    worker = Worker(ends={0: 11, 1: 11})
    dog = worker.watchdog()
    dog.look()
    worker.passes(1_000.0)
    assert dog.look() == []


def test_an_absent_broker_or_database_is_no_stall() -> None:
    for worker in (Worker(ends={0: None, 1: None}), Worker(waiting=True)):
        dog = worker.watchdog()
        dog.look()
        worker.passes(1_000.0)
        assert dog.look() == []
        worker.ends, worker.waiting = {0: 20, 1: 20}, False
        worker.passes(20.0)
        assert dog.look() == []
        worker.passes(31.0)
        assert dog.look() == [0, 1]


def test_a_partition_that_was_given_up_is_forgotten() -> None:
    worker = Worker()
    dog = worker.watchdog()
    dog.look()
    worker.passes(31.0)
    del worker.applied[0]
    worker.applied[1] = 12
    assert dog.look() == []


def test_a_worker_without_partitions_notices_those_that_nobody_keeps() -> None:
    worker = Worker(applied={})
    dog = worker.watchdog()
    dog.look()
    worker.passes(20.0)
    worker.ends = {0: 21, 1: 20}
    assert dog.look() == []
    worker.passes(11.0)
    assert dog.look() == [1]


def test_a_spare_worker_is_at_ease_while_the_owners_tick() -> None:
    worker = Worker(applied={})
    dog = worker.watchdog()
    for second in range(100):
        worker.ends = {0: 20 + second, 1: 20 + second}
        worker.passes(1.0)
        assert dog.look() == []
