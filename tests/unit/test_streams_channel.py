"""Between lane and agent nothing is dropped when Faust's own consumer group is rebalanced."""

import asyncio

import faust
import pytest

from streams.feed import Batches


@pytest.fixture
def app() -> faust.App:
    return faust.App("channel-test", broker="kafka://127.0.0.1:1", store="memory://", web_enabled=False)


def test_a_rebalance_of_faust_keeps_batches_and_whoever_waits_to_put_one(app: faust.App) -> None:
    async def work() -> list[str]:
        batches = Batches(app, maxsize=1)
        agents = batches.clone(is_iterator=True)
        app.flow_control.resume()
        await batches.put("first")  # type: ignore[arg-type]
        assert batches.full()
        waiting = asyncio.ensure_future(batches.put("second"))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        app.flow_control.suspend()
        app.flow_control.resume()
        got = [await agents.queue.get()]
        await waiting
        return [*got, await agents.queue.get()]

    assert asyncio.run(asyncio.wait_for(work(), 10)) == ["first", "second"]


def test_a_channel_without_an_agent_is_never_full(app: faust.App) -> None:
    assert not Batches(app, maxsize=1).full()
