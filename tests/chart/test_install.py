"""Install, upgrade, uninstall on a real cluster, with a PruningJob that lives through it."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from tests.chart.chart import CHART, helm, settings
from tests.cluster_kit.cluster import Cluster
from tests.cluster_kit.documents import tiny
from tests.cluster_kit.fixtures import OpenSite
from tests.cluster_kit.site import PREFIX, RESTRICTED, Site

pytestmark = pytest.mark.cluster

RELEASE = "secateur"
CRD = "pruningjobs.secateur.dev"


@pytest.fixture
def site(open_site: OpenSite) -> Site:
    """Where the job is."""
    return open_site("chart")


@pytest.fixture
def home(cluster: Cluster) -> Iterator[str]:
    """The operator's namespace."""
    name = f"{PREFIX}operator-{secrets.token_hex(3)}"
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": RESTRICTED}})
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


def test_a_job_lives_through_install_upgrade_and_uninstall(cluster: Cluster, site: Site, home: str) -> None:
    values: dict[str, Any] = {
        "namespaces": [site.namespace],  # others may use this cluster at the same time
        "image.tag": "dev",
        "stages.image.tag": "dev",
        "store.claim": "artifacts",
    }
    _helm("install", home, values)
    site.apply(tiny())
    site.wait_done("tiny", "pretrain")
    _helm("upgrade", home, {**values, "replicas": 2, "log.verbose": True})
    assert len(_pods(cluster, home)) == 2
    status = site.wait_end("tiny", "Succeeded")
    assert _errors(cluster, home) == []
    leading = [_metrics(cluster, home, pod)["secateur_leader"] for pod in _pods(cluster, home)]
    assert sorted(leading) == [0, 1]
    assert _refusals(cluster, home) == []

    helm("uninstall", RELEASE, "--namespace", home, "--wait")
    assert _pods(cluster, home) == []
    assert cluster.kubectl("get", "crd", CRD, "-o", "name").strip().endswith(CRD)
    assert site.status("tiny") == status

    _helm("install", home, values)
    site.apply(tiny("again"))
    site.wait_done("again", "pretrain")
    assert site.status("tiny") == status, "an ended job is left alone"


def _helm(what: str, home: str, values: dict[str, Any]) -> None:
    """Return once every replica is ready."""
    # another release, or kubectl, may have installed the CRD on this cluster before
    options = ["--namespace", home, "--take-ownership", "--wait", "--timeout", "90s"]
    helm(what, RELEASE, str(CHART), *options, *settings(values))


def _pods(cluster: Cluster, home: str) -> list[str]:
    pods = cluster.list("pods", home, "-l", "app.kubernetes.io/component=operator")
    return [pod["metadata"]["name"] for pod in pods if "deletionTimestamp" not in pod["metadata"]]


def _errors(cluster: Cluster, home: str) -> list[str]:
    logs = [cluster.kubectl("logs", "-n", home, pod).splitlines() for pod in _pods(cluster, home)]
    return [line for lines in logs for line in lines if json.loads(line)["level"] == "error"]


def _scrape(cluster: Cluster, home: str, pod: str) -> str:
    return cluster.kubectl("get", "--raw", f"/api/v1/namespaces/{home}/pods/{pod}:8080/proxy/metrics")


def _metrics(cluster: Cluster, home: str, pod: str) -> dict[str, float]:
    lines = [line.rpartition(" ") for line in _scrape(cluster, home, pod).splitlines() if line[0] != "#"]
    return {name: float(value) for name, _, value in lines}


def _refusals(cluster: Cluster, home: str) -> list[str]:
    """Return requests that the chart's role does not allow."""
    scraped = [_scrape(cluster, home, pod) for pod in _pods(cluster, home)]
    return [line for text in scraped for line in text.splitlines() if re.search('code="40[13]"', line)]
