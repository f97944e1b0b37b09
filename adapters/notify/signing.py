"""Standard Webhooks signatures: who sent these exact bytes, and when.

Signed is ``id.timestamp.body``, never a body that was parsed and written again. A secret never appears in a message.
"""

import base64
import binascii
import hashlib
import hmac
import secrets as random_source
from collections.abc import Mapping, Sequence
from typing import Final

from contracts.errors import ConfigurationError, FaultlineError

PREFIX: Final = "whsec_"
MIN_KEY_BYTES: Final = 24
MAX_KEY_BYTES: Final = 64
#: How far the sender's clock may be from the receiver's (seconds).
TOLERANCE_S: Final = 300


class BadSignature(FaultlineError):
    """A webhook that must not be believed; the message says what is wrong with it."""


def new_secret() -> str:
    """Return a new random secret, ``whsec_`` and 32 bytes in base64."""
    return PREFIX + base64.b64encode(random_source.token_bytes(32)).decode()


def key_of(secret: str) -> bytes:
    """Return the key in a secret.

    Parameters
    ----------
    secret : str
        ``whsec_`` and 24 to 64 bytes in base64.

    Returns
    -------
    key : bytes
        What the HMAC is keyed with.

    Raises
    ------
    ConfigurationError
        If the secret has another form; the secret itself isn't repeated.

    Examples
    --------
    >>> key_of("whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz")
    b'012345678901234567890123'
    """
    if not secret.startswith(PREFIX):
        raise ConfigurationError(f"a webhook secret starts with {PREFIX}")
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ConfigurationError(f"a webhook secret is {PREFIX} and base64") from None
    if not MIN_KEY_BYTES <= len(key) <= MAX_KEY_BYTES:
        raise ConfigurationError(f"a webhook secret has {MIN_KEY_BYTES} to {MAX_KEY_BYTES} bytes, not {len(key)}")
    return key


def sign(secret: str, message_id: str, timestamp_s: int, body: bytes) -> str:
    """Return one signature.

    Parameters
    ----------
    secret : str
        The endpoint's secret.
    message_id : str
        The same on every attempt.
    timestamp_s : int
        Time of the attempt, UTC seconds.
    body : bytes
        What is sent, byte for byte.

    Returns
    -------
    signature : str
        ``v1,`` and the HMAC-SHA256 in base64.

    References
    ----------
    Standard Webhooks specification, "Signature scheme".
    """
    signed = f"{message_id}.{timestamp_s}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key_of(secret), signed, hashlib.sha256)).decode()


def signed_headers(secrets: Sequence[str], message_id: str, timestamp_s: int, body: bytes) -> dict[str, str]:
    """Return the headers of one attempt.

    Parameters
    ----------
    secrets : sequence of str
        The endpoint's secrets; two during a rotation, each of which signs.
    message_id : str
        The same on every attempt.
    timestamp_s : int
        Time of the attempt, UTC seconds.
    body : bytes
        What is sent, byte for byte.

    Returns
    -------
    headers : dict of str to str
        ``webhook-id``, ``webhook-timestamp`` and ``webhook-signature``.
    """
    signatures = " ".join(sign(secret, message_id, timestamp_s, body) for secret in secrets)
    return {"webhook-id": message_id, "webhook-timestamp": str(timestamp_s), "webhook-signature": signatures}


def verify(secrets: Sequence[str], headers: Mapping[str, str], body: bytes, now_s: float) -> str:
    """Return the message id of a webhook that one of the secrets signed.

    Parameters
    ----------
    secrets : sequence of str
        What the receiver accepts.
    headers : mapping of str to str
        The request's headers, names in lower case (or a mapping that doesn't care).
    body : bytes
        The request's body, byte for byte.
    now_s : float
        The receiver's clock, UTC seconds.

    Returns
    -------
    message_id : str
        The id, by which a receiver knows a repetition.

    Raises
    ------
    BadSignature
        If a header is missing, the time is over 5 minutes away, or no signature fits.
    """
    message_id, timestamp, given = (headers.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature"))
    if not (message_id and timestamp and given):
        raise BadSignature("webhook-id, webhook-timestamp and webhook-signature are needed")
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        raise BadSignature(f"webhook-timestamp {timestamp[:20]!r} isn't a number of seconds")
    if abs(int(timestamp) - now_s) > TOLERANCE_S:
        raise BadSignature(f"webhook-timestamp is {int(timestamp) - now_s:+.0f} s away, {TOLERANCE_S} s are allowed")
    candidates = [one.encode() for one in given.split(" ")]
    matches = [
        hmac.compare_digest(sign(secret, message_id, int(timestamp), body).encode(), candidate)
        for secret in secrets
        for candidate in candidates
    ]
    if not any(matches):
        raise BadSignature("no signature fits the body")
    return message_id
