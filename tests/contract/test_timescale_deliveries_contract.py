"""What every form of the database must hold for `DeliveryQueue`."""

import asyncio

from adapters.timescale import Database, DeliveryQueue
from contracts.ports import Delivery, Endpoint

LONG_S = 3600.0


def endpoint(name: str, *, enabled: bool = True) -> Endpoint:
    return Endpoint(name, f"https://{name}.example/hook", ("whsec_a", "whsec_b"), enabled)


def test_endpoints_are_created_and_replaced(migrated_url: str) -> None:
    async def scenario() -> None:
        async with Database(migrated_url) as database:
            queue = DeliveryQueue(database)
            await queue.put_endpoint(endpoint("b"))
            await queue.put_endpoint(endpoint("a", enabled=False))
            changed = Endpoint("b", "https://new.example", ("whsec_c",))
            await queue.put_endpoint(changed)
            assert await queue.endpoints() == [endpoint("a", enabled=False), changed]

    asyncio.run(scenario())


def test_message_goes_once_to_every_enabled_endpoint(migrated_url: str) -> None:
    async def scenario() -> None:
        async with Database(migrated_url) as database:
            queue = DeliveryQueue(database)
            for known in (endpoint("a"), endpoint("b"), endpoint("off", enabled=False)):
                await queue.put_endpoint(known)
            await queue.enqueue([("m1", b"\0one"), ("m2", b"two")])
            await queue.enqueue([("m1", b"another body"), ("m1", b"twice")])
            taken = await queue.take(10, LONG_S)
            assert [(d.message_id, d.endpoint_id, d.body, d.attempt) for d in taken] == [
                ("m1", "a", b"\0one", 1),
                ("m1", "b", b"\0one", 1),
                ("m2", "a", b"two", 1),
                ("m2", "b", b"two", 1),
            ]
            for delivery in taken:
                await queue.succeed(delivery, 204)
            await queue.enqueue([("m1", b"\0one"), ("m2", b"two")])
            assert await queue.take(10, 0.0) == []

    asyncio.run(scenario())


def test_lease_that_ends_is_handed_out_again_under_the_same_ids(migrated_url: str) -> None:
    async def scenario() -> None:
        async with Database(migrated_url) as database:
            queue = DeliveryQueue(database)
            await queue.put_endpoint(endpoint("a"))
            await queue.enqueue([("m1", b"one")])
            [first] = await queue.take(10, 0.0)
            [second] = await queue.take(10, LONG_S)
            assert second == Delivery(first.delivery_id, "a", "m1", b"one", 2)
            assert await queue.take(10, LONG_S) == []
            await queue.retry(first, 0.0, "too late: the lease has gone to another")
            await queue.give_up(first, "too late")
            assert await queue.take(10, LONG_S) == []
            await queue.retry(second, 0.0, "status 500")
            [third] = await queue.take(10, LONG_S)
            assert third.attempt == 3
            await queue.succeed(first, 200)  # it did arrive, whoever sent it
            await queue.retry(third, 0.0, "no")
            assert await queue.take(10, LONG_S) == []

    asyncio.run(scenario())


def test_retry_is_due_later(migrated_url: str) -> None:
    async def scenario() -> None:
        async with Database(migrated_url) as database:
            queue = DeliveryQueue(database)
            await queue.put_endpoint(endpoint("a"))
            await queue.enqueue([("m1", b"one"), ("m2", b"two")])
            [first] = await queue.take(1, LONG_S)
            await queue.retry(first, LONG_S, "status 503")
            assert [delivery.message_id for delivery in await queue.take(10, LONG_S)] == ["m2"]

    asyncio.run(scenario())


def test_delivery_that_is_given_up_is_a_dead_letter(migrated_url: str) -> None:
    async def scenario() -> None:
        async with Database(migrated_url) as database:
            queue = DeliveryQueue(database)
            await queue.put_endpoint(endpoint("a"))
            await queue.enqueue([("m1", b"one"), ("m2", b"two")])
            first, second = await queue.take(2, 0.0)
            await queue.give_up(first, "status 400")
            assert (await queue.endpoints())[0].enabled
            await queue.give_up(second, "status 410", disable_endpoint=True)
            assert not (await queue.endpoints())[0].enabled
            dead = await database.rows("SELECT message_id, body, detail FROM delivery_dead_letter ORDER BY message_id")
            assert [tuple(row.values()) for row in dead] == [("m1", b"one", "status 400"), ("m2", b"two", "status 410")]
            await queue.enqueue([("m3", b"three")])
            assert await queue.take(10, 0.0) == []

    asyncio.run(scenario())


def test_long_queue_for_one_endpoint_leaves_room_for_the_others(migrated_url: str) -> None:
    async def scenario() -> None:
        async with Database(migrated_url) as database:
            queue = DeliveryQueue(database)
            await queue.put_endpoint(endpoint("slow"))
            await queue.enqueue([(f"old-{i}", b"") for i in range(50)])
            await queue.put_endpoint(endpoint("quick"))
            await queue.enqueue([("new", b"")])
            taken = await queue.take(10, LONG_S)
            assert ("quick", "new") in {(delivery.endpoint_id, delivery.message_id) for delivery in taken}
            assert [delivery.message_id for delivery in taken][:5] == [f"old-{i}" for i in range(5)]
            assert len(taken) == 6

    asyncio.run(scenario())


def test_concurrent_workers_never_hold_the_same_delivery(migrated_url: str) -> None:
    async def scenario() -> None:
        async with Database(migrated_url, max_connections=8) as database:
            queue = DeliveryQueue(database)
            await queue.put_endpoint(endpoint("a"))
            await queue.put_endpoint(endpoint("b"))
            await queue.enqueue([(f"m{i}", b"") for i in range(100)])
            taken: list[Delivery] = []
            while len(taken) < 200:
                batches = await asyncio.gather(*(queue.take(9, LONG_S) for _ in range(8)))
                assert any(batches)
                taken += [delivery for batch in batches for delivery in batch]
            assert len({delivery.delivery_id for delivery in taken}) == 200

    asyncio.run(scenario())
