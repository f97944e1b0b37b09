"""The burst: ten times the base load for a minute, and how alarms and commands fare meanwhile.

Base load is a fifth of what one worker manages, so the burst is twice that. What can't be processed at once waits on
the log, not in memory. Conditions and commands have a topic of their own: they are handled while the backlog grows.
Their time counts from their place on ``conditions`` to that of the transition on ``alarms``, by the stamps on the log.
"""

import heapq
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from adapters.kafka import read_log
from contracts import records as r
from contracts import topics
from contracts.codec import Codec
from contracts.errors import Unavailable
from loadtests.log import LoadGenerator, measured_at_ns
from loadtests.machine import Cores, describe_machine
from loadtests.operator import Operator
from loadtests.plant import SITE, Load, Plant
from loadtests.results import quantile, rounded
from runtime.backlog import Say, drain_backlog, expected_assessments, fill_backlog
from runtime.measured import MeasuredStack, measured_stack
from runtime.registry import codec_for
from runtime.settings import Settings

#: Machines of two channels that send one window in one block: much work for few bytes, so that two cores make the load.
_MACHINES: Final = Load(assets=1, channels=2, block_samples=2_560, sampling_rate_hz=2_560.0)
#: Machines whose fault comes and goes all the time: where conditions come from.
_FAULTY: Final = replace(_MACHINES, assets=4, prefix="F", period_s=8.0, fault_from_s=2.0, fault_until_s=5.0)
BASE_SHARE: Final = 0.2
FACTOR: Final = 10
_CAPACITY_MACHINES: Final = 100
_CAPACITY_S: Final = 60.0
_LINGER_MS: Final = 5
_LOOK_S: Final = 0.5
_DRAIN_S: Final = 300.0

Asked = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BurstPlan:
    """What is sent.

    Parameters
    ----------
    base : int
        Machines that send all the time.
    factor : int
        How many times as many send during the burst.
    calm_s, burst_s : float
        How long only the base sends before and after the burst, and how long the burst lasts, s.
    """

    base: int
    factor: int = FACTOR
    calm_s: float = 10.0
    burst_s: float = 60.0

    @property
    def steady(self) -> Load:
        """The base load."""
        return replace(_MACHINES, assets=self.base)

    @property
    def extra(self) -> Load:
        """What is added for the burst."""
        return replace(_MACHINES, assets=self.base * (self.factor - 1), prefix="X")

    @property
    def total_s(self) -> float:
        """How long something is sent."""
        return 2 * self.calm_s + self.burst_s

    @property
    def windows(self) -> int:
        """How many windows must be stored in the end."""
        steady = expected_assessments(self.steady, self.total_s) + expected_assessments(_FAULTY, self.total_s)
        return steady + expected_assessments(self.extra, self.burst_s)

    def blocks(self, start_ns: int) -> Iterable[r.AcquisitionBlock]:
        """Return all blocks in the order of their ends."""
        burst_ns = start_ns + round(self.calm_s * 1e9)
        return heapq.merge(
            Plant(self.steady, start_ns).blocks(self.total_s),
            Plant(_FAULTY, start_ns).blocks(self.total_s),
            Plant(self.extra, burst_ns).blocks(self.burst_s),
            key=measured_at_ns,
        )


@dataclass(slots=True)
class Burst:
    """What was seen."""

    plan: BurstPlan
    stored: int = 0
    most_waiting: int = 0
    rss_mb: list[float] = field(default_factory=list)
    late_s: float = 0.0
    drained_s: float = 0.0
    conditions_ms: list[float] = field(default_factory=list)
    commands_ms: list[float] = field(default_factory=list)
    unanswered: int = 0

    @property
    def different(self) -> int:
        """By how many the stored windows differ from those that were sent."""
        return abs(self.plan.windows - self.stored)

    def as_json(self) -> dict[str, Any]:
        """Return the figures for a program."""
        return {
            "base_machines": self.plan.base,
            "factor": self.plan.factor,
            "burst_s": self.plan.burst_s,
            "windows": self.plan.windows,
            "different": self.different,
            "unanswered": self.unanswered,
            "most_windows_waiting": self.most_waiting,
            "drained_s": rounded(self.drained_s),
            "rss_mb_before": rounded(self.rss_mb[0], 0),
            "rss_mb_most": rounded(max(self.rss_mb), 0),
            **{
                f"{name}_{label}_ms": rounded(quantile(values, share))
                for name, values in (("condition", self.conditions_ms), ("command", self.commands_ms))
                for label, share in (("p50", 0.5), ("p99", 0.99))
            },
            "conditions": len(self.conditions_ms),
            "commands": len(self.commands_ms),
            "worst_send_delay_ms": rounded(self.late_s * 1e3),
            "machine": describe_machine(),
        }


