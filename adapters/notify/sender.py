"""One attempt to deliver one message: signed, to a checked address, bounded in time and bytes."""

import asyncio
import datetime as dt
import email.utils
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

import httpx

from adapters.notify import guard
from adapters.notify.signing import signed_headers
from contracts.errors import ConfigurationError
from contracts.ports import Delivery, Endpoint

#: One attempt, from the name's resolution to the end of the answer (seconds).
TIMEOUT_S: Final = 15.0
#: A receiver can't ask for more patience than this (seconds).
MAX_RETRY_AFTER_S: Final = 86_400.0
_USER_AGENT: Final = "Faultline-Webhooks/1"


class Verdict(Enum):
    """What an attempt means for its delivery."""

    DELIVERED = "delivered"
    FAILED = "failed"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an attempt; ``retry_after_s`` is the receiver's wish, 0 where it has none."""

    verdict: Verdict
    detail: str
    status: int = 0
    retry_after_s: float = 0.0


class WebhookSender:
    """Sends webhooks; holds no connection between attempts and no proxy setting.

    Parameters
    ----------
    allow_loopback : bool
        Whether endpoints on loopback are allowed, by http too.
    timeout_s : float
        Bound of one attempt.
    resolver : callable
        Gives the addresses of (host, port).
    trust : ssl.SSLContext, optional
        Whose certificates are believed; by default those of the system's authorities.
    """

    def __init__(
        self,
        *,
        allow_loopback: bool = False,
        timeout_s: float = TIMEOUT_S,
        resolver: guard.Resolver = guard.resolve,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        self._allow_loopback = allow_loopback
        self._timeout_s = timeout_s
        self._resolver = resolver
        self._trust = trust or ssl.create_default_context()

    async def send(self, endpoint: Endpoint, delivery: Delivery, now_s: float) -> Outcome:
        """Try once.

        Parameters
        ----------
        endpoint : Endpoint
            Where to, and the secrets to sign with.
        delivery : Delivery
            What to send.
        now_s : float
            UTC seconds, part of the signature.

        Returns
        -------
        outcome : Outcome
            Never an exception of the network: every failure is an outcome.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                target = await guard.check(endpoint.url, allow_loopback=self._allow_loopback, resolver=self._resolver)
                return await self._post(target, endpoint.secrets, delivery, now_s)
        except TimeoutError:
            return Outcome(Verdict.FAILED, f"no answer in {self._timeout_s:g} s")
        except (guard.ForbiddenTarget, ConfigurationError) as error:
            return Outcome(Verdict.FAILED, f"not sent: {error}")
        except httpx.HTTPError as error:
            return Outcome(Verdict.FAILED, f"{type(error).__name__}: {error}"[:500])

    async def _post(self, target: guard.Target, secrets: Sequence[str], delivery: Delivery, now_s: float) -> Outcome:
        headers = {
            "host": target.host_header,
            "content-type": "application/json",
            "user-agent": _USER_AGENT,
            **signed_headers(secrets, delivery.message_id, int(now_s), delivery.body),
        }
        async with (
            httpx.AsyncClient(
                verify=self._trust, timeout=self._timeout_s, trust_env=False, follow_redirects=False
            ) as client,
            client.stream(
                "POST",
                target.url,
                content=delivery.body,
                headers=headers,
                # the certificate has to be the name's, though the connection goes to the address
                extensions={"sni_hostname": target.server_name},
            ) as response,
        ):
            # the status says it all: the answer's body isn't read, however long it is
            return judge(response.status_code, response.headers.get("retry-after"), now_s)


def judge(status: int, retry_after: str | None, now_s: float) -> Outcome:
    """Return what an answer means.

    Parameters
    ----------
    status : int
        HTTP status.
    retry_after : str or None
        The header: seconds, or a date.
    now_s : float
        UTC seconds.

    Returns
    -------
    outcome : Outcome
        2xx is delivered, 410 gone; all else, a redirect too, has failed.

    Examples
    --------
    >>> judge(429, "30", 0.0)
    Outcome(verdict=<Verdict.FAILED: 'failed'>, detail='status 429', status=429, retry_after_s=30.0)
    """
    detail = f"status {status}"
    if 200 <= status < 300:
        return Outcome(Verdict.DELIVERED, detail, status)
    if status == httpx.codes.GONE:
        return Outcome(Verdict.GONE, detail, status)
    if status in {httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE} and retry_after:
        return Outcome(Verdict.FAILED, detail, status, _seconds(retry_after, now_s))
    if 300 <= status < 400:
        detail += ": redirects aren't followed"
    return Outcome(Verdict.FAILED, detail, status)


def _seconds(retry_after: str, now_s: float) -> float:
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        wanted = float(text[:9])
    else:
        try:
            at = email.utils.parsedate_to_datetime(text)
        except ValueError:
            return 0.0
        aware = at if at.tzinfo else at.replace(tzinfo=dt.UTC)
        wanted = aware.timestamp() - now_s
    return min(max(wanted, 0.0), MAX_RETRY_AFTER_S)
