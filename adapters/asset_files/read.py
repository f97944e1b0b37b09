"""Files into sites, asset configurations and service events, checked across all files."""

import dataclasses
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from adapters.asset_files.convert import NOTHING, convert
from adapters.asset_files.table import read_csv
from adapters.asset_files.tree import Node, read_yaml
from contracts.assets import AssetConfiguration, OwnBearing, RuleSettings, ServiceEvent, Site
from contracts.errors import BadRecord, ConfigurationError, SignalError
from contracts.features import FEATURE_NAMES, FEATURE_SETS, unknown_features
from contracts.identifiers import stable_id
from contracts.units import factor_to_canonical
from processors.bearings import bearing
from processors.drive_train import belt_hz

_READERS: Final = {".yaml": read_yaml, ".yml": read_yaml, ".csv": read_csv}
_ID: Final = re.compile(r"[^\W_][\w.:-]{0,127}")
_HISTORY: Final = "service_history"

#: Field → (least, most); a least of 0 is itself allowed only where `_FROM_ZERO` names the field.
_BOUNDS: Final[dict[str, tuple[float, float]]] = {
    "nominal_speed_rpm": (0.0, 1e6),
    "power_kw": (0.0, 1e6),
    "line_frequency_hz": (0.0, 1e3),
    "poles": (2, 100),
    "blades": (1, 1_000),
    "teeth": (1, 10_000),
    "shaft_ratio": (0.0, 1e4),
    "ratio": (0.0, 1e4),
    "pulley_diameter_mm": (0.0, 1e5),
    "length_mm": (0.0, 1e6),
    "n_elements": (3, 1_000),
    "element_diameter_mm": (0.0, 1e4),
    "pitch_diameter_mm": (0.0, 1e5),
    "contact_angle_deg": (0.0, 89.0),
    "length_s": (0.0, 60.0),
    "hop_s": (0.0, 60.0),
    "out_of_order_tolerance_s": (0.0, 3_600.0),
    "idle_close_s": (0.0, 86_400.0),
    "lateness_s": (0.0, 3_600.0),
    "band_interval_s": (0.0, 86_400.0),
    "fault_line_db": (0.0, 100.0),
    "fault_harmonics": (1, 20),
    "deadband_db": (0.0, 100.0),
    "raise_after": (1, 10_000),
    "clear_after": (1, 10_000),
    "baseline_windows": (1, 100_000),
    "false_alarms_per_month": (0.0, 1_000.0),
}
_FROM_ZERO: Final = frozenset(
    {"out_of_order_tolerance_s", "deadband_db", "contact_angle_deg", "false_alarms_per_month"}
)


@dataclass(frozen=True, slots=True)
class AssetImport:
    """Everything that some files say, in their order."""

    sites: tuple[Site, ...]
    assets: tuple[AssetConfiguration, ...]
    events: tuple[ServiceEvent, ...]


def read_asset_files(
    paths: Sequence[Path], own: Sequence[OwnBearing] = (), own_features: Collection[str] = ()
) -> AssetImport:
    """Return what YAML and CSV files say.

    Parameters
    ----------
    paths : sequence of Path
        Files ending in ``.yaml``, ``.yml`` or ``.csv``; together they are one import.
    own : sequence of OwnBearing
        The user's own bearings; those that an asset has go into its drive train.
    own_features : collection of str
        Names of the user's own features that a point may choose.

    Returns
    -------
    found : AssetImport
        Sites, assets and service events.

    Raises
    ------
    ConfigurationError
        For anything that can't be read, is unknown, missing, out of bounds or there twice; with file, line and place.
    """
    reader = _Reader(own, own_features)
    for path in paths:
        read = _READERS.get(path.suffix.lower())
        if read is None:
            raise ConfigurationError(f"{path}: ends in {path.suffix!r}; {', '.join(_READERS)} can be read")
        reader.take(read(path))
    return AssetImport(tuple(reader.sites), tuple(reader.assets), tuple(reader.events))


def read_rules(path: Path) -> dict[str, Any]:
    """Return the rules that a YAML file sets, by name.

    Parameters
    ----------
    path : Path
        A mapping with fields of ``RuleSettings``, as they stand below ``rules`` of an asset; that key may stand above
        them.

    Returns
    -------
    rules : dict
        The fields that the file names, and only those.

    Raises
    ------
    ConfigurationError
        For what can't be read, is unknown or out of bounds; with file, line and place.
    """
    root = read_yaml(path)
    fields = root.mapping()
    node = fields["rules"] if set(fields) == {"rules"} else root
    rules = convert(node, RuleSettings)
    for child in _all_nodes(node):
        _check_bounds(child)
    return {name: getattr(rules, name) for name in node.mapping()}


