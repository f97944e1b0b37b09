"""The API's ports in memory, and a client for the API: shared by its tests."""



import asyncio
import dataclasses
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgspec
import numpy as np
from starlette.applications import Starlette

from api.app import create_app
from api.sse import StreamSettings
from contracts import records as r
from contracts.assets import AssetConfiguration, Channel, MeasurementPoint
from contracts.errors import NotFound, Unavailable
from contracts.features import FEATURE_NAMES
from contracts.ports import Identity, Principal, TokenIssuer, WaveformSnapshot

NOW_NS = 1_767_268_800_000_000_000
WINDOW_NS = NOW_NS - 10_000_000_000
RATE_HZ = 25_600.0

EVIDENCE = r.Evidence(
    name="BPFO", value=18.3, unit="dB", limit=10.0, frequency_hz=106.4, text="BPFO 106.4 Hz: 18.3 dB over the floor"
)


class FakeClock:
    """Time that stands still unless told otherwise; durations are real."""

    def __init__(self, now_ns: int = NOW_NS) -> None:
        self.ns = now_ns

    def now_ns(self) -> int:
        return self.ns

    def monotonic_s(self) -> float:
        return asyncio.get_running_loop().time()


class FixedIdentity:
    """Everybody is the same person."""

    def __init__(self, who: Principal | None) -> None:
        self.who = who

    async def authenticate(self, headers: Mapping[str, str], client_host: str | None) -> Principal | None:
        return self.who


class Commands:
    """A command log in memory."""

    def __init__(self) -> None:
        self.log: list[r.Command] = []
        self.away = False

    async def append(self, command: r.Command) -> None:
        if self.away:
            raise Unavailable("broker", "127.0.0.1:9092 refused", 2.5)
        self.log.append(command)


def configuration(asset_id: str, site_id: str) -> AssetConfiguration:
    channel = Channel(channel_id=f"{asset_id}-DE-H.acc", quantity="acceleration", unit="g")
    point = MeasurementPoint(
        point_id=f"{asset_id}-DE-H",
        location="drive end",
        direction="radial_horizontal",
        bearing="6205",
        channels=(channel,),
    )
    return AssetConfiguration(
        asset_id=asset_id, site_id=site_id, name=f"Pump {asset_id}", asset_type="pump", points=(point,)
    )


def transition(alarm_id: str, asset_id: str, site_id: str, sequence: int) -> r.AlarmTransition:
    return r.AlarmTransition(
        transition_id=f"{alarm_id}-{sequence}",
        alarm_id=alarm_id,
        asset_id=asset_id,
        site_id=site_id,
        point_id=f"{asset_id}-DE-H",
        rule="bearing_fault",
        sequence=sequence,
        from_state=r.AlarmState.NORMAL,
        state=r.AlarmState.UNACKNOWLEDGED,
        cause="raised",
        at_ns=WINDOW_NS + sequence,
        started_at_ns=WINDOW_NS,
        priority=r.Priority.MEDIUM,
        zone=r.Zone.B,
        fault="outer_race",
        confidence=0.9,
        reason="Outer-race fault: BPFO 18.3 dB over the floor",
        evidence=(EVIDENCE,),
    )


def alarm_row(step: r.AlarmTransition) -> dict[str, Any]:
    row: dict[str, Any] = msgspec.to_builtins(step)
    row["changed_at_ns"] = row.pop("at_ns")
    return row | {"acknowledged_by": None, "acknowledged_at_ns": None, "internal": "not for callers"}


def waveform(asset_id: str, start_ns: int = WINDOW_NS) -> WaveformSnapshot:
    seconds = np.arange(int(RATE_HZ)) / RATE_HZ
    samples = 0.5 * np.sin(2 * np.pi * 160.0 * seconds)
    samples[12_345] = 4.0
    return WaveformSnapshot(
        channel_id=f"{asset_id}-DE-H.acc",
        asset_id=asset_id,
        start_ns=start_ns,
        sampling_rate_hz=RATE_HZ,
        unit="g",
        speed_rpm=1780.0,
        samples=samples.astype("<f4").tobytes(),
    )


