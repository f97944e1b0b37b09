"""What a coroutine computes is counted, what others compute while it waits isn't; it behaves as if awaited directly."""

import asyncio

import pytest

from streams import cost
from streams.cost import Costed


class Cpu:
    """CPU time of this thread, spent by hand."""

    def __init__(self) -> None:
        self.s = 0.0

    def thread_time(self) -> float:
        return self.s


@pytest.fixture
def cpu(monkeypatch: pytest.MonkeyPatch) -> Cpu:
    cpu = Cpu()
    monkeypatch.setattr(cost, "time", cpu)
    return cpu


def test_only_its_own_steps_count(cpu: Cpu) -> None:
    async def run() -> None:
        async def own() -> str:
            for _ in range(3):
                cpu.s += 1.0
                await asyncio.sleep(0)
            return "done"

        async def other() -> None:
            for _ in range(10):
                cpu.s += 100.0
                await asyncio.sleep(0)

        costed = Costed(own())
        beside = asyncio.create_task(other())
        assert await costed == "done"
        await beside
        assert costed.cpu_s == 3.0

    asyncio.run(run())


def test_an_error_goes_through_and_its_cost_is_kept(cpu: Cpu) -> None:
    async def run() -> None:
        async def failing() -> None:
            cpu.s += 1.0
            await asyncio.sleep(0)
            cpu.s += 1.0
            raise ValueError("full")

        costed = Costed(failing())
        with pytest.raises(ValueError, match="full"):
            await costed
        assert costed.cpu_s == 2.0

    asyncio.run(run())


def test_a_cancellation_reaches_it_and_may_be_handled(cpu: Cpu) -> None:
    async def run() -> None:
        begun = asyncio.Event()

        async def stubborn() -> str:
            try:
                begun.set()
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cpu.s += 1.0
                await asyncio.sleep(0)
                return "cleaned up"
            return "never"

        costed = Costed(stubborn())

        async def awaiting() -> str:
            return await costed

        task = asyncio.create_task(awaiting())
        await begun.wait()
        task.cancel()
        assert await task == "cleaned up"
        assert costed.cpu_s == 1.0

    asyncio.run(run())
