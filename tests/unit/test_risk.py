"""The risk list: which machine comes first, what its life is told by, and when none is told."""

import asyncio
import datetime as dt
import json
from pathlib import Path

import numpy as np
import pytest

from api.risks import FRESH_NS, MOST_AT_ONCE, RiskBook, risk_list
from processors.risk import TREND_POINTS, WORST_LINE_DB, ChannelCourse, Facts, LineCourse, Risk, ranked, risk_of
from runtime.commands.risk import write
from tests.api_doubles import TECHNICIAN, FakeClock, Reader
from tests.api_samples import NOW_NS, configuration

HOURS_S = 3600.0 * np.arange(60.0)


def course(velocity_mm_s: np.ndarray, channel_id: str = "a") -> ChannelCourse:
    return ChannelCourse(channel_id, HOURS_S[: velocity_mm_s.size], velocity_mm_s)


def line(level_db: float) -> LineCourse:
    return LineCourse("c", "bpfo_db", HOURS_S, np.linspace(5.0, level_db, 60))


WELL = course(np.full(60, 1.0))
RISING = course(1.0 + 0.05 * np.exp(HOURS_S / 60e3), "b")


def facts(*courses: ChannelCourse, limit_mm_s: float | None = 7.1, **more: object) -> Facts:
    return Facts(asset_id="P-1", courses=courses, limit_mm_s=limit_mm_s, **more)  # type: ignore[arg-type]  # by name


def test_a_machine_that_is_well_has_an_index_of_1_and_no_life() -> None:
    found = risk_of(facts(WELL))
    assert (found.health_index, found.life, found.no_life_because) == (1.0, None, "no alarm stands")
    assert found.reason == "nothing unusual"


def test_the_worst_channel_counts_and_its_trend_gives_the_life() -> None:
    found = risk_of(facts(WELL, RISING, warned_at_s=20 * 3600.0, alarm="High vibration at DE"))
    assert found.health_index == pytest.approx(
        1.0 - np.log(RISING.velocity_mm_s[-2] / 1.06) / np.log(7.1 / 1.06), abs=0.03
    )
    assert found.life is not None
    true_s = 60e3 * np.log(6.1 / 0.05) - HOURS_S[-1]
    assert found.life.p10_s <= true_s <= found.life.p90_s
    assert found.life.p50_s == pytest.approx(true_s, rel=0.35)  # what is taken for healthy is 6 % too much
    assert found.reason.startswith("High vibration at DE; velocity ")


@pytest.mark.parametrize(
    ("given", "because"),
    [
        (facts(WELL, warned_at_s=0.0, alarm="x"), "doesn't rise"),
        (facts(RISING, warned_at_s=HOURS_S[-4], alarm="x"), "4 values since the alarm, 8 needed"),
        (facts(RISING, limit_mm_s=None, warned_at_s=0.0, fault="outer_race", line=line(20.0)), "no limit"),
    ],
)
def test_no_life_is_told_without_reason(given: Facts, because: str) -> None:
    found = risk_of(given)
    assert found.life is None
    assert because in (found.no_life_because or "")


@pytest.mark.parametrize(
    ("line_db", "index"), [(10.0, 1.0), (25.0, 0.5), (WORST_LINE_DB, 0.0), (60.0, 0.0), (3.0, 1.0)]
)
def test_a_bearing_fault_lowers_the_index_before_the_velocity_does(line_db: float, index: float) -> None:
    found = risk_of(facts(WELL, alarm="Outer-race fault", fault="outer_race", line=line(line_db)))
    assert found.health_index == pytest.approx(index)
    if index < 1.0:
        assert f"outer race line {line_db:.0f} dB" in found.reason


def test_what_is_not_known_is_not_healthy() -> None:
    empty = ChannelCourse("a", np.empty(0), np.empty(0))
    assert risk_of(facts(empty)) == Risk("P-1", None, None, "nothing measured", "nothing measured")
    assert risk_of(facts(WELL, limit_mm_s=None)).health_index is None
    alarmed = risk_of(facts(WELL, limit_mm_s=None, warned_at_s=0.0, alarm="Unbalance"))
    assert (alarmed.health_index, alarmed.life) == (None, None)
    assert alarmed.reason.startswith("Unbalance; not graded")


