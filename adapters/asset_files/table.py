"""Assets from a CSV table: one row per channel, the way a plant's measurement list looks.

Columns of a site, an asset or a point are repeated in each of its rows or left empty after the first; two rows that
contradict each other are refused. The table gives the same tree as a YAML file, so there is one set of rules for both.
"""

import csv
import io
from pathlib import Path
from typing import Final

from adapters.asset_files.tree import Node, Value, read_text
from contracts.errors import ConfigurationError

_SITE: Final = {"site_id": "site_id", "site_name": "name"}
_ASSET: Final = {
    "asset_id": "asset_id",
    "site_id": "site_id",
    "asset_name": "name",
    "asset_type": "asset_type",
    "manufacturer": "manufacturer",
    "asset_model": "model",
    "installed_at": "installed_at",
    "machine_group": "machine_group",
    "support": "support",
    "pump_category": "pump_category",
}
_DRIVE_TRAIN: Final = {name: name for name in ("nominal_speed_rpm", "power_kw", "line_frequency_hz", "poles", "blades")}
_POINT: Final = {"point_id": "point_id", "location": "location", "direction": "direction", "bearing": "bearing"}
_CHANNEL: Final = {"channel_id": "channel_id", "quantity": "quantity", "unit": "unit"}
#: All columns, in the order of the documentation; none but these are read.
COLUMNS: Final = tuple(dict.fromkeys([*_SITE, *_ASSET, *_DRIVE_TRAIN, *_POINT, *_CHANNEL]))
_NEEDED: Final = ("site_id", "asset_id", "point_id", "channel_id")


def read_csv(path: Path) -> Node:
    """Return a table as the tree that the same YAML file would give.

    Parameters
    ----------
    path : Path
        Comma- or semicolon-separated, the first row naming the columns.

    Returns
    -------
    root : Node
        With ``sites`` (where ``site_name`` is given) and ``assets``.

    Raises
    ------
    ConfigurationError
        If the file can't be read, a column is unknown or missing, or two rows contradict each other.
    """
    file, text = str(path), read_text(path)
    first = text.split("\n", 1)[0]
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=";" if first.count(";") > first.count(",") else ",", strict=True
    )
    try:
        header = [name.strip() for name in next(reader, [])]
        _check_header(file, header)
        table = _Table(file)
        for row in reader:
            if len(row) > len(header):
                raise ConfigurationError(f"{file}:{reader.line_num}: {len(row)} values, {len(header)} columns")
            if any(cell.strip() for cell in row):
                table.add({name: cell.strip() for name, cell in zip(header, row, strict=False)}, reader.line_num)
    except csv.Error as error:
        raise ConfigurationError(f"{file}:{reader.line_num}: no CSV: {error}") from None
    return table.root()


def _check_header(file: str, header: list[str]) -> None:
    for name in header:
        if name not in COLUMNS:
            raise ConfigurationError(f"{file}:1: unknown column {name!r}; known are {', '.join(COLUMNS)}")
        if header.count(name) > 1:
            raise ConfigurationError(f"{file}:1: column {name!r} occurs twice")
    for name in _NEEDED:
        if name not in header:
            raise ConfigurationError(f"{file}:1: column {name!r} is missing")


class _Table:
    """Rows gathered into sites and assets."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._sites: dict[str, Node] = {}
        self._assets: dict[str, Node] = {}
        self._points: dict[tuple[str, str], Node] = {}

    def add(self, row: dict[str, str], line: int) -> None:
        for name in _NEEDED:
            if not row.get(name):
                raise ConfigurationError(f"{self._file}:{line}: {name}: it is empty")
        if row.get("site_name"):
            self._merge(self._sites, row["site_id"], "sites", _SITE, row, line)
        asset = self._merge(self._assets, row["asset_id"], "assets", _ASSET, row, line).mapping()
        train = asset.setdefault("drive_train", self._new(line, f"assets.{row['asset_id']}.drive_train", {}))
        self._fill(train, _DRIVE_TRAIN, row, line)
        place = f"assets.{row['asset_id']}.points"
        points = asset.setdefault("points", self._new(line, place, [])).items()
        is_new = (row["asset_id"], row["point_id"]) not in self._points
        known = {point_id: node for (asset_id, point_id), node in self._points.items() if asset_id == row["asset_id"]}
        point = self._merge(known, row["point_id"], place, _POINT, row, line)
        if is_new:
            self._points[row["asset_id"], row["point_id"]] = point
            points.append(point)
        channels = point.mapping().setdefault("channels", self._new(line, f"{point.path}.channels", [])).items()
        channel = self._new(line, f"{point.path}.channels.{row['channel_id']}", {})
        self._fill(channel, _CHANNEL, row, line)
        channels.append(channel)

    def root(self) -> Node:
        lists = {"sites": list(self._sites.values()), "assets": list(self._assets.values())}
        return self._new(1, "", {name: self._new(1, name, nodes) for name, nodes in lists.items()})

    def _merge(
        self, known: dict[str, Node], key: str, place: str, columns: dict[str, str], row: dict[str, str], line: int
    ) -> Node:
        node = known.setdefault(key, self._new(line, f"{place}.{key}", {}))
        self._fill(node, columns, row, line)
        return node

    def _fill(self, node: Node, columns: dict[str, str], row: dict[str, str], line: int) -> None:
        fields = node.mapping()
        for column, name in columns.items():
            text = row.get(column, "")
            before = fields.get(name)
            if text and before is None:
                fields[name] = self._new(line, f"{node.path}.{name}", text)
            elif text and before is not None and before.text() != text:
                self._new(line, f"{node.path}.{name}", text).refuse(
                    f"{text!r} contradicts {before.text()!r} in line {before.line}"
                )

    def _new(self, line: int, path: str, value: Value) -> Node:
        return Node(self._file, line, path, value)
