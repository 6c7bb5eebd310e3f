"""The choices at the top of a dashboard."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models import dashboard as model

from charts.monitoring.panels import DATA_SOURCE


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
