"""Who gets in: hosts, origins, the development login and scopes."""

import base64
import json

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from adapters.identity import DevelopmentLogin, Nobody
from contracts.errors import Unavailable
from contracts.ports import Principal
from tests.api_doubles import Bench, FakeClock, FixedIdentity, bench

ACKNOWLEDGE = "/v1/alarms/alm_n/acknowledge"
NORTH = Principal("nora", frozenset({"technician"}), sites=frozenset({"north"}))


def open_bench() -> Bench:
    """Return an API with the development login."""
    clock = FakeClock()
    login = DevelopmentLogin(clock, lifetime_s=3600)
    b = bench(identity=login, login=login)
    b.clock = clock
    return b


def token(b: Bench, **wish: object) -> str:
    answer = b.ask("POST", "/v1/login", json=wish)
    assert answer.status_code == 200, answer.text
    text: str = answer.json()["token"]
    return text


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "LOCALHOST:1", "127.0.0.1:80", "[::1]:8000"])
def test_api_answers_for_this_machine(host: str) -> None:
    assert bench().ask("GET", "/v1/assets", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example:8000", "127.0.0.1.evil.example", "", "10.0.0.1"]
)
def test_api_a_rebound_name_gets_nothing(host: str) -> None:
    b = bench()
    for path in ("/v1/assets", "/healthz", "/v1/openapi.json"):
        answer = b.ask("GET", path, headers={"host": host})
        assert answer.status_code == 421
        assert answer.headers["content-type"] == "application/problem+json"
    assert b.reader.asked == []


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost:9000"},
        {"origin": "http://localhost"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"},
    ],
)
def test_api_other_pages_change_nothing(headers: dict[str, str]) -> None:
    b = bench()
    assert b.ask("POST", ACKNOWLEDGE, headers=headers).status_code == 403
    assert b.ask("POST", "/v1/login", headers=headers).status_code == 403
    assert b.commands.log == []


def test_api_own_pages_and_programs_may() -> None:
    b = bench()
    for headers in (
        {},
        {"origin": "http://localhost:8000", "sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "none"},
    ):
        assert b.ask("POST", ACKNOWLEDGE, headers=headers).status_code == 202


def test_api_other_pages_read_nothing_but_links_may_be_followed() -> None:
    b = bench()
    assert b.ask("GET", "/v1/events", headers={"sec-fetch-site": "cross-site"}).status_code == 403
    assert b.ask("GET", "/v1/assets", headers={"origin": "https://evil.example"}).status_code == 403
    followed = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert b.ask("GET", "/v1/assets", headers=followed).status_code == 200


def test_api_preflight_gets_no_permission() -> None:
    headers = {"origin": "https://evil.example", "access-control-request-method": "POST"}
    answer = bench().ask("OPTIONS", ACKNOWLEDGE, headers=headers)
    assert answer.status_code == 403
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_api_what_lies_outside_the_scope_does_not_exist() -> None:
    b = bench(NORTH)
    assert [a["asset_id"] for a in b.ask("GET", "/v1/assets").json()["assets"]] == ["P-101"]
    assert [a["alarm_id"] for a in b.ask("GET", "/v1/alarms").json()["alarms"]] == ["alm_n"]
    hidden = [
        ("GET", "/v1/assets/P-201"),
        ("GET", "/v1/assets/P-201/assessment"),
        ("GET", "/v1/assets/P-201/conditions"),
        ("GET", "/v1/alarms/alm_s"),
        ("GET", "/v1/alarms/alm_s/history"),
        ("POST", "/v1/alarms/alm_s/acknowledge"),
        ("GET", "/v1/channels/P-201-DE-H.acc/waveforms/latest"),
        ("GET", "/v1/channels/P-201-DE-H.acc/spectrum"),
    ]
    for method, path in hidden:
        absent = path.replace("P-201", "P-999").replace("alm_s", "alm_x")
        there, nowhere = b.ask(method, path), b.ask(method, absent)
        assert there.status_code == nowhere.status_code == 404
        assert there.content == nowhere.content
    for series in ("features", "scores", "readings", "waveforms"):
        answer = b.ask("GET", f"/v1/channels/P-201-DE-H.acc/{series}")
        assert answer.json()[{"features": "windows"}.get(series, series)] == []
    assert b.commands.log == []


def test_api_without_a_login_only_health_answers() -> None:
    b = bench(identity=Nobody())
    answer = b.ask("GET", "/v1/assets")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert b.ask("POST", "/v1/login", json={}).status_code == 404
    assert b.ask("GET", "/healthz").status_code == 200


def test_api_the_machines_own_user_is_a_technician() -> None:
    b = open_bench()
    assert b.ask("POST", ACKNOWLEDGE).status_code == 202
    assert b.commands.log[0].actor == "development"
    assert b.ask("POST", "/v1/alarms/alm_n/suppress").status_code == 403


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"client_host": "192.0.2.7"},
        {"client_host": "::ffff:192.0.2.7"},
        {"client_host": "testclient"},
        {"headers": {"x-forwarded-for": "192.0.2.7"}},
        {"headers": {"forwarded": "for=192.0.2.7"}},
    ],
)
def test_api_nobody_else_is(elsewhere: dict[str, object]) -> None:
    b = open_bench()
    assert b.ask("GET", "/v1/assets", **elsewhere).status_code == 401
    assert b.ask("POST", "/v1/login", json={"role": "admin"}, **elsewhere).status_code == 403


