"""Dashboards and rules against what the operator really exposes, by a real Prometheus."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import start_http_server

from tests.cluster_kit.prometheus import NoPrometheus, Prometheus, prometheus
from tests.cluster_kit.waiting import wait_until
from tests.control_plane.processes import free_ports
from tests.monitoring.exposition import Exposition, after_a_job
from tests.monitoring.queries import metric_names, panel_queries, rule_expressions


@pytest.fixture(scope="module")
def exposed() -> Exposition:
    return after_a_job()


@pytest.fixture
def server(exposed: Exposition, tmp_path: Path) -> Iterator[Prometheus]:
    (port,) = free_ports(1)
    http, _ = start_http_server(port, "127.0.0.1", exposed.registry)
    try:
        with prometheus(tmp_path, port, seconds=1) as running:
            yield running
    except NoPrometheus as error:
        pytest.skip(str(error))
    finally:
        http.shutdown()
        http.server_close()


def test_every_metric_that_is_named_is_exposed(exposed: Exposition) -> None:
    exposed.work()
    there = {sample.name for family in exposed.registry.collect() for sample in family.samples}
    expressions = [*rule_expressions(), *(query.expr for query in panel_queries())]
    named = {name for expr in expressions for name in metric_names(expr) if ":" not in name}
    assert named - there == set()


def test_every_metric_that_is_documented_is_exposed_and_the_other_way_round(exposed: Exposition) -> None:
    exposed.work()
    page = (Path(__file__).parents[2] / "docs" / "monitoring.md").read_text()
    documented = {name for line in page.splitlines() if line.startswith("| `") for name in metric_names(line)}
    families = exposed.registry.collect()
    there = {f.name + ("_total" if f.type == "counter" else "") for f in families}
    assert documented == {name for name in there if name.startswith("secateur")}


def test_every_panel_has_data(exposed: Exposition, server: Prometheus) -> None:
    def empty() -> list[str]:
        exposed.work()
        return [f"{one.where}: {one.expr}" for one in panel_queries() if not _has_data(server, one.expr)]

    wait_until("every panel has data", lambda: not empty(), 30, empty)


def _has_data(server: Prometheus, expr: str) -> bool:
    found = server.query(expr)
    return bool(found) and not all(math.isnan(float(one["value"][1])) for one in found)
