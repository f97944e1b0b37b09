"""Signatures agree with the specification's reference implementation, and nothing else is believed."""

import base64
import datetime as dt
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from adapters.notify.signing import BadSignature, key_of, new_secret, sign, signed_headers, verify
from contracts.errors import ConfigurationError

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
OTHER = "whsec_" + base64.b64encode(bytes(range(32, 64))).decode()
NOW_S = 1_700_000_000


@given(
    key=st.binary(min_size=24, max_size=64),
    message_id=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40),
    timestamp_s=st.integers(0, 4_000_000_000),
    body=st.text(max_size=200),
)
def test_our_signature_is_the_reference_implementations(
    key: bytes, message_id: str, timestamp_s: int, body: str
) -> None:
    secret = "whsec_" + base64.b64encode(key).decode()
    at = dt.datetime.fromtimestamp(timestamp_s, tz=dt.UTC)
    assert sign(secret, message_id, timestamp_s, body.encode()) == Webhook(secret).sign(message_id, at, body)


def test_the_reference_implementation_believes_what_we_send() -> None:
    now_s = int(dt.datetime.now(tz=dt.UTC).timestamp())
    body = json.dumps({"type": "t", "data": {"ü": 1.5}}).encode()
    headers = signed_headers([OTHER, SECRET], "msg_1", now_s, body)
    assert Webhook(SECRET).verify(body, headers) == {"type": "t", "data": {"ü": 1.5}}
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(body + b" ", headers)


def test_we_believe_what_the_reference_implementation_sends() -> None:
    at = dt.datetime.fromtimestamp(NOW_S, tz=dt.UTC)
    signature = Webhook(SECRET).sign("msg_1", at, "{}")
    headers = {"webhook-id": "msg_1", "webhook-timestamp": str(NOW_S), "webhook-signature": signature}
    assert verify([SECRET], headers, b"{}", NOW_S) == "msg_1"


def test_two_secrets_during_a_rotation() -> None:
    headers = signed_headers([SECRET, OTHER], "m", NOW_S, b"{}")
    for accepted in ([SECRET], [OTHER], [new_secret(), OTHER]):
        assert verify(accepted, headers, b"{}", NOW_S) == "m"
    with pytest.raises(BadSignature):
        verify([new_secret()], headers, b"{}", NOW_S)


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-id": "other"},
        {"webhook-id": ""},
        {"webhook-timestamp": str(NOW_S + 1)},
        {"webhook-timestamp": str(NOW_S - 301)},
        {"webhook-timestamp": str(NOW_S + 301)},
        {"webhook-timestamp": "١٢٣"},
        {"webhook-timestamp": f"{NOW_S}.0"},
        {"webhook-timestamp": f"-{NOW_S}"},
        {"webhook-timestamp": "9" * 5000},
        {"webhook-signature": ""},
        {"webhook-signature": "v1,"},
        {"webhook-signature": "v1"},
        {"webhook-signature": "v1,ü"},
        {"webhook-signature": "v1a," + sign(SECRET, "m", NOW_S, b"{}")[3:]},
    ],
)
def test_what_was_changed_is_not_believed(change: dict[str, str]) -> None:
    headers = signed_headers([SECRET], "m", NOW_S, b"{}")
    assert verify([SECRET], headers, b"{}", NOW_S + 300) == "m"
    with pytest.raises(BadSignature):
        verify([SECRET], headers | change, b"{}", NOW_S)


def test_a_body_written_again_is_not_believed() -> None:
    body = b'{"a": 1}'
    with pytest.raises(BadSignature, match="no signature fits"):
        verify([SECRET], signed_headers([SECRET], "m", NOW_S, body), b'{"a":1}', NOW_S)


@pytest.mark.parametrize("missing", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_missing_header_is_named(missing: str) -> None:
    headers = signed_headers([SECRET], "m", NOW_S, b"{}")
    del headers[missing]
    with pytest.raises(BadSignature, match=missing):
        verify([SECRET], headers, b"{}", NOW_S)


@pytest.mark.parametrize(
    "secret",
    ["", "secret-in-plain-text-0123456789", "whsec_%%%", "whsec_" + base64.b64encode(bytes(23)).decode()],
)
def test_a_bad_secret_is_refused_and_not_repeated(secret: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        key_of(secret)
    assert not secret or secret not in str(caught.value)
    with pytest.raises(ConfigurationError):
        key_of("whsec_" + base64.b64encode(bytes(65)).decode())


def test_new_secrets_are_in_order_and_differ() -> None:
    assert len(key_of(new_secret())) == 32
    assert new_secret() != new_secret()
