"""The API's ports in memory, and a client for the API: shared by its tests."""

import asyncio
import dataclasses
import math
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgspec
from starlette.applications import Starlette

from api.app import create_app
from api.problems import SECURITY_HEADERS
from api.sse import StreamSettings
from contracts import records as r
from contracts.documents import Answer, Citation, Draft
from contracts.errors import NotFound, Unavailable
from contracts.ports import Assistant, Identity, Principal, TokenIssuer, WaveformSnapshot
from tests.api_samples import (
    EVIDENCE,
    NOW_NS,
    WINDOW_NS,
    alarm_row,
    assessment_row,
    condition,
    configuration,
    model_row,
    transition,
    waveform,
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


class Parrot:
    """An assistant that says the question back, and knows one asset."""

    async def ask(self, who: Principal, question: str, asset_id: str | None) -> AsyncGenerator[Draft | Answer, None]:
        if asset_id not in (None, "P-101"):
            raise NotFound(f"asset {asset_id}")
        yield Draft("I think")
        yield Answer(text=f"{question} [1]", citations=(Citation(document="manual", span="line 1", quote=question),))


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
        return assessment_row(asset_id, self.assets_by_id[asset_id].site_id)

    async def features(
        self,
        who: Principal,
        channel_id: str,
        names: Sequence[str],
        from_ns: int,
        to_ns: int,
        limit: int,
        version: int | None = None,
    ) -> list[dict[str, Any]]:
        self._check("features", channel_id, tuple(names), from_ns, to_ns, limit, version)
        if self._asset_of(who, channel_id) is None or not from_ns <= WINDOW_NS < to_ns:
            return []
        values = {name: {"kurtosis": math.nan, "envelope_low_hz": 2000.0}.get(name, 4000.0) for name in names}
        own = {"band_ratio": 0.25, "tilt_deg": None}
        return [{"window_start_ns": WINDOW_NS, "version": 1, "partial": False, "own_features": own, **values}]

    async def scores(
        self, who: Principal, channel_id: str, from_ns: int, to_ns: int, limit: int
    ) -> list[dict[str, Any]]:
        self._check("scores", channel_id, from_ns, to_ns, limit)
        if self._asset_of(who, channel_id) is None:
            return []
        row = {"model": "baseline", "version": "1", "value": 4.2, "threshold": 3.5, "learning": False}
        return [{"window_start_ns": WINDOW_NS, **row, "explanation": [msgspec.to_builtins(EVIDENCE)]}]

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
        return [msgspec.to_builtins(condition(asset_id, "north", WINDOW_NS))]

    async def alarms(
        self, who: Principal, *, asset_id: str | None = None, standing: bool | None = None, limit: int = 100
    ) -> list[dict[str, Any]]:
        self._check("alarms", asset_id, standing, limit)
        steps = [t for t in self.history if self._sees(who, t.asset_id) and asset_id in (None, t.asset_id)]
        return [alarm_row(t) for t in steps if standing is not False][:limit]

    async def hourly_velocity(self, who: Principal, channel_id: str, from_ns: int, to_ns: int) -> list[dict[str, Any]]:
        self._check("hourly_velocity", channel_id, from_ns, to_ns)
        return []

    async def alarm_record(self, who: Principal, asset_id: str, since_ns: int) -> dict[str, Any]:
        self._check("alarm_record", asset_id, since_ns)
        rule = {"rule": "bearing_fault", "alarms": 3, "called_false": 1, "followed_by_maintenance": 1}
        limit = {"point_id": f"{asset_id}-DE-H", "regime": "r", "at_ns": WINDOW_NS, "windows_needed": 500}
        return {
            "observed_from_ns": NOW_NS - 10 * 86_400 * 10**9,
            "observed_to_ns": NOW_NS,
            "regime": "r",
            "rules": [rule],
            "limits": [
                {**limit, "model": "baseline", "windows": 500, "alarm_limit": 2.5, "expected_per_month": 0.5},
                {**limit, "model": "half-space-trees", "windows": 128, "alarm_limit": None, "expected_per_month": 0.0},
                {**limit, "model": "baseline", "windows": 1, "alarm_limit": None, "expected_per_month": 0.0}
                | {"regime": "another"},
            ],
        }

    async def models(self, who: Principal) -> list[dict[str, Any]]:
        self._check("models")
        return [model_row([asset_id for asset_id in self.assets_by_id if self._sees(who, asset_id)])]

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
            async with asyncio.timeout(20.0), self.client(**to) as client:
                return await client.request(method, path, **options)

        return asyncio.run(once())


def bench(
    who: Principal | None = TECHNICIAN,
    *,
    identity: Identity | None = None,
    login: TokenIssuer | None = None,
    streams: StreamSettings | None = None,
    assistant: Assistant | None = None,
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
        assistant=assistant or Parrot(),
        feature_hashes=frozenset({"0f1e2d3c4b5a"}),
    )
    return Bench(app, reader, commands, clock)


def problem(answer: httpx.Response, status: int) -> dict[str, object]:
    """Return the problem that `answer` is, having checked that it is one."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    for name, value in SECURITY_HEADERS.items():
        assert answer.headers[name] == value
    body: dict[str, object] = answer.json()
    assert body["status"] == status
    assert {"type", "title", "detail"} <= set(body)
    return body
