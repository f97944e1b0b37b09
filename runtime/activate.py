"""New and changed configurations go onto the log, where the core learns of them.

A configuration is marked as activated only once both topics have acknowledged it: a crash in between repeats the
record, and an activation of the version in force changes nothing.
"""

from contracts import topics
from contracts.activations import activation_of
from contracts.assets import AssetConfiguration
from contracts.ports import AssetRegistry, Clock, Outlet


async def activate(registry: AssetRegistry, outlet: Outlet, clock: Clock, actor: str) -> list[AssetConfiguration]:
    """Put every configuration that isn't on the log yet onto ``measurements`` and ``conditions``.

    Parameters
    ----------
    registry : AssetRegistry
        Knows which configurations are new.
    outlet : Outlet
        The way to the log.
    clock : Clock
        Time of the records.
    actor : str
        Who asked for it.

    Returns
    -------
    activated : list of AssetConfiguration
        What is now in force.
    """
    waiting = await registry.unactivated()
    records = [activation_of(config, clock.now_ns(), actor) for config in waiting]
    for record in records:
        for topic in (topics.MEASUREMENTS, topics.CONDITIONS):
            await outlet.send(topic, record.asset_id, record)
    await outlet.flush()
    for record in records:
        await registry.mark_activated(record.asset_id, record.version)
    return waiting
