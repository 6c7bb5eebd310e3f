"""The dashboards: valid PromQL over metrics that the operator has, complete, and the code's very output."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from charts.monitoring.__main__ import rendered
from tests.monitoring import promtool
from tests.monitoring.queries import DASHBOARDS, metric_names, panel_queries

_USERS_GRAPH = {
    "secateur_job_metric",
    "secateur_job_macs_cut_ratio",
    "secateur_job_latency_p50_seconds",
    "secateur_job_percent",
    "secateur_jobs",
    "secateur_stage_seconds_bucket",
    "secateur_stage_retries_total",
    "secateur_queue_depth",
}


def test_the_files_are_what_the_code_makes() -> None:
    assert {file.name: file.read_text() for file in DASHBOARDS} == rendered()


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_every_panel_says_what_it_shows_and_has_a_place_of_its_own(file: Path) -> None:
    board = json.loads(file.read_text())
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert [p["title"] for p in panels if p["type"] != "row" and not p.get("description")] == []
    cells = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_every_variable_of_a_query_can_be_chosen(file: Path) -> None:
    board = json.loads(file.read_text())
    known = {variable["name"] for variable in board["templating"]["list"]} | {"__rate_interval"}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(board)))
    assert used <= known


def test_what_users_graph_is_there() -> None:
    shown = {name for query in panel_queries() for name in metric_names(query.expr)}
    assert shown >= _USERS_GRAPH


def test_every_query_is_valid_promql(tmp_path: Path) -> None:
    rules = [{"record": f"q{n}", "expr": query.expr} for n, query in enumerate(panel_queries())]
    file = tmp_path / "queries.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    promtool.check_rules(file)
