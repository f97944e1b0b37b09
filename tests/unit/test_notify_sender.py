"""One attempt against real sockets: what counts as delivered, and what a receiver can't make the sender do."""

import asyncio
import email.utils
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from adapters.notify.sender import MAX_RETRY_AFTER_S, Outcome, Verdict, WebhookSender, judge
from adapters.notify.signing import new_secret, verify
from contracts.ports import Delivery, Endpoint

SECRET = new_secret()
DELIVERY = Delivery(delivery_id=1, endpoint_id="e", message_id="trn_1", body='{"a":"ü"}'.encode(), attempt=1)
NOW_S = 1_700_000_000.75

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


class Receiver:
    """A server that keeps what it was sent and answers as told."""

    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.lines: list[str] = []
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?x=1"


@asynccontextmanager
async def receiver(answer: Answer, tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    got = Receiver()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in head[1:] if line)}
        got.lines.append(head[0])
        got.requests.append((headers, await reader.readexactly(int(headers["content-length"]))))
        try:
            await answer(writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    got.port = server.sockets[0].getsockname()[1]
    async with server:
        yield got


def plain(status: str, *headers: str, body: bytes = b"") -> Answer:
    async def answer(writer: asyncio.StreamWriter) -> None:
        head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
        writer.write("\r\n".join(head).encode() + b"\r\n\r\n" + body)
        await writer.drain()

    return answer


def endpoint(url: str) -> Endpoint:
    return Endpoint(endpoint_id="e", url=url, secrets=(SECRET,))


def attempt(answer: Answer, timeout_s: float = 10.0) -> tuple[Outcome, Receiver]:
    async def go() -> tuple[Outcome, Receiver]:
        async with receiver(answer) as got:
            sender = WebhookSender(allow_loopback=True, timeout_s=timeout_s)
            return await sender.send(endpoint(got.url), DELIVERY, NOW_S), got

    return asyncio.run(go())


def test_the_receiver_gets_signed_json() -> None:
    outcome, got = attempt(plain("204 No Content"))
    assert outcome == Outcome(Verdict.DELIVERED, "status 204", 204)
    ((headers, body),) = got.requests
    assert got.lines == ["POST /hook?x=1 HTTP/1.1"]
    assert body == DELIVERY.body
    assert headers["content-type"] == "application/json"
    assert headers["host"] == f"127.0.0.1:{got.port}"
    assert verify([SECRET], headers, body, NOW_S) == "trn_1"
    assert headers["webhook-timestamp"] == "1700000000"
    assert Webhook(SECRET)  # the reference implementation takes the same secret


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        ("200 OK", Verdict.DELIVERED),
        ("299 Fine", Verdict.DELIVERED),
        ("304 Not Modified", Verdict.FAILED),
        ("400 Bad Request", Verdict.FAILED),
        ("404 Not Found", Verdict.FAILED),
        ("410 Gone", Verdict.GONE),
        ("500 Internal Server Error", Verdict.FAILED),
    ],
)
def test_what_a_status_means(status: str, verdict: Verdict) -> None:
    outcome, _ = attempt(plain(status))
    assert (outcome.verdict, outcome.status) == (verdict, int(status[:3]))


def test_a_redirect_is_a_failure_and_is_not_followed() -> None:
    async def go() -> None:
        async with receiver(plain("200 OK")) as trap, receiver(plain("307 Go", f"Location: {trap.url}")) as got:
            outcome = await WebhookSender(allow_loopback=True).send(endpoint(got.url), DELIVERY, NOW_S)
            assert outcome.verdict is Verdict.FAILED
            assert "redirect" in outcome.detail
            assert trap.requests == []

    asyncio.run(go())


