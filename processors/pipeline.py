"""The flow on one page: log records of one partition in, results out.

measurement → validate → window → features → grade → diagnose → score → condition

``PartitionPipeline`` is what live streams, replay and recomputation share. It is a pure function of the records it is
given in log order: results are collected in ``results`` and taken by the shell.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from contracts import ports
from contracts import records as r
from contracts.activations import configuration_of
from contracts.assets import AssetConfiguration
from contracts.codec import Codec
from contracts.errors import BadRecord, Reason, Unavailable
from contracts.validation import validate
from processors.asset import AssetPipeline
from processors.configured import check_configuration
from processors.own_features import ENGINE_ALONE, FeatureCode

#: The key of the partition's own state among the states of its assets.
_PARTITION: Final = ""
#: Ticks come once a second; after a longer pause nobody was there to notice who was silent.
_LONGEST_TICK_NS: Final = 10_000_000_000


class _PartitionState(msgspec.Struct, array_like=True):
    last_tick_ns: int | None = None


class PartitionPipeline:
    """All assets of one partition of ``measurements``.

    Parameters
    ----------
    models : ModelStore
        Where the scoring models named by configurations come from.
    checkpoint : Checkpoint
        Where to go on; ``Checkpoint(-1, 0, {})`` at the beginning of the log.
    code : FeatureCode
        Hash of the feature code, and the user's own features.
    """

    def __init__(
        self, models: ports.ModelStore, checkpoint: ports.Checkpoint, code: FeatureCode = ENGINE_ALONE
    ) -> None:
        self._models = models
        self._code = code
        self._assets: dict[str, AssetPipeline] = {}
        self._changed: set[str] = set()
        self._state = _PartitionState()
        self._refilling = checkpoint.applied_offset >= checkpoint.resume_offset
        self.applied_offset = checkpoint.applied_offset
        self.results = ports.HistoryRows()
        for asset_id, state in checkpoint.states.items():
            if asset_id == _PARTITION:
                self._state = msgspec.msgpack.decode(state, type=_PartitionState)
            else:
                self._assets[asset_id] = AssetPipeline.resume(state, models, code)
        self._needed = {offset for asset in self._assets.values() for offset in asset.needed_offsets()}

    def process(self, offset: int, key: bytes | None, record: r.Record) -> None:
        """Take the record at `offset`; up to the applied offset it only fills the open windows.

        Raises
        ------
        BadRecord
            The record is refused and has changed nothing.
        """
        if offset <= self.applied_offset:
            self._refill(offset, record)
            return
        if self._refilling:
            self._end_refill()
        self.applied_offset = offset
        validate(record, self._state.last_tick_ns)
        if isinstance(record, r.Tick):
            self._tick(record)
        elif isinstance(record, r.Activation):
            _check_key(key, record.asset_id)
            self._activate(record)
        elif isinstance(record, r.AcquisitionBlock | r.ReadingBatch | r.MachineEvent):
            _check_key(key, record.asset_id)
            self._asset(record.asset_id).measure(offset, record, self.results)
            self._changed.add(record.asset_id)
        else:
            raise BadRecord(Reason.UNKNOWN_SCHEMA, f"{type(record).__name__} doesn't belong on measurements")

    def feed(self, codec: Codec, offset: int, key: bytes | None, value: bytes | None) -> BadRecord | None:
        """Decode and process the value at `offset`; return why it was refused, or ``None``.

        A value that breaks the core's own code is refused as ``internal``: it must neither stop the partition nor
        make a recomputation differ.

        Raises
        ------
        Unavailable
            A model can't be had now: begin again at the last checkpoint.
        """
        known = offset <= self.applied_offset
        if known and offset not in self._needed:
            return None
        try:
            self.process(offset, key, codec.decode(value))
        except BadRecord as error:
            refusal = error
        except Unavailable:
            raise  # whether the record is good isn't known yet
        except Exception as error:  # noqa: BLE001 -- whatever the core trips over, the partition goes on
            refusal = BadRecord(Reason.INTERNAL, f"{type(error).__name__}: {error}")
        else:
            return None
        self.applied_offset = max(self.applied_offset, offset)
        return None if known else refusal

    def _asset(self, asset_id: str) -> AssetPipeline:
        asset = self._assets.get(asset_id)
        if asset is None:
            raise BadRecord(Reason.UNKNOWN_ASSET, f"{asset_id!r} has no activation on the log before this record")
        return asset

    def _activate(self, activation: r.Activation) -> None:
        config: AssetConfiguration = configuration_of(activation)
        check_configuration(config, self._models, self._code)
        asset = self._assets.get(activation.asset_id)
        if asset is None:
            asset = AssetPipeline.build(config, activation.version, self._models, self._code)
            self._assets[activation.asset_id] = asset
        else:
            asset.activate(config, activation.version, activation.at_ns, self.results)
        self._changed.add(activation.asset_id)

    def _tick(self, tick: r.Tick) -> None:
        last_ns = tick.at_ns if self._state.last_tick_ns is None else self._state.last_tick_ns
        unobserved_ns = tick.at_ns - last_ns if tick.at_ns - last_ns > _LONGEST_TICK_NS else 0
        self._state.last_tick_ns = max(tick.at_ns, last_ns)
        self._changed.add(_PARTITION)
        for asset_id in sorted(self._assets):
            if self._assets[asset_id].tick(tick.at_ns, unobserved_ns, self.results):
                self._changed.add(asset_id)

    def _refill(self, offset: int, record: r.Record) -> None:
        if isinstance(record, r.AcquisitionBlock) and record.asset_id in self._assets:
            self._assets[record.asset_id].refill(offset, record)

    def _end_refill(self) -> None:
        self._refilling = False
        for asset in self._assets.values():
            asset.end_refill()

    def take(self) -> ports.HistoryRows:
        """Return the results since the last call."""
        results, self.results = self.results, ports.HistoryRows()
        return results

    def checkpoint(self) -> ports.Checkpoint:
        """Return offsets and the states that changed since the last call."""
        states: dict[str, bytes] = {
            asset_id: self._assets[asset_id].snapshot() for asset_id in sorted(self._changed) if asset_id != _PARTITION
        }
        if _PARTITION in self._changed:
            states[_PARTITION] = msgspec.msgpack.encode(self._state)
        self._changed.clear()
        return ports.Checkpoint(self.applied_offset, self._resume_offset(self._assets.values()), states)

    def _resume_offset(self, assets: Iterable[AssetPipeline]) -> int:
        needed = (offset for asset in assets for offset in asset.needed_offsets())
        return min(needed, default=self.applied_offset + 1)


def _check_key(key: bytes | None, asset_id: str) -> None:
    if key != asset_id.encode():
        raise BadRecord(Reason.WRONG_KEY, f"key {key!r}, but the record is of {asset_id!r}")
