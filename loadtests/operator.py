"""An operator: alarms of its own, and commands about them, beside whatever else goes on."""

import asyncio
import itertools
import threading
import time
from typing import Final

from adapters.kafka import KafkaSink
from contracts import records as r
from contracts import topics
from contracts.codec import Codec
from contracts.identifiers import stable_id
from loadtests.plant import SITE

#: Commands a second.
_COMMANDS_PER_S: Final = 4.0


class Operator:
    """A thread that raises a few alarms and then shelves and unshelves them, several times a second.

    Parameters
    ----------
    kafka_url : str
        Bootstrap servers.
    codec : Codec
        Encodes.
    alarms : int
        How many alarms, each of an asset of its own.
    """

    def __init__(self, kafka_url: str, codec: Codec, alarms: int) -> None:
        self._kafka_url = kafka_url
        self._codec = codec
        self._alarms = [f"O-{number}" for number in range(alarms)]
        self._ended = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="operator", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    async def _run(self) -> None:
        sink = KafkaSink(self._kafka_url, self._codec, linger_ms=0.0)
        raised = [_standing(asset_id, time.time_ns()) for asset_id in self._alarms]
        for condition in raised:
            await sink.send(topics.CONDITIONS, condition.asset_id, condition)
        for number in itertools.count():
            if self._ended.wait(1.0 / _COMMANDS_PER_S):
                break
            turn, place = divmod(number, len(raised))
            command = _command(raised[place], turn, time.time_ns())
            await sink.send(topics.CONDITIONS, command.asset_id, command)
        await sink.flush()


def _standing(asset_id: str, at_ns: int) -> r.Condition:
    return r.Condition(
        condition_id=stable_id("cnd", asset_id, at_ns),
        asset_id=asset_id,
        site_id=SITE.site_id,
        point_id=f"{asset_id}-0",
        rule="bench",
        state=r.ConditionState.RAISED,
        sequence=1,
        at_ns=at_ns,
        episode_started_at_ns=at_ns,
        priority=r.Priority.LOW,
        latching=False,
        zone=None,
        fault=None,
        confidence=None,
        reason="raised by the benchmark",
        evidence=(),
    )


def _command(condition: r.Condition, turn: int, at_ns: int) -> r.Command:
    started_at_ns = condition.episode_started_at_ns
    return r.Command(
        command_id=stable_id("cmd", condition.asset_id, turn, started_at_ns),
        asset_id=condition.asset_id,
        alarm_id=stable_id("alm", condition.asset_id, condition.point_id, condition.rule, started_at_ns),
        action=r.CommandAction.UNSHELVE if turn % 2 else r.CommandAction.SHELVE,
        actor="bench",
        at_ns=at_ns,
    )