def measure_capacity(settings: Settings, say: Say) -> float:
    """Return how many of the burst's machines one worker keeps up with.

    Raises
    ------
    Unavailable
        The worker ended, or didn't get through the backlog in time.
    """
    load = replace(_MACHINES, assets=_CAPACITY_MACHINES)
    expected = expected_assessments(load, _CAPACITY_S)
    with measured_stack(settings, Cores.share(), lambda status: say(str(status))) as stack:
        stack.prepare(SITE, load.configurations())
        fill_backlog(stack, Plant(load, time.time_ns() - round(_CAPACITY_S * 1e9)), _CAPACITY_S, say)
        drained = drain_backlog(stack, expected, load.assets)
    return (expected - load.assets) / drained.wall_s


def measure_burst(plan: BurstPlan, settings: Settings, say: Say) -> Burst:
    """Run the burst; bounded by the plan and by a limit on what is waited for.

    Parameters
    ----------
    plan : BurstPlan
        What is sent.
    settings : Settings
        Of this process.
    say : callable
        Told in a line what is going on.

    Returns
    -------
    burst : Burst
        What was seen.

    Raises
    ------
    Unavailable
        The worker ended, or an alarm to command never came.
    """
    burst = Burst(plan)
    with measured_stack(settings, Cores.share(), lambda status: say(str(status))) as stack:
        codec = codec_for(stack.settings)
        loads = (plan.steady, _FAULTY, plan.extra)
        stack.prepare(SITE, [machine for load in loads for machine in load.configurations()])
        stack.start_worker()
        stack.await_alarm_agent()
        generator = LoadGenerator(stack.urls.kafka, codec, _LINGER_MS)
        say(f"{plan.base} machines for {plan.total_s:g} s, {plan.factor} times as many for {plan.burst_s:g} s of it")
        start_ns = time.time_ns()

        def look() -> None:
            burst.rss_mb.append(stack.usage().rss_mb)
            sent, stored = generator.sent, _count(stack)
            if stored:
                burst.most_waiting = max(burst.most_waiting, sent - stored)

        with Operator(stack.urls.kafka, codec, stack.settings.partitions), stack.watched(look, _LOOK_S):
            burst.late_s = generator.pace(plan.blocks(start_ns))
            if stack.ended:
                raise Unavailable("worker", f"it has ended; {stack.last_words()}")
            sent_s = time.monotonic()
            _await_stored(stack, burst, sent_s + _DRAIN_S)
            burst.drained_s = time.monotonic() - sent_s
        _account(stack, codec, burst, start_ns + round((plan.calm_s + plan.burst_s) * 1e9))
    return burst


def _await_stored(stack: MeasuredStack, burst: Burst, deadline_s: float) -> None:
    while (stored := _count(stack)) < burst.plan.windows and time.monotonic() < deadline_s:
        if stack.ended:
            raise Unavailable("worker", f"{stored} of {burst.plan.windows} windows are stored; {stack.last_words()}")
        time.sleep(_LOOK_S)
    burst.stored = stored


def _count(stack: MeasuredStack) -> int:
    """Return how many windows are stored, 0 where the database is too busy to say."""
    try:
        return stack.count_assessments()
    except Unavailable:
        return 0


def _account(stack: MeasuredStack, codec: Codec, burst: Burst, until_ns: int) -> None:
    """Find how long conditions and commands took, and whether any was never answered.

    Those after `until_ns` don't count: the machines that fall silent after the burst are an alarm flood of their own.
    """
    answered: dict[Asked, int] = {}
    for entry in read_log(stack.urls.kafka, topics.ALARMS):
        transition = codec.decode(entry.value)
        if isinstance(transition, r.AlarmTransition):
            for asked in _by_alarm(transition), _by_rule(transition):
                answered.setdefault(asked, entry.timestamp_ns)
    for entry in read_log(stack.urls.kafka, topics.CONDITIONS):
        record = codec.decode(entry.value)
        if not isinstance(record, r.Condition | r.Command) or entry.timestamp_ns > until_ns:
            continue
        answered_ns = answered.get(_by_alarm(record) if isinstance(record, r.Command) else _by_rule(record))
        if answered_ns is None:
            burst.unanswered += 1
            continue
        taken = burst.commands_ms if isinstance(record, r.Command) else burst.conditions_ms
        taken.append((answered_ns - entry.timestamp_ns) / 1e6)


def _by_alarm(record: r.Command | r.AlarmTransition) -> Asked:
    return record.asset_id, record.alarm_id, record.at_ns


def _by_rule(record: r.Condition | r.AlarmTransition) -> Asked:
    return record.asset_id, record.point_id, record.rule, record.at_ns
