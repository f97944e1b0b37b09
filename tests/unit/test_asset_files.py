"""Asset files mean what they say, and an error says where it is and what would be allowed."""

import dataclasses
import datetime as dt
import typing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.asset_files import AssetImport, read_asset_files
from adapters.asset_files.read import _BOUNDS
from adapters.asset_files.table import COLUMNS
from adapters.asset_files.tree import MAX_FILE_BYTES
from contracts import assets as a
from contracts.errors import ConfigurationError
from runtime.settings import PROJECT

EXAMPLES: typing.Final = PROJECT / "docs" / "examples"
MINIMAL: typing.Final = """
sites:
  - {site_id: s, name: Plant}
assets:
  - asset_id: P-1
    site_id: s
    name: Pump
    asset_type: pump
    points:
      - point_id: P-1-DE
        location: drive end
        direction: radial
        bearing: 6205
        channels:
          - {channel_id: P-1-DE.acc, quantity: acceleration, unit: g}
    service_history:
      - {performed_at: "2024-05-01T10:00:00+02:00", kind: repair, description: new seal}
"""


@pytest.fixture
def read(tmp_path: Path) -> typing.Callable[..., AssetImport]:
    def reader(*texts: str, suffix: str = ".yaml") -> AssetImport:
        paths = [tmp_path / f"assets{number}{suffix}" for number in range(len(texts))]
        for path, text in zip(paths, texts, strict=True):
            path.write_text(text, encoding="utf-8")
        return read_asset_files(paths)

    return reader


Read = typing.Callable[..., AssetImport]


def refused(read: Read, *texts: str, suffix: str = ".yaml") -> str:
    with pytest.raises(ConfigurationError) as caught:
        read(*texts, suffix=suffix)
    return str(caught.value)


def test_the_examples_of_the_documentation_are_in_order() -> None:
    found = read_asset_files([EXAMPLES / "assets.yaml"])
    (pump,) = found.assets
    assert pump.points[0].bearing == "6205"
    assert pump.machine_group == "2"
    assert pump.drive_train == a.DriveTrain(
        nominal_speed_rpm=1780.0,
        power_kw=45.0,
        line_frequency_hz=60.0,
        poles=4,
        blades=6,
        shafts=(a.Shaft(name="motor", locations=("motor drive end", "motor non-drive end")),),
    )
    assert pump.installed_at == dt.date(2019, 4, 15)
    assert found.events[0].performed_at == dt.datetime(2022, 3, 2, 8, 30, tzinfo=dt.UTC)
    (blower,) = read_asset_files([EXAMPLES / "assets.csv"]).assets
    assert [len(point.channels) for point in blower.points] == [2, 1]
    assert (EXAMPLES / "assets.csv").read_text().split("\n", 1)[0] == ",".join(COLUMNS)
    described = (PROJECT / "docs" / "asset-files.md").read_text(encoding="utf-8")
    assert [column for column in COLUMNS if f"`{column}`" not in described] == []


def test_what_is_left_out_has_its_default(read: Read) -> None:
    (asset,) = read(MINIMAL).assets
    assert asset == a.AssetConfiguration(
        asset_id="P-1",
        site_id="s",
        name="Pump",
        asset_type="pump",
        points=(
            a.MeasurementPoint(
                point_id="P-1-DE",
                location="drive end",
                direction="radial",
                bearing="6205",
                channels=(a.Channel(channel_id="P-1-DE.acc", quantity="acceleration", unit="g"),),
            ),
        ),
    )


def test_yaml_guesses_nothing(read: Read) -> None:
    text = MINIMAL.replace("name: Pump", "name: no").replace("asset_id: P-1", "asset_id: 0101")
    (asset,) = read(text.replace("location: drive end", "location: 1:30")).assets
    assert (asset.asset_id, asset.name, asset.points[0].location) == ("0101", "no", "1:30")


