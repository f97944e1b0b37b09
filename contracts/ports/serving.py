"""What the API reads, who asks, and where commands go."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from contracts import records as r
from contracts.ports.history import WaveformSnapshot


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks, and for what part of the plant; ``sites`` or ``assets`` of ``None`` means all."""

    subject: str
    roles: frozenset[str]
    sites: frozenset[str] | None = None
    assets: frozenset[str] | None = None


class HistoryReader(Protocol):
    """Queries; each carries the caller's scope, and what lies outside it doesn't exist for the caller.

    Rows are plain mappings with the column names of the schema (times as integers ``*_ns``).
    """

    async def assets(self, who: Principal) -> list[dict[str, Any]]:
        """Return the assets in scope with newest zone, fault, speed and standing alarms."""

    async def asset(self, who: Principal, asset_id: str) -> dict[str, Any]:
        """Return one asset with its whole configuration; raise ``NotFound``."""

    async def latest_assessment(self, who: Principal, asset_id: str) -> dict[str, Any]:
        """Return the newest assessment with channels, scores and diagnoses; raise ``NotFound``."""

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
        """Return feature values of a channel by window start, oldest first, at most `limit` (the newest).

        ``version`` tells features judged in time (1) from those that late blocks have completed (2); the newest is
        returned, or the newest up to `version`.
        """

    async def scores(
        self, who: Principal, channel_id: str, from_ns: int, to_ns: int, limit: int
    ) -> list[dict[str, Any]]:
        """Return model scores of a channel by window start, oldest first, at most `limit` (the newest)."""

    async def readings(
        self, who: Principal, channel_id: str, from_ns: int, to_ns: int, limit: int
    ) -> list[dict[str, Any]]:
        """Return readings of a channel, oldest first, at most `limit` (the newest)."""

    async def waveforms(
        self, who: Principal, channel_id: str, from_ns: int, to_ns: int, limit: int
    ) -> list[WaveformSnapshot]:
        """Return kept waveforms, newest first."""

    async def conditions(self, who: Principal, asset_id: str, limit: int) -> list[dict[str, Any]]:
        """Return condition changes of an asset, newest first."""

    async def hourly_velocity(self, who: Principal, channel_id: str, from_ns: int, to_ns: int) -> list[dict[str, Any]]:
        """Return hourly means of a channel's velocity, oldest first: ``hour_start_ns``, ``velocity_rms_mm_s_avg``."""

    async def alarm_record(self, who: Principal, asset_id: str, since_ns: int) -> dict[str, Any]:
        """Return how often an asset has alarmed since, and how far the calibration of its alarm limits has come."""

    async def models(self, who: Principal) -> list[dict[str, Any]]:
        """Return the versions of scoring models that concern the scope, by name and number, with their newest step."""

    async def alarms(
        self, who: Principal, *, asset_id: str | None = None, standing: bool | None = None, limit: int = 100
    ) -> list[dict[str, Any]]:
        """Return alarms, newest first; `standing` picks those not in state normal."""

    async def alarm(self, who: Principal, alarm_id: str) -> dict[str, Any]:
        """Return one alarm; raise ``NotFound``."""

    async def alarm_history(self, who: Principal, alarm_id: str) -> list[dict[str, Any]]:
        """Return the transitions of one alarm, oldest first."""

    async def changes(self, who: Principal, after: int, limit: int) -> list[tuple[int, r.AlarmTransition]]:
        """Return (position, transition) of alarm history after position `after`, in commit order."""

    async def change_position(self) -> int:
        """Return the newest position of alarm history (0 for none)."""

    async def ready(self) -> None:
        """Return when the database answers; raise ``Unavailable`` otherwise."""


class CommandLog(Protocol):
    """Where commands go: the log, before they take effect."""

    async def append(self, command: r.Command) -> None:
        """Return once the broker has acknowledged the command; raise ``Unavailable`` otherwise."""


class Identity(Protocol):
    """Who is behind a request."""

    async def authenticate(self, headers: Mapping[str, str], client_host: str | None) -> Principal | None:
        """Return the caller, or ``None`` when the request proves nobody."""


class TokenIssuer(Protocol):
    """The development login: a token for whoever sits at the machine."""

    def issue(self, who: Principal, headers: Mapping[str, str], client_host: str | None) -> tuple[str, int] | None:
        """Return a bearer token and when it expires (UTC nanoseconds); ``None`` for a request from elsewhere."""