def test_the_list_begins_with_the_most_urgent_and_ends_with_the_unknown() -> None:
    risks = [Risk(name, index, None, None, "") for name, index in (("b", 0.9), ("u", None), ("c", 0.1), ("a", 0.9))]
    assert [risk.asset_id for risk in ranked(risks)] == ["c", "a", "b", "u"]


def test_the_history_gives_a_risk_for_each_asset_in_scope() -> None:
    risks = asyncio.run(risk_list(Reader(), TECHNICIAN, NOW_NS, 30.0))
    assert {risk.asset_id for risk in risks} == {"P-101", "P-201"}
    assert all(risk.no_life_because and risk.reason for risk in risks)


def test_a_risk_says_which_channel_and_feature_it_comes_from_and_how_it_has_come() -> None:
    found = risk_of(facts(WELL, RISING))
    assert found.worst is not None
    assert (found.worst.channel_id, found.worst.feature, found.worst.unit) == ("b", "velocity_rms_mm_s", "mm/s")
    assert found.worst.limit == 7.1
    assert found.worst.value == pytest.approx(RISING.velocity_mm_s[-2])
    times_s, indices = np.array(found.trend).T
    assert times_s.tolist() == HOURS_S.tolist()
    assert indices[0] == 1.0
    assert indices[-1] == pytest.approx(found.health_index, abs=0.03)
    assert (np.diff(indices) <= 0.0).all()
    faulty = risk_of(facts(WELL, fault="outer_race", line=line(25.0)))
    assert faulty.worst is not None
    assert (faulty.worst.channel_id, faulty.worst.feature, faulty.worst.value) == ("c", "bpfo_db", 25.0)
    assert faulty.trend[-1][0] == HOURS_S[-1]
    assert faulty.trend[-1][1] == pytest.approx(0.5)


def test_a_long_course_has_a_short_trend() -> None:
    values = np.full(1000, 1.0)
    long = ChannelCourse("a", np.arange(1000.0), values)
    trend = risk_of(facts(long)).trend
    assert len(trend) == TREND_POINTS
    assert trend[-1] == (999.0, 1.0)


def test_the_book_asks_again_after_a_while_and_tells_a_large_plant_bit_by_bit() -> None:
    reader, clock = Reader(), FakeClock()
    book = RiskBook(reader, clock)

    async def scenario() -> None:
        first = await book.risk(TECHNICIAN, "P-101")
        asked = len(reader.asked)
        assert await book.risk(TECHNICIAN, "P-101") is first
        assert len(reader.asked) == asked
        clock.ns += FRESH_NS
        assert await book.risk(TECHNICIAN, "P-101") == first
        assert len(reader.asked) > asked
        reader.assets_by_id |= {f"A-{k:03}": configuration(f"A-{k:03}", "north") for k in range(MOST_AT_ONCE + 5)}
        ids = [asset_id for asset_id in reader.assets_by_id if asset_id.startswith("A-")]
        assert len(await book.risks(TECHNICIAN, ["gone", *ids])) == MOST_AT_ONCE - 1  # one is gone
        assert set(await book.risks(TECHNICIAN, ids)) == set(ids)

    asyncio.run(scenario())


def test_a_list_is_written_whole_in_words_and_for_programs(tmp_path: Path) -> None:
    at = dt.datetime(2026, 1, 31, 4, 15, tzinfo=dt.UTC)
    risks = ranked(
        [risk_of(facts(WELL, alarm="a | b")), Risk("P-2", None, None, "nothing measured", "nothing measured")]
    )
    for _ in range(2):  # a second list of the same day takes the first one's place
        words, numbers = write(tmp_path / "risk", risks, json.dumps({"risks": []}), at)
    assert sorted(path.name for path in (tmp_path / "risk").iterdir()) == ["risk-2026-01-31.json", "risk-2026-01-31.md"]
    assert json.loads(numbers.read_text(encoding="utf-8")) == {"risks": []}
    lines = words.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "# Which machine first, 2026-01-31 04:15 UTC"
    assert len(lines) == 6
    assert lines[4].startswith("| P-1 | ")
    assert "a \\| b" in lines[4]
    assert lines[5] == "| P-2 | – | not justified: nothing measured | nothing measured |"
