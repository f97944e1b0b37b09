"""A recording and what is known of its machine, put together: channels at their places, speed, bearings, motor current.

An asset file says what each channel measures and where; without one every channel is a radial one at a place of its
own. A speed that changes is taken out by sampling over the shaft's angle, so that lines stand still.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from adapters.recordings import Recording, Waveform
from contracts.assets import AssetConfiguration, MachineGroup, MeasurementPoint, OwnBearing, RuleSettings, Support
from contracts.errors import ConfigurationError, SignalError
from contracts.records import Diagnosis
from contracts.units import factor_to_canonical
from processors.bearings import BearingGeometry, bearing, bearing_at
from processors.machine_diagnosis import Machine
from processors.machine_readings import Facts
from processors.machine_recording import MachineJudgement, judge_machine
from processors.machine_rules import judge
from processors.motor_current import add_rotor_bars
from processors.order import SAMPLES_PER_ORDER, ShaftAngle, angle_from_speed, angle_from_tacho, pulse_times_s, resample
from processors.own_features import ENGINE_ALONE, FeatureCode

F32 = NDArray[np.float32]

#: A speed that changes by more than this share of its mean is tracked.
_STEADY_SHARE: Final = 0.02
#: Speed readings a second that the angle is made from.
_SPEED_READINGS_HZ: Final = 20.0
_UNKNOWN: Final = AssetConfiguration(asset_id="", site_id="", name="", asset_type="machine")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the caller says of a recording.

    ``channels`` are names of the file, perhaps with the asset's channel: ``1=P-101-DE-H.acc``. ``speed_channel`` holds
    rpm, ``tacho_channel`` pulses.
    """

    channels: tuple[str, ...] = ()
    asset: AssetConfiguration | None = None
    bearing: str | None = None
    own_bearings: tuple[OwnBearing, ...] = ()
    speed_channel: str | None = None
    tacho_channel: str | None = None
    pulses_per_revolution: int = 1
    group: MachineGroup | None = None
    support: Support | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MotorCurrent:
    """One phase of the stator current, A, and the channel it comes from."""

    point_id: str
    channel_id: str
    samples: F32


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedMachine:
    """Everything a diagnosis is made from.

    ``names`` are the file's channels, ``samples_g`` (n_channels, n_samples) what they hold; ``angle`` is the shaft's,
    where the recording has it.
    """

    title: str
    names: tuple[str, ...]
    machine: Machine
    samples_g: F32
    geometries: tuple[BearingGeometry | None, ...]
    speed_rpm: float | None
    angle: ShaftAngle | None
    current: MotorCurrent | None
    asset: AssetConfiguration

    @property
    def duration_s(self) -> float:
        """Length of the recording."""
        return float(self.samples_g.shape[1] / self.machine.sampling_rate_hz)

    @property
    def speed_varies(self) -> bool:
        """Whether lines would smear over the recording."""
        if self.angle is None or not self.speed_rpm:
            return False
        speeds = self.angle.speed_rpm(np.linspace(self.angle.start_s, self.angle.stop_s, 1000))
        return bool(np.ptp(speeds) > _STEADY_SHARE * self.speed_rpm)

    def at_steady_speed(self) -> "RecordedMachine":
        """Return the recording as at its mean speed: sampled over the shaft's angle, if the speed varies."""
        if self.angle is None or not self.speed_rpm or not self.speed_varies:
            return self
        mean_hz = self.speed_rpm / 60.0
        rate_hz = self.machine.sampling_rate_hz
        tracked = resample(self.samples_g, rate_hz, self.angle, rate_hz / mean_hz / SAMPLES_PER_ORDER)
        steady_rate_hz = tracked.per_revolution * mean_hz
        return dataclasses.replace(
            self,
            machine=dataclasses.replace(self.machine, sampling_rate_hz=steady_rate_hz),
            samples_g=tracked.values.astype(np.float32),
            angle=None,
        )

    def judge_current(self, load_ratio: float | None) -> tuple[tuple[Diagnosis, ...], str | None]:
        """Return what the motor's current says of its rotor, or why it says nothing; neither without a current."""
        if self.current is None or not self.speed_rpm:
            return (), None
        facts, current, machine = Facts(), self.current, self.machine
        bars = add_rotor_bars(
            facts, current.samples, machine.sampling_rate_hz, machine.train, self.speed_rpm, load_ratio
        )
        found = tuple(
            Diagnosis(
                point_id=current.point_id,
                channel_id=current.channel_id,
                fault=finding.fault,
                confidence=finding.confidence,
                evidence=finding.evidence,
                confirm=finding.confirm,
                excludes=finding.excludes,
            )
            for finding in judge(facts).findings
        )
        return found, bars.refused_because

    def judge(self, code: FeatureCode = ENGINE_ALONE) -> MachineJudgement:
        """Return what all channels say together, with the user's own features of `code`."""
        return judge_machine(self.machine, self.samples_g, self.speed_rpm, self.geometries, code)


