"""``faultline worker``: one stream worker against the services of the environment."""

import asyncio
import os
import socket
import sys
import threading
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import structlog
import typer
import uvloop

from adapters.kafka import KafkaSink, read_range
from adapters.models import ModelFolder
from adapters.notify.message import webhook_message
from adapters.timescale import (
    CheckpointKeeper,
    Database,
    DeliveryQueue,
    PartitionStore,
    RefusalAccount,
    StoredModels,
)
from contracts.errors import ConfigurationError
from contracts.topics import CONDITIONS
from runtime.clock import SystemClock
from runtime.feature_code import load_feature_code
from runtime.kernels import load_kernels
from runtime.memory import hold_collector, keep_freed_memory, spare_collector
from runtime.registry import codec_for
from runtime.settings import Settings, load_settings
from streams.app import StreamParts, build_app, run_app
from streams.message import LogMessage

_log = structlog.get_logger(__name__)
#: How long a broker may be away before the worker gives up its results and begins again at its checkpoint.
_DELIVERY_S: Final = 300.0
#: Faust's consumer and the lane have threads of their own: they must not wait 5 ms for each of their steps.
_SWITCH_S: Final = 0.001


def worker(
    *,
    ready_file: Annotated[
        Path | None, typer.Option(help="Written once partitions are owned; for supervisors that wait.")
    ] = None,
) -> None:
    """Run one stream worker: measurements in; assessments, conditions and alarms out.

    FAULTLINE_KAFKA_URL and FAULTLINE_DATABASE_URL say where the services are. Start as many workers as there are cores:
    they share the partitions. SIGTERM stops a worker after a last checkpoint, so that nothing is reprocessed.
    """
    settings = load_settings()
    if settings.kafka_url is None or settings.database_url is None:
        raise ConfigurationError("a worker needs FAULTLINE_KAFKA_URL and FAULTLINE_DATABASE_URL; `up` sets both")
    sys.exit(_run(settings, settings.kafka_url, settings.database_url, ready_file))


def _run(settings: Settings, kafka_url: str, database_url: str, ready_file: Path | None) -> int:
    _log.info("began_worker")
    keep_freed_memory()
    hold_collector()
    sys.setswitchinterval(_SWITCH_S)
    kernels = _load_beside()
    code = load_feature_code(settings)
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    database = Database(database_url)
    loop.run_until_complete(database.__aenter__())
    codec = codec_for(settings)
    app = build_app(
        StreamParts(
            kafka_url=kafka_url,
            app_id="faultline",
            partitions=settings.partitions,
            store=PartitionStore(database),
            keeper=CheckpointKeeper(database),
            refusals=RefusalAccount(database),
            queue=DeliveryQueue(database),
            models=StoredModels(database_url, ModelFolder()),
            code=code,
            codec=codec,
            outlet=KafkaSink(kafka_url, codec, delivery_timeout_s=_DELIVERY_S, linger_ms=0.0),
            clock=SystemClock(),
            owner=f"{socket.gethostname()}/{os.getpid()}",
            webhook_message=webhook_message,
            missed=partial(_missed, kafka_url),
            data_dir=str(_faust_folder(settings)),
            prepare=partial(_prepare, kernels),
            ready=partial(_ready, ready_file),
        )
    )
    return run_app(app, loop)


def _load_beside() -> Future[None]:
    """Load the kernels in a thread that ends with the process, while this one connects."""
    loaded: Future[None] = Future()

    def load() -> None:
        try:
            load_kernels(lambda line: _log.info("kernels_compiled", progress=line))
        except BaseException as error:  # noqa: BLE001 -- raised again where it is waited for
            loaded.set_exception(error)
        else:
            loaded.set_result(None)

    threading.Thread(target=load, name="kernels", daemon=True).start()
    return loaded


async def _prepare(kernels: Future[None]) -> None:
    """Wait for the kernels: no measurement is read before."""
    await asyncio.wrap_future(kernels)
    _log.info("loaded_kernels")
    spare_collector()


def _ready(ready_file: Path | None) -> None:
    _log.info("readied_worker")
    if ready_file is not None:
        ready_file.touch()


def _missed(kafka_url: str, partition: int, first: int, end: int) -> list[LogMessage]:
    return [
        LogMessage(CONDITIONS, partition, one.offset, one.timestamp_ns, one.key, one.value, one.headers)
        for one in read_range(kafka_url, CONDITIONS, partition, first, end)
    ]


def _faust_folder(settings: Settings) -> Path:
    folder = settings.data_dir.absolute() / "faust"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
