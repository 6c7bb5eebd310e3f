"""What a real API server says to the chart's objects."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.server import Server
from tests.chart.chart import NAMESPACE, ROOT, Document, render
from tests.chart.test_values import EVERYTHING

pytestmark = pytest.mark.api

MATRIX: dict[str, dict[str, Any]] = {
    "default values": {},
    "every part": EVERYTHING,
    "some namespaces": {"namespaces": ["team-a", "team-b"], "crds.install": False, "rbac.userRoles": False},
    "two replicas": {"replicas": 2, "podDisruptionBudget.maxUnavailable": "50%"},
    "no lease": {"leaderElection.enabled": False},
    "own account": {"serviceAccount": {"create": False, "name": "mine"}, "rbac.create": False},
    "own names": {
        "nameOverride": "pruner",
        "fullnameOverride": "x" * 60,
        "leaderElection.leaseName": "lease",
    },
    "own spread": {
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
        ],
        "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": []}},
        "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy.test"}],
        "resources": {"limits": {"cpu": "1"}},
        "stages.jobTtlSeconds": 0,
    },
    "policy without peers": {"networkPolicy.enabled": True, "networkPolicy.apiServerPorts": [6443]},
}


@pytest.fixture(scope="module")
def ready(server: Server) -> Iterator[Server]:
    """The API server with the namespaces that these objects are for, and Prometheus Operator's kinds."""
    kinds = [
        _monitoring("servicemonitors", "ServiceMonitor"),
        _monitoring("prometheusrules", "PrometheusRule"),
    ]
    namespaces = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        for name in (NAMESPACE, "team-a", "team-b")
    ]
    mine = [one for one in (*kinds, *namespaces) if not _is_there(server, one)]
    for one in mine:
        server.kubectl("create", "-f", "-", document=one)
    for one in kinds:
        server.kubectl(
            "wait", "--for=condition=Established", f"crd/{one['metadata']['name']}", "--timeout=30s"
        )
    yield server
    for one in mine:
        server.kubectl("delete", one["kind"], one["metadata"]["name"], "--wait=false")


@pytest.mark.parametrize("values", MATRIX.values(), ids=MATRIX.keys())
def test_it_takes_every_object(ready: Server, values: dict[str, Any]) -> None:
    documents = render(values)
    bundle = {"apiVersion": "v1", "kind": "List", "items": documents}
    said = ready.kubectl(
        "apply", "--dry-run=server", "--validate=strict", "-o", "json", "-f", "-", document=bundle
    )
    taken = json.loads(said)["items"]
    assert [_name(one) for one in taken] == [_name(one) for one in documents]


def test_it_takes_the_kustomize_base(ready: Server) -> None:
    base = ROOT / "config" / "kustomize" / "base"
    said = ready.kubectl("apply", "--dry-run=server", "--validate=strict", "-o", "name", "-k", str(base))
    assert "namespace/secateur-system" in said
    assert "customresourcedefinition.apiextensions.k8s.io/pruningjobs.secateur.dev" in said
    assert "deployment.apps/secateur" in said


def test_the_operators_pod_passes_the_restricted_level(ready: Server) -> None:
    deployment = next(one for one in render(EVERYTHING) if one["kind"] == "Deployment")
    template = deployment["spec"]["template"]
    name = "secateur-e-restricted"
    ready.kubectl("create", "namespace", name)
    try:
        ready.kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
        ready.kubectl("create", "serviceaccount", "secateur", "-n", name)
        spec = {k: v for k, v in template["spec"].items() if k != "priorityClassName"}
        pod = {"metadata": {**template["metadata"], "name": "operator", "namespace": name}, "spec": spec}
        ready.accepts({"apiVersion": "v1", "kind": "Pod", **pod})
    finally:
        ready.kubectl("delete", "namespace", name, "--wait=false")


def _name(document: Document) -> tuple[str, str, str | None]:
    meta = document["metadata"]
    return document["kind"], meta["name"], meta.get("namespace")


def _is_there(server: Server, document: Document) -> bool:
    found = server.kubectl(
        "get", document["kind"], document["metadata"]["name"], "--ignore-not-found", "-o", "name"
    )
    return bool(found.strip())


def _monitoring(plural: str, kind: str) -> Document:
    """Return a CRD that admits anything of the kind: the Prometheus Operator's own is not here."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.monitoring.coreos.com"},
        "spec": {
            "group": "monitoring.coreos.com",
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural},
            "versions": [version],
        },
    }