def recorded_machine(recording: Recording, wish: Wish) -> RecordedMachine:
    """Return a recording with what is known of its machine.

    Parameters
    ----------
    recording : Recording
        Waveforms.
    wish : Wish
        What the caller says.

    Raises
    ------
    ConfigurationError
        For a channel, a channel of the asset or a bearing that isn't known.
    SignalError
        Without a channel of acceleration, and for a speed or tacho channel that can't be one.
    """
    waveform = _waveform_of(recording)
    rows = {channel.name: row for row, channel in enumerate(recording.channels)}
    for name in (wish.speed_channel, wish.tacho_channel, *(each.partition("=")[0] for each in wish.channels)):
        if name is not None and name not in rows:
            raise ConfigurationError(f"no channel {name!r} in {recording.name}; there are {', '.join(rows)}")
    chosen = _chosen(recording, wish)
    quantities = {name: quantity for name, (_, _, quantity, _) in chosen.items()}
    names = tuple(name for name, quantity in quantities.items() if quantity == "acceleration")
    strange = [name for name, quantity in quantities.items() if quantity not in ("acceleration", "speed", "current")]
    if strange or not names:
        what = ", ".join(f"{name} holds {quantities[name]}" for name in strange) or "no channel holds it"
        raise SignalError(f"{recording.name}: {what}; acceleration needed")
    factors = np.array([[factor_to_canonical("acceleration", chosen[name][3])] for name in names], dtype=np.float32)
    speed_channel = wish.speed_channel or next((n for n, quantity in quantities.items() if quantity == "speed"), None)
    angle = _angle(waveform, rows, speed_channel, wish)
    speed_rpm = recording.speed_rpm
    if angle is not None:
        turns = float(angle.revolutions(angle.stop_s) - angle.revolutions(angle.start_s))
        speed_rpm = 60.0 * turns / (angle.stop_s - angle.start_s)
    asset = wish.asset or _UNKNOWN
    phases = [name for name, quantity in quantities.items() if quantity == "current"]
    current = [
        MotorCurrent(point_id=chosen[n][0].point_id, channel_id=chosen[n][1], samples=waveform.samples[rows[n]])
        for n in phases[:1]
    ]
    points = [chosen[name][0] for name in names]
    machine = Machine(
        points, [chosen[name][1] for name in names], waveform.sampling_rate_hz, _rules(wish.asset), asset.drive_train
    )
    return RecordedMachine(
        title=recording.name if wish.asset is None else f"{wish.asset.asset_id}, {recording.name}",
        names=names,
        machine=machine,
        samples_g=waveform.samples[[rows[name] for name in names]] * factors,
        geometries=tuple(_geometry(point, recording, name, wish) for point, name in zip(points, names, strict=True)),
        speed_rpm=speed_rpm,
        angle=angle,
        current=current[0] if current else None,
        asset=_graded_as(asset, wish),
    )


