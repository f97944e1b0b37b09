"""Sources: records in the order in which they are due, paced in event time; the simulated plant is one.

A source is an iterator of records with their times; ``send`` hands them to a sink. Invariants: event times are anchored
at the start given and never read from a clock; waveforms and slow values come from different devices, each numbered
without a hole; back-pressure of the sink holds the source back.
"""

import asyncio
import itertools
import math
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from contracts import records as r
from contracts.errors import ConfigurationError
from contracts.ports import BlockSink, Clock
from processors.simulator import Machine, Simulator
from runtime.device import Device


@dataclass(frozen=True, slots=True)
class Due:
    """A record, and how many seconds of event time after the start it is known whole."""

    at_s: float
    record: r.Measurement


@dataclass(frozen=True, slots=True)
class OpeningEvent:
    """What happened to every machine of the source just before it starts."""

    kind: str
    code: str
    text: str


@dataclass(slots=True)
class Sent:
    """What has been handed to the sink; ``event_s`` is the event time covered."""

    records: int = 0
    samples: int = 0
    readings: int = 0
    event_s: float = 0.0

    def add(self, due: Due) -> None:
        """Count one record."""
        self.records += 1
        self.event_s = max(self.event_s, due.at_s)
        if isinstance(due.record, r.AcquisitionBlock):
            self.samples += due.record.n_samples * len(due.record.channels)
        elif isinstance(due.record, r.ReadingBatch):
            self.readings += len(due.record.readings)


class SplitSink:
    """Some assets go elsewhere: what they measure reaches the log on another way.

    Parameters
    ----------
    main : BlockSink
        Where everything else goes.
    others : mapping of str to BlockSink
        Where the records of an asset go, by its id.
    """

    def __init__(self, main: BlockSink, others: Mapping[str, BlockSink]) -> None:
        self._main, self._others = main, others

    async def put(self, record: r.Measurement) -> None:
        """Hand over a record to the sink of its asset."""
        asset_id = "" if isinstance(record, r.Tick) else record.asset_id
        await self._others.get(asset_id, self._main).put(record)

    async def flush(self) -> None:
        """Return once every sink has acknowledged everything; raise ``Unavailable`` otherwise."""
        for sink in (self._main, *self._others.values()):
            await sink.flush()


async def send(
    records: Iterable[Due],
    sink: BlockSink,
    clock: Clock,
    *,
    speed: float | None = 1.0,
    sent: Sent | None = None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Sent:
    """Hand records to `sink` when they are due, and return once all are acknowledged.

    Parameters
    ----------
    records : iterable of Due
        In the order in which they are due.
    sink : BlockSink
        Where they go.
    clock : Clock
        Paces the source.
    speed : float or None
        Event seconds a second; 1 is real time, None as fast as the sink takes them.
    sent : Sent, optional
        Is counted up on the way, for a progress display; a new one without it.
    sleep : callable
        Waits that many seconds.

    Returns
    -------
    Sent
        What was handed over.

    Raises
    ------
    ConfigurationError
        If `speed` isn't above 0.
    Unavailable
        If the sink can't get rid of a record.
    """
    check_speed(speed)
    sent = Sent() if sent is None else sent
    began_s = clock.monotonic_s()
    for due in records:
        wait_s = 0.0 if speed is None else began_s + due.at_s / speed - clock.monotonic_s()
        # A sleep even of 0 lets other tasks run, and an interruption through.
        await sleep(max(wait_s, 0.0))
        await sink.put(due.record)
        sent.add(due)
    await sink.flush()
    return sent


def check_speed(speed: float | None) -> None:
    """Raise ``ConfigurationError`` unless `speed` is a number above 0, or None for as fast as possible."""
    if speed is not None and not 0.0 < speed < math.inf:
        raise ConfigurationError(f"speed {speed}, a number above 0 or max expected")


def simulated(
    simulator: Simulator,
    *,
    device_id: str,
    boot_id: str,
    start_ns: int,
    duration_s: float | None = None,
    opening: OpeningEvent | None = None,
) -> Iterator[Due]:
    """Yield the blocks and temperatures of all machines of a simulated plant, in the order of time.

    Parameters
    ----------
    simulator : Simulator
        The plant.
    device_id, boot_id : str
        Each machine has the devices ``<device_id>-<asset_id>`` (blocks) and ``…-slow`` (temperatures, events).
    start_ns : int
        When the scenario begins, UTC nanoseconds.
    duration_s : float or None
        Event time after which it ends; None for never.
    opening : OpeningEvent, optional
        Reported of every machine at the start.

    Yields
    ------
    Due
        Records with the time at which they are known.
    """
    machines = [
        _SimulatedMachine(simulator, machine, device_id, boot_id, start_ns) for machine in simulator.scenario.machines
    ]
    if opening is not None:
        yield from (machine.opened(opening) for machine in machines)
    for number in itertools.count():
        end_s = (number + 1) * simulator.scenario.block_samples / simulator.scenario.sampling_rate_hz
        if duration_s is not None and end_s > duration_s + 1e-9:
            return
        for machine in machines:
            yield machine.block(number, end_s)
            yield from machine.temperatures(end_s)


class _SimulatedMachine:
    """One machine of a plant with its two devices: a fast one for waveforms, a slow one for the rest."""

    def __init__(self, simulator: Simulator, machine: Machine, device_id: str, boot_id: str, start_ns: int) -> None:
        self._simulator = simulator
        self._machine = machine
        self._rate_hz = simulator.scenario.sampling_rate_hz
        self._start_ns = start_ns
        self._fast = Device(f"{device_id}-{machine.asset_id}", boot_id)
        self._slow = Device(f"{device_id}-{machine.asset_id}-slow", boot_id)
        self._next_second = 0
        self._channels = tuple(
            r.BlockChannel(channel_id=sensor.channel_id, quantity="acceleration", unit="g")
            for sensor in machine.accelerometers
        )

    def opened(self, event: OpeningEvent) -> Due:
        record = self._slow.event(self._machine.asset_id, self._start_ns, event.kind, event.code, event.text)
        return Due(0.0, record)

    def block(self, number: int, end_s: float) -> Due:
        asset_id = self._machine.asset_id
        block = self._simulator.block(asset_id, number)
        at_ns = self._start_ns + round(number * block.samples_g.shape[1] * 1e9 / self._rate_hz)
        record = self._fast.block(
            asset_id, at_ns, self._rate_hz, self._channels, block.samples_g, block.speed_rpm, block.load_ratio
        )
        return Due(end_s, record)

    def temperatures(self, until_s: float) -> Iterator[Due]:
        while self._machine.thermometers and self._next_second <= until_s:
            second = self._next_second
            self._next_second += 1
            asset_id = self._machine.asset_id
            readings = tuple(
                r.Reading(
                    channel_id=channel_id,
                    quantity="temperature",
                    unit="degC",
                    at_ns=self._start_ns + second * 1_000_000_000,
                    value=degc,
                )
                for channel_id, degc in self._simulator.temperatures(asset_id, second)
            )
            yield Due(until_s, self._slow.readings(asset_id, readings))