class _Reader:
    """Gathers files; knows every id it has seen and where."""

    def __init__(self, own: Sequence[OwnBearing], own_features: Collection[str]) -> None:
        self._own = own
        self._own_features = own_features
        self.sites: list[Site] = []
        self.assets: list[AssetConfiguration] = []
        self.events: list[ServiceEvent] = []
        self._seen: dict[tuple[str, str], Node] = {}

    def take(self, root: Node) -> None:
        parts = root.mapping()
        for name, part in parts.items():
            if name not in {"sites", "assets"}:
                part.refuse("unknown key; known are sites, assets")
        for node in _items(parts, "sites"):
            self._take_ids(node, "site_id")
            self.sites.append(convert(node, Site))
        for node in _items(parts, "assets"):
            self._take_asset(node)

    def _take_asset(self, node: Node) -> None:
        fields = node.mapping()
        own = Node(node.file, node.line, node.path, {n: child for n, child in fields.items() if n != _HISTORY})
        asset = convert(own, AssetConfiguration)
        for child in _all_nodes(own):
            _check_bounds(child)
        self._take_ids(node, "asset_id")
        self._check_ids(own, "site_id")
        for point in _items(fields, "points"):
            self._take_ids(point, "point_id")
            _check_bearing(point, (*asset.drive_train.bearings, *self._own))
            _check_features(point, self._own_features)
            for channel in _items(point.mapping(), "channels"):
                self._take_ids(channel, "channel_id")
                _check_unit(channel)
        _check_window(node, asset)
        _check_train(node, asset)
        self.assets.append(self._with_own_bearings(asset))
        self.events += [self._event(event, asset.asset_id) for event in _items(fields, _HISTORY)]

    def _with_own_bearings(self, asset: AssetConfiguration) -> AssetConfiguration:
        """Return the asset with those bearings of the user's table that its points name and it doesn't state itself."""
        train = asset.drive_train
        used = []
        for designation in dict.fromkeys(point.bearing for point in asset.points if point.bearing):
            geometry = bearing(designation, (*train.bearings, *self._own))
            used += [one for one in self._own if one.designation == geometry.designation]
        stated = {one.designation for one in train.bearings}
        added = tuple(one for one in dict.fromkeys(used) if one.designation not in stated)
        return dataclasses.replace(asset, drive_train=dataclasses.replace(train, bearings=(*train.bearings, *added)))

    def _event(self, node: Node, asset_id: str) -> ServiceEvent:
        given: dict[str, Any] = {"asset_id": asset_id}
        if "service_event_id" not in node.mapping():
            # an entry without an id of its own is known by what it says, so that it isn't stored twice
            words = {name: child.text() for name, child in node.mapping().items()}
            given["service_event_id"] = stable_id("svc", asset_id, *(f"{n}={words[n]}" for n in sorted(words)))
        event = convert(node, ServiceEvent, given)
        self._note("service_event_id", event.service_event_id, node)
        return event

    def _take_ids(self, node: Node, name: str) -> None:
        self._note(name, self._check_ids(node, name), node)

    @staticmethod
    def _check_ids(node: Node, name: str) -> str:
        child = node.mapping().get(name)
        if child is None:
            node.refuse(f"{name} is missing")
        text = child.text()
        if not _ID.fullmatch(text):
            child.refuse(
                f"{text[:60]!r}, an id has 1 to 128 letters, digits and . : _ - and starts with a letter or digit"
            )
        return text

    def _note(self, name: str, text: str, node: Node) -> None:
        first = self._seen.setdefault((name, text), node)
        if first is not node:
            node.refuse(f"{name} {text!r} was used before, in {first.file}:{first.line}")


def _items(fields: dict[str, Node], name: str) -> list[Node]:
    return fields[name].items() if name in fields else []


def _all_nodes(node: Node) -> Iterator[Node]:
    children: Iterable[Node] = ()
    if isinstance(node.value, dict):
        children = node.value.values()
    elif isinstance(node.value, list):
        children = node.value
    for child in children:
        yield child
        yield from _all_nodes(child)


def _check_bounds(node: Node) -> None:
    name = node.path.rpartition(".")[2]
    if name not in _BOUNDS or not isinstance(node.value, str) or node.value in NOTHING:
        return
    least, most = _BOUNDS[name]
    value = float(node.text())
    above = value >= least if least > 0 or name in _FROM_ZERO else value > least
    if not (above and value <= most):
        first = "" if least > 0 or name in _FROM_ZERO else "above "
        node.refuse(f"{node.text()}, {first}{least:g} to {most:g} is allowed")


def _check_bearing(point: Node, own: Sequence[OwnBearing]) -> None:
    node = point.mapping().get("bearing")
    if node is None or (isinstance(node.value, str) and node.value in NOTHING):
        return
    try:
        bearing(node.text(), own)
    except ConfigurationError as error:
        node.refuse(str(error))


def _check_features(point: Node, own: Collection[str]) -> None:
    for node in _items(point.mapping(), "features"):
        if unknown_features([node.text()], own):
            known = ", ".join([*FEATURE_SETS, *FEATURE_NAMES, *own])
            node.refuse(f"{node.text()[:60]!r} is neither a feature nor a set of features; known are {known}")


def _check_unit(channel: Node) -> None:
    fields = channel.mapping()
    try:
        factor_to_canonical(fields["quantity"].text(), fields["unit"].text())
    except BadRecord as error:
        fields["unit"].refuse(error.detail)


def _check_window(node: Node, asset: AssetConfiguration) -> None:
    if asset.window.hop_s > asset.window.length_s:
        node.refuse(
            f"window.hop_s {asset.window.hop_s:g} is over length_s {asset.window.length_s:g}: samples would be lost"
        )


def _check_train(node: Node, asset: AssetConfiguration) -> None:
    train = asset.drive_train
    known = {point.location for point in asset.points}
    seen: set[str] = set()
    for shaft in train.shafts:
        for location in shaft.locations:
            if location not in known or location in seen:
                places = ", ".join(sorted(known)) or "none"
                node.refuse(f"drive_train: shaft {shaft.name!r} at {location!r}; its points are at {places}, each once")
            seen.add(location)
    try:
        for belt in train.belts:
            belt_hz(belt.pulley_diameter_mm, belt.length_mm, belt.shaft_ratio)
        for one in train.bearings:
            bearing(one.designation, train.bearings)
    except (ConfigurationError, SignalError) as error:
        node.refuse(f"drive_train: {error}")
