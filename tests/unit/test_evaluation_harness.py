"""The harness: it catches what looks ahead, counts as the benchmarks do, and reads what they are made of."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from adapters.recordings.cmapss import read_cmapss
from adapters.recordings.labelled import LabelledSeries
from adapters.recordings.nab import read_nab
from adapters.recordings.tep import read_tep
from contracts.errors import ConfigurationError, LookAhead, SignalError
from pipelines.evaluation.causality import judged
from pipelines.evaluation.nab_score import Scored, at_threshold, optimised, probation
from pipelines.evaluation.pointwise import count, false_warnings, file_row
from pipelines.evaluation.report_card import as_html, as_markdown
from pipelines.evaluation.result import Published, Result
from processors.detection.charts import ewma
from runtime.commands.evaluate import evaluate

F64 = NDArray[np.float64]


def rows(seed: int = 0, n: int = 200) -> F64:
    return np.random.default_rng(seed).standard_normal((n, 2))


LEAKS = {
    "normalised over all rows": lambda seen: (seen - seen.mean(axis=0)) / seen.std(axis=0),
    "smoothed from both sides": lambda seen: np.convolve(seen[:, 0], np.ones(3) / 3, mode="same"),
    "filled from the next row": lambda seen: np.append(seen[1:, 0], 0.0),
    "a limit from all rows": lambda seen: (seen[:, 0] > np.quantile(seen[:, 0], 0.99)).astype(np.float64),
    "one row of several results": lambda seen: np.stack([np.cumsum(seen[:, 0]), seen[::-1, 0]], axis=1),
    "told by the number of rows": lambda seen: np.full(len(seen), 1.0 / len(seen)),
}


@pytest.mark.parametrize("leak", LEAKS.values(), ids=LEAKS.keys())
def test_a_planted_leak_is_caught(leak: Any) -> None:
    with pytest.raises(LookAhead, match="planted"):
        judged("planted", leak, rows(), known=20)


def test_a_causal_detector_passes_with_its_results() -> None:
    assert judged("causal", lambda seen: ewma(seen, 0.1), rows(), known=20).tobytes() == ewma(rows(), 0.1).tobytes()


def test_learning_from_the_training_rows_is_no_leak_but_from_one_more_is() -> None:
    assert judged("honest", lambda seen: seen[:, 0] - seen[:20, 0].mean(), rows(), known=20).shape == (200,)
    with pytest.raises(LookAhead, match="row 0 changes"):
        judged("one more", lambda seen: seen[:, 0] - seen[:21, 0].mean(), rows(), known=20)


def test_rows_are_counted_by_truth_and_verdict() -> None:
    warned = np.array([0, 1, 0, 0, 1, 1, 0], dtype=bool)
    abnormal = np.array([0, 0, 0, 1, 1, 0, 0], dtype=bool)
    counts = count(warned, abnormal)
    assert (counts.true_alarms, counts.false_alarms, counts.missed, counts.quiet) == (1, 2, 1, 3)
    assert (counts.f1, counts.far, counts.mar) == (0.4, 0.4, 0.5)
    assert false_warnings(warned, abnormal) == 1
    assert count(warned[:0], abnormal[:0]).f1 is None


def test_a_file_tells_when_it_was_warned_and_how_late() -> None:
    abnormal = np.zeros(100, dtype=np.bool_)
    abnormal[50:80] = True
    warned = np.zeros(100, dtype=np.bool_)
    warned[[30, 55]] = True
    series = LabelledSeries(
        name="a",
        group="g",
        channels=("x",),
        interval_s=2.0,
        times_s=2.0 * np.arange(100.0),
        values=np.zeros((100, 1)),
        abnormal=abnormal,
    )
    row = file_row(series, warned, 20)
    assert (row["first_warning_s"], row["delay_s"], row["false_alarms"], row["normal_s"]) == (60.0, 10.0, 1, 100.0)
    assert file_row(series, np.zeros(100, dtype=np.bool_), 20)["delay_s"] is None


def corpus(seed: int) -> list[Scored]:
    rng, files = np.random.default_rng(seed), []
    shapes: tuple[tuple[int, tuple[tuple[int, int], ...]], ...] = (
        (400, ((100, 139), (150, 180))),
        (6000, ((800, 900), (2500, 2900))),
        (300, ()),
    )
    for n, windows in shapes:
        scores = np.round(rng.random(n), 3) * 0.9
        for first, last in windows:
            scores[rng.integers(first, last + 1)] = np.round(0.9 + 0.09 * rng.random(), 3)
        for _ in range(4):
            scores[rng.integers(0, n)] = np.round(0.9 + 0.05 * rng.random(), 3)
        files.append(Scored(scores, windows))
    return files


# made with the benchmark's own Sweeper (nab/sweeper.py of its version 1.1), probation 15 %, standard profile
@pytest.mark.parametrize(
    ("seed", "best", "threshold", "fixed"),
    [
        (0, 76.02795308151262, 0.909, 65.5997371605181),
        (1, 77.69005623055587, 0.95, 59.102825341055855),
        (2, 77.19340764074425, 0.916, 71.17098403353515),
        (3, 94.06212332308084, 0.931, 83.22619445673594),
    ],
)
def test_the_nab_score_is_the_benchmarks(seed: int, best: float, threshold: float, fixed: float) -> None:
    found = optimised(corpus(seed))
    assert found.score == pytest.approx(best, abs=1e-9)
    assert found.threshold == threshold
    assert at_threshold(corpus(seed), 0.9).score == pytest.approx(fixed, abs=1e-9)


def test_silence_scores_0_and_the_left_ends_of_all_windows_100() -> None:
    perfect, silent = np.zeros(1000), np.zeros(1000)
    perfect[[300, 600]] = 1.0
    windows = ((300, 350), (600, 650))
    assert at_threshold([Scored(perfect, windows)], 0.5).score == pytest.approx(100.0)
    assert at_threshold([Scored(silent, windows)], 0.5).score == 0.0
    # an alarm in the probation is none, wherever it is
    silent[: probation(1000)] = 1.0
    assert at_threshold([Scored(silent, windows)], 0.5).score == 0.0


@pytest.fixture
def nab(tmp_path: Path) -> Path:
    rng = np.random.default_rng(5)
    (tmp_path / "data" / "realKnownCause").mkdir(parents=True)
    (tmp_path / "labels").mkdir()
    lines = ["timestamp,value"]
    for hour, value in enumerate(rng.standard_normal(1200)):
        at = np.datetime64("2020-01-01T00:00:00") + np.timedelta64(hour, "h")
        lines.append(f"{str(at).replace('T', ' ')},{value + (20.0 if hour == 805 else 0.0):.3f}")
    (tmp_path / "data" / "realKnownCause" / "machine.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    window = [["2020-02-03 00:00:00.000000", "2020-02-05 00:00:00.000000"]]
    labels = {"realKnownCause/machine.csv": window, "realKnownCause/elsewhere.csv": []}
    (tmp_path / "labels" / "combined_windows.json").write_text(json.dumps(labels), encoding="utf-8")
    return tmp_path


def invoke(*arguments: object) -> Any:
    return CliRunner().invoke(evaluate, [str(argument) for argument in arguments])


def test_nab_is_read_scored_and_reported(nab: Path, tmp_path: Path) -> None:
    (series,) = read_nab(nab)
    assert (series.name, series.group, series.interval_s) == ("machine", "realKnownCause", 3600.0)
    assert series.windows == ((792, 840),)
    cards = tmp_path / "cards"
    done = invoke("detection", "--data", nab, "--format", "nab", "--json", "--report", cards)
    assert done.exit_code == 0, done.output
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("{")]
    found = json.loads(line)
    assert found["windows_found"] == found["windows"] == 1
    assert found["nab_score"] > 80.0
    assert found["seeds"] == []
    assert found["files"][0]["first_warning_s"] is not None
    markdown = (cards / "detection-nab.md").read_text(encoding="utf-8")
    page = (cards / "detection-nab.html").read_text(encoding="utf-8")
    for text in (markdown, page):
        assert "NAB score, optimised threshold" in text
        assert "false alarms per asset and month" in text
        assert "final_results.json" in text
        assert "ARTime" in text
        assert "The goal is met: NAB score, optimised threshold" in text


@pytest.mark.parametrize(
    ("goals", "verdict"),
    [
        ({}, "No goal was set"),
        ({"far": "≤ 0.1"}, "The goal is met: false-alarm rate (FAR) 0.05, goal ≤ 0.1."),
        ({"far": "≤ 0.1", "faults": "all of 1, 6"}, "All goals met"),
        ({"far": "≤ 0.1", "faults": "all of 1, 4"}, "Missed 1 of 2 goals: faults 1, 6, goal all of 1, 4."),
        ({"far": "≤ 0.01"}, "Missed 1 of 1 goals"),
        ({"rmse": "≤ 1"}, "Missed 1 of 1 goals: RMSE –, goal ≤ 1."),  # what wasn't measured isn't met
    ],
)
def test_a_card_says_first_whether_the_goals_are_met(goals: dict[str, str], verdict: str) -> None:
    result = Result(
        task="detection",
        data_set="tep",
        measures={"far": 0.05, "faults": [1, 6], "rmse": None},
        files=({"file": "a|<b>", "far": 0.05},),
        seeds=(),
        settings={},
        published=(
            Published("far", 0.2, "T²", "Somebody (2000)", "other runs"),
            Published("rmse", 3.0, "T²", "Somebody (2000)", "other runs"),
        ),
        goals=goals,
    )
    markdown, page = as_markdown(result), as_html(result)
    assert markdown.split("\n\n")[1].startswith(f"**{verdict}")
    assert verdict in page
    assert "| T² | false-alarm rate (FAR): 0.2; RMSE: 3 | [1] |" in markdown
    assert markdown.count("[1] Somebody (2000). Measured there: other runs.") == 1
    assert "a\\|<b>" in markdown
    assert "a|&lt;b&gt;" in page


def test_nab_refuses_what_it_is_not(nab: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="combined_windows"):
        list(read_nab(tmp_path / "data"))
    path = nab / "data" / "realKnownCause" / "machine.csv"
    whole = path.read_text(encoding="utf-8")
    path.write_text(whole.replace("timestamp", "time"), encoding="utf-8")
    with pytest.raises(SignalError, match="timestamp and value"):
        list(read_nab(nab))
    path.write_text("timestamp,value\n2020-01-01 00:00:00,1\n2020-01-01 01:00:00,x\n", encoding="utf-8")
    with pytest.raises(SignalError, match="line 3"):
        list(read_nab(nab))
    path.write_text("timestamp,value\n2020-01-01 00:00:00,1\n2020-01-01 01:00:00,2\n", encoding="utf-8")
    with pytest.raises(SignalError, match="window ends"):
        list(read_nab(nab))


def save(path: Path, arrays: dict[str, Any]) -> None:
    np.savez(path, **arrays)


def test_tep_learns_from_the_normal_run_and_finds_a_step(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    mix = rng.standard_normal((8, 52))
    runs = {
        name: (rng.standard_normal((n, 8)) @ mix + 0.5 * rng.standard_normal((n, 52))).astype(np.float32)
        for name, n in (("d00", 500), ("d00_te", 960), ("d01_te", 960), ("d01", 480))
    }
    runs["d01_te"][160:, 3] += 20.0
    save(tmp_path / "tep.npz", runs)
    read = read_tep(tmp_path)
    assert read.learnt_from == "d00"
    assert [series.name for series in read.tests] == ["d00_te", "d01_te"]
    done = invoke("detection", "--data", tmp_path, "--format", "tep", "--json")
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["faults_detected"] == found["known_faults_detected"] == [1]
    assert found["far"] < 0.02
    assert found["first_warning_s"]["d01_te"] >= 160 * 180.0


def test_tep_without_its_normal_run_learns_from_the_other_and_without_either_refuses(tmp_path: Path) -> None:
    runs = {name: np.zeros((200, 52), np.float32) for name in ("d00_te", "d02_te")}
    save(tmp_path / "a.npz", runs)
    assert read_tep(tmp_path).learnt_from == "d00_te"
    np.savez(tmp_path / "a.npz", d02_te=runs["d02_te"])
    with pytest.raises(ConfigurationError, match="no normal run"):
        read_tep(tmp_path)
    np.savez(tmp_path / "a.npz", d00=np.zeros((10, 51), np.float32))
    with pytest.raises(SignalError, match="51"):
        read_tep(tmp_path)


def engines(folder: Path, name: str = "FD009") -> None:
    rng = np.random.default_rng(7)

    def lines(units: int, stop: bool) -> tuple[list[str], list[int]]:
        table, left = [], []
        for unit in range(1, units + 1):
            life = int(rng.integers(150, 260))
            last = life if not stop else life - int(rng.integers(10, 80))
            left.append(life - last)
            for cycle in range(1, last + 1):
                worn = np.exp((cycle - life) / 40.0)
                sensors = 100.0 + np.arange(1.0, 22.0) * worn + 0.3 * rng.standard_normal(21)
                cells = [unit, cycle, 0.0, 0.0, 100.0, *np.round(sensors, 3).tolist()]
                table.append(" ".join(map(str, cells)))
        return table, left

    train, _ = lines(12, stop=False)
    test, left = lines(8, stop=True)
    for kind, content in (("train", train), ("test", test), ("RUL", [str(each) for each in left])):
        (folder / f"{kind}_{name}.txt.gz").write_bytes(gzip.compress(("\n".join(content) + "\n").encode()))


def test_remaining_lives_of_engines_are_told_for_every_seed(tmp_path: Path) -> None:
    engines(tmp_path)
    done = invoke("rul", "--data", tmp_path, "--format", "cmapss", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["data_set"] == "FD009"
    assert found["seeds"] == [0, 1, 2, 3, 4]
    assert len(found["rmse_per_seed"]) == len(found["phm_score_per_seed"]) == 5
    assert found["rmse"] < 12.0
    assert [row["file"] for row in found["files"]] == [f"engine {unit}" for unit in range(1, 9)]


def test_engines_that_are_not_whole_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no data set"):
        list(read_cmapss(tmp_path))
    engines(tmp_path)
    (tmp_path / "RUL_FD009.txt.gz").write_bytes(gzip.compress(b"1\n2\n"))
    with pytest.raises(SignalError, match="2 remaining lives for 8 engines"):
        list(read_cmapss(tmp_path))
    (tmp_path / "RUL_FD009.txt.gz").write_bytes(b"no gzip")
    with pytest.raises(SignalError, match="no readable table"):
        list(read_cmapss(tmp_path))


@pytest.mark.parametrize(("command", "wrong"), [("detection", "cmapss"), ("rul", "skab")])
def test_other_formats_are_refused_with_those_that_are_read(command: str, wrong: str, tmp_path: Path) -> None:
    done = invoke(command, "--data", tmp_path, "--format", wrong)
    assert isinstance(done.exception, ConfigurationError)
    assert "this evaluation reads" in str(done.exception)
