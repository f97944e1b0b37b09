"""The house style of all panels: one data source, one way to name a series, one unit for each quantity.

Invariants: a query names its time column ``time`` and its series ``metric``; times of the plant are nanoseconds in the
database, so a query selects by ``$__unixEpochNanoFilter`` and groups by whole display intervals; every series of one
query stands on the same grid of times.
"""

import string
from dataclasses import dataclass
from typing import Any, Final, Literal

from grafana_foundation_sdk.builders import common, dashboard, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import common as look
from grafana_foundation_sdk.models import dashboard as model

from contracts.records import Zone

DATASOURCE: Final = model.DataSourceRef(type_val="grafana-postgresql-datasource", uid="faultline")
_DATASOURCE: Final = look.DataSourceRef(type_val=DATASOURCE.type_val, uid=DATASOURCE.uid)

#: Our units → Grafana's.
UNITS: Final[dict[str, str]] = {
    "g": "accG",
    "m/s2": "accMS2",
    "mm/s": "suffix: mm/s",
    "um": "suffix: µm",
    "degC": "celsius",
    "rpm": "rotrpm",
    "kW": "kwatt",
    "bar": "pressurebar",
    "A": "amp",
    "V": "volt",
    "l/min": "flowlpm",
    "1": "none",
    "dB": "dB",
    "s": "s",
    "Hz": "hertz",
}
ZONE_COLOURS: Final = {Zone.A: "green", Zone.B: "yellow", Zone.C: "orange", Zone.D: "red"}
#: A zone as the number that a chart needs; the panels show the letter again.
ZONE_NUMBER: Final = "CASE zone WHEN 'A' THEN 1 WHEN 'B' THEN 2 WHEN 'C' THEN 3 WHEN 'D' THEN 4 END"
#: Longest pause that a line bridges, ms: a window a second is usual, a longer pause is to be seen.
_BRIDGED_MS: Final = 10_000
_SHORTEST_INTERVAL: Final = "1s"

Form = Literal["time_series", "table"]


@dataclass(frozen=True, slots=True)
class Sql(Dataquery, Builder[Dataquery]):
    """A query of the PostgreSQL data source, for which the SDK has no builder."""

    text: str
    form: Form = "time_series"
    ref: str = "A"

    def build(self) -> Dataquery:
        """Return the query itself."""
        return self

    def to_json(self) -> dict[str, Any]:
        """Return what Grafana stores."""
        return {
            "refId": self.ref,
            "datasource": DATASOURCE,
            "editorMode": "code",
            "format": self.form,
            "rawQuery": True,
            "rawSql": self.text.strip(),
        }


def slot(column: str) -> str:
    """Return the SQL of the display interval in which a nanosecond column lies, as a timestamp."""
    return f"faultline_at({column} - {column} % ($__interval_ms * 1000000::bigint))"


def series(title: str, description: str, unit: str, *queries: str, width: int = 12) -> timeseries.Panel:
    """Return a chart of one or more queries over time."""
    legend = common.VizLegendOptions().display_mode(look.LegendDisplayMode.LIST)
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(_DATASOURCE)
        .unit(UNITS[unit])
        .interval(_SHORTEST_INTERVAL)
        .span(width)
        .height(8)
        .line_width(1)
        .show_points(look.VisibilityMode.AUTO)
        .span_nulls(_BRIDGED_MS)
        .legend(legend.placement(look.LegendPlacement.BOTTOM).show_legend(True))
    )
    for ref, text in zip(string.ascii_uppercase, queries, strict=False):
        panel.with_target(Sql(text, ref=ref))
    return panel


def limits_dashed(panel: timeseries.Panel) -> timeseries.Panel:
    """Draw the series whose names begin with ``limit`` as dashed red lines."""
    properties = [
        model.DynamicConfigValue("color", {"mode": "fixed", "fixedColor": "red"}),
        model.DynamicConfigValue("custom.drawStyle", "line"),
        model.DynamicConfigValue("custom.lineStyle", {"fill": "dash", "dash": [8, 6]}),
        model.DynamicConfigValue("custom.spanNulls", value=True),  # two points make a limit
        model.DynamicConfigValue("custom.showPoints", "never"),
    ]
    return panel.override_by_regexp("/^limit/", properties)


