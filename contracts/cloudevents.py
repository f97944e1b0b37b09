"""Alarm transitions as CloudEvents 1.0.2: the names that subscribers filter and order by.

Kafka's binary mode: attributes in headers, the Avro value untouched. ``sequence`` is zero-padded, because the
extension orders as text.
"""

import datetime as dt
from typing import Final
from urllib.parse import quote

from contracts.records import AlarmTransition

CONTENT_TYPE: Final = "application/avro"
_NS_PER_US: Final = 1_000
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def event_type(transition: AlarmTransition) -> str:
    """Return the event type: the alarm's new state.

    Parameters
    ----------
    transition : AlarmTransition
        One step of an alarm's life cycle.

    Returns
    -------
    name : str
        ``io.faultline.alarm.`` and the state.
    """
    return f"io.faultline.alarm.{transition.state.value}"


def event_time(at_ns: int) -> str:
    """Return a time as RFC 3339 text in UTC, with microseconds.

    Parameters
    ----------
    at_ns : int
        UTC nanoseconds.

    Returns
    -------
    text : str
        The time, digits beyond the microsecond cut off.

    Examples
    --------
    >>> event_time(1_700_000_000_123_456_789)
    '2023-11-14T22:13:20.123456Z'
    """
    at = _EPOCH + dt.timedelta(microseconds=at_ns // _NS_PER_US)
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")


def event_source(site_id: str, asset_id: str) -> str:
    """Return the asset as a URI reference.

    Parameters
    ----------
    site_id, asset_id : str
        Where the event happened; reserved characters are percent-encoded.

    Returns
    -------
    source : str
        A path that is unique to the asset.

    Examples
    --------
    >>> event_source("Werk 1", "P-101")
    '/sites/Werk%201/assets/P-101'
    """
    return f"/sites/{quote(site_id, safe='')}/assets/{quote(asset_id, safe='')}"


def cloudevent_headers(transition: AlarmTransition) -> list[tuple[str, bytes]]:
    """Return the Kafka headers of a transition in CloudEvents binary mode.

    Parameters
    ----------
    transition : AlarmTransition
        What the record's value holds.

    Returns
    -------
    headers : list of (str, bytes)
        ``content-type``, the ``ce_`` attributes and extensions as UTF-8 and, where the transition has one,
        ``traceparent`` also under its W3C name.

    References
    ----------
    CloudEvents 1.0.2 Kafka protocol binding, section 3.2; extensions sequence, severity, distributed tracing.
    """
    attributes = {
        "id": transition.transition_id,
        "source": event_source(transition.site_id, transition.asset_id),
        "specversion": "1.0",
        "type": event_type(transition),
        "time": event_time(transition.at_ns),
        "subject": transition.alarm_id,
        "sequence": f"{transition.sequence:020d}",
        "severitytext": transition.priority.value,
    }
    headers = [("content-type", CONTENT_TYPE), *((f"ce_{name}", value) for name, value in attributes.items())]
    if transition.traceparent is not None:
        headers += [("ce_traceparent", transition.traceparent), ("traceparent", transition.traceparent)]
    return [(name, value.encode()) for name, value in headers]
