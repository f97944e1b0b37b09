"""From assessments to conditions: every rule at every point of one asset, behind its gate.

Invariants: the conditions are a function of the assessments and ticks taken, in order; ids are a function of (asset,
point, rule, time, state) and sequences count without a hole; a partial window raises and clears nothing. A standing
condition whose zone or fault gets worse is raised again in the same episode. A refused model is a condition of the
asset too, so that whoever follows the alarms learns of it.

Priorities: high in zone D, and for a bearing fault in zone C; medium in zone C, and for a bearing fault; low otherwise,
so for a sensor fault, for missing data, for a refused model, and for a machine fault in a zone in which the machine may
go on running.
"""

import dataclasses
from collections.abc import Mapping
from typing import Final

import msgspec

from contracts.assets import AssetConfiguration
from contracts.errors import ConfigurationError
from contracts.identifiers import stable_id
from contracts.records import Assessment, Condition, ConditionState, Evidence, Priority, Zone
from processors.conditions.alarm_limits import AlarmLimits, Sustained
from processors.conditions.findings import RULES, PointView, label, views
from processors.conditions.gate import Change, Finding, Gate, Verdict
from processors.conditions.sustained_ratios import LimitsState
from processors.regime import is_steady

#: Silence of an asset, in seconds of the log's time, after which its data count as missing.
SILENCE_LIMIT_S: Final = 30.0
MISSING_DATA: Final = "missing_data"
MODEL_REFUSED: Final = "model_refused"
_ANOMALY: Final = "anomaly"
_SENSOR_FAULT: Final = "sensor_fault"
_BEARING_FAULT: Final = "bearing_fault"
STATE_FORMAT: Final = b"\x04"


class _State(msgspec.Struct, array_like=True):
    sequence: int = 0
    #: Gates by point and rule, in the order of first use; those that nothing has passed through yet are left out.
    gates: dict[str, dict[str, Gate]] = {}
    limits: LimitsState = msgspec.field(default_factory=LimitsState)


_FRESH: Final = Gate()


