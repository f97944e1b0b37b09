"""Rounds over all programs on one broker: what each costs per frame, and how late its records are at 300 frames/s.

Both clocks start when a third of a program's records is on the topic, since it still starts while it works on the first
ones, and end with the last; CPU time is that of the whole process with all its threads. Programs take turns, each round
from another one on and every other round backwards, so that what else goes on on the machine, and what the program
before has left the broker to do, meets all of them. After each throughput run the records are read and checked.
"""

import statistics
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from contracts.errors import Unavailable
from loadtests.machine import Cores
from loadtests.peers.frames import CHANNELS, FRAME, PARTITIONS, FrameSource
from loadtests.peers.running import Program, Running
from loadtests.results import quantile, rounded

RATE_PER_S: Final = 300.0
_START_S: Final = 90.0
_RUN_S: Final = 120.0
#: This share of the frames isn't counted: a program still starts while it processes the first ones.
_WARM_UP: Final = 1 / 3
#: In real time a program is left alone for so long before it counts, s.
_SETTLE_S: Final = 3.0
_LOOK_S: Final = 0.01
_ANSWER_S: Final = 30.0
#: Records are checked against NumPy's float64 up to this relative difference.
_TOLERANCE: Final = 1e-4

Say = Callable[[str], None]


@dataclass(slots=True)
class Figures:
    """What the rounds of one program gave."""

    cpu_us_per_frame: list[float] = field(default_factory=list)
    frames_per_s: list[float] = field(default_factory=list)
    rss_mb: float = 0.0
    latencies_ms: list[float] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return the figures for a program; medians of the rounds."""
        return {
            "cpu_us_per_frame": rounded(statistics.median(self.cpu_us_per_frame)) if self.cpu_us_per_frame else None,
            "cpu_us_per_frame_rounds": [rounded(value) for value in self.cpu_us_per_frame],
            "frames_per_s": rounded(statistics.median(self.frames_per_s), 0) if self.frames_per_s else None,
            "rss_mb": rounded(self.rss_mb, 0),
            "p50_ms": rounded(quantile(self.latencies_ms, 0.5)),
            "p99_ms": rounded(quantile(self.latencies_ms, 0.99)),
        }


class Bench:
    """Runs programs one at a time on a core of their own.

    Parameters
    ----------
    kafka_url : str
        The broker, for this bench alone.
    cores : Cores
        Where programs and everything else run.
    folder : Path
        For state, marks and logs.
    frames : int
        Of a throughput run.
    """

    def __init__(self, kafka_url: str, cores: Cores, folder: Path, frames: int) -> None:
        self._kafka_url = kafka_url
        self._cores = cores
        self._folder = folder
        self._frames = frames
        self._source = FrameSource()
        self._admin = AdminClient({"bootstrap.servers": kafka_url})
        self._expected = [self._rms(number) for number in range(min(frames, CHANNELS * 8))]

    def fill(self) -> None:
        """Write the frames that every throughput run reads."""
        self._create("frames")
        producer = Producer(
            {"bootstrap.servers": self._kafka_url, "linger.ms": 20, "queue.buffering.max.kbytes": 65_536}
        )
        for partition, key, value in self._source.frames(self._frames):
            while True:
                try:
                    producer.produce("frames", value, key, partition)
                    break
                except BufferError:
                    producer.poll(0.1)
        if producer.flush(_RUN_S):
            raise Unavailable("Kafka", f"frames not acknowledged within {_RUN_S:g} s")

    def throughput(self, program: Program, figures: Figures) -> None:
        """Run `program` over all frames and add what it cost.

        Raises
        ------
        Unavailable
            If it ended, took too long, or its records are wrong.
        """
        sink = f"{program.name}-{uuid.uuid4().hex[:6]}"
        self._create(sink)
        ends = Consumer({"bootstrap.servers": self._kafka_url, "group.id": "ends"})
        with self._run(program, "frames", sink) as running:
            first, began_s, began_cpu_s = self._await(running, ends, sink, round(self._frames * _WARM_UP), _START_S)
            last, ended_s, ended_cpu_s = self._await(running, ends, sink, self._frames, _RUN_S)
            figures.rss_mb = max(figures.rss_mb, running.rss_mb())
        ends.close()
        self._check(program, self._read(sink))
        figures.cpu_us_per_frame.append((ended_cpu_s - began_cpu_s) / (last - first) * 1e6)
        figures.frames_per_s.append((last - first) / (ended_s - began_s))
        self._admin.delete_topics([sink])[sink].result(_ANSWER_S)

    def latency(self, program: Program, figures: Figures, seconds: float) -> None:
        """Send frames in real time and add how long after it each record arrived at a subscriber.

        Raises
        ------
        Unavailable
            If the program ended or records are missing.
        """
        sink = f"{program.name}-{uuid.uuid4().hex[:6]}"
        for topic in (f"{sink}-in", sink):
            self._create(topic)
        subscriber = self._subscribe(sink, wait_ms=5)
        producer = Producer({"bootstrap.servers": self._kafka_url, "linger.ms": 0})
        count = int(RATE_PER_S * seconds)
        with self._run(program, f"{sink}-in", sink) as running:
            deadline_s = time.time() + _START_S
            self._send(producer, f"{sink}-in", range(CHANNELS))  # every channel once, until all has been answered
            producer.flush(_ANSWER_S)
            warm = 0
            while warm < CHANNELS:
                running.check(deadline_s)
                warm += len(subscriber.consume(CHANNELS - warm, 0.05))
            time.sleep(_SETTLE_S)
            began_s, sent = time.time(), 0
            arrived = len(figures.latencies_ms)
            while len(figures.latencies_ms) - arrived < count:
                due = min(count, int((time.time() - began_s) * RATE_PER_S) + 1)
                self._send(producer, f"{sink}-in", range(sent, due))
                sent = due
                message = subscriber.poll(min(1e-3, 1.0 / RATE_PER_S))
                if message is not None and message.error() is None:
                    at_ns = msgspec.json.decode(message.value() or b"")["at_ns"]
                    figures.latencies_ms.append((time.time_ns() - at_ns) / 1e6)
                running.check(began_s + seconds + _START_S)
        subscriber.close()

    def _send(self, producer: Producer, topic: str, numbers: range) -> None:
        for number in numbers:
            partition, key, value = self._source.frame(number, time.time_ns())
            producer.produce(topic, value, key, partition)
        producer.poll(0)

    def _run(self, program: Program, source: str, sink: str) -> Running:
        return Running(program, self._kafka_url, source, sink, self._folder / sink, self._cores.measured)

    def _create(self, topic: str) -> None:
        self._admin.create_topics([NewTopic(topic, PARTITIONS, 1)])[topic].result(_ANSWER_S)

    def _await(
        self, running: Running, consumer: Consumer, sink: str, records: int, limit_s: float
    ) -> tuple[int, float, float]:
        """Wait for so many records; return how many there are, the time and the program's CPU time, s."""
        deadline_s = time.time() + limit_s
        while (written := self._written(consumer, sink)) < records:
            running.check(deadline_s)
            time.sleep(_LOOK_S)
        return written, time.time(), running.cpu_s()

    def _written(self, consumer: Consumer, topic: str) -> int:
        places = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
        try:
            return sum(consumer.get_watermark_offsets(place, timeout=_ANSWER_S)[1] for place in places)
        except KafkaException:  # a topic that is new has no leader yet
            return 0

    def _subscribe(self, topic: str, wait_ms: int) -> Consumer:
        settings = {"bootstrap.servers": self._kafka_url, "group.id": "records", "fetch.wait.max.ms": wait_ms}
        consumer = Consumer({**settings, "enable.auto.commit": False})
        consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in range(PARTITIONS)])
        return consumer

    def _read(self, topic: str) -> list[dict[str, Any]]:
        consumer = self._subscribe(topic, wait_ms=50)
        records: list[dict[str, Any]] = []
        deadline_s = time.time() + _ANSWER_S
        while len(records) < self._frames and time.time() < deadline_s:
            messages = consumer.consume(5_000, 0.5)
            records += [msgspec.json.decode(m.value() or b"") for m in messages if m.error() is None]
        consumer.close()
        return records

    def _rms(self, number: int) -> float:
        samples = np.frombuffer(self._source.frame(number, 0)[2], FRAME)[0]["samples"].astype(np.float64)
        return float(samples.std())

    def _check(self, program: Program, records: Sequence[Mapping[str, Any]]) -> None:
        """Refuse a run whose records aren't one for each frame, with the right rms and the channels' order kept."""
        numbers = [record["at_ns"] for record in records]
        wrong = [
            number
            for number, record in zip(numbers, records, strict=True)
            if abs(record["rms"] / self._expected[number % len(self._expected)] - 1.0) > _TOLERANCE
        ]
        if sorted(numbers) != list(range(self._frames)) or wrong:
            raise Unavailable(
                program.name,
                f"{len(set(numbers))} of {self._frames} frames, {len(numbers) - len(set(numbers))} doubled, "
                f"{len(wrong)} wrong",
            )


def run_rounds(
    bench: Bench, programs: Sequence[Program], rounds: int, latency_s: float, say: Say
) -> dict[str, Figures]:
    """Run all programs in turn, `rounds` times, then each in real time.

    Parameters
    ----------
    bench : Bench
        Where they run.
    programs : sequence of Program
        All of them.
    rounds : int
        Throughput runs of each.
    latency_s : float
        Seconds in real time of each; 0 leaves them out.
    say : callable
        Told in a line what is going on.

    Returns
    -------
    figures : dict of str to Figures
        By program.
    """
    figures = {program.name: Figures() for program in programs}
    bench.fill()
    for number in range(rounds):
        first = number % len(programs)
        turns = (*programs[first:], *programs[:first])
        for program in reversed(turns) if number % 2 else turns:
            bench.throughput(program, figures[program.name])
            say(f"round {number + 1}: {program.name} {figures[program.name].cpu_us_per_frame[-1]:.1f} CPU us a frame")
    if latency_s > 0.0:
        for program in programs:
            bench.latency(program, figures[program.name], latency_s)
            shown = figures[program.name].as_json()
            say(f"{program.name}: p50 {shown['p50_ms']} ms, p99 {shown['p99_ms']} ms")
    return figures
