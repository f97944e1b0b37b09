"""Bytewax, in both forms: as its documentation has it, record by record, and batched by hand.

The second argument says which (``records`` or ``batches``). State is a ``stateful_map``, kept by Bytewax's recovery
store.
"""

import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TypeAlias

import bytewax.operators as op
from bytewax.connectors.kafka import KafkaSinkMessage, KafkaSourceMessage
from bytewax.connectors.kafka import operators as kafka
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.run import cli_main

from loadtests.peers.job import BATCH, CHECKPOINT_S, LINGER_MS, Features, Orders, SmallJob, State, advance, encode
from loadtests.peers.job import record as record_of

Source: TypeAlias = "KafkaSourceMessage[bytes, bytes]"
Out: TypeAlias = "KafkaSinkMessage[bytes, bytes]"


def _record_by_record(job: SmallJob, messages: "op.Stream[Source]") -> "op.KeyedStream[Out]":
    def score(state: State | None, message: Source) -> tuple[State, Out]:
        record, state = job.score_one(message.value, state)
        return state, KafkaSinkMessage(message.key, record)

    return op.stateful_map("score", op.key_on("key", messages, lambda message: message.key.decode()), score)


def _batch_by_batch(job: SmallJob, messages: "op.Stream[Source]") -> "op.KeyedStream[Out]":
    def features(batch: list[Source]) -> list[tuple[str, Features]]:
        if not batch:
            return []
        return [(str(frame[1]), frame) for frame in job.features([message.value for message in batch])]

    def score(state: State | None, frame: Features) -> tuple[State, Out]:
        state, z = advance(state, frame[3][0])
        return state, KafkaSinkMessage(b"%d" % frame[1], encode(record_of(frame, z)))

    return op.stateful_map("score", op.flat_map_batch("features", messages, features), score)


FORMS: dict[str, Callable[[SmallJob, "op.Stream[Source]"], "op.KeyedStream[Out]"]] = {
    "records": _record_by_record,
    "batches": _batch_by_batch,
}


def main() -> None:
    """Run until SIGTERM."""
    orders = Orders.given()
    flow = Dataflow("small_job")
    source = kafka.input("in", flow, brokers=[orders.bootstrap], topics=[orders.source], batch_size=BATCH)
    scored = FORMS[sys.argv[2]](SmallJob(), source.oks)
    kafka.output(
        "out",
        op.map("unkey", scored, lambda item: item[1]),
        brokers=[orders.bootstrap],
        topic=orders.sink,
        add_config={"linger.ms": str(LINGER_MS), "acks": "all"},
    )
    recovery = Path(orders.folder) / "recovery"
    recovery.mkdir(parents=True)
    init_db_dir(recovery, 1)
    cli_main(
        flow,
        epoch_interval=timedelta(seconds=CHECKPOINT_S),
        recovery_config=RecoveryConfig(str(recovery), backup_interval=timedelta()),
    )


if __name__ == "__main__":
    main()
