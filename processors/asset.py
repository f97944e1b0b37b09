"""One asset: its channel groups, conditions and configuration, from measurements to conditions.

Invariants: nothing changes when a record is refused; everything that outlives a record is in ``snapshot``.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from contracts import ports
from contracts import records as r
from contracts.assets import AssetConfiguration
from contracts.features import CATALOGUE_VERSION
from contracts.identifiers import stable_id
from processors import CODE_VERSION
from processors.asset_state import STATE_VERSION, AssetState, read_state
from processors.conditions import ConditionLogic
from processors.configured import check_readings, misfits
from processors.cutting import IN_TIME, GroupWindow
from processors.group import ChannelGroup
from processors.model_roles import (
    divided,
    failures,
    in_force,
    refusal,
    shadow_rows,
    still_refused,
    windows_go_on,
)
from processors.operation import Operation
from processors.own_features import FeatureCode
from processors.packed_configuration import packed_configuration, unpacked_configuration

#: Kind of a machine event after which the machine isn't what it was: a part replaced, a work order closed.
MAINTENANCE: Final = "maintenance"


class AssetPipeline:
    """The condition state of one asset; made by ``build`` or ``resume``."""

    def __init__(
        self,
        config: AssetConfiguration,
        version: str,
        conditions: ConditionLogic,
        models: ports.ModelStore,
        code: FeatureCode,
    ) -> None:
        self._config = config
        self._packed_config = packed_configuration(config)
        self._version = version
        self._conditions = conditions
        self._groups: dict[tuple[str, ...], ChannelGroup] = {}
        self._operation = Operation()
        self._refused: dict[str, str] = {}
        self._models = models
        self._code = code
        self._misfits = misfits(config, models, code)

    @classmethod
    def build(
        cls, config: AssetConfiguration, version: str, models: ports.ModelStore, code: FeatureCode
    ) -> "AssetPipeline":
        """Return an asset that has seen nothing yet."""
        return cls(config, version, ConditionLogic.build(config, None), models, code)

    @classmethod
    def resume(cls, state: bytes, models: ports.ModelStore, code: FeatureCode) -> "AssetPipeline":
        """Return the asset as it was when `state` was taken, its windows still to be refilled."""
        saved = read_state(state)
        config = unpacked_configuration(saved.config)
        conditions = ConditionLogic.build(config, saved.conditions)
        asset = cls(config, saved.config_version, conditions, models, code)
        asset._operation = Operation(saved.operation)
        asset._refused = saved.refused
        for group in saved.groups:
            resumed = ChannelGroup.resume(asset._in_force, group, models, code)
            asset._groups[resumed.channel_ids] = resumed
        return asset

    def snapshot(self) -> bytes:
        """Return the state: no blocks, but the offsets they lie at."""
        return msgspec.msgpack.encode(
            AssetState(
                STATE_VERSION,
                self._packed_config,
                self._version,
                self._conditions.snapshot(),
                [group.snapshot() for group in self._groups.values()],
                self._operation.snapshot(),
                self._refused,
            )
        )

    def activate(self, config: AssetConfiguration, version: str, at_ns: int, results: ports.HistoryRows) -> None:
        """Put a configuration into force.

        Where nothing but models and the budget of false alarms changes, they are swapped between two windows: no window
        is cut short, and nothing is learnt anew but by models that weren't there. Otherwise open windows are closed
        under the old configuration.
        """
        if version == self._version:
            return
        swap = windows_go_on(self._config, config)
        if not swap:
            for group in self._groups.values():
                self._assess(group, group.close(), results)
        self._refused = still_refused(self._refused, self._config, config)
        self._config, self._version = config, version
        self._packed_config = packed_configuration(config)
        self._misfits = misfits(config, self._models, self._code)
        self._conditions.reconfigure(config)
        if swap:
            self._swap_models()
        else:
            self._groups.clear()
            self._operation.end_rows()
        results.conditions.extend(self._conditions.models(at_ns, self._unfit))

    @property
    def _unfit(self) -> dict[str, str]:
        """The models that are refused here, for their features or since they failed, the newest last."""
        return {**self._misfits, **self._refused}

    @property
    def _in_force(self) -> AssetConfiguration:
        return in_force(self._config, self._unfit)

    def _swap_models(self) -> None:
        config = self._in_force
        for group in self._groups.values():
            group.swap_models(config)

    # --- measurements -------------------------------------------------------------------------------------------------

    def measure(
        self,
        offset: int,
        record: r.AcquisitionBlock | r.ReadingBatch | r.MachineEvent,
        results: ports.HistoryRows,
    ) -> None:
        """Take a valid record of this asset; add what follows from it to `results`.

        After maintenance every model learns anew from the next window on.

        Raises
        ------
        BadRecord
            ``unknown_channel`` or ``unit_mismatch`` where the configuration says otherwise.
        """
        if isinstance(record, r.AcquisitionBlock):
            group = self._group(record, results)
            self._assess(group, group.push(offset, record), results)
            results.gaps.extend(group.take_gaps(self._config.asset_id))
        elif isinstance(record, r.ReadingBatch):
            self._read(record, results)
        else:
            results.events.append(record)
            if record.kind == MAINTENANCE:
                for group in self._groups.values():
                    group.learn_anew()

    def _group(self, block: r.AcquisitionBlock, results: ports.HistoryRows) -> ChannelGroup:
        key = tuple(channel.channel_id for channel in block.channels)
        group = self._groups.get(key)
        if group is None or not group.fits(block):
            fresh = ChannelGroup.build(self._in_force, block, self._models, self._code)
            if group is not None:
                self._assess(group, group.close(), results)
            group = self._groups[key] = fresh
        return group

    def _read(self, batch: r.ReadingBatch, results: ports.HistoryRows) -> None:
        check_readings(self._config, batch)
        for reading in batch.readings:
            results.readings.append(ports.StoredReading(asset_id=batch.asset_id, reading=reading))
            usable = reading.quality is r.Quality.GOOD and reading.quantity == "speed"
            if usable:
                self._operation.read(reading.at_ns, reading.value)

    def tick(self, at_ns: int, unobserved_ns: int, results: ports.HistoryRows) -> bool:
        """Take the partition's clock; return whether any state changed.

        ``unobserved_ns`` is how long nobody kept the clock before this tick.
        """
        changed = False
        silent_s: float | None = None
        for group in self._groups.values():
            before = group.idle_since_ns
            self._assess(group, group.tick(at_ns, unobserved_ns), results)
            results.gaps.extend(group.take_gaps(self._config.asset_id))
            changed = changed or group.idle_since_ns != before or group.closed_by_tick
            idle_s = (at_ns - (group.idle_since_ns or at_ns)) / 1e9
            silent_s = idle_s if silent_s is None else min(silent_s, idle_s)
        conditions = self._conditions.tick(at_ns, silent_s)
        # what newer feature code refuses is told at the first tick after it took over
        conditions += self._conditions.models(at_ns, self._unfit)
        results.conditions.extend(conditions)
        return changed or bool(conditions)

    # --- from windows to conditions -----------------------------------------------------------------------------------

    def _assess(self, group: ChannelGroup, windows: Sequence[GroupWindow], results: ports.HistoryRows) -> None:
        for window in windows:
            if window.version != IN_TIME:
                results.corrections.append(self._correction(group, window))
                continue
            judged = self._assessment(group, window)
            self._refuse(failures(judged.channels), window.end_ns, results)
            channels, shadows = divided(judged.channels, self._in_force.models, self._refused)
            assessment = judged if channels is judged.channels else dataclasses.replace(judged, channels=channels)
            raised = self._conditions.update(assessment)
            results.assessments.append(assessment)
            results.shadow_scores.extend(shadow_rows(assessment, shadows))
            results.conditions.extend(raised)
            results.alarm_limits.extend(self._conditions.limits.take_changes())
            results.waveforms.extend(group.waveforms(self._config.asset_id, window, raised))

    def _refuse(self, failed: Mapping[str, str], at_ns: int, results: ports.HistoryRows) -> None:
        """Ask models that have failed no more; what stands in for them scores from this window on."""
        if not failed:
            return
        self._refused |= failed
        for key, why in failed.items():
            self._refused[key] = refusal(key, why, self._in_force, self._refused)
        self._swap_models()
        results.conditions.extend(self._conditions.models(at_ns, self._unfit))

    def _assessment(self, group: ChannelGroup, window: GroupWindow) -> r.Assessment:
        """Return what the window says, with the scores of all models."""
        speed_rpm, regime = self._operation.of(window, self._config.drive_train.nominal_speed_rpm, group.name)
        judged = group.judge(window, speed_rpm, regime, self._conditions.suspected)
        zones = [channel.zone for channel in judged.channels if channel.zone is not None]
        config = self._config
        return r.Assessment(
            assessment_id=stable_id(
                "asm", config.asset_id, group.name, window.start_ns, window.end_ns, CODE_VERSION, self._version
            ),
            asset_id=config.asset_id,
            site_id=config.site_id,
            window_start_ns=window.start_ns,
            window_end_ns=window.end_ns,
            sampling_rate_hz=group.sampling_rate_hz,
            n_samples=window.samples_g.shape[1],
            partial=window.partial,
            speed_rpm=speed_rpm,
            regime=regime,
            catalogue_version=CATALOGUE_VERSION,
            code_version=CODE_VERSION,
            configuration_version=self._version,
            channels=judged.channels,
            diagnoses=judged.diagnoses,
            zone=max(zones, default=None),
            code_hash=self._code.code_hash,
        )

    def _correction(self, group: ChannelGroup, window: GroupWindow) -> ports.CorrectedFeatures:
        operation = self._operation.of(window, self._config.drive_train.nominal_speed_rpm, group.name)
        return ports.CorrectedFeatures(
            asset_id=self._config.asset_id,
            window_start_ns=window.start_ns,
            window_end_ns=window.end_ns,
            partial=window.partial,
            code_version=CODE_VERSION,
            version=window.version,
            channels=group.correct(window, *operation),
        )

    # --- recovery -----------------------------------------------------------------------------------------------------

    def needed_offsets(self) -> set[int]:
        """Return every offset whose samples a window still needs."""
        return {offset for group in self._groups.values() for offset in group.needed_offsets()}

    def refill(self, offset: int, block: r.AcquisitionBlock) -> None:
        """Put the samples of `block` back where the open windows need them."""
        group = self._groups.get(tuple(channel.channel_id for channel in block.channels))
        if group is not None:
            group.refill(offset, block)

    def end_refill(self) -> None:
        """Drop what the log no longer holds."""
        for group in self._groups.values():
            group.end_refill()