def test_api_a_token_carries_role_and_scope_and_ends() -> None:
    b = open_bench()
    bearer = {"authorization": f"Bearer {token(b, subject='eve', role='supervisor', sites=['south'])}"}
    assert b.ask("POST", "/v1/alarms/alm_s/suppress", headers=bearer).status_code == 202
    assert b.commands.log[0].actor == "eve"
    assert b.ask("POST", "/v1/alarms/alm_n/suppress", headers=bearer).status_code == 404
    assert b.ask("GET", "/v1/assets", headers=bearer, client_host="192.0.2.7").status_code == 200
    b.clock.ns += 3599 * 10**9
    assert b.ask("GET", "/v1/assets", headers=bearer).status_code == 200
    b.clock.ns += 10**9
    assert b.ask("GET", "/v1/assets", headers=bearer).status_code == 401


def test_api_an_empty_scope_sees_nothing() -> None:
    b = open_bench()
    bearer = {"authorization": f"Bearer {token(b, assets=[])}"}
    assert b.ask("GET", "/v1/assets", headers=bearer).json() == {"assets": []}


def test_api_a_wrong_token_proves_nobody_even_here() -> None:
    b = open_bench()
    good = token(b, role="admin")
    head, claims, signature = good.split(".")
    other = open_bench()
    forged = [
        "",
        "x",
        good[:-2],
        f"{head}.{claims}.",
        f"{head}.{claims}.{signature[::-1]}",
        f"{head}.{token(b, subject='x').split('.')[1]}.{signature}",
        token(other, role="admin"),
        "a" * 9000,
    ]
    for text in forged:
        assert b.ask("GET", "/v1/assets", headers={"authorization": f"Bearer {text}"}).status_code == 401
    assert b.ask("GET", "/v1/assets", headers={"authorization": f"Basic {good}"}).status_code == 401
    assert b.ask("GET", "/v1/assets", headers={"authorization": f"bearer {good}"}).status_code == 200


def test_api_tokens_with_other_algorithms_types_or_claims_are_refused() -> None:
    b = open_bench()
    login = DevelopmentLogin(b.clock)
    key = OctKey.import_key(b"k" * 64)
    login._key = key
    b = bench(identity=login)
    now_s = b.clock.now_ns() // 10**9
    head = {"alg": "HS256", "typ": "faultline-login+jwt"}
    claims = {
        "iss": "faultline-development", "aud": "faultline-api", "sub": "ada", "iat": now_s, "exp": now_s + 9,
        "roles": ["technician"], "sites": None, "assets": None,
    }  # fmt: skip

    def status(header: dict[str, str], changed: dict[str, object]) -> int:
        text = jwt.encode(header, claims | changed, key, ["HS256", "HS512"])
        return b.ask("GET", "/v1/assets", headers={"authorization": f"Bearer {text}"}).status_code

    assert status(head, {}) == 200
    assert status(head | {"alg": "HS512"}, {}) == 401
    assert status(head | {"typ": "JWT"}, {}) == 401
    wrong: tuple[dict[str, object], ...] = (
        {"iss": "elsewhere"},
        {"aud": "another"},
        {"exp": now_s},
        {"exp": "never"},
        {"iat": now_s + 5},
        {"roles": "technician"},
        {"sites": "north"},
        {"sub": 1},
    )
    for changed in wrong:
        assert status(head, changed) == 401
    parts = [
        base64.urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=") for p in (head | {"alg": "none"}, claims)
    ]
    for signature in ("", "AAAA"):
        bearer = {"authorization": f"Bearer {'.'.join([*parts, signature])}"}
        assert b.ask("GET", "/v1/assets", headers=bearer).status_code == 401


@pytest.mark.parametrize("wish", [{"role": "god"}, {"subject": ""}, {"roles": ["admin"]}, {"sites": "north"}])
def test_api_login_takes_no_other_wishes(wish: dict[str, object]) -> None:
    assert open_bench().ask("POST", "/v1/login", json=wish).status_code == 422


def test_api_an_absent_identity_provider_is_no_open_door() -> None:
    class Away(FixedIdentity):
        async def authenticate(self, *_request: object) -> Principal | None:
            raise Unavailable("identity provider", "10.0.0.9 timed out")

    answer = bench(identity=Away(None)).ask("GET", "/v1/assets")
    assert answer.status_code == 503
    assert "10.0.0.9" not in json.dumps(answer.json())
