"""The local receiver believes what is signed, once, and nothing else."""

import asyncio
import json
import typing

import httpx
import pytest

from adapters.notify.message import MAX_BODY_BYTES
from adapters.notify.signing import new_secret, signed_headers
from runtime.receiver import create_receiver

SECRET: typing.Final = new_secret()
NOW_S: typing.Final = 1_700_000_000
BODY: typing.Final = json.dumps(
    {"type": "t", "timestamp": "x", "data": {"asset_id": "P-101", "state": "unacknowledged", "reason": "BPFO\x1b[31m"}}
).encode()


class FixedClock:
    def now_ns(self) -> int:
        return NOW_S * 1_000_000_000

    def monotonic_s(self) -> float:
        return 0.0


class Subject:
    """The receiver, called in process."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._application = create_receiver([SECRET], FixedClock(), self.lines.append, keep=3)

    def post(self, body: bytes, headers: dict[str, str]) -> int:
        return self._call("POST", "/alarms", body, headers).status_code

    def received(self) -> list[dict[str, typing.Any]]:
        listed: list[dict[str, typing.Any]] = self._call("GET", "/received", b"", {}).json()["received"]
        return listed

    def _call(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> httpx.Response:
        async def go() -> httpx.Response:
            transport = httpx.ASGITransport(self._application)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
                return await client.request(method, path, content=body, headers=headers)

        return asyncio.run(go())


def signed(body: bytes, message_id: str = "trn_1", timestamp_s: int = NOW_S) -> dict[str, str]:
    return signed_headers([SECRET], message_id, timestamp_s, body)


def test_an_alarm_is_shown_and_kept_once() -> None:
    receiver = Subject()
    assert receiver.post(BODY, signed(BODY)) == 204
    assert receiver.post(BODY, signed(BODY, timestamp_s=NOW_S + 9)) == 204  # the sender tries again later
    assert receiver.lines == ["P-101  unacknowledged  BPFO?[31m"]
    (alarm,) = receiver.received()
    assert alarm == {
        "id": "trn_1",
        "received_at_ns": NOW_S * 1_000_000_000,
        "repeated": 1,
        "message": json.loads(BODY),
    }


def test_the_same_id_with_another_body_is_a_conflict() -> None:
    receiver = Subject()
    assert receiver.post(BODY, signed(BODY)) == 204
    other = BODY.replace(b"P-101", b"P-102")
    assert receiver.post(other, signed(other)) == 409
    assert len(receiver.lines) == 1


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (BODY, {}),
        (BODY, signed(BODY, timestamp_s=NOW_S - 301)),
        (BODY, signed(BODY, timestamp_s=NOW_S + 301)),
        (BODY, signed_headers([new_secret()], "trn_1", NOW_S, BODY)),
        (BODY, signed(BODY) | {"webhook-id": "trn_2"}),
        (json.dumps(json.loads(BODY), indent=1).encode(), signed(BODY)),
    ],
)
def test_what_is_not_signed_is_refused(body: bytes, headers: dict[str, str]) -> None:
    receiver = Subject()
    assert receiver.post(body, headers) == 401
    assert (receiver.lines, receiver.received()) == ([], [])


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"data": 1}', b"\xff", b"{", b"[" * 20_000])
def test_signed_nonsense_is_a_bad_request(body: bytes) -> None:
    receiver = Subject()
    assert receiver.post(body, signed(body)) == 400
    assert receiver.received() == []


def test_a_body_beyond_the_bound_is_refused() -> None:
    body = b"x" * (MAX_BODY_BYTES + 1)
    assert Subject().post(body, signed(body)) == 413


def test_the_oldest_messages_are_forgotten() -> None:
    receiver = Subject()
    for number in range(5):
        assert receiver.post(BODY, signed(BODY, f"m{number}")) == 204
    assert [alarm["id"] for alarm in receiver.received()] == ["m2", "m3", "m4"]