def _graded_as(asset: AssetConfiguration, wish: Wish) -> AssetConfiguration:
    """Return the asset, with the class of ISO 20816-3 that the caller wishes."""
    if wish.group is None and wish.support is None:
        return asset
    group, support = wish.group or asset.machine_group, wish.support or asset.support
    return dataclasses.replace(asset, machine_group=group, support=support, pump_category=None)


#: Measurement point, channel id, quantity and unit.
_Place = tuple[MeasurementPoint, str, str, str]


def _chosen(recording: Recording, wish: Wish) -> dict[str, _Place]:
    """Return what each used channel of the file measures; the speed's own channels aside."""
    aside = {wish.speed_channel, wish.tacho_channel}
    given = dict(each.partition("=")[::2] for each in wish.channels)
    known = {} if wish.asset is None else _channels_of(wish.asset)
    chosen: dict[str, _Place] = {}
    for channel in recording.channels:
        if channel.name in aside or (given and channel.name not in given):
            continue
        if wish.asset is None:
            if given.get(channel.name):
                raise ConfigurationError(f"channel {channel.name}={given[channel.name]}: which asset? give --asset")
            point = MeasurementPoint(point_id=channel.name, location=channel.name, direction="radial")
            chosen[channel.name] = (point, channel.name, channel.quantity, channel.unit)
            continue
        wanted = given.get(channel.name) or channel.name
        if wanted not in known:
            raise ConfigurationError(
                f"channel {wanted!r} is none of {wish.asset.asset_id}: {', '.join(known)};"
                " say which one it is (--channel NAME=ID), or choose channels (--channel NAME)"
            )
        chosen[channel.name] = place = known[wanted]
        if place[2] == channel.quantity and place[3] != channel.unit:
            raise ConfigurationError(f"channel {channel.name} is in {channel.unit}, {wanted} in {place[3]}")
    return chosen


def _channels_of(asset: AssetConfiguration) -> dict[str, _Place]:
    """Return the asset's channels by id, and by their point where it has but one of acceleration."""
    found: dict[str, _Place] = {}
    for point in asset.points:
        for channel in point.channels:
            found[channel.channel_id] = (point, channel.channel_id, channel.quantity, channel.unit)
        waveforms = [channel for channel in point.channels if channel.quantity == "acceleration"]
        if len(waveforms) == 1:
            found.setdefault(point.point_id, found[waveforms[0].channel_id])
    return found


def _geometry(point: MeasurementPoint, recording: Recording, name: str, wish: Wish) -> BearingGeometry | None:
    if wish.bearing is not None:
        return bearing(wish.bearing, wish.own_bearings)
    if wish.asset is not None:
        return bearing_at(point, wish.asset.drive_train)
    designation = next(channel.bearing for channel in recording.channels if channel.name == name)
    return bearing(designation, wish.own_bearings) if designation else None


def _rules(asset: AssetConfiguration | None) -> RuleSettings:
    return RuleSettings() if asset is None else asset.rules


def _angle(waveform: Waveform, rows: dict[str, int], speed_channel: str | None, wish: Wish) -> ShaftAngle | None:
    if wish.tacho_channel is not None:
        pulses_s = pulse_times_s(waveform.samples[rows[wish.tacho_channel]], waveform.sampling_rate_hz)
        return angle_from_tacho(pulses_s, wish.pulses_per_revolution)
    if speed_channel is None:
        return None
    speeds = waveform.samples[rows[speed_channel]].astype(np.float64)
    length = max(1, round(waveform.sampling_rate_hz / _SPEED_READINGS_HZ))
    count = speeds.size // length
    means: Sequence[float] = speeds[: count * length].reshape(count, length).mean(axis=1)
    return angle_from_speed((np.arange(count) + 0.5) * length / waveform.sampling_rate_hz, np.asarray(means))


def _waveform_of(recording: Recording) -> Waveform:
    if not isinstance(recording.signal, Waveform):
        raise SignalError(f"{recording.name} holds slow readings, no waveform to diagnose")
    return recording.signal
