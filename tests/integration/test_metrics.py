"""A real Prometheus scrapes a real operator: the series are there, and go with their resource."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator

import pytest

from tests.api.conftest import server as server  # the fixture
from tests.api.server import Server
from tests.cluster_kit.operator import Operator
from tests.cluster_kit.prometheus import NoPrometheus, Prometheus, prometheus
from tests.cluster_kit.waiting import wait_until
from tests.integration.operators import Place, place

pytestmark = pytest.mark.api


@pytest.fixture(scope="module")
def home(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with place(server, tmp_path_factory.mktemp("operator")) as found:
        yield found


@pytest.fixture(scope="module")
def operator(home: Place) -> Operator:
    found = home.operator()
    found.start()
    home.submit("no-store")
    home.wait_until_stalled("no-store")
    return found


@pytest.fixture(scope="module")
def scraped(operator: Operator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    try:
        with prometheus(tmp_path_factory.mktemp("prometheus"), operator.metrics_port, seconds=1) as found:
            yield found
    except NoPrometheus as missing:
        pytest.skip(str(missing))


@pytest.mark.parametrize(
    ("query", "value"),
    [
        ("secateur_leader", 1.0),
        ("secateur_build_info", 1.0),
        ("secateur_queue_depth", 0.0),
        ("secateur_queue_oldest_seconds", 0.0),
        ('secateur_jobs{phase="Failed"}', 1.0),
        ('secateur_job_phase{name="no-store",phase="Failed"}', 1.0),
        ('secateur_job_percent{name="no-store"}', 0.0),
        ('sum(secateur_reconcile_seconds_count{result="done"}) >= bool 1', 1.0),
        ("sum(secateur_queue_wait_seconds_count) >= bool 1", 1.0),
        ('sum(secateur_api_requests_total{verb="watch",code="200"}) >= bool 3', 1.0),
        ('sum(secateur_api_requests_total{verb="patch",resource="pruningjobs/status"}) >= bool 1', 1.0),
        ('sum(secateur_api_requests_total{resource="leases"}) >= bool 1', 1.0),
    ],
)
def test_the_series_is_there(scraped: Prometheus, query: str, value: float) -> None:
    def found() -> bool:
        series = scraped.query(query)
        return len(series) == 1 and float(series[0]["value"][1]) == value

    wait_until(f"{query} is {value}", found, 15, lambda: scraped.query(query))


def test_a_deleted_job_leaves_no_series(home: Place, operator: Operator) -> None:
    home.submit("short")
    home.wait_until_stalled("short")
    wait_until("it has series", lambda: 'name="short"' in operator.metrics(), 10, operator.tail)
    home.server.kubectl("delete", "pruningjob", "short", "-n", home.namespace)
    wait_until("its series are gone", lambda: 'name="short"' not in operator.metrics(), 10, operator.tail)


def test_a_scrape_is_text_that_prometheus_s_own_check_accepts(operator: Operator) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("needs promtool on PATH (apt-get install prometheus)")
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=operator.metrics(), capture_output=True, text=True, check=False
    )
    ours = [line for line in checked.stderr.splitlines() if line.startswith("secateur")]
    assert ours == []
