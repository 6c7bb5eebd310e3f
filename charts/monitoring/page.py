"""What every dashboard has: identity, time range, links to the others, the choice of the data source."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models import dashboard as model

from charts.monitoring.variables import data_source

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
