"""One asset goes another way: everything else stays on the straight one."""

import asyncio

import pytest

from contracts import records as r
from contracts.errors import Unavailable
from runtime.sources import SplitSink
from tests.edge_samples import block, event, readings


class ListSink:
    def __init__(self, *, away: bool = False) -> None:
        self.taken: list[r.Measurement] = []
        self.flushed = 0
        self._away = away

    async def put(self, record: r.Measurement) -> None:
        self.taken.append(record)

    async def flush(self) -> None:
        if self._away:
            raise Unavailable("MQTT broker", "away")
        self.flushed += 1


def test_an_assets_records_go_to_its_sink_and_both_are_flushed() -> None:
    main, other = ListSink(), ListSink()
    tick = r.Tick(topic="measurements", partition=0, at_ns=1, epoch=1)

    async def go() -> None:
        sink = SplitSink(main, {"P-2": other})
        for record in (block(0), block(0, asset_id="P-2"), tick, event(0, asset_id="P-2"), readings(0)):
            await sink.put(record)
        await sink.flush()

    asyncio.run(go())
    assert main.taken == [block(0), tick, readings(0)]
    assert other.taken == [block(0, asset_id="P-2"), event(0, asset_id="P-2")]
    assert (main.flushed, other.flushed) == (1, 1)


def test_a_way_that_is_closed_is_told() -> None:
    with pytest.raises(Unavailable, match="MQTT broker"):
        asyncio.run(SplitSink(ListSink(), {"P-2": ListSink(away=True)}).flush())