class Reader:
    """A history in memory: two sites with one asset each, an alarm on each; rows have the schema's columns."""

    def __init__(self) -> None:
        self.assets_by_id = {a: configuration(a, s) for a, s in (("P-101", "north"), ("P-201", "south"))}
        self.history: list[r.AlarmTransition] = [
            transition("alm_n", "P-101", "north", 1),
            transition("alm_s", "P-201", "south", 1),
        ]
        self.kept = {a: [waveform(a)] for a in self.assets_by_id}
        self.window_end_ns = NOW_NS
        self.fault: Exception | None = None
        self.asked: list[tuple[Any, ...]] = []

    def _sees(self, who: Principal, asset_id: str) -> bool:
        site = self.assets_by_id[asset_id].site_id
        return (who.sites is None or site in who.sites) and (who.assets is None or asset_id in who.assets)

    def _asset_of(self, who: Principal, channel_id: str) -> str | None:
        asset_id = channel_id.removesuffix("-DE-H.acc")
        return asset_id if asset_id in self.assets_by_id and self._sees(who, asset_id) else None

    def _check(self, *asked: Any) -> None:
        self.asked.append(asked)
        if self.fault is not None:
            raise self.fault

    async def assets(self, who: Principal) -> list[dict[str, Any]]:
        self._check("assets")
        return [
            {
                "asset_id": c.asset_id,
                "site_id": c.site_id,
                "name": c.name,
                "asset_type": c.asset_type,
                "zone": "B",
                "fault": None,
                "speed_rpm": math.nan,
                "window_end_ns": self.window_end_ns,
                "standing_alarms": 1,
                "highest_priority": "medium",
            }
            for c in self.assets_by_id.values()
            if self._sees(who, c.asset_id)
        ]

    async def asset(self, who: Principal, asset_id: str) -> dict[str, Any]:
        self._check("asset", asset_id)
        if asset_id not in self.assets_by_id or not self._sees(who, asset_id):
            raise NotFound(f"asset {asset_id}")
        c = self.assets_by_id[asset_id]
        return {
            "asset_id": asset_id,
            "site_id": c.site_id,
            "name": c.name,
            "version": "0123456789abcdef",
            "configuration": msgspec.to_builtins(c),
        }

    async def latest_assessment(self, who: Principal, asset_id: str) -> dict[str, Any]:
        await self.asset(who, asset_id)
        features = dict.fromkeys(FEATURE_NAMES, 1.5) | {"kurtosis": math.nan, "bpfo_db": None}
        score = {"model": "baseline", "version": "1", "value": 4.2, "threshold": 3.5, "learning": False}
        return {
            "assessment_id": "asm_1",
            "asset_id": asset_id,
            "site_id": self.assets_by_id[asset_id].site_id,
            "window_start_ns": WINDOW_NS,
            "window_end_ns": WINDOW_NS + 1_000_000_000,
            "sampling_rate_hz": RATE_HZ,
            "n_samples": 25_600,
            "partial": False,
            "speed_rpm": 1780.0,
            "regime": "s1780",
            "catalogue_version": 1,
            "code_version": "c1",
            "configuration_version": "0123456789abcdef",
            "zone": "B",
            "channels": [
                {
                    "channel_id": f"{asset_id}-DE-H.acc",
                    "point_id": f"{asset_id}-DE-H",
                    "zone": "B",
                    "not_graded_because": None,
                    "features": features,
                    "scores": [score | {"explanation": [msgspec.to_builtins(EVIDENCE)]}],
                }
            ],
            "diagnoses": [
                {
                    "point_id": f"{asset_id}-DE-H",
                    "channel_id": f"{asset_id}-DE-H.acc",
                    "fault": "outer_race",
                    "confidence": 0.9,
                    "evidence": [msgspec.to_builtins(EVIDENCE)],
                }
            ],
        }

    async def features(
        self, who: Principal, channel_id: str, names: Sequence[str], from_ns: int, to_ns: int, limit: int
    ) -> list[dict[str, Any]]:
        self._check("features", channel_id, tuple(names), from_ns, to_ns, limit)
        if self._asset_of(who, channel_id) is None or not from_ns <= WINDOW_NS < to_ns:
            return []
        values = {name: {"kurtosis": math.nan, "envelope_low_hz": 2000.0}.get(name, 4000.0) for name in names}
        return [{"window_start_ns": WINDOW_NS, **values}]

    async def scores(
        self, who: Principal, channel_id: str, from_ns: int, to_ns: int, limit: int
    ) -> list[dict[str, Any]]:
        self._check("scores", channel_id, from_ns, to_ns, limit)
        if self._asset_of(who, channel_id) is None:
            return []
        row = {"model": "baseline", "version": "1", "value": None, "threshold": None, "learning": True}
        return [{"window_start_ns": WINDOW_NS, **row}]

    async def readings(
        self, who: Principal, channel_id: str, from_ns: int, to_ns: int, limit: int
    ) -> list[dict[str, Any]]:
        self._check("readings", channel_id, from_ns, to_ns, limit)
        if self._asset_of(who, channel_id) is None:
            return []
        return [{"at_ns": WINDOW_NS, "quantity": "temperature", "unit": "degC", "value": 61.5, "quality": "good"}]

    async def waveforms(
        self, who: Principal, channel_id: str, from_ns: int, to_ns: int, limit: int
    ) -> list[WaveformSnapshot]:
        self._check("waveforms", channel_id, from_ns, to_ns, limit)
        asset_id = self._asset_of(who, channel_id)
        kept = self.kept[asset_id] if asset_id is not None else []
        return [w for w in kept if from_ns <= w.start_ns < to_ns][:limit]

    async def conditions(self, who: Principal, asset_id: str, limit: int) -> list[dict[str, Any]]:
        self._check("conditions", asset_id, limit)
        condition = r.Condition(
            condition_id="con_1",
            asset_id=asset_id,
            site_id="north",
            point_id=f"{asset_id}-DE-H",
            rule="bearing_fault",
            state=r.ConditionState.RAISED,
            sequence=1,
            at_ns=WINDOW_NS,
            episode_started_at_ns=WINDOW_NS,
            priority=r.Priority.MEDIUM,
            latching=False,
            zone=r.Zone.B,
            fault="outer_race",
            confidence=0.9,
            reason="Outer-race fault",
            evidence=(EVIDENCE,),
        )
        return [msgspec.to_builtins(condition)]

    async def alarms(
        self, who: Principal, *, asset_id: str | None = None, standing: bool | None = None, limit: int = 100
    ) -> list[dict[str, Any]]:
        self._check("alarms", asset_id, standing, limit)
        steps = [t for t in self.history if self._sees(who, t.asset_id) and asset_id in (None, t.asset_id)]
        return [alarm_row(t) for t in steps if standing is not False][:limit]

    async def alarm(self, who: Principal, alarm_id: str) -> dict[str, Any]:
        self._check("alarm", alarm_id)
        for step in self.history:
            if step.alarm_id == alarm_id and self._sees(who, step.asset_id):
                return alarm_row(step)
        raise NotFound(f"alarm {alarm_id}")

    async def alarm_history(self, who: Principal, alarm_id: str) -> list[dict[str, Any]]:
        self._check("alarm_history", alarm_id)
        return [msgspec.to_builtins(step) for step in self.history if step.alarm_id == alarm_id]

    async def changes(self, who: Principal, after: int, limit: int) -> list[tuple[int, r.AlarmTransition]]:
        self._check("changes", after, limit)
        numbered = list(enumerate(self.history, 1))
        return [(n, t) for n, t in numbered if n > after and self._sees(who, t.asset_id)][:limit]

    async def change_position(self) -> int:
        self._check("change_position")
        return len(self.history)

    async def ready(self) -> None:
        self._check("ready")


