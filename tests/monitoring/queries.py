"""Every PromQL expression that is shipped, ready to be sent to a Prometheus."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).parents[2]
DASHBOARDS = sorted((ROOT / "charts" / "secateur" / "dashboards").glob("*.json"))
RULES = ROOT / "charts" / "secateur" / "rules" / "secateur.yaml"


class PanelQuery(NamedTuple):
    """A query of a panel."""

    where: str
    """Dashboard and panel, for messages."""
    expr: str
    """With Grafana's variables replaced: all values, and the given interval."""


def queries(interval: str = "1m") -> list[str]:
    """Return the expression of every panel; each must return data where a job has run to its end."""
    return [query.expr for query in panel_queries(interval)]


def panel_queries(interval: str = "1m") -> list[PanelQuery]:
    """Return every panel's queries with their places; ``interval`` stands for ``$__rate_interval``."""
    return [
        PanelQuery(f"{board['title']}: {panel['title']}", _replaced(target["expr"], interval))
        for board in map(_load, DASHBOARDS)
        for panel in board["panels"]
        for target in panel.get("targets", [])
    ]


def rule_expressions() -> list[str]:
    """Return the expression of every recording and alerting rule."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule["expr"] for group in groups for rule in group["rules"]]


def metric_names(expr: str) -> set[str]:
    """Return the names of Secateur's metrics in an expression; recorded ones have colons."""
    return set(re.findall(r"\bsecateur[\w:]*", expr))


def _load(file: Path) -> dict[str, Any]:
    board: dict[str, Any] = json.loads(file.read_text())
    return board


def _replaced(expr: str, interval: str) -> str:
    expr = expr.replace("$__rate_interval", interval)
    return re.sub(r"\$(operator|namespace|name)\b", ".*", expr)