def test_a_service_entry_without_an_id_keeps_the_same_one(read: Read) -> None:
    (first,) = read(MINIMAL).events
    (again,) = read("# moved\n" + MINIMAL).events
    (other,) = read(MINIMAL.replace("new seal", "old seal")).events
    assert first == again
    assert first.service_event_id != other.service_event_id


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("asset_type: pump", "assettype: pump", ":8: assets[0].assettype: unknown key; known are asset_id"),
        ("    asset_type: pump\n", "", "assets[0]: asset_type is missing"),
        ("name: Pump", "name: ", "assets[0].name: '', 1 to 2000 printable characters"),
        ("asset_id: P-1\n", "asset_id: P 1\n", "assets[0].asset_id: 'P 1', an id has"),
        ("site_id: s\n    name", "site_id: ../s\n    name", "'../s', an id has"),
        ("direction: radial", "direction: sideways", "'sideways', one of radial_horizontal, radial_vertical"),
        ("bearing: 6205", "bearing: 9999", "no bearing '9999' in the catalogue"),
        ("unit: g", "unit: G", "acceleration in 'G'; known units are g, m/s2"),
        ("unit: g", "unit: ''", "unit: ''"),
        (", unit: g", "", "channels[0]: unit is missing"),
        ("quantity: acceleration", "quantity: noise", "unknown quantity 'noise'"),
        ("name: Pump", "name: Pump\n    machine_group: 3", "'3', one of 1, 2 is needed"),
        ("name: Pump", "name: Pump\n    installed_at: 15.4.2019", "a date like 2024-05-31"),
        ("name: Pump", "name: Pump\n    name: Fan", "the key occurs twice"),
        ("name: Pump", "name: [Pump]", "a list found, a single value is needed"),
        ("name: Pump", "name: Pump\n    window: {hop_s: 0}", "assets[0].window.hop_s: 0, above 0 to 60"),
        ("name: Pump", "name: Pump\n    window: {hop_s: -1}", "-1, above 0"),
        ("name: Pump", "name: Pump\n    window: {hop_s: nan}", "'nan', a finite number"),
        ("name: Pump", "name: Pump\n    window: {hop_s: 1e999}", "'1e999', a finite number"),
        ("name: Pump", "name: Pump\n    window: {hop_s: '1,5'}", "'1,5', a finite number with a decimal point"),
        ("name: Pump", "name: Pump\n    window: {hop_s: 2}", "samples would be lost"),
        ("name: Pump", "name: Pump\n    rules: {raise_after: 1.5}", "'1.5', a whole number"),
        ("name: Pump", "name: Pump\n    rules: {raise_after: 0}", "0, 1 to 10000"),
        ("name: Pump", "name: Pump\n    rules: {false_alarms_per_month: -1}", "0 to 1000 is allowed"),
        ("name: Pump", "name: Pump\n    drive_train: {gears: [{name: g, teeth: 0}]}", "gears[0].teeth: 0, 1 to 10000"),
        ("name: Pump", "name: Pump\n    drive_train: {shafts: [{name: m, locations: [gearbox]}]}",
         "shaft 'm' at 'gearbox'; its points are at drive end"),
        ("name: Pump", "name: Pump\n    drive_train: {belts: [{name: b, pulley_diameter_mm: 200, length_mm: 300}]}",
         "drive_train: belt of 300.0 mm on a pulley of 200.0 mm"),
        ("name: Pump", "name: Pump\n    drive_train: {belts: [{name: b, pulley_diameter_mm: 0, length_mm: 300}]}",
         "belts[0].pulley_diameter_mm: 0, above 0 to 100000"),
        ("name: Pump", "name: Pump\n    drive_train: {bearings: [{designation: X, n_elements: 2, "
         "element_diameter_mm: 1, pitch_diameter_mm: 9}]}", "bearings[0].n_elements: 2, 3 to 1000"),
        ("+02:00", "", "a time with its offset"),
        ("kind: repair, ", "", "service_history[0]: kind is missing"),
        ("assets:", "machines:", "unknown key; known are sites, assets"),
        ("P-1-DE.acc, quantity: acceleration, unit: g}", "P-1-DE.acc, quantity: acceleration, unit: g}\n          - "
         "{channel_id: P-1-DE.acc, quantity: velocity, unit: mm/s}", "channel_id 'P-1-DE.acc' was used before, in"),
        ("name: Pump", "name: &x Pump", "anchors and aliases"),
        ("name: Pump", "name: !!python/object/apply:os.system [ls]", "a list found, a single value is needed"),
        ("name: Pump", 'name: "Pu\\amp"', "assets[0].name: 'Pu\\x07mp', 1 to 2000 printable"),
        ("name: Pump", "name: {", "no YAML"),
        ("sites:", "sites: &a [*a]\nx:", "anchors and aliases"),
    ],
)  # fmt: skip
def test_an_error_names_place_value_and_what_is_allowed(read: Read, old: str, new: str, named: str) -> None:
    assert MINIMAL.count(old) >= 1
    message = refused(read, MINIMAL.replace(old, new, 1))
    assert "assets0.yaml" in message
    assert named in message


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "- a\n", "text", "[" * 5000, "a: b: c", "\t", "a\n---\nb\n", "? [a]\n: b"]
)
def test_what_is_no_asset_file_is_refused(read: Read, text: str) -> None:
    assert "assets0.yaml" in refused(read, text)


