"""Two models over the same windows: the alarms that each would have raised, by the gate of the stream."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from adapters.timescale import StoredScore
from contracts.assets import AssetConfiguration, ModelReference, RuleSettings
from contracts.models import ModelVersion, Stage
from runtime.model_comparison import print_comparison, summed
from runtime.shadow_comparison import BASELINE, compare, opponent

SECOND = 1_000_000_000
RULES = RuleSettings(raise_after=3, clear_after=5)
OLD, NEW = "ae@1", "ae@2"


def window(second: int, model: str, value: float | None, **changes: Any) -> StoredScore:
    made: dict[str, Any] = {
        "point_id": "DE",
        "channel_id": "DE.acc",
        "window_start_ns": second * SECOND,
        "window_end_ns": (second + 1) * SECOND,
        "model": model,
        "value": value,
        "threshold": None if value is None else 1.0,
        "trusted": True,
    }
    return StoredScore(**made | changes)


def compared(old: str, new: str, **changes: Any) -> dict[str, Any]:
    """Return the comparison of two rows of windows: ``.`` normal, ``#`` above the threshold, ``?`` still learning."""
    values = {".": 0.5, "#": 2.0, "?": None}

    async def scores() -> AsyncIterator[StoredScore]:
        for second, pair in enumerate(zip(old, new, strict=True)):
            for model, sign in zip((OLD, NEW), pair, strict=True):
                yield window(second, model, values[sign], **changes)

    return asyncio.run(compare(scores(), NEW, OLD, RULES, (0, 10**12)))


def told(result: dict[str, Any]) -> list[tuple[str, float | None]]:
    return [(one["change"], one["shift_s"]) for one in result["differences"]]


def test_alarms_are_those_that_persisted() -> None:
    result = compared(
        "??..##.........###......###......",
        "????.......###.........####......",
    )
    old, new = result["under_champion"], result["under_challenger"]
    assert (old["windows"], old["not_judged"], old["alarms"]) == (33, 2, 2)
    assert (new["windows"], new["not_judged"], new["alarms"]) == (33, 4, 2)
    assert told(result) == [("earlier", -4.0), ("earlier", -1.0)]
    assert result["observed_s"] == 33.0
    assert old["episodes"][0]["from"].startswith("1970-01-01T00:00:18")


def test_what_only_one_raises_is_added_or_removed() -> None:
    assert told(compared("." * 20, "....###" + "." * 13)) == [("added", None)]
    assert told(compared("....###" + "." * 13, "." * 20)) == [("removed", None)]
    assert told(compared("." * 12 + "###.....", "." * 13 + "####...")) == [("later", 1.0)]
    same = "....####............"
    assert told(compared(same, same)) == []


def test_a_faulty_sensor_says_nothing() -> None:
    result = compared("...####....", "...####....", trusted=False)
    assert result["under_challenger"]["alarms"] == 0
    assert result["under_challenger"]["not_judged"] == 11


def test_windows_that_only_one_has_scored_are_left_out() -> None:
    async def scores() -> AsyncIterator[StoredScore]:
        for second in range(12):
            yield window(second, OLD, 2.0)
            if second >= 6:
                yield window(second, NEW, 2.0)

    result = asyncio.run(compare(scores(), NEW, OLD, RULES, (0, 10**12)))
    assert (result["unpaired"], result["under_champion"]["windows"], result["differences"]) == (6, 6, [])
    assert result["from"].startswith("1970-01-01T00:00:06")


def test_nothing_stored_is_nothing_to_compare() -> None:
    async def nothing() -> AsyncIterator[StoredScore]:
        for one in list[StoredScore]():
            yield one

    result = asyncio.run(compare(nothing(), NEW, OLD, RULES, (0, 1)))
    assert (result["from"], result["observed_s"], result["differences"]) == (None, 0.0, [])


def test_the_opponent_is_what_scores_or_would() -> None:
    def pump(*models: ModelReference) -> AssetConfiguration:
        return AssetConfiguration(asset_id="P", site_id="s", name="P", asset_type="pump", models=models)

    new = ModelVersion(name="ae", version="2", sha256="", feature_hash="", slot="ae", stage=Stage.STAGED)
    old = ModelReference(name="ae", version="1")
    shadow = ModelReference(name="ae", version="2", shadow=True)
    assert opponent(pump(old, shadow), new, [new]) == OLD
    heir = ModelReference(name="ae", version="1", shadow=True, stands_in_for=NEW)
    assert opponent(pump(ModelReference(name="ae", version="2"), heir), new, [new]) == OLD
    assert opponent(pump(shadow), new, [new]) == BASELINE


def test_people_read_it(capsys: Any) -> None:
    one = {"asset_id": "P-101", **compared("." * 20, "????###" + "." * 13)}
    print_comparison({"challenger": NEW, "assets": [one], "in_sum": summed([one])})
    lines = capsys.readouterr().out.splitlines()
    assert any("ae@2" in line and "1 alarms in 20 windows, 4 of them not judged" in line for line in lines)
    assert any(line.strip().startswith("added, DE 1970-01-01T00:00:07") for line in lines)
    assert "alarms that would have been otherwise: 1 added" in lines
    assert any("too short to say how many a month" in line for line in lines)
    assert lines[-1].startswith("not judged are windows before a model's threshold, which 99 normal windows")
