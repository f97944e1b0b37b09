"""The live condition of an asset as one more source: sentences that are quoted like any document's."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from contracts.documents import DocumentScope, Passage
from contracts.errors import NotFound
from contracts.ports import HistoryReader, Principal
from rag.guard import clean

_MOST_ALARMS: Final = 5
_MOST_DIAGNOSES: Final = 3
_NORMAL: Final = "normal"


@dataclass(frozen=True, slots=True)
class LiveCondition:
    """What is known of an asset now; ``needs`` names its standing alarms (``bearing fault outer race``)."""

    passage: Passage
    needs: tuple[str, ...]


async def live_condition(reader: HistoryReader, who: Principal, asset_id: str) -> LiveCondition:
    """Return the live condition of an asset within the caller's scope.

    Parameters
    ----------
    reader : HistoryReader
    who : Principal
    asset_id : str

    Returns
    -------
    condition : LiveCondition
        A sentence per line: the newest assessment, standing alarms with their reasons, diagnoses with their evidence.

    Raises
    ------
    NotFound
        The asset doesn't exist for the caller.
    Unavailable
        The database doesn't answer.
    """
    asset = await reader.asset(who, asset_id)
    try:
        assessment = await reader.latest_assessment(who, asset_id)
    except NotFound:
        assessment = None
    alarms = await reader.alarms(who, asset_id=asset_id, standing=True, limit=_MOST_ALARMS)
    standing = [alarm for alarm in alarms if alarm["state"] != _NORMAL]
    name = f"live condition of {asset_id}"
    lines = [_assessed(asset_id, assessment), *(_alarm(asset_id, alarm) for alarm in standing)]
    if not standing:
        lines.append(f"No alarm of {asset_id} is standing.")
    lines += _diagnoses(assessment)
    at_ns = assessment["window_end_ns"] if assessment is not None else None
    passage = Passage(
        passage_id=name,
        document_id=name,
        title=name,
        heading=(name,),
        text="\n".join(clean(line).replace("\n", " ") for line in lines),
        span=f"as of {_moment(at_ns)}" if at_ns is not None else "no assessment yet",
        scope=DocumentScope(site_id=asset["site_id"], asset_ids=(asset_id,)),
    )
    needs = dict.fromkeys(f"{_words(alarm['rule'])} {_words(alarm['fault'] or '')}".strip() for alarm in standing)
    return LiveCondition(passage, tuple(needs))


def _assessed(asset_id: str, assessment: Mapping[str, Any] | None) -> str:
    if assessment is None:
        return f"{asset_id} has not been assessed yet."
    zone, speed_rpm = assessment["zone"], assessment["speed_rpm"]
    graded = f"is in severity zone {zone}" if zone is not None else "isn't graded"
    speed = f" at {speed_rpm:.0f} rpm" if speed_rpm is not None else ""
    return f"{asset_id} {graded}{speed} in the newest window, which ended {_moment(assessment['window_end_ns'])}."


def _alarm(asset_id: str, alarm: Mapping[str, Any]) -> str:
    state = _words(alarm["state"])
    since = _moment(alarm["started_at_ns"])
    return f"Standing alarm of {asset_id} ({alarm['priority']} priority, {state}, since {since}): {alarm['reason']}."


def _diagnoses(assessment: Mapping[str, Any] | None) -> list[str]:
    found = sorted(assessment["diagnoses"] if assessment else (), key=lambda one: -one["confidence"])
    return [
        f"Diagnosis at {one['point_id']}: {_words(one['fault'])}, confidence {one['confidence']:.2f}"
        + "".join(f"; {evidence['text']}" for evidence in one["evidence"][:3])
        + "."
        for one in found[:_MOST_DIAGNOSES]
    ]


def _words(name: str) -> str:
    return name.replace("_", " ")


def _moment(at_ns: int) -> str:
    return f"{dt.datetime.fromtimestamp(at_ns // 1_000_000_000, dt.UTC):%Y-%m-%d %H:%M:%S} UTC"
