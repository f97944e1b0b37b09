"""The goals on real data, as far as it lies beside the project: one detector for all files of a set."""

from pathlib import Path

import pytest

from adapters.recordings.cmapss import read_cmapss
from pipelines.evaluation.cmapss import evaluate_set
from pipelines.evaluation.femto import evaluate_femto
from pipelines.evaluation.nab import evaluate_nab
from pipelines.evaluation.skab import evaluate_skab
from pipelines.evaluation.tep import evaluate_tep


def part(data_folder: Path, name: str) -> Path:
    if not (data_folder / name).is_dir():
        pytest.skip(f"no {name} in {data_folder}")
    return data_folder / name


def test_faults_of_the_water_circuit(data_folder: Path) -> None:
    measures = evaluate_skab(part(data_folder, "skab")).measures
    assert measures["f1"] >= 0.80
    assert measures["far"] <= 0.12


def test_known_causes_of_the_anomaly_benchmark(data_folder: Path) -> None:
    measures = evaluate_nab(part(data_folder, "nab")).measures
    assert measures["nab_score"] >= 70.0
    assert measures["nab_score_fixed"] <= measures["nab_score"]


def test_known_faults_of_the_process(data_folder: Path) -> None:
    measures = evaluate_tep(part(data_folder, "tep")).measures
    assert measures["known_faults"]
    assert measures["known_faults_detected"] == measures["known_faults"]
    assert measures["far"] <= 0.02


def test_every_bearing_is_warned_of_before_its_end_and_none_while_healthy(data_folder: Path) -> None:
    measures = evaluate_femto(part(data_folder, "femto_pronostia")).measures
    assert measures["warned_before_the_end"] == measures["runs"] >= 4
    assert measures["false_alarms"] == 0


def test_remaining_lives_of_engines(data_folder: Path) -> None:
    engines = next(each for each in read_cmapss(part(data_folder, "cmapss")) if each.name == "FD001")
    measures = evaluate_set(engines, (0,)).measures
    assert measures["rmse"] <= 12.5
    assert measures["phm_score"] <= 250.0
