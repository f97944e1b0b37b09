"""What a subscriber sees while ``up`` runs: assessments, alarms, and where the first alarm has arrived.

It watches from outside, through the public interfaces only: the topics, the database's table, the receiver, the API.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
import psycopg
from confluent_kafka import Consumer, TopicPartition

from contracts import records as r
from contracts import topics
from contracts.codec import Codec
from contracts.errors import BadRecord, Unavailable
from contracts.features import FEATURE_INDEX

STAGES: Final = ("kafka", "database", "webhook", "api")
_POLL_S: Final = 0.1
_PROBE_S: Final = 2.0
_PAUSE_S: Final = 0.02
_NS_PER_MS: Final = 1e6
#: What makes an alarm new; an update of one that stands isn't.
_NEW: Final = frozenset({"raised", "realarmed"})
#: Data that are missing while a slow machine starts say nothing of the assets.
_MISSING_DATA: Final = "missing_data"


@dataclass(slots=True)
class Sighting:
    """The first alarm of this run: what it says, and when it was seen where (seconds since the start)."""

    transition: r.AlarmTransition
    seen_s: dict[str, float] = field(default_factory=dict)
    latency_ms: dict[str, float | None] = field(default_factory=dict)

    @property
    def missing(self) -> list[str]:
        """Where it hasn't been seen yet."""
        return [stage for stage in STAGES if stage not in self.seen_s]

    def as_json(self) -> dict[str, Any]:
        """Return alarm, sightings and latencies for a program."""
        t = self.transition
        return {
            "alarm": {
                "id": t.alarm_id,
                "asset": t.asset_id,
                "point": t.point_id,
                "rule": t.rule,
                "state": t.state.value,
                "zone": None if t.zone is None else t.zone.value,
                "fault": t.fault,
                "confidence": t.confidence,
                "reason": t.reason,
                "evidence": [
                    {
                        "name": e.name,
                        "value": e.value,
                        "unit": e.unit,
                        "limit": e.limit,
                        "frequency_hz": e.frequency_hz,
                        "text": e.text,
                    }
                    for e in t.evidence
                ],
            },
            "seen": {stage: round(at_s, 3) for stage, at_s in self.seen_s.items()},
            "latency_ms": {name: None if ms is None else round(ms, 1) for name, ms in self.latency_ms.items()},
        }


class Subscriber:
    """A thread that reads ``assessments`` and ``alarms`` from now on.

    Parameters
    ----------
    kafka_url : str
        Bootstrap servers.
    codec : Codec
        Decodes records.
    on_assessment, on_alarm : callable
        Called with the record and the time it arrived (UTC ns), from the thread.
    """

    def __init__(
        self,
        kafka_url: str,
        codec: Codec,
        on_assessment: Callable[[r.Assessment, int], None],
        on_alarm: Callable[[r.AlarmTransition, int], None],
    ) -> None:
        self._codec = codec
        self._on_assessment = on_assessment
        self._on_alarm = on_alarm
        self._stop = threading.Event()
        self._consumer = Consumer(
            {
                "bootstrap.servers": kafka_url,
                "group.id": "faultline-watch",
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 10,
                "reconnect.backoff.max.ms": 1_000,
            }
        )
        self._consumer.assign(self._ends())
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    def _ends(self) -> list[TopicPartition]:
        places = []
        for topic in (topics.ASSESSMENTS, topics.ALARMS):
            metadata = self._consumer.list_topics(topic, timeout=10.0).topics[topic]
            for partition in metadata.partitions:
                _low, high = self._consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10.0)
                places.append(TopicPartition(topic, partition, high))
        return places

    def _run(self) -> None:
        while not self._stop.is_set():
            message = self._consumer.poll(_POLL_S)
            if message is None or message.error() is not None:
                continue
            now_ns = time.time_ns()
            value = message.value()
            try:
                record = self._codec.decode(value if isinstance(value, bytes) else None)
            except BadRecord:
                continue
            if isinstance(record, r.Assessment):
                self._on_assessment(record, now_ns)
            elif isinstance(record, r.AlarmTransition):
                self._on_alarm(record, now_ns)

    def close(self) -> None:
        """Stop reading."""
        self._stop.set()
        self._thread.join()
        self._consumer.close()


