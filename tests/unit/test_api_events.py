"""Server-sent events: order, scope, resumption, bounds."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from api.sse import StreamSettings
from contracts.errors import Unavailable
from contracts.ports import Principal
from tests.api_doubles import TECHNICIAN, Bench, bench
from tests.api_samples import NOW_NS, transition

FAST = StreamSettings(poll_s=0.002, assessment_s=0.02, heartbeat_s=60.0)
DEADLINE_S = 10.0


class Listener:
    """One client of ``/v1/events``: the ASGI side of a connection."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.chunks: asyncio.Queue[bytes] = asyncio.Queue()
        self.gone = asyncio.Event()
        self.buffer = b""
        self.ended = False

    async def receive(self) -> dict[str, Any]:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            await self.chunks.put(message.get("body", b""))
            self.ended = not message.get("more_body", False)

    async def block(self) -> dict[str, str]:
        """Return the next block: its fields, or ``{"": comment}``."""
        async with asyncio.timeout(DEADLINE_S):
            while b"\n\n" not in self.buffer:
                self.buffer += await self.chunks.get()
        text, self.buffer = self.buffer.split(b"\n\n", 1)
        return dict(line.split(": ", 1) for line in text.decode().split("\n"))

    async def event(self, kind: str) -> dict[str, str]:
        """Return the next event of `kind`."""
        async with asyncio.timeout(DEADLINE_S):
            while (block := await self.block()).get("event") != kind:
                pass
        return block


@asynccontextmanager
async def listening(
    b: Bench, query: str = "types=alarm", headers: dict[str, str] | None = None
) -> AsyncIterator[Listener]:
    """Open a stream; it is closed by the client at the end, and must then come to its own end."""
    listener = Listener()
    given = {"host": "localhost"} | (headers or {})
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/v1/events",
        "raw_path": b"/v1/events",
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
        "client": ("127.0.0.1", 50_000),
        "server": ("localhost", 80),
    }
    task = asyncio.create_task(b.app(scope, listener.receive, listener.send))
    try:
        yield listener
    finally:
        listener.gone.set()
        async with asyncio.timeout(DEADLINE_S):
            await task


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(3 * DEADLINE_S):
            await test()

    asyncio.run(bounded())


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not holds():  # noqa: ASYNC110 -- what is waited for tells nobody
            await asyncio.sleep(0.001)


def grow(b: Bench, asset_id: str, site_id: str) -> int:
    """Add a transition and return its position."""
    b.reader.history.append(transition(f"alm_{len(b.reader.history)}", asset_id, site_id, 2))
    return len(b.reader.history)


def test_api_events_follow_from_now_in_order() -> None:
    async def test() -> None:
        b = bench(streams=FAST)
        async with listening(b) as listener:
            assert await listener.block() == {"retry": "2000", "id": "2"}
            assert listener.status == 200
            assert listener.headers["content-type"] == "text/event-stream; charset=utf-8"
            assert listener.headers["cache-control"] == "no-store"
            positions = [grow(b, "P-101", "north") for _ in range(450)]
            for position in positions:
                block = await listener.event("alarm")
                assert block["id"] == str(position)
                assert json.loads(block["data"])["alarm_id"] == f"alm_{position - 1}"

    run(test)


def test_api_events_resume_where_the_client_was() -> None:
    async def test() -> None:
        b = bench(streams=FAST)
        for _ in range(10):
            grow(b, "P-101", "north")
        async with listening(b, "types=alarm&after=1", {"last-event-id": "9"}) as listener:
            assert (await listener.block())["id"] == "9"
            seen = [(await listener.event("alarm"))["id"] for _ in range(3)]
        assert seen == ["10", "11", "12"]
        async with listening(b, "types=alarm&after=11") as listener:
            assert (await listener.event("alarm"))["id"] == "12"
        async with listening(b, "types=alarm&after=999") as listener:
            assert (await listener.block())["id"] == "12"

    run(test)


def test_api_events_show_the_scope_alone() -> None:
    async def test() -> None:
        b = bench(Principal("sam", frozenset({"technician"}), sites=frozenset({"south"})), streams=FAST)
        async with listening(b, "") as listener:
            first = await listener.event("assessment")
            assert json.loads(first["data"])["asset_id"] == "P-201"
            grow(b, "P-101", "north")
            mine = grow(b, "P-201", "south")
            assert (await listener.event("alarm"))["id"] == str(mine)
            b.reader.window_end_ns += 1
            assert json.loads((await listener.event("assessment"))["data"])["asset_id"] == "P-201"

    run(test)


