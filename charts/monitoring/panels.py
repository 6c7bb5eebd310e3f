"""What every dashboard is made of, all alike in data source, size and legend.

Identity, time range, links to the others, the choices at the top, and few kinds of panels.
"""

from __future__ import annotations

from typing import NamedTuple, TypeVar

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    dashboard,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.models import common as common_model
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models import prometheus as prometheus_model

_TAG = "secateur"


def page(uid: str, title: str, says: str, since: str = "now-6h") -> dashboard.Dashboard:
    """Return an empty dashboard."""
    links = dashboard.DashboardLink("Secateur").type(model.DashboardLinkType.DASHBOARDS).tags([_TAG])
    return (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(says)
        .tags([_TAG])
        .readonly()
        .time(since, "now")
        .refresh("30s")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .link(links.as_dropdown(False).keep_time(True))
        .with_variable(data_source())
    )


def data_source() -> dashboard.DatasourceVariable:
    """Return the choice of the Prometheus."""
    return dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus")


def label_values(name: str, label: str, metric: str, key: str, several: bool) -> dashboard.QueryVariable:
    """Return the choice among the values that the label ``key`` of a metric has; one, or several and all."""
    variable = (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(DATA_SOURCE)
        .query(f"label_values({metric}, {key})")
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
    )
    return variable.multi(True).include_all(True).all_value(".*") if several else variable


WIDTH = 24
"""Columns of a dashboard."""
DATA_SOURCE = model.DataSourceRef(type_val="prometheus", uid="${datasource}")


class Query(NamedTuple):
    """A PromQL expression and how its series are named (``{{label}}`` is replaced)."""

    expr: str
    legend: str = ""


P = TypeVar("P", timeseries.Panel, stat.Panel, bargauge.Panel, statetimeline.Panel, table.Panel)


def lines(
    title: str, says: str, unit: str, *queries: Query, width: int = 8, stacked: bool = False
) -> timeseries.Panel:
    """Return values over time."""
    panel = _common(timeseries.Panel(), title, says, width, 8).unit(unit).line_width(1.5)
    panel.legend(
        common.VizLegendOptions()
        .show_legend(True)
        .display_mode(common_model.LegendDisplayMode.LIST)
        .placement(common_model.LegendPlacement.BOTTOM)
    )
    panel.tooltip(common.VizTooltipOptions().mode(common_model.TooltipDisplayMode.MULTI))
    if stacked:
        panel.stacking(common.StackingConfig().mode(common_model.StackingMode.NORMAL)).fill_opacity(30)
    return _with_targets(panel, queries, instant=False)


def number(
    title: str, says: str, unit: str, *queries: Query, width: int = 4, names: bool = False
) -> stat.Panel:
    """Return newest values, or (``names``) the names of the series that there are."""
    panel = (
        _common(stat.Panel(), title, says, width, 4)
        .unit(unit)
        .graph_mode(common_model.BigValueGraphMode.NONE)
        .reduce_options(_newest())
    )
    if names:
        panel.text_mode(common_model.BigValueTextMode.NAME)
    return _with_targets(panel, queries, instant=True)


def health(
    title: str, says: str, query: Query, *steps: tuple[float | None, str], width: int = 4
) -> stat.Panel:
    """Return a newest value on a background whose colour says if it is well; steps are (from, colour)."""
    panel = number(title, says, "short", query, width=width).color_mode(
        common_model.BigValueColorMode.BACKGROUND
    )
    colours = [model.Threshold(value=value, color=color) for value, color in steps]
    return panel.thresholds(dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(colours))


def bars(title: str, says: str, unit: str, *queries: Query, width: int = 8) -> bargauge.Panel:
    """Return newest values as bars to compare."""
    panel = _common(bargauge.Panel(), title, says, width, 8).unit(unit).min(0)
    panel.orientation(common_model.VizOrientation.HORIZONTAL).display_mode(
        common_model.BarGaugeDisplayMode.BASIC
    )
    panel.reduce_options(_newest()).color_scheme(
        dashboard.FieldColor().mode(model.FieldColorModeId.PALETTE_CLASSIC)
    )
    return _with_targets(panel, queries, instant=True)


def states(title: str, says: str, *queries: Query, width: int = WIDTH) -> statetimeline.Panel:
    """Return which of the series was 1, over time."""
    panel = _common(statetimeline.Panel(), title, says, width, 8)
    panel.show_value(common_model.VisibilityMode.NEVER).merge_values(True).mappings([_on_off()])
    return _with_targets(panel, queries, instant=False)


def rows(
    title: str, says: str, columns: dict[str, Query], units: dict[str, str], keys: list[str]
) -> table.Panel:
    """Return a table: one row per combination of the labels ``keys``, one column per query."""
    panel = _common(table.Panel(), title, says, WIDTH, 12)
    for letter, query in zip("ABCDEFGHIJ", columns.values(), strict=False):
        panel.with_target(
            _target(query, instant=True).format(prometheus_model.PromQueryFormat.TABLE).ref_id(letter)
        )
    letters = dict(zip("ABCDEFGHIJ", columns, strict=False))
    renamed = {f"Value #{letter}": name for letter, name in letters.items()}
    order = {name: place for place, name in enumerate([*keys, *renamed])}
    panel.with_transformation(model.DataTransformerConfig(id_val="merge", options={}))
    panel.with_transformation(
        model.DataTransformerConfig(
            id_val="organize",
            options={"excludeByName": {"Time": True}, "renameByName": renamed, "indexByName": order},
        )
    )
    for name, unit in units.items():
        panel.override_by_name(name, [model.DynamicConfigValue(id_val="unit", value=unit)])
    return panel.filterable(True)


def _newest() -> common.ReduceDataOptions:
    return common.ReduceDataOptions().calcs(["lastNotNull"]).values(False)


def row(title: str) -> dashboard.Row:
    """Return a heading."""
    return dashboard.Row(title)


def _common(panel: P, title: str, says: str, width: int, height: int) -> P:
    return panel.title(title).description(says).datasource(DATA_SOURCE).span(width).height(height)


def _with_targets(panel: P, queries: tuple[Query, ...], instant: bool) -> P:
    for letter, query in zip("ABCDEFGHIJ", queries, strict=False):
        panel.with_target(_target(query, instant).ref_id(letter))
    return panel


def _target(query: Query, instant: bool) -> prometheus.Dataquery:
    target = (
        prometheus.Dataquery()
        .expr(query.expr)
        .datasource(DATA_SOURCE)
        .legend_format(query.legend or "__auto")
    )
    return target.instant() if instant else target.range()


def _on_off() -> model.ValueMapping:
    return model.ValueMap(
        options={
            "0": model.ValueMappingResult(text="no", color="transparent", index=0),
            "1": model.ValueMappingResult(text="yes", color="green", index=1),
        }
    )
