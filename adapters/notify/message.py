"""The body of a webhook: one alarm transition, small, the same bytes on every attempt."""

import dataclasses
from typing import Any, Final

import msgspec

from contracts.cloudevents import event_time, event_type
from contracts.records import AlarmTransition

#: Standard Webhooks asks for less than 20 kB.
MAX_BODY_BYTES: Final = 20_000
#: Free text is cut to this many characters, so that the body stays within its bound.
_MAX_TEXT: Final = 1_000
_MAX_EVIDENCE: Final = 8
_ENCODER: Final = msgspec.json.Encoder()


def webhook_message(transition: AlarmTransition) -> tuple[str, bytes]:
    """Return the message of an alarm transition.

    Parameters
    ----------
    transition : AlarmTransition
        One step of an alarm's life cycle.

    Returns
    -------
    message_id : str
        The transition's id.
    body : bytes
        JSON ``{type, timestamp, data}``, under 20 kB: the transition's fields, numbers that aren't finite as null;
        texts over 1000 characters are cut, and ``evidence`` keeps as many of its first entries as fit (at most 8).
    """
    data: dict[str, Any] = {
        name: value[:_MAX_TEXT] if isinstance(value, str) else value
        for name, value in ((field.name, getattr(transition, field.name)) for field in dataclasses.fields(transition))
    }
    for kept in range(min(len(transition.evidence), _MAX_EVIDENCE), -1, -1):
        data["evidence"] = [
            dataclasses.replace(one, name=one.name[:_MAX_TEXT], unit=one.unit[:_MAX_TEXT], text=one.text[:_MAX_TEXT])
            for one in transition.evidence[:kept]
        ]
        body = _ENCODER.encode(
            {"type": event_type(transition), "timestamp": event_time(transition.at_ns), "data": data}
        )
        if len(body) < MAX_BODY_BYTES:
            return transition.transition_id, body
    return transition.transition_id, _shortened(transition)


def _shortened(transition: AlarmTransition) -> bytes:
    """Return the body without free text: ids are far shorter than the bound."""
    names = ("transition_id", "alarm_id", "asset_id", "site_id", "point_id", "rule", "sequence", "state", "at_ns")
    data = {name: getattr(transition, name) for name in names}
    short = {name: value[:200] if isinstance(value, str) else value for name, value in data.items()}
    return _ENCODER.encode({"type": event_type(transition), "timestamp": event_time(transition.at_ns), "data": short})