TECHNICIAN = Principal("ada", frozenset({"technician"}))


@dataclasses.dataclass
class Bench:
    """An API over doubles."""

    app: Starlette
    reader: Reader
    commands: Commands
    clock: FakeClock

    @asynccontextmanager
    async def client(
        self, *, client_host: str = "127.0.0.1", base_url: str = "http://localhost:8000"
    ) -> AsyncIterator[httpx.AsyncClient]:
        """Give a client; an error inside the API is answered, not raised."""
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False, client=(client_host, 50_000))
        async with httpx.AsyncClient(transport=transport, base_url=base_url) as client:
            yield client

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Return the answer to one request."""
        to = {name: options.pop(name) for name in ("client_host", "base_url") if name in options}

        async def once() -> httpx.Response:
            async with self.client(**to) as client:
                return await client.request(method, path, **options)

        return asyncio.run(once())


def bench(
    who: Principal | None = TECHNICIAN,
    *,
    identity: Identity | None = None,
    login: TokenIssuer | None = None,
    streams: StreamSettings | None = None,
) -> Bench:
    """Return an API over doubles, asked by `who`."""
    reader, commands, clock = Reader(), Commands(), FakeClock()
    app = create_app(
        reader,
        commands,
        identity or FixedIdentity(who),
        clock,
        ready={"database": reader.ready},
        login=login,
        streams=streams,
    )
    return Bench(app, reader, commands, clock)
