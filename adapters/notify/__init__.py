"""Alarms to webhooks by the Standard Webhooks specification: message, signature, guarded sending, retries."""

from adapters.notify.dispatcher import DELAYS_S, Dispatcher
from adapters.notify.message import MAX_BODY_BYTES, webhook_message
from adapters.notify.sender import WebhookSender
from adapters.notify.signing import BadSignature, new_secret, sign, verify

__all__ = [
    "DELAYS_S",
    "MAX_BODY_BYTES",
    "BadSignature",
    "Dispatcher",
    "WebhookSender",
    "new_secret",
    "sign",
    "verify",
    "webhook_message",
]