def test_an_endless_answer_is_not_read() -> None:
    written = 0

    async def endless(writer: asyncio.StreamWriter) -> None:
        nonlocal written
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while written < 50_000_000:
            writer.write(b"10000\r\n" + bytes(65_536) + b"\r\n")
            await writer.drain()
            written += 65_536

    outcome, _ = attempt(endless)
    assert outcome.verdict is Verdict.DELIVERED
    assert written < 50_000_000


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 OK\r\n"])
def test_a_silent_receiver_is_given_up(start: bytes) -> None:
    async def silent(writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        await writer.drain()
        await asyncio.Event().wait()

    outcome, _ = attempt(silent, timeout_s=0.2)
    assert outcome == Outcome(Verdict.FAILED, "no answer in 0.2 s")


def test_a_receiver_that_drips_is_given_up() -> None:
    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while True:  # each byte in time, the whole never
            writer.write(b"a")
            await writer.drain()
            await asyncio.sleep(0.01)

    outcome, _ = attempt(drip, timeout_s=0.3)
    assert outcome.verdict is Verdict.FAILED


def test_garbage_and_a_closed_port_are_failures() -> None:
    async def garbage(writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x00\xff not http\r\n\r\n")
        await writer.drain()

    outcome, got = attempt(garbage)
    assert outcome.verdict is Verdict.FAILED
    outcome = asyncio.run(WebhookSender(allow_loopback=True).send(endpoint(got.url), DELIVERY, NOW_S))
    assert outcome.verdict is Verdict.FAILED


def test_loopback_is_refused_by_default_and_a_bad_secret_too() -> None:
    async def go() -> None:
        async with receiver(plain("200 OK")) as got:
            refused = await WebhookSender().send(endpoint(got.url), DELIVERY, NOW_S)
            assert refused.detail.startswith("not sent: ")
            bad = Endpoint(endpoint_id="e", url=got.url, secrets=("whsec_x",))
            refused = await WebhookSender(allow_loopback=True).send(bad, DELIVERY, NOW_S)
            assert refused.detail.startswith("not sent: a webhook secret")
            assert got.requests == []

    asyncio.run(go())


def test_proxy_settings_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    assert attempt(plain("200 OK"))[0].verdict is Verdict.DELIVERED


@pytest.mark.parametrize(
    ("status", "header", "expected_s"),
    [
        (429, "30", 30.0),
        (503, " 7 ", 7.0),
        (429, email.utils.formatdate(NOW_S + 90, usegmt=True), 90.0),
        (429, email.utils.formatdate(NOW_S - 90, usegmt=True), 0.0),
        (429, "99999999999999999999", MAX_RETRY_AFTER_S),
        (429, "Fri, 31 Dec 9999 23:59:59 GMT", MAX_RETRY_AFTER_S),
        (429, "-5", 0.0),
        (429, "soon", 0.0),
        (429, "", 0.0),
        (429, None, 0.0),
        (500, "30", 0.0),
        (301, "30", 0.0),
    ],
)
def test_the_receivers_wish_is_honoured_within_a_bound(status: int, header: str | None, expected_s: float) -> None:
    assert judge(status, header, NOW_S).retry_after_s == pytest.approx(expected_s, abs=1.0)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "1",
        "-subj",
        "/CN=hooks.example.test",
    ]
    names = ["-addext", "subjectAltName=DNS:hooks.example.test", "-keyout", "key.pem", "-out", "cert.pem"]
    try:
        subprocess.run([*command, *names], cwd=folder, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("openssl isn't installed")
    return folder


@pytest.mark.parametrize(("name", "verdict"), [("hooks", Verdict.DELIVERED), ("other", Verdict.FAILED)])
def test_the_certificate_must_be_the_names_though_the_address_is_pinned(
    certificate: Path, name: str, verdict: Verdict
) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")

    async def resolver(_host: str, _port: int) -> list[str]:
        return ["127.0.0.1"]

    async def go() -> None:
        trust = ssl.create_default_context(cafile=str(certificate / "cert.pem"))
        sender = WebhookSender(allow_loopback=True, resolver=resolver, trust=trust)
        async with receiver(plain("200 OK"), tls) as got:
            url = f"https://{name}.example.test:{got.port}/"
            outcome = await sender.send(endpoint(url), DELIVERY, NOW_S)
            assert outcome.verdict is verdict, outcome
            assert [headers["host"] for headers, _ in got.requests] == (
                [f"hooks.example.test:{got.port}"] if verdict is Verdict.DELIVERED else []
            )

    asyncio.run(go())
