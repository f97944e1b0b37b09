"""The goals on real data, as far as it lies beside the project: one detector for all files of a set.

Beside each figure stands what others published, with a source that can be looked up.
"""

from pathlib import Path

import pytest

from adapters.recordings.cmapss import read_cmapss
from pipelines.evaluation import bearing_lives, cmapss, femto, nab, skab, tep
from pipelines.evaluation.cmapss import evaluate_set
from pipelines.evaluation.femto import evaluate_femto
from pipelines.evaluation.nab import evaluate_nab
from pipelines.evaluation.report_card import as_markdown
from pipelines.evaluation.skab import evaluate_skab
from pipelines.evaluation.tep import evaluate_tep

#: What the card of each data set shows beside the figures of the detectors and forecasts here.
PUBLISHED = {
    **{one.__name__.rpartition(".")[2]: one.PUBLISHED for one in (skab, nab, tep, femto, bearing_lives)},
    **cmapss.PUBLISHED,
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_published_figure_has_a_source_and_says_how_it_was_measured(name: str) -> None:
    assert PUBLISHED[name]
    for figure in PUBLISHED[name]:
        assert "doi:10." in figure.source or "github.com/" in figure.source
        assert figure.who
        assert figure.differs


def part(data_folder: Path, name: str) -> Path:
    if not (data_folder / name).is_dir():
        pytest.skip(f"no {name} in {data_folder}")
    return data_folder / name


def test_faults_of_the_water_circuit(data_folder: Path) -> None:
    result = evaluate_skab(part(data_folder, "skab"))
    assert result.published == skab.PUBLISHED
    measures = result.measures
    assert measures["f1"] >= 0.80
    assert measures["far"] <= 0.12


def test_known_causes_of_the_anomaly_benchmark(data_folder: Path) -> None:
    result = evaluate_nab(part(data_folder, "nab"))
    assert result.published == nab.PUBLISHED
    measures = result.measures
    assert measures["nab_score"] >= 70.0
    assert measures["nab_score_fixed"] <= measures["nab_score"]


def test_known_faults_of_the_process(data_folder: Path) -> None:
    result = evaluate_tep(part(data_folder, "tep"))
    assert result.published == tep.PUBLISHED
    assert "All goals met" in as_markdown(result)
    measures = result.measures
    assert measures["known_faults"]
    assert measures["known_faults_detected"] == measures["known_faults"]
    assert measures["far"] <= 0.02


def test_every_bearing_is_warned_of_before_its_end_and_none_while_healthy(data_folder: Path) -> None:
    result = evaluate_femto(part(data_folder, "femto_pronostia"))
    assert result.published == femto.PUBLISHED
    assert "All goals met" in as_markdown(result)
    measures = result.measures
    assert measures["warned_before_the_end"] == measures["runs"] >= 4
    assert measures["false_alarms"] == 0


def test_remaining_lives_of_engines(data_folder: Path) -> None:
    engines = next(each for each in read_cmapss(part(data_folder, "cmapss")) if each.name == "FD001")
    result = evaluate_set(engines, (0,))
    assert result.published == cmapss.PUBLISHED["FD001"]
    measures = result.measures
    assert measures["rmse"] <= 12.5
    assert measures["phm_score"] <= 250.0
