"""Between lane and agent nothing is dropped when Faust's own consumer group is rebalanced."""

import asyncio

import faust
import pytest

from streams.feed import Batches
from streams.message import LogMessage


@pytest.fixture
def app() -> faust.App:
    return faust.App("channel-test", broker="kafka://127.0.0.1:1", store="memory://", web_enabled=False)


def test_a_rebalance_of_faust_keeps_batches(app: faust.App) -> None:
    first, second = ([LogMessage("measurements", 0, offset, 0, None, b"")] for offset in (0, 1))

    async def work() -> list[list[LogMessage]]:
        batches = Batches(app, maxsize=2)
        agents = batches.clone(is_iterator=True)
        app.flow_control.resume()
        assert batches.put_now(first)
        assert batches.put_now(second)
        app.flow_control.suspend()
        app.flow_control.resume()
        return [await agents.queue.get(), await agents.queue.get()]

    assert asyncio.run(asyncio.wait_for(work(), 10)) == [first, second]


def test_a_batch_without_an_agent_is_noticed(app: faust.App) -> None:
    assert not Batches(app, maxsize=1).put_now([])