class ConditionLogic:
    """The rules of one asset and what stands by them.

    Parameters
    ----------
    config : AssetConfiguration
        The asset and its rules.
    state : _State
        Where to go on from; use `build`.
    """

    def __init__(self, config: AssetConfiguration, state: _State) -> None:
        self._config = config
        self._sequence = state.sequence
        self._gates = {
            (point_id, rule): gate for point_id, rules in state.gates.items() for rule, gate in rules.items()
        }
        self.limits = AlarmLimits(config, state.limits)

    @classmethod
    def build(cls, config: AssetConfiguration, resume_state: bytes | None) -> "ConditionLogic":
        """Return the logic for `config`, at rest or as `resume_state` (a `snapshot`) left it.

        Raises
        ------
        ConfigurationError
            If the state was written in a format this code doesn't know.
        """
        if resume_state is None:
            return cls(config, _State())
        if resume_state[:1] != STATE_FORMAT:
            raise ConfigurationError(
                f"condition state of {config.asset_id} has format {resume_state[:1]!r}, {STATE_FORMAT!r} expected"
            )
        return cls(config, msgspec.msgpack.decode(resume_state[1:], type=_State))

    def snapshot(self) -> bytes:
        """Return the whole state; `build` goes on from it."""
        gates: dict[str, dict[str, Gate]] = {}
        for (point_id, rule), gate in self._gates.items():
            if gate != _FRESH:
                gates.setdefault(point_id, {})[rule] = gate
        return STATE_FORMAT + msgspec.msgpack.encode(_State(self._sequence, gates, self.limits.snapshot()))

    def reconfigure(self, config: AssetConfiguration) -> None:
        """Judge by `config` from here on; what stands goes on standing until it clears by the new rules."""
        self._config = config
        self.limits.reconfigure(config)

    def suspected(self, point_id: str) -> bool:
        """Return whether a fault stands or is suspected at the point: models must not learn from it.

        A score above its threshold counts only once it has persisted, since single ones belong to normal operation.
        """
        for rule in RULES:
            gate = self._gates.get((point_id, rule))
            patience = self._config.rules.raise_after if rule == _ANOMALY else 1
            if gate is not None and (gate.raised or gate.row >= patience):
                return True
        return False

    def update(self, assessment: Assessment, traceparent: str | None = None) -> list[Condition]:
        """Take one analysis window and return the conditions it raises, worsens or clears.

        Parameters
        ----------
        assessment : Assessment
            In the order of the log.
        traceparent : str, optional
            W3C trace context of the block that closed the window.
        """
        if assessment.partial:
            return []
        at_ns, rules = assessment.window_end_ns, self._config.rules
        made = self._silence(at_ns, None, traceparent)
        for view in views(assessment, rules, self._standing_bearing_fault):
            trusted = view.trusted()
            for rule, read in RULES.items():
                judged = view if rule == _SENSOR_FAULT else trusted
                finding = read(judged) if judged.channels else None
                if rule == _ANOMALY:
                    made += self._judge_scores(assessment, trusted, finding, traceparent)
                elif finding is not None:
                    gate = self._gates.setdefault((view.point_id, rule), Gate())
                    change = gate.step(finding, at_ns, rules.raise_after, rules.clear_after)
                    if change is not None:
                        made.append(self._condition(view.point_id, rule, gate, change, finding, at_ns, traceparent))
        return made

    def _judge_scores(
        self, assessment: Assessment, view: PointView, finding: Finding | None, traceparent: str | None
    ) -> list[Condition]:
        at_ns, rules, point_id = assessment.window_end_ns, self._config.rules, view.point_id
        gate = self._gates.setdefault((point_id, _ANOMALY), Gate())
        normal = is_steady(assessment.regime) and not gate.raised and not self._diagnosed(point_id)
        over = self.limits.judge(point_id, assessment.regime, view.channels, at_ns, normal=normal)
        if finding is None:
            return []
        # While scores raise nothing their row is counted on, so that learning stops all the same.
        raise_after = rules.raise_after if over is not None or gate.raised else gate.row + 2
        change = gate.step(_told(finding, over), at_ns, raise_after, rules.clear_after)
        if change is None:
            return []
        return [self._condition(point_id, _ANOMALY, gate, change, _told(finding, over), at_ns, traceparent)]

    def _diagnosed(self, point_id: str) -> bool:
        """Return whether anything but scores speaks against the point."""
        gates = (self._gates.get((point_id, rule)) for rule in RULES if rule != _ANOMALY)
        return any(gate is not None and not gate.at_rest for gate in gates)

    def tick(self, at_ns: int, silent_for_s: float | None) -> list[Condition]:
        """Take one tick of the log's clock and return the condition on missing data, if it changes.

        The condition belongs to the asset as a whole: its `point_id` is the asset's id.

        Parameters
        ----------
        at_ns : int
            The tick's time, UTC nanoseconds.
        silent_for_s : float or None
            How long the asset has sent nothing, in the log's time; ``None`` where it never sent anything.
        """
        return [] if silent_for_s is None else self._silence(at_ns, silent_for_s, None)

    def models(self, at_ns: int, refused: Mapping[str, str]) -> list[Condition]:
        """Return the condition on refused models, if it changes; its `point_id` is the asset's id.

        Parameters
        ----------
        at_ns : int
            End of the window in which a model failed, or the time of the activation that took it away.
        refused : mapping of str to str
            ``name@version`` → what happened, the newest last; it is raised again for each.
        """
        asset_id = self._config.asset_id
        gate = self._gates.get((asset_id, MODEL_REFUSED))
        if gate is None:
            if not refused:
                return []
            gate = self._gates[asset_id, MODEL_REFUSED] = Gate()
        finding = Finding(Verdict.CLEAR)
        for key, text in refused.items():
            finding = Finding(Verdict.HOLDS, fault=key, text=text)
        change = gate.step(finding, at_ns, raise_after=1, clear_after=1)
        if change is None:
            return []
        return [self._condition(asset_id, MODEL_REFUSED, gate, change, finding, at_ns, None)]

    def _standing_bearing_fault(self, point_id: str) -> str | None:
        gate = self._gates.get((point_id, _BEARING_FAULT))
        return gate.fault if gate is not None and gate.raised else None

    def _silence(self, at_ns: int, silent_for_s: float | None, traceparent: str | None) -> list[Condition]:
        asset_id = self._config.asset_id
        silent = silent_for_s is not None and silent_for_s > SILENCE_LIMIT_S
        gate = self._gates.get((asset_id, MISSING_DATA))
        if gate is None:
            if not silent:
                return []
            gate = self._gates[asset_id, MISSING_DATA] = Gate()
        finding = Finding(Verdict.HOLDS if silent else Verdict.CLEAR)
        if silent_for_s is not None and silent:
            text = f"nothing received for {silent_for_s:.0f} s"
            fact = Evidence(
                name="silent_s", value=silent_for_s, unit="s", limit=SILENCE_LIMIT_S, frequency_hz=None, text=text
            )
            finding = Finding(Verdict.HOLDS, evidence=(fact,), text=text)
        change = gate.step(finding, at_ns, raise_after=1, clear_after=1)
        if change is None:
            return []
        return [self._condition(asset_id, MISSING_DATA, gate, change, finding, at_ns, traceparent)]

    def _condition(
        self,
        point_id: str,
        rule: str,
        gate: Gate,
        change: Change,
        finding: Finding,
        at_ns: int,
        traceparent: str | None,
    ) -> Condition:
        self._sequence += 1
        state = ConditionState.CLEARED if change is Change.CLEARED else ConditionState.RAISED
        asset_id = self._config.asset_id
        zone = finding.zone if state is ConditionState.CLEARED else gate.zone
        return Condition(
            condition_id=stable_id("cnd", asset_id, point_id, rule, at_ns, state.value),
            asset_id=asset_id,
            site_id=self._config.site_id,
            point_id=point_id,
            rule=rule,
            state=state,
            sequence=self._sequence,
            at_ns=at_ns,
            episode_started_at_ns=gate.started_at_ns,
            priority=priority(rule, gate.zone),
            latching=False,
            zone=zone,
            fault=gate.fault,
            confidence=finding.confidence,
            reason=_reason(label(rule, gate.fault), point_id, state, zone, finding.text),
            evidence=finding.evidence,
            traceparent=traceparent,
        )


def _told(finding: Finding, over: Sustained | None) -> Finding:
    if over is None:
        return finding
    limit = f"{over.model} {over.ratio:.3g} times its threshold for some windows, alarm limit {over.limit:.3g}"
    return dataclasses.replace(finding, text=f"{finding.text}; {limit}")


def priority(rule: str, zone: Zone | None) -> Priority:
    """Return the priority of a condition.

    Examples
    --------
    >>> priority("bearing_fault", Zone.B)
    <Priority.MEDIUM: 'medium'>
    >>> priority("vibration_severity", Zone.D)
    <Priority.HIGH: 'high'>
    """
    bearing = rule == _BEARING_FAULT
    if zone is Zone.D or (bearing and zone is Zone.C):
        return Priority.HIGH
    return Priority.MEDIUM if bearing or zone is Zone.C else Priority.LOW


def _reason(what: str, point_id: str, state: ConditionState, zone: Zone | None, text: str) -> str:
    graded = f"; zone {zone.value}" if zone is not None else ""
    if state is ConditionState.CLEARED:
        return f"{what} at {point_id} has cleared{graded}"
    return f"{what} at {point_id}: {text or 'no measured evidence'}{graded}"
