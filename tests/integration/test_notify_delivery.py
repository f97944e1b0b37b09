"""Webhooks from the queue in the database to a receiver over a socket."""

import asyncio
import contextlib
import random
import socket
import typing
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import httpx
import pytest
import uvicorn

from adapters.notify.dispatcher import Dispatcher
from adapters.notify.sender import WebhookSender
from adapters.notify.signing import new_secret
from adapters.timescale import Database, DeliveryQueue, migrate
from contracts.ports import Delivery, Endpoint
from runtime.clock import SystemClock
from runtime.receiver import create_receiver

SECRET: typing.Final = new_secret()


class ObservedQueue(DeliveryQueue):
    """The queue in the database; says when deliveries were settled or put back."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._settlements = asyncio.Semaphore(0)

    async def succeed(self, delivery: Delivery, status: int) -> None:
        await super().succeed(delivery, status)
        self._settlements.release()

    async def retry(self, delivery: Delivery, after_s: float, detail: str) -> None:
        await super().retry(delivery, after_s, detail)
        self._settlements.release()

    async def settled(self, count: int) -> None:
        async with asyncio.timeout(30):
            for _ in range(count):
                await self._settlements.acquire()


class QuietServer(uvicorn.Server):
    """A server that leaves the signals to the test runner."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def receiver(lines: list[str]) -> AsyncIterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        app = create_receiver([SECRET], SystemClock(), lines.append)
        server = QuietServer(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off"))
        task = asyncio.ensure_future(server.serve(sockets=[listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task


def test_what_is_queued_arrives_signed_and_once(database_url: str) -> None:
    lines: list[str] = []

    async def go() -> None:
        await migrate(database_url)
        async with Database(database_url) as database, receiver(lines) as url:
            queue = ObservedQueue(database)
            await queue.put_endpoint(Endpoint("local", f"{url}/alarms", (SECRET,)))
            await queue.put_endpoint(Endpoint("wrong-secret", f"{url}/alarms", (new_secret(),)))
            await queue.put_endpoint(Endpoint("private", "https://10.0.0.1/alarms", (SECRET,)))
            sender = WebhookSender(allow_loopback=True)
            dispatcher = Dispatcher(queue, sender, SystemClock(), random.Random(1), poll_s=0.05)
            task = asyncio.ensure_future(dispatcher.run())
            body = b'{"type":"t","timestamp":"x","data":{"asset_id":"P-101"}}'
            for _ in range(2):  # offered twice, as after a crash of whoever queues
                await queue.enqueue([(f"trn_{n}", body) for n in range(5)])
                dispatcher.wake()
            await queue.settled(15)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            async with httpx.AsyncClient() as client:
                received = (await client.get(f"{url}/received")).json()["received"]
            assert sorted(one["id"] for one in received) == [f"trn_{n}" for n in range(5)]
            assert all(one["repeated"] == 0 for one in received)
            details = await database.rows("SELECT DISTINCT endpoint_id, detail FROM delivery WHERE state = 'due'")
            assert {row["endpoint_id"]: row["detail"] for row in details} == {
                "wrong-secret": "status 401",
                "private": "not sent: 10.0.0.1 is 10.0.0.1, which isn't a public address",
            }

    asyncio.run(go())
    assert len(lines) == 5


def test_a_delivery_whose_sender_died_is_made_again_under_the_same_id(database_url: str) -> None:
    lines: list[str] = []

    async def go() -> None:
        await migrate(database_url)
        async with Database(database_url) as database, receiver(lines) as url:
            queue = ObservedQueue(database)
            await queue.put_endpoint(Endpoint("local", f"{url}/alarms", (SECRET,)))
            await queue.enqueue([("trn_1", b'{"data":{"asset_id":"P-101"}}')])
            (delivery,) = await queue.take(1, lease_s=0.2)
            sender = WebhookSender(allow_loopback=True)
            endpoint = (await queue.endpoints())[0]
            assert (await sender.send(endpoint, delivery, SystemClock().now_ns() / 1e9)).status == 204
            # the process dies here, before it could settle the delivery
            dispatcher = Dispatcher(queue, sender, SystemClock(), random.Random(1), poll_s=0.05)
            task = asyncio.ensure_future(dispatcher.run())
            await queue.settled(1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            async with httpx.AsyncClient() as client:
                (received,) = (await client.get(f"{url}/received")).json()["received"]
            assert (received["id"], received["repeated"]) == ("trn_1", 1)

    asyncio.run(go())
    assert lines == ["P-101"]