def figure(title: str, description: str, unit: str, query: str, *, bad_from: float | None = None) -> stat.Panel:
    """Return one value; a number is red from `bad_from` on, a zone has its colour."""
    steps = [model.Threshold(value=None, color="green" if bad_from is not None else "text")]
    if bad_from is not None:
        steps.append(model.Threshold(value=bad_from, color="red"))
    return (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(_DATASOURCE)
        .unit(UNITS[unit])
        .span(4)
        .height(4)
        .no_value("–")
        .graph_mode(look.BigValueGraphMode.NONE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).fields("/.*/"))
        .mappings([_letters()])
        .thresholds(dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(steps))
        .with_target(Sql(query, "table"))
    )


def rows(title: str, description: str, query: str, *, width: int = 24) -> table.Panel:
    """Return a table; the columns ``zone`` and ``state`` are coloured, those named by a unit carry it."""
    panel = (
        table.Panel()
        .title(title)
        .description(description)
        .datasource(_DATASOURCE)
        .span(width)
        .height(8)
        .no_value("none")
        .with_target(Sql(query, "table"))
        .override_by_name("zone", [model.DynamicConfigValue("mappings", [_letters()]), _COLOURED])
    )
    for unit, column in {"mm/s": "velocity", "rpm": "speed", "s": "age"}.items():
        panel.override_by_name(column, [model.DynamicConfigValue("unit", UNITS[unit])])
    return panel


def zones(title: str, description: str, query: str, *, width: int = 24) -> statetimeline.Panel:
    """Return bands of severity zones over time, of a query that gives ``ZONE_NUMBER``."""
    return (
        statetimeline.Panel()
        .title(title)
        .description(description)
        .datasource(_DATASOURCE)
        .interval(_SHORTEST_INTERVAL)
        .span(width)
        .height(6)
        .span_nulls(_BRIDGED_MS)
        .show_value(look.VisibilityMode.AUTO)
        .mappings([_numbers()])
        .with_target(Sql(query))
    )


def annotation(name: str, colour: str, query: str) -> Builder[model.AnnotationQuery]:
    """Return marks on every chart, of a query with the columns ``time``, ``text`` and ``tags``."""
    return _Marks(
        model.AnnotationQuery(
            name=name, datasource=_DATASOURCE, icon_color=colour, target=Sql(query, "table", ref="Anno")
        )
    )


def choice(name: str, label: str, query: str, *, several: bool, hidden: bool = False) -> dashboard.QueryVariable:
    """Return a variable chosen from a query; with `several`, all is the default."""
    refresh = model.VariableRefresh.ON_TIME_RANGE_CHANGED if "$__" in query else model.VariableRefresh.ON_DASHBOARD_LOAD
    variable = (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(_DATASOURCE)
        .query(query.strip())
        .definition(query.strip())
        .refresh(refresh)
        .sort(model.VariableSort.DISABLED)
        .multi(several)
        .include_all(several)
        .hide(model.VariableHide.HIDE_VARIABLE if hidden else model.VariableHide.DONT_HIDE)
    )
    if several:
        variable.current(model.VariableOption(selected=True, text=["All"], value=["$__all"]))
    return variable


def page(uid: str, title: str, description: str) -> dashboard.Dashboard:
    """Return an empty dashboard in the house's setting."""
    return (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags(["faultline"])
        .time("now-15m", "now")
        .refresh("10s")
        .timezone("browser")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .readonly()
    )


@dataclass(frozen=True, slots=True)
class _Marks(Builder[model.AnnotationQuery]):
    query: model.AnnotationQuery

    def build(self) -> model.AnnotationQuery:
        return self.query


_COLOURED: Final = model.DynamicConfigValue("custom.cellOptions", {"type": "color-background", "mode": "basic"})


def _letters() -> model.ValueMap:
    return model.ValueMap({zone: model.ValueMappingResult(text=zone, color=ZONE_COLOURS[zone]) for zone in Zone})


def _numbers() -> model.ValueMap:
    texts = {str(number): zone for number, zone in enumerate(Zone, 1)}
    return model.ValueMap(
        {number: model.ValueMappingResult(text=zone, color=ZONE_COLOURS[zone]) for number, zone in texts.items()}
    )