def test_api_events_give_each_new_condition_once_and_without_an_id() -> None:
    async def test() -> None:
        b = bench(streams=FAST)
        async with listening(b, "") as listener:
            for step in range(3):
                b.reader.window_end_ns = NOW_NS + step
                blocks = [await listener.event("assessment") for _ in range(2)]
                bodies = [json.loads(block["data"]) for block in blocks]
                assert [body["asset_id"] for body in bodies] == ["P-101", "P-201"]
                assert all(body["window_end"].endswith(f"{step}Z") for body in bodies)
                assert all("id" not in block for block in blocks)
            asked = b.reader.asked.count(("assets",))
            await until(lambda: b.reader.asked.count(("assets",)) > asked + 2)
            assert b"assessment" not in listener.buffer
            assert listener.chunks.empty()

    run(test)


def test_api_streams_share_their_polls() -> None:
    async def test() -> None:
        slow = StreamSettings(poll_s=0.01, assessment_s=60.0)
        b = bench(streams=slow)
        async with listening(b, "") as one, listening(b, "") as two, listening(b, "") as three:
            for listener in (one, two, three):
                await listener.event("assessment")
            assert b.reader.asked.count(("assets",)) == 1

    run(test)


def test_api_a_silent_stream_shows_that_it_lives() -> None:
    async def test() -> None:
        b = bench(streams=StreamSettings(poll_s=0.002, heartbeat_s=0.01))
        async with listening(b) as listener:
            await listener.block()
            for _ in range(3):
                assert await listener.block() == {"": "still here"}

    run(test)


def test_api_a_stream_outlives_an_absent_database() -> None:
    async def test() -> None:
        b = bench(streams=FAST)
        async with listening(b) as listener:
            await listener.block()
            b.reader.fault = Unavailable("database", "10.0.0.1 refused", 0.001)
            position = grow(b, "P-101", "north")
            assert await listener.block() == {"": "the database doesn't answer now"}
            b.reader.fault = None
            assert (await listener.event("alarm"))["id"] == str(position)
        b.reader.fault = Unavailable("database", "10.0.0.1 refused")
        async with listening(b) as listener:
            await until(lambda: listener.status != 0)
        assert listener.status == 503

    run(test)


def test_api_a_stream_ends_so_that_the_caller_is_checked_again() -> None:
    async def test() -> None:
        b = bench(streams=StreamSettings(poll_s=0.002, lifetime_s=0.02))
        async with listening(b) as listener:
            await until(lambda: listener.ended)

    run(test)


def test_api_streams_end_when_the_process_stops() -> None:
    async def test() -> None:
        b = bench(streams=FAST)
        async with listening(b) as listener:
            await listener.block()
            b.app.state.streams.close()
            await until(lambda: listener.ended)

    run(test)


def test_api_streams_are_bounded_in_number_and_their_places_come_back() -> None:
    async def test() -> None:
        b = bench(streams=StreamSettings(poll_s=0.002, max_streams=2))
        async with listening(b) as one, listening(b) as two:
            await one.block()
            await two.block()
            async with listening(b) as third:
                await until(lambda: third.status != 0)
            assert third.status == 503
            assert third.headers["retry-after"] == "10"
        async with listening(b) as fourth:
            await fourth.block()
            assert fourth.status == 200

    run(test)


def test_api_a_reader_that_takes_nothing_is_cut_off_and_holds_nothing() -> None:
    async def test() -> None:
        b = bench(streams=StreamSettings(poll_s=0.002, lifetime_s=0.01, stuck_s=0.01, max_streams=1))
        for _ in range(2):  # the second finds the place free again
            stuck = asyncio.Event()
            listener = Listener()
            listener.send = lambda _message, stuck=stuck: stuck.wait()  # type: ignore[method-assign, misc]
            response = await b.app.state.streams.open(TECHNICIAN, None, assessments=False)
            async with asyncio.timeout(DEADLINE_S):
                await response({"type": "http", "asgi": {"spec_version": "2.3"}}, listener.receive, listener.send)

    run(test)


def test_api_head_asks_for_no_stream() -> None:
    answer = bench().ask("HEAD", "/v1/events")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")


@pytest.mark.parametrize("position", ["-1", "x", "9223372036854775808", "1.5", ""])
def test_api_a_wrong_position_is_refused(position: str) -> None:
    assert bench().ask("GET", "/v1/events", headers={"last-event-id": position}).status_code == 422