class FirstAlarm:
    """Follows the first alarm of a run to every place where a user would look for it.

    Parameters
    ----------
    began_s : float
        Monotonic time at which the run began.
    database_url, receiver_url, api_url : str
        Where to look.
    """

    def __init__(self, began_s: float, database_url: str, receiver_url: str, api_url: str) -> None:
        self._began_s = began_s
        self._began_ns = time.time_ns() - round(1e9 * (time.monotonic() - began_s))
        self._database_url = database_url
        self._receiver_url = receiver_url
        self._api_url = api_url
        self._assessed_ns: dict[tuple[str, int], int] = {}
        self._alarm_ns = 0
        self._received_ns = 0
        self.sighting: Sighting | None = None

    def assessed(self, assessment: r.Assessment, at_ns: int) -> None:
        """Note when an assessment arrived."""
        self._assessed_ns[assessment.asset_id, assessment.window_end_ns] = at_ns

    def alarmed(self, transition: r.AlarmTransition, at_ns: int) -> None:
        """Note an alarm transition; the first one that wants attention is followed.

        What an earlier run has left to be computed is none of this one's.
        """
        new = transition.state is r.AlarmState.UNACKNOWLEDGED and transition.cause in _NEW
        new = new and transition.at_ns >= self._began_ns
        if self.sighting is not None or not new or transition.rule == _MISSING_DATA:
            return
        self._alarm_ns = at_ns
        sighting = Sighting(transition)
        sighting.seen_s["kafka"] = time.monotonic() - self._began_s
        self.sighting = sighting

    def look(self) -> bool:
        """Look where it hasn't been seen yet; return whether it has been seen everywhere."""
        sighting = self.sighting
        if sighting is None:
            return False
        probes = {"database": self._in_database, "webhook": self._at_receiver, "api": self._at_api}
        for stage in sighting.missing:
            if probes[stage](sighting.transition):
                sighting.seen_s[stage] = time.monotonic() - self._began_s
        if sighting.missing:
            time.sleep(_PAUSE_S)
            return False
        self._measure(sighting)
        return True

    def _measure(self, sighting: Sighting) -> None:
        transition = sighting.transition
        assessed_ns = self._assessed_ns.get((transition.asset_id, transition.at_ns))
        sighting.latency_ms = {
            "sample_to_assessment": None if assessed_ns is None else (assessed_ns - transition.at_ns) / _NS_PER_MS,
            "sample_to_alarm": (self._alarm_ns - transition.at_ns) / _NS_PER_MS,
            "alarm_to_webhook": (self._received_ns - self._alarm_ns) / _NS_PER_MS,
        }

    def _in_database(self, transition: r.AlarmTransition) -> bool:
        try:
            with psycopg.connect(self._database_url, connect_timeout=2) as connection:
                query = "SELECT 1 FROM alarm_history WHERE transition_id = %s"
                return connection.execute(query, (transition.transition_id,)).fetchone() is not None
        except psycopg.Error as error:
            raise Unavailable("database", type(error).__name__) from None

    def _at_receiver(self, transition: r.AlarmTransition) -> bool:
        answer = _get(f"{self._receiver_url}/received")
        for message in () if answer is None else answer.json()["received"]:
            if message["id"] == transition.transition_id:
                self._received_ns = message["received_at_ns"]
                return True
        return False

    def _at_api(self, transition: r.AlarmTransition) -> bool:
        found = _get(f"{self._api_url}/v1/alarms/{transition.alarm_id}")
        return found is not None and found.json().get("alarm_id") == transition.alarm_id


def headline(assessment: r.Assessment) -> dict[str, str]:
    """Return the few values of an assessment that a person watches, as text."""
    channel = max(assessment.channels, key=lambda c: c.features[FEATURE_INDEX["velocity_rms_mm_s"]] or 0.0)
    value = channel.features
    baseline = next((s for s in channel.scores if s.model == "baseline"), None)
    score = "learning" if baseline is None or baseline.value is None else f"{baseline.value:.1f}"
    return {
        "asset": assessment.asset_id,
        "zone": "-" if assessment.zone is None else assessment.zone.value,
        "velocity mm/s": _number(value[FEATURE_INDEX["velocity_rms_mm_s"]]),
        "BPFO dB": _number(value[FEATURE_INDEX["bpfo_db"]]),
        "BPFI dB": _number(value[FEATURE_INDEX["bpfi_db"]]),
        "score": score,
        "speed rpm": _number(assessment.speed_rpm),
        "diagnosis": ", ".join(sorted({d.fault.replace("_", " ") for d in assessment.diagnoses})) or "-",
    }


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _get(url: str) -> httpx.Response | None:
    try:
        response = httpx.get(url, timeout=_PROBE_S)
    except httpx.HTTPError:
        return None
    return response if response.is_success else None
