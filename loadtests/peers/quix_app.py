"""Quix Streams as its documentation has it: a stateful ``apply``, state in RocksDB with a changelog topic."""

from typing import Any

from quixstreams import Application, State

from loadtests.peers.job import CHECKPOINT_S, LINGER_MS, Orders, SmallJob


def main() -> None:
    """Run until SIGTERM."""
    orders = Orders.given()
    job = SmallJob()
    app = Application(
        broker_address=orders.bootstrap,
        consumer_group=orders.group,
        auto_offset_reset="earliest",
        commit_interval=CHECKPOINT_S,
        state_dir=orders.folder,
        loglevel="WARNING",
        producer_extra_config={"linger.ms": LINGER_MS, "acks": "all"},
    )

    def score(value: Any, state: State) -> bytes:
        known = state.get("smoothed")
        record, smoothed = job.score_one(value, known and tuple(known))
        state.set("smoothed", smoothed)
        return record

    frames = app.topic(orders.source, value_deserializer="bytes")
    records = app.topic(orders.sink, value_serializer="bytes")
    app.dataframe(frames).apply(score, stateful=True).to_topic(records)
    app.run()


if __name__ == "__main__":
    main()
