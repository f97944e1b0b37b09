"""The pipeline without Kafka, database and event loop: what the computation alone costs.

Next to the figures of a worker process it shows where the time goes.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass

from contracts import ports
from contracts import records as r
from contracts.activations import activation_of
from contracts.codec import BundledSchemas, Codec
from contracts.errors import FaultlineError
from contracts.topics import MEASUREMENTS
from loadtests.plant import Load, Plant
from processors.pipeline import PartitionPipeline

Entry = tuple[bytes | None, bytes]


@dataclass(frozen=True, slots=True)
class InProcess:
    """What one run took.

    Parameters
    ----------
    samples, blocks, assessments : int
        What was processed, over all channels.
    cpu_s, wall_s : float
        Of this thread.
    """

    samples: int
    blocks: int
    assessments: int
    cpu_s: float
    wall_s: float

    @property
    def msamples_per_s(self) -> float:
        """Million samples a CPU-second."""
        return self.samples / self.cpu_s / 1e6


def encode_log(load: Load, duration_s: float, codec: Codec, start_ns: int) -> Iterator[Entry]:
    """Yield key and value of activations, blocks and the ticks between them, in the order of time.

    Parameters
    ----------
    load : Load
        The plant.
    duration_s : float
        Signal of each machine, s.
    codec : Codec
        Encodes.
    start_ns : int
        Time of the first sample, UTC nanoseconds.

    Yields
    ------
    Entry
        Key and value of a record on ``measurements``.
    """
    for config in load.configurations():
        activation = activation_of(config, start_ns, "bench")
        yield config.asset_id.encode(), codec.encode(MEASUREMENTS, activation)
    next_tick_ns = start_ns
    for block in Plant(load, start_ns).blocks(duration_s):
        if block.start_ns >= next_tick_ns:
            tick = r.Tick(topic=MEASUREMENTS, partition=0, at_ns=block.start_ns, epoch=1)
            yield None, codec.encode(MEASUREMENTS, tick)
            next_tick_ns += 1_000_000_000
        yield block.asset_id.encode(), codec.encode(MEASUREMENTS, block)


def run_in_process(
    load: Load, duration_s: float, models: ports.ModelStore, start_ns: int, warm_up_s: float = 2.0
) -> InProcess:
    """Feed a plant's blocks to the pipeline from memory, as fast as it takes them.

    Parameters
    ----------
    load : Load
        The plant.
    duration_s : float
        Signal of each machine that counts, s.
    models : ModelStore
        Scoring models.
    start_ns : int
        Time of the first sample, UTC nanoseconds.
    warm_up_s : float
        Signal before that, which doesn't count: kernels are compiled, engines are built.

    Returns
    -------
    result : InProcess
        What it took.

    Raises
    ------
    FaultlineError
        If the pipeline refuses a record.
    """
    codec = Codec(BundledSchemas())
    log = list(encode_log(load, warm_up_s + duration_s, codec, start_ns))
    beginning = sum(1 for _ in encode_log(load, warm_up_s, codec, start_ns))
    pipeline = PartitionPipeline(models, ports.Checkpoint(-1, 0, {}))
    _feed(pipeline, codec, log, 0, beginning)
    began_s, began_cpu_s = time.perf_counter(), time.thread_time()
    assessments = _feed(pipeline, codec, log, beginning, len(log))
    cpu_s, wall_s = time.thread_time() - began_cpu_s, time.perf_counter() - began_s
    blocks = sum(key is not None for key, _ in log[beginning:])
    return InProcess(blocks * load.channels * load.block_samples, blocks, assessments, cpu_s, wall_s)


def _feed(pipeline: PartitionPipeline, codec: Codec, log: list[Entry], first: int, last: int) -> int:
    assessments = 0
    for offset in range(first, last):
        key, value = log[offset]
        refusal = pipeline.feed(codec, offset, key, value)
        if refusal is not None:
            raise FaultlineError(f"the pipeline refused record {offset}: {refusal}")
        if len(pipeline.results):
            assessments += len(pipeline.take().assessments)
    return assessments
