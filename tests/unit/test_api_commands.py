"""What an operator asks of an alarm, and what of it is refused."""

import pytest

from api.times import Instant
from contracts import records as r
from contracts.ports import Principal
from tests.api_doubles import bench, problem
from tests.api_samples import NOW_NS

ACKNOWLEDGE = "/v1/alarms/alm_n/acknowledge"


def test_api_acknowledge_writes_a_command_to_the_log() -> None:
    b = bench()
    answer = b.ask("POST", ACKNOWLEDGE, json={"note": "seen"})
    assert answer.status_code == 202
    (command,) = b.commands.log
    assert answer.json() == {"command_id": command.command_id}
    assert command == r.Command(
        command_id=command.command_id,
        asset_id="P-101",
        alarm_id="alm_n",
        action=r.CommandAction.ACKNOWLEDGE,
        actor="ada",
        at_ns=NOW_NS,
        note="seen",
    )


def test_api_a_repeated_command_keeps_its_id() -> None:
    b = bench()
    key = {"Idempotency-Key": "click-1"}
    ids = [b.ask("POST", ACKNOWLEDGE, headers=key).json()["command_id"] for _ in range(2)]
    ids.append(b.ask("POST", ACKNOWLEDGE).json()["command_id"])
    ids.append(b.ask("POST", "/v1/alarms/alm_n/reset", headers=key).json()["command_id"])
    ids.append(b.ask("POST", "/v1/alarms/alm_s/acknowledge", headers=key).json()["command_id"])
    other = bench(Principal("bob", frozenset({"technician"})))
    ids.append(other.ask("POST", ACKNOWLEDGE, headers=key).json()["command_id"])
    assert ids[0] == ids[1]
    assert len(set(ids)) == 5


def test_api_shelving_is_one_shot_or_timed_within_bounds() -> None:
    b = bench()
    shelve = "/v1/alarms/alm_n/shelve"
    assert b.ask("POST", shelve).status_code == 202
    assert b.ask("POST", shelve, json={"until": str(Instant(NOW_NS + 10**9))}).status_code == 202
    assert [command.until_ns for command in b.commands.log] == [None, NOW_NS + 10**9]
    problem(b.ask("POST", shelve, json={"until": str(Instant(NOW_NS))}), 422)
    problem(b.ask("POST", shelve, json={"until": str(Instant(NOW_NS + 31 * 86_400 * 10**9))}), 422)
    problem(b.ask("POST", ACKNOWLEDGE, json={"until": str(Instant(NOW_NS + 10**9))}), 422)
    assert len(b.commands.log) == 2


@pytest.mark.parametrize("action", ["suppress", "unsuppress", "remove_from_service", "return_to_service"])
def test_api_what_changes_the_rules_needs_a_supervisor(action: str) -> None:
    path = f"/v1/alarms/alm_n/{action}"
    b = bench()
    problem(b.ask("POST", path), 403)
    assert b.commands.log == []
    b = bench(Principal("eve", frozenset({"supervisor"})))
    assert b.ask("POST", path).status_code == 202
    assert [command.action.value for command in b.commands.log] == [action]


def test_api_no_known_role_gives_nothing() -> None:
    b = bench(Principal("mallory", frozenset({"NOBODY", "root"})))
    problem(b.ask("GET", "/v1/assets"), 403)
    problem(b.ask("POST", ACKNOWLEDGE), 403)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b'{"note": NaN}', 400),
        (b'{"note": "a", "note": "b"}', 400),
        (b"[" * 3000 + b"]" * 3000, 400),
        (b'{"x":' * 3000 + b"1" + b"}" * 3000, 400),
        (b'{"note": ' + b"9" * 5000 + b"}", 400),
        (b'{"note": "\\ud800"}', 400),
        (b'{"note": "\xff"}', 400),
        (b"\xff\xfe{\x00}\x00", 400),
        (b'{"note": 1}', 422),
        (b'{"note": "\\u0000"}', 422),
        (b'{"actor": "root"}', 422),
        (b'{"note": "' + b"n" * 2001 + b'"}', 422),
        (b"[]", 422),
        (b"null", 422),
        (b'{"note": "' + b"n" * 65_536 + b'"}', 413),
    ],
)
def test_api_loose_bodies_are_refused(body: bytes, status: int) -> None:
    b = bench()
    problem(b.ask("POST", ACKNOWLEDGE, content=body, headers={"content-type": "application/json"}), status)
    assert b.commands.log == []


def test_api_a_body_without_a_declared_length_is_bounded_too() -> None:
    b = bench()

    async def chunks() -> object:
        for _ in range(100):
            yield b" " * 1000

    problem(b.ask("POST", ACKNOWLEDGE, content=chunks(), headers={"content-type": "application/json"}), 413)


def test_api_other_media_types_are_refused() -> None:
    b = bench()
    problem(b.ask("POST", ACKNOWLEDGE, data={"note": "form"}), 415)
    problem(b.ask("POST", ACKNOWLEDGE, content=b"{}", headers={"content-type": "text/plain"}), 415)
    assert b.ask(
        "POST", ACKNOWLEDGE, content=b"{}", headers={"content-type": "Application/JSON; charset=utf-8"}
    ).is_success
