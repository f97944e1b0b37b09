"""The lane against a real broker: order, pauses, and partitions that change their owner in the midst of a backlog."""

import asyncio
import uuid
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from streams import lane as lane_module
from streams.feed import at_once
from streams.lane import Commit, Lane
from streams.message import LogMessage
from streams.room import Room

pytestmark = pytest.mark.services

PARTITIONS = 4
RECORDS = 400
DEADLINE_S = 30.0


@dataclass
class Shelf:
    """What all owners together have processed: offsets by partition, in the order they came."""

    offsets: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))

    @property
    def whole(self) -> bool:
        return self.offsets == {partition: list(range(RECORDS)) for partition in range(PARTITIONS)}

    def __len__(self) -> int:
        return sum(map(len, self.offsets.values()))


@dataclass
class Owner:
    """A batch worker whose checkpoint is the shelf."""

    shelf: Shelf
    owned: set[int] = field(default_factory=set)

    async def claim(self, partition: int) -> int:
        self.owned.add(partition)
        return len(self.shelf.offsets[partition])

    def drop(self, partitions: Iterable[int]) -> None:
        self.owned.difference_update(partitions)

    def applied(self) -> dict[int, int]:
        return {partition: len(self.shelf.offsets[partition]) - 1 for partition in self.owned}

    async def process(self, batch: list[LogMessage]) -> None:
        for message in batch:
            if message.partition in self.owned:
                self.shelf.offsets[message.partition].append(message.offset)

    async def checkpoint(self, commit: Commit) -> float:
        await commit({})
        return 1.0


@pytest.fixture
def topic(kafka_bootstrap: str) -> str:
    name = f"lane-{uuid.uuid4().hex}"
    admin = AdminClient({"bootstrap.servers": kafka_bootstrap})
    admin.create_topics([NewTopic(name, PARTITIONS, 1)])[name].result(DEADLINE_S)
    return name


def fill(kafka_url: str, topic: str, records: int) -> None:
    """Write so many records to each partition."""
    producer = Producer({"bootstrap.servers": kafka_url})
    for number in range(PARTITIONS * records):
        producer.produce(topic, bytes(4096), partition=number % PARTITIONS)
    assert producer.flush(DEADLINE_S) == 0


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What lanes ask of their clients, as far as it concerns pauses."""
    told: list[str] = []

    class Told(Consumer):
        def pause(self, *arguments: Any) -> None:
            told.append("pause")
            super().pause(*arguments)

        def resume(self, *arguments: Any) -> None:
            told.append("resume")
            super().resume(*arguments)

        def incremental_unassign(self, *arguments: Any) -> None:
            told.append("unassign")
            super().incremental_unassign(*arguments)

        def offsets_for_times(self, *arguments: Any, **named: Any) -> Any:
            told.append("wake")
            return super().offsets_for_times(*arguments, **named)

        def consume(self, *arguments: Any, **named: Any) -> Any:
            told.append("read")
            return super().consume(*arguments, **named)

    monkeypatch.setattr(lane_module, "Consumer", Told)
    return told


async def wait_for(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110 -- what is waited for tells nobody
            await asyncio.sleep(0.01)


@dataclass
class Running:
    """A lane that reads, and the task that processes what it hands on."""

    lane: Lane
    reading: asyncio.Task[None]
    working: asyncio.Task[None]

    async def stop(self) -> None:
        await self.lane.stop()
        await self.reading
        self.working.cancel()


def run_lane(kafka_url: str, topic: str, owner: Owner, gate: Callable[[], Awaitable[Any]]) -> Running:
    """Run a lane of which `owner` processes one batch after another, each once `gate` lets it."""
    room, batches = Room(2), asyncio.Queue[list[LogMessage]]()

    async def work() -> None:
        while True:
            batch = await batches.get()
            await gate()
            await owner.process(batch)
            room.give()

    lane = Lane(kafka_url, topic, f"group-of-{topic}", owner, batches.put_nowait, room)
    return Running(lane, asyncio.create_task(lane.run()), asyncio.create_task(work()))


def test_a_lane_that_joins_takes_its_share_and_nothing_is_lost_or_doubled(
    kafka_bootstrap: str, topic: str, calls: list[str]
) -> None:
    shelf = Shelf()
    owners = Owner(shelf), Owner(shelf)
    fill(kafka_bootstrap, topic, RECORDS // 2)

    async def main() -> tuple[set[int], set[int]]:
        first = run_lane(kafka_bootstrap, topic, owners[0], at_once)
        await wait_for(lambda: len(shelf) > 0)
        second = run_lane(kafka_bootstrap, topic, owners[1], at_once)
        await wait_for(lambda: len(owners[1].owned) == PARTITIONS // 2)
        await asyncio.to_thread(fill, kafka_bootstrap, topic, RECORDS - RECORDS // 2)
        await wait_for(lambda: shelf.whole)
        shares = set(owners[0].owned), set(owners[1].owned)
        await first.stop()
        await second.stop()
        return shares

    one, other = asyncio.run(main())
    assert shelf.whole
    assert len(one) == PARTITIONS // 2
    assert one | other == set(range(PARTITIONS))
    # giving partitions up pauses those that stay: the client is woken before it is read from again
    given_up = calls.index("unassign")
    assert "wake" in calls[given_up:]


def test_a_lane_without_room_pauses_and_goes_on_where_it_was(
    kafka_bootstrap: str, topic: str, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane_module, "_PATIENCE_S", 0.01)
    shelf, opened = Shelf(), asyncio.Event()
    fill(kafka_bootstrap, topic, RECORDS)

    async def main() -> None:
        lane = run_lane(kafka_bootstrap, topic, Owner(shelf), opened.wait)
        await wait_for(lambda: "pause" in calls)
        assert not len(shelf)
        opened.set()
        await wait_for(lambda: shelf.whole)
        await lane.stop()

    asyncio.run(main())
    assert calls[calls.index("resume") + 1] == "wake"
