"""``faultline up``: the whole product on one machine, with a machine that develops a fault."""

import json
import signal
import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import FrameType
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

from contracts import records as r
from contracts.errors import ConfigurationError, Unavailable
from runtime.connect import announced
from runtime.demo import demo_assets
from runtime.registry import codec_for
from runtime.services.local import ServiceStatus
from runtime.settings import load_settings
from runtime.stack import Stack
from runtime.watch import FirstAlarm, Sighting, Subscriber, headline

_REFRESH_S: Final = 0.25
_PLAIN_S: Final = 5.0
_COLOURS: Final = {"A": "green", "B": "yellow", "C": "dark_orange", "D": "red"}


def up(
    *,
    until_alarm: Annotated[
        bool, typer.Option("--until-alarm", help="Stop by itself once the first alarm was seen everywhere.")
    ] = False,
    timeout: Annotated[float, typer.Option(help="Seconds that --until-alarm waits at most.")] = 180.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as one JSON object, last.")] = False,
    speed: Annotated[str, typer.Option(help="Speed of the simulated machines: 1 is real time, or max.")] = "1",
    without: Annotated[
        list[str] | None, typer.Option(metavar="PART", help="Leave a part out; search is the one that can be.")
    ] = None,
) -> None:
    """Start everything, stream the default scenario, show what is found; Ctrl-C stops it.

    What FAULTLINE_KAFKA_URL or FAULTLINE_DATABASE_URL point to is used; what they don't is started on loopback, with
    its data in .faultline. Two pumps stream in; P-101 develops an outer-race fault, and an alarm with its reason goes
    to the topic `alarms`, to a signed webhook, into the database and to the API. The next start goes on from there.
    OpenSearch, for the assistant's documents, starts beside all that; without it the assistant knows live conditions.

    \b
        ./faultline up
        ./faultline up --without search
        ./faultline up --until-alarm --timeout 180 --json
    """
    if set(without or ()) - {"search"}:
        raise ConfigurationError(f"--without {', '.join(without or ())}: search is the one part that can be left out")
    run = _Run(Console(stderr=as_json, highlight=False), search=not without)
    signal.signal(signal.SIGTERM, run.ask_to_stop)
    signal.signal(signal.SIGINT, run.ask_to_stop)
    outcome = run.go(timeout if until_alarm else None, speed)
    if not until_alarm:
        return
    sighting = run.alarm.sighting if run.alarm is not None else None
    missing = ["alarm"] if sighting is None else sighting.missing
    if as_json:
        print(json.dumps(_as_json(sighting, run.startup_s, missing)))
    elif not outcome:
        print(f"not seen within {timeout:g} s: {', '.join(missing)}", file=sys.stderr)
    raise typer.Exit(0 if outcome else 1)


def _as_json(sighting: Sighting | None, startup_s: float, missing: list[str]) -> dict[str, object]:
    told: dict[str, object] = {"alarm": None, "seen": {}, "latency_ms": {}}
    if sighting is not None:
        told.update(sighting.as_json())
    told["startup_s"] = round(startup_s, 2)
    if missing:
        told["missing"] = missing
    return told


@dataclass(slots=True)
class _Run:
    """One run of ``up``: what it shows and when it stops."""

    console: Console
    search: bool = True
    startup_s: float = 0.0
    alarm: FirstAlarm | None = None
    _newest: dict[str, dict[str, str]] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)

    def ask_to_stop(self, _number: int, _frame: FrameType | None) -> None:
        """End the run at the next look (a second Ctrl-C changes nothing: stopping takes a moment)."""
        if self._stop.is_set():
            return
        self._stop.set()
        self.console.print("stopping …")

    def go(self, timeout_s: float | None, speed: str) -> bool:
        """Start, watch, stop; return whether the first alarm was seen everywhere."""
        began_s = time.monotonic()
        settings = load_settings()
        stack = Stack(settings, self._report, self.search)
        with ExitStack() as cleanup:
            cleanup.callback(stack.stop)
            stack.start(*demo_assets())
            cleanup.enter_context(announced(settings.data_dir, stack.urls))
            self.alarm = FirstAlarm(began_s, stack.urls.database, stack.receiver_url, stack.api_url)
            subscriber = Subscriber(stack.urls.kafka, codec_for(settings), self._assessed, self._alarmed)
            cleanup.callback(subscriber.close)
            self.startup_s = time.monotonic() - began_s
            self.console.print(f"everything is up after {self.startup_s:.1f} s; API at {stack.api_url}/v1")
            self.console.print(f"live page at {stack.api_url}/")
            stack.start_source(speed)
            return self._watch(stack, None if timeout_s is None else began_s + timeout_s)

    def _watch(self, stack: Stack, deadline_s: float | None) -> bool:
        plain_s = 0.0
        told = False
        with Live(console=self.console, refresh_per_second=4, transient=True) as live:
            while not self._stop.is_set():
                seen = self.alarm is not None and self.alarm.look()
                if seen and not told:
                    told = True
                    self._tell_where(stack)
                if deadline_s is not None and seen:
                    return True
                if deadline_s is not None and time.monotonic() > deadline_s:
                    return False
                stack.revive()
                if self.console.is_terminal:
                    live.update(self._table())
                elif time.monotonic() - plain_s > _PLAIN_S:
                    plain_s = time.monotonic()
                    self._print_plain()
                following = self.alarm is not None and self.alarm.sighting is not None and not seen
                self._stop.wait(0.0 if following else _REFRESH_S)
        return False

    def _tell_where(self, stack: Stack) -> None:
        """Say where the first alarm has arrived, and how soon."""
        sighting = self.alarm.sighting if self.alarm is not None else None
        if sighting is None:
            return
        latency = {name: "?" if ms is None else f"{ms:.0f} ms" for name, ms in sighting.latency_ms.items()}
        for line in (
            f"on the topic alarms, {latency['sample_to_alarm']} after its last sample",
            "in the database, table alarm_history",
            f"at the webhook receiver {stack.receiver_url}, signature valid, {latency['alarm_to_webhook']} later",
            f"in the API, {stack.api_url}/v1/alarms/{sighting.transition.alarm_id}",
        ):
            self.console.print(f"      {line}", soft_wrap=True, markup=False)

    def _table(self) -> Table:
        table = Table(box=None, padding=(0, 2))
        rows = [self._newest[asset_id] for asset_id in sorted(self._newest)]
        for name in rows[0] if rows else ():
            table.add_column(name, justify="left" if name in {"asset", "diagnosis"} else "right")
        for row in rows:
            table.add_row(*row.values(), style=_COLOURS.get(row["zone"], ""))
        return table

    def _print_plain(self) -> None:
        for asset_id in sorted(self._newest):
            row = self._newest[asset_id]
            self.console.print("  ".join(f"{name} {value}" for name, value in row.items()), soft_wrap=True)

    # --- told from other threads --------------------------------------------------------------------------------------

    def _report(self, status: ServiceStatus) -> None:
        self.console.print(str(status), soft_wrap=True)

    def _assessed(self, assessment: r.Assessment, at_ns: int) -> None:
        self._newest[assessment.asset_id] = headline(assessment)
        if self.alarm is not None:
            self.alarm.assessed(assessment, at_ns)

    def _alarmed(self, transition: r.AlarmTransition, at_ns: int) -> None:
        self.console.print(
            f"ALARM {transition.state.value}, {transition.priority.value}: {transition.reason} ({transition.alarm_id})",
            soft_wrap=True,
            markup=False,
        )
        if self.alarm is None:
            raise Unavailable("watch", "it hasn't been started")
        self.alarm.alarmed(transition, at_ns)
