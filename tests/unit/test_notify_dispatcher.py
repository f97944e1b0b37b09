"""The dispatcher: retries on schedule, dead letters, no endpoint in another's way, nothing lost with the database."""

import asyncio
import dataclasses
import functools
import random
from collections.abc import Awaitable, Callable, Sequence

import pytest

from adapters.notify.dispatcher import DELAYS_S, Dispatcher, delay_s
from adapters.notify.sender import Outcome, Verdict, WebhookSender
from contracts.errors import Unavailable
from contracts.ports import Delivery, Endpoint

OK = Outcome(Verdict.DELIVERED, "status 200", 200)
FAILED = Outcome(Verdict.FAILED, "status 500", 500)


class FixedClock:
    def now_ns(self) -> int:
        return 1_700_000_000_000_000_000

    def monotonic_s(self) -> float:
        return 0.0


@dataclasses.dataclass
class MemoryQueue:
    """The port in memory: what is put back is due at once, and its pause is kept."""

    known: dict[str, Endpoint] = dataclasses.field(default_factory=dict)
    due: list[Delivery] = dataclasses.field(default_factory=list)
    delivered: list[Delivery] = dataclasses.field(default_factory=list)
    dead: list[tuple[Delivery, str]] = dataclasses.field(default_factory=list)
    pauses_s: list[float] = dataclasses.field(default_factory=list)
    outages: int = 0
    settle_outages: int = 0
    changed: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not holds():
                self.changed.clear()
                await self.changed.wait()

    async def put_endpoint(self, endpoint: Endpoint) -> None:
        self.known[endpoint.endpoint_id] = endpoint

    async def endpoints(self) -> list[Endpoint]:
        return list(self.known.values())

    async def enqueue(self, messages: Sequence[tuple[str, bytes]]) -> None:
        for message_id, body in messages:
            for endpoint_id in self.known:
                self.due.append(Delivery(len(self.due), endpoint_id, message_id, body, 0))

    async def take(self, limit: int, lease_s: float, busy: Sequence[str] = ()) -> list[Delivery]:
        if self.outages:
            self.outages -= 1
            raise Unavailable("database", "away", retry_after_s=0.001)
        taken = [one for one in self.due if one.endpoint_id not in busy][:limit]
        self.due = [one for one in self.due if one not in taken]
        return [dataclasses.replace(one, attempt=one.attempt + 1) for one in taken]

    async def succeed(self, delivery: Delivery, status: int) -> None:
        if self.settle_outages:
            self.settle_outages -= 1
            self.due.append(delivery)  # the lease runs out
            raise Unavailable("database", "away")
        self.delivered.append(delivery)
        self.changed.set()

    async def retry(self, delivery: Delivery, after_s: float, detail: str) -> None:
        self.pauses_s.append(after_s)
        self.due.append(delivery)

    async def give_up(self, delivery: Delivery, detail: str, *, disable_endpoint: bool = False) -> None:
        self.dead.append((delivery, detail))
        self.changed.set()
        if disable_endpoint:
            old = self.known[delivery.endpoint_id]
            self.known[delivery.endpoint_id] = dataclasses.replace(old, enabled=False)

    @property
    def settled(self) -> int:
        return len(self.delivered) + len(self.dead)


class FakeSender(WebhookSender):
    """Answers as told, and keeps what was sent."""

    def __init__(self, answer: Callable[[str], Awaitable[Outcome]]) -> None:
        self.sent: list[Delivery] = []
        self.under_way: dict[str, int] = {}
        self.most_under_way: dict[str, int] = {}
        self._answer = answer

    async def send(self, endpoint: Endpoint, delivery: Delivery, now_s: float) -> Outcome:
        name = endpoint.endpoint_id
        self.sent.append(delivery)
        self.under_way[name] = self.under_way.get(name, 0) + 1
        self.most_under_way[name] = max(self.most_under_way.get(name, 0), self.under_way[name])
        try:
            return await self._answer(name)
        finally:
            self.under_way[name] -= 1


def queue_for(*names: str) -> MemoryQueue:
    return MemoryQueue({n: Endpoint(endpoint_id=n, url=f"https://{n}.example/", secrets=()) for n in names})


async def dispatch(queue: MemoryQueue, sender: FakeSender, until: Callable[[], bool], poll_s: float = 0.001) -> None:
    """Run the dispatcher until a condition holds, for at most ten seconds."""
    task = asyncio.ensure_future(Dispatcher(queue, sender, FixedClock(), random.Random(1), poll_s=poll_s).run())
    await queue.until(until)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def answer_ok(_name: str) -> Outcome:
    return OK


