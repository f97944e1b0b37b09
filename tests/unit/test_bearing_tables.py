"""A user's own bearings: from a table into the assets that have them."""

from pathlib import Path
from typing import Final

import pytest

from adapters.asset_files import read_asset_files, read_bearings
from contracts.assets import OwnBearing
from contracts.errors import ConfigurationError

ASSET: Final = """
sites:
  - {site_id: s, name: Plant}
assets:
  - asset_id: P-1
    site_id: s
    name: Pump
    asset_type: pump
    points:
      - {point_id: P-1-DE, location: drive end, direction: radial, bearing: 6205}
"""
TABLE: Final = """designation;n_elements;element_diameter_mm;pitch_diameter_mm;contact_angle_deg
X-12;12;10;60;0
Y-9;9;8.5;40;15
"""


def test_a_bearing_of_ones_own_table_goes_into_the_assets_that_have_it(tmp_path: Path) -> None:
    table, file = tmp_path / "bearings.csv", tmp_path / "assets.yaml"
    table.write_text(TABLE, encoding="utf-8")
    file.write_text(ASSET.replace("bearing: 6205", "bearing: x12"), encoding="utf-8")
    own = read_bearings(table)
    (asset,) = read_asset_files([file], own).assets
    assert asset.drive_train.bearings == (
        OwnBearing(designation="X-12", n_elements=12, element_diameter_mm=10.0, pitch_diameter_mm=60.0),
    )
    with pytest.raises(ConfigurationError, match="no bearing 'x12'"):
        read_asset_files([file])
    file.write_text(ASSET, encoding="utf-8")
    assert read_asset_files([file], own).assets[0].drive_train.bearings == ()


def test_a_bearing_that_the_asset_states_comes_before_the_table(tmp_path: Path) -> None:
    file = tmp_path / "assets.yaml"
    stated = "{designation: X-12, n_elements: 14, element_diameter_mm: 9, pitch_diameter_mm: 60}"
    text = ASSET.replace("bearing: 6205", "bearing: X-12")
    file.write_text(
        text.replace("name: Pump", f"name: Pump\n    drive_train: {{bearings: [{stated}]}}"), encoding="utf-8"
    )
    table = (OwnBearing(designation="X-12", n_elements=12, element_diameter_mm=10.0, pitch_diameter_mm=60.0),)
    (asset,) = read_asset_files([file], table).assets
    assert [one.n_elements for one in asset.drive_train.bearings] == [14]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("n_elements", "balls", "column 'n_elements' is missing"),
        ("contact_angle_deg", "colour", "column 'colour' is missing or unknown"),
        ("X-12;12", "X-12;twelve", ":2: n_elements: 'twelve', a whole number"),
        ("10;60", "70;60", ":2: bearing X-12: element 70.0 mm and pitch 60.0 mm"),
        ("Y-9;9;8.5;40;15", "Y-9;9;8.5", ":3: more or fewer values"),
    ],
)
def test_what_is_wrong_in_a_table_of_bearings_is_named(tmp_path: Path, old: str, new: str, says: str) -> None:
    table = tmp_path / "bearings.csv"
    table.write_text(TABLE.replace(old, new), encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        read_bearings(table)
    assert says in str(caught.value)


def test_an_alias_names_the_same_bearing(tmp_path: Path) -> None:
    table = tmp_path / "bearings.csv"
    header = "designation,n_elements,element_diameter_mm,pitch_diameter_mm,aliases"
    table.write_text(f"{header}\nX-12,12,10,60,MAKER X12;X-12-A\n", encoding="utf-8")
    assert [one.designation for one in read_bearings(table)] == ["X-12", "MAKER X12", "X-12-A"]