def test_ids_are_unique_across_files(read: Read) -> None:
    assert "was used before, in" in refused(read, MINIMAL, MINIMAL.replace("site_id: s, ", "site_id: t, "))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    big, latin = tmp_path / "big.yaml", tmp_path / "latin.yaml"
    big.write_bytes(b"#" * (MAX_FILE_BYTES + 1))
    latin.write_bytes("name: Tür".encode("latin-1"))
    for path, named in (
        (big, "largest file"),
        (latin, "no UTF-8 at byte 7"),
        (tmp_path / "none.yaml", "No such file"),
        (tmp_path, "can be read"),
        (tmp_path / "assets.xlsx", ".yaml, .yml, .csv can be read"),
    ):
        with pytest.raises(ConfigurationError, match=named):
            read_asset_files([path])


CSV: typing.Final = """\
site_id;site_name;asset_id;asset_name;asset_type;point_id;location;direction;channel_id;quantity;unit
s;Plant;P-1;Pump;pump;P-1-DE;drive end;radial;P-1-DE.acc;acceleration;g
s;;P-1;;;P-1-DE;;;P-1-DE.vel;velocity;mm/s

s;;P-2;Fan;fan;P-2-DE;drive end;axial;P-2-DE.acc;acceleration;m/s2
"""


def test_a_table_and_a_document_give_the_same(read: Read) -> None:
    found = read("\ufeff" + CSV, suffix=".csv")
    assert found.sites == (a.Site(site_id="s", name="Plant"),)
    assert [asset.asset_id for asset in found.assets] == ["P-1", "P-2"]
    assert [c.channel_id for c in found.assets[0].points[0].channels] == ["P-1-DE.acc", "P-1-DE.vel"]
    (yaml_asset,) = read(MINIMAL.replace("        bearing: 6205\n", "")).assets
    assert dataclasses.replace(found.assets[0], points=()) == dataclasses.replace(yaml_asset, points=())
    commas = read(CSV.replace(";", ","), suffix=".csv")
    assert commas == found


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("s;;P-1;;", "s;;P-1;Fan;", ":3: assets.P-1.name: 'Fan' contradicts 'Pump' in line 2"),
        ("site_name", "plant", ":1: unknown column 'plant'; known are site_id"),
        ("site_name", "site_id", "column 'site_id' occurs twice"),
        ("asset_id;", "", "column 'asset_id' is missing"),
        ("P-1;;;P-1-DE;", "P-1;;;;", ":3: point_id: it is empty"),
        ("velocity;mm/s", "velocity;mm/s;9", ":3: 12 values, 11 columns"),
        ("velocity;mm/s", "velocity", "unit is missing"),
        ("P-1-DE.vel", "P-1-DE.acc", "channel_id 'P-1-DE.acc' was used before"),
        ("s;;P-2", "t;;P-1", "contradicts"),
        ("mm/s", "furlong", "known units are mm/s"),
        ('velocity', '"velo"x', "no CSV"),
    ],
)  # fmt: skip
def test_an_error_in_a_table_names_its_line(read: Read, old: str, new: str, named: str) -> None:
    assert old in CSV
    message = refused(read, CSV.replace(old, new, 1), suffix=".csv")
    assert "assets0.csv" in message
    assert named in message


@given(
    text=st.text(st.characters(codec="utf-8"), max_size=60) | st.binary(max_size=60),
    suffix=st.sampled_from([".yaml", ".csv"]),
)
def test_any_file_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str | bytes, suffix: str) -> None:
    path = tmp_path_factory.getbasetemp() / f"any{suffix}"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    try:
        found = read_asset_files([path])
    except ConfigurationError:
        return
    assert not found.assets


def test_every_number_in_a_configuration_has_its_bounds() -> None:
    numbers = set()
    for one in (a.DriveTrain, a.Gear, a.Shaft, a.Belt, a.OwnBearing, a.WindowSettings, a.RuleSettings):
        for name, hint in typing.get_type_hints(one).items():
            if {hint, *typing.get_args(hint)} & {int, float}:
                numbers.add(name)
    assert set(_BOUNDS) == numbers


def test_a_point_chooses_sets_features_and_own_ones_that_are_registered(tmp_path: Path) -> None:
    path = tmp_path / "assets.yaml"
    path.write_text(MINIMAL.replace("bearing: 6205", "features: [bearing, rms_g, band_ratio]"))
    (asset,) = read_asset_files([path], own_features=["band_ratio"]).assets
    assert asset.points[0].features == ("bearing", "rms_g", "band_ratio")
    with pytest.raises(ConfigurationError, match=r"features\[2\]: 'band_ratio' is neither a feature nor a set"):
        read_asset_files([path])


def test_a_point_has_every_feature_by_default(read: Read) -> None:
    assert read(MINIMAL).assets[0].points[0].features == ("all",)