def test_every_endpoint_gets_every_message_once() -> None:
    async def go() -> None:
        queue, sender = queue_for("a", "b"), FakeSender(answer_ok)
        await queue.enqueue([(f"m{n}", b"{}") for n in range(50)])
        await dispatch(queue, sender, lambda: queue.settled == 100)
        for name in ("a", "b"):
            assert [d.message_id for d in queue.delivered if d.endpoint_id == name] == [f"m{n}" for n in range(50)]
            assert sender.most_under_way[name] == 1

    asyncio.run(go())


def test_a_slow_endpoint_is_in_nobodys_way() -> None:
    async def go() -> None:
        release = asyncio.Event()

        async def answer(name: str) -> Outcome:
            if name == "slow":
                await release.wait()
            return OK

        queue, sender = queue_for("slow", "fast"), FakeSender(answer)
        await queue.enqueue([(f"m{n}", b"{}") for n in range(200)])
        await dispatch(queue, sender, lambda: len(queue.delivered) == 200)
        assert {d.endpoint_id for d in queue.delivered} == {"fast"}
        assert [d.endpoint_id for d in sender.sent].count("slow") == 1
        assert all(d.attempt == 0 for d in queue.due)  # what waits has used up no attempt

    asyncio.run(go())


def test_a_message_that_never_arrives_is_tried_on_schedule_and_then_dead() -> None:
    async def go() -> None:
        async def answer(_name: str) -> Outcome:
            return FAILED

        queue, sender = queue_for("a"), FakeSender(answer)
        await queue.enqueue([("m", b"{}")])
        await dispatch(queue, sender, lambda: queue.settled == 1)
        assert [d.attempt for d in sender.sent] == list(range(1, 11))
        assert {(d.message_id, d.body) for d in sender.sent} == {("m", b"{}")}
        for pause_s, delay in zip(queue.pauses_s, DELAYS_S[1:], strict=True):
            assert delay <= pause_s <= 1.2 * delay
        assert len({pause_s / delay for pause_s, delay in zip(queue.pauses_s, DELAYS_S[1:], strict=True)}) > 5
        assert [detail for _, detail in queue.dead] == ["status 500"]

    asyncio.run(go())


def test_the_receivers_wish_counts_where_it_is_longer() -> None:
    rng = random.Random(0)
    assert delay_s(1, 3600.0, rng) == 3600.0
    assert 300.0 <= (delay_s(2, 7.0, rng) or 0.0) <= 360.0
    assert delay_s(10, 7.0, rng) is None


def test_an_endpoint_that_is_gone_gets_nothing_more() -> None:
    async def go() -> None:
        async def answer(name: str) -> Outcome:
            return Outcome(Verdict.GONE, "status 410", 410) if name == "gone" else OK

        queue, sender = queue_for("gone", "a"), FakeSender(answer)
        await queue.enqueue([(f"m{n}", b"{}") for n in range(5)])
        await dispatch(queue, sender, lambda: queue.settled == 10)
        assert [d.endpoint_id for d in sender.sent].count("gone") == 1
        assert [detail for _, detail in queue.dead] == ["status 410"] + ["the endpoint is disabled or unknown"] * 4
        assert len(queue.delivered) == 5

    asyncio.run(go())


def test_what_could_not_be_settled_is_sent_again_under_the_same_id() -> None:
    async def go() -> None:
        queue, sender = queue_for("a"), FakeSender(answer_ok)
        queue.outages = 3
        queue.settle_outages = 1
        await queue.enqueue([("m", b"{}")])
        await dispatch(queue, sender, lambda: queue.settled == 1)
        assert [(d.message_id, d.body, d.attempt) for d in sender.sent] == [("m", b"{}", 1), ("m", b"{}", 2)]

    asyncio.run(go())


def test_a_wake_up_needs_no_poll() -> None:
    async def go() -> None:
        queue, sender = queue_for("a"), FakeSender(answer_ok)
        dispatcher = Dispatcher(queue, sender, FixedClock(), random.Random(1), poll_s=3600.0)
        task = asyncio.ensure_future(dispatcher.run())
        for n in range(3):
            await queue.enqueue([(f"m{n}", b"{}")])
            dispatcher.wake()
            await queue.until(functools.partial(lambda wanted: queue.settled == wanted, n + 1))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(go())


def test_a_bug_ends_the_dispatcher_instead_of_hiding() -> None:
    async def go() -> None:
        async def answer(_name: str) -> Outcome:
            raise ZeroDivisionError

        queue = queue_for("a")
        await queue.enqueue([("m", b"{}")])
        with pytest.raises(ExceptionGroup) as caught:
            await Dispatcher(queue, FakeSender(answer), FixedClock(), random.Random(1)).run()
        assert caught.value.subgroup(ZeroDivisionError) is not None

    asyncio.run(go())
