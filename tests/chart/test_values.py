"""What a user sets, and what comes of it."""

from __future__ import annotations

from typing import Any

import pytest
import typer
import yaml

from charts.packaging.__main__ import differences, rendered
from charts.packaging.kustomize import values
from secateur_operator import cli
from secateur_operator.cluster.settings import selector_of
from secateur_operator.cluster.territory import lease_name
from tests.chart.chart import CHART, Document, Refused, helm, of_kind, only, render, settings

EVERYTHING: dict[str, Any] = {
    "namespaces": ["team-a", "team-b"],
    "image": {"repository": "example.test/operator", "digest": "sha256:" + "a" * 64},
    "imagePullSecrets": ["pull"],
    "stages.imagePullSecrets": ["pull-a", "pull-b"],
    "store": {"uri": "s3://models/secateur", "secret": "s3"},
    "replicas": 2,
    "workers": 4,
    "selector": "team=vision",
    "maxRunning": 5,
    "log": {"format": "text", "verbose": True},
    "priorityClassName": "system-cluster-critical",
    "tolerations": [{"key": "dedicated", "operator": "Exists"}],
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "podLabels": {"team": "ml"},
    "podAnnotations": {"note": "x"},
    "metrics.serviceMonitor.enabled": True,
    "metrics.prometheusRule.enabled": True,
    "metrics.dashboards.enabled": True,
    "store.gc.schedule": "@daily",
    "networkPolicy.enabled": True,
    "networkPolicy.metricsFrom": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}],
    "networkPolicy.apiServerTo": [{"ipBlock": {"cidr": "10.0.0.0/8"}}],
}


def env(documents: list[Document]) -> dict[str, str]:
    (container,) = only(documents, "Deployment")["spec"]["template"]["spec"]["containers"]
    return {one["name"]: one["value"] for one in container["env"]}


def test_lint() -> None:
    assert "0 chart(s) failed" in helm("lint", "--strict", str(CHART))
    assert "0 chart(s) failed" in helm("lint", "--strict", str(CHART), *settings(EVERYTHING))


def test_what_is_made_from_other_files_is_as_they_are() -> None:
    assert differences(rendered()) == ""


def test_every_value_is_explained() -> None:
    explained = {value.path for value in values((CHART / "values.yaml").read_text())}

    def unexplained(tree: Any, path: str) -> list[str]:
        if path in explained:
            return []
        if not isinstance(tree, dict) or not tree:
            return [path]
        return [one for key, inner in tree.items() for one in unexplained(inner, f"{path}.{key}".lstrip("."))]

    assert unexplained(yaml.safe_load((CHART / "values.yaml").read_text()), "") == []
    text = (CHART / "README.md").read_text()
    assert [path for path in explained if f"| `{path}` |" not in text] == []


def test_every_setting_that_the_chart_gives_is_one_of_the_operator() -> None:
    command = typer.main.get_command(cli.app).commands["operator"]  # type: ignore[attr-defined]
    prefix = command.context_settings["auto_envvar_prefix"]
    known = {option.envvar or f"{prefix}_{option.name.upper()}" for option in command.params}
    given = set(env(render(EVERYTHING))) | set(env(render({"store.claim": "artifacts"})))
    assert given <= known
    assert known - given == {"SECATEUR_LEASE_NAMESPACE"}, "by default the operator's own namespace"


def test_old_results_go_by_a_schedule_if_asked() -> None:
    assert of_kind(render({}), "CronJob") == []
    documents = render({"store.gc.schedule": "0 3 * * 0", "store.gc.olderThan": "24h"})
    cron = only(documents, "CronJob")
    pod = cron["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert cron["spec"]["schedule"] == "0 3 * * 0"
    assert container["args"] == ["store", "gc", "--cluster", "--older-than", "24h"]
    accounts = {one["metadata"]["name"] for one in of_kind(documents, "ServiceAccount")}
    assert pod["serviceAccountName"] in accounts
    command = typer.main.get_command(cli.app).commands["store"].commands["gc"]  # type: ignore[attr-defined]
    known = {name for option in command.params for name in [option.envvar] if name}
    assert {one["name"] for one in container["env"]} <= known
    with pytest.raises(Refused, match="olderThan"):
        render({"store.gc.schedule": "@daily", "store.gc.olderThan": "30d"})


def test_settings() -> None:
    assert env(render(EVERYTHING)) == {
        "SECATEUR_NAMESPACES": "team-a team-b",
        "SECATEUR_SELECTOR": "team=vision",
        "SECATEUR_MAX_RUNNING": "5",
        "SECATEUR_IMAGE": "localhost/secateur-jobs:0.1.0",
        "SECATEUR_IMAGE_PULL_POLICY": "IfNotPresent",
        "SECATEUR_IMAGE_PULL_SECRETS": "pull-a pull-b",
        "SECATEUR_JOB_TTL": "86400",
        "SECATEUR_STORE_URI": "s3://models/secateur",
        "SECATEUR_STORE_SECRET": "s3",
        "SECATEUR_WORKERS": "4",
        "SECATEUR_LEADER_ELECT": "true",
        "SECATEUR_LEASE_NAME": "secateur",
        "SECATEUR_METRICS_PORT": "8080",
        "SECATEUR_HEALTH_PORT": "8081",
        "SECATEUR_LOG_FORMAT": "text",
        "SECATEUR_VERBOSE": "true",
    }


def test_some_namespaces_need_no_cluster_role() -> None:
    documents = render({"namespaces": ["team-a", "team-b"], "rbac.userRoles": False, "crds.install": False})
    assert of_kind(documents, "ClusterRole") == of_kind(documents, "ClusterRoleBinding") == []
    assert of_kind(documents, "CustomResourceDefinition") == []
    where = {role["metadata"]["namespace"] for role in of_kind(documents, "Role")}
    assert where == {"team-a", "team-b", "secateur-system"}


def test_the_same_rights_in_some_namespaces_as_in_all() -> None:
    in_all = only(render({"rbac.userRoles": False}), "ClusterRole")
    in_one, _ = sorted(
        of_kind(render({"namespaces": ["a"]}), "Role"), key=lambda r: r["metadata"]["namespace"]
    )
    assert in_one["rules"] == in_all["rules"]


def test_uninstalling_keeps_the_crd() -> None:
    crd = only(render({}), "CustomResourceDefinition")
    source = yaml.safe_load((CHART / "files" / "crd.yaml").read_text())
    assert crd["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert (crd["metadata"]["name"], crd["spec"]) == (source["metadata"]["name"], source["spec"])


def test_a_budget_for_disruptions_where_there_is_a_stand_by() -> None:
    assert of_kind(render({}), "PodDisruptionBudget") == []
    assert only(render({"replicas": 2}), "PodDisruptionBudget")["spec"]["maxUnavailable"] == 1


def test_without_a_lease_the_old_replica_goes_first() -> None:
    documents = render({"leaderElection.enabled": False})
    assert only(documents, "Deployment")["spec"]["strategy"] == {"type": "Recreate"}
    assert of_kind(documents, "Role") == []


def test_monitoring_carries_every_dashboard_and_rule() -> None:
    documents = render(EVERYTHING)
    boards = {name: text for one in of_kind(documents, "ConfigMap") for name, text in one["data"].items()}
    files = {f"secateur-{path.name}": path.read_text() for path in (CHART / "dashboards").glob("*.json")}
    assert boards == {name: text.rstrip("\n") for name, text in files.items()} != {}
    assert all(
        one["metadata"]["labels"]["grafana_dashboard"] == "1" for one in of_kind(documents, "ConfigMap")
    )
    rules = [yaml.safe_load(path.read_text()) for path in sorted((CHART / "rules").glob("*.yaml"))]
    assert [one["spec"] for one in of_kind(documents, "PrometheusRule")] == rules != []
    (endpoint,) = only(documents, "ServiceMonitor")["spec"]["endpoints"]
    assert endpoint["honorLabels"] is True


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"replica": 2}, "additional properties 'replica' not allowed"),
        ({"image.tg": "x"}, "additional properties 'tg' not allowed"),
        ({"replicas": "two"}, "at '/replicas': got string, want integer"),
        ({"log.format": "xml"}, "at '/log/format'"),
        ({"selector": "team"}, "at '/selector'"),
        ({"selector": "team=vision,"}, "at '/selector'"),
        ({"selector": "team in (a, b)"}, "at '/selector'"),
        ({"maxRunning": -1}, "at '/maxRunning': minimum: got -1, want 0"),
        ({"stages.image.pullPolicy": "Sometimes"}, "at '/stages/image/pullPolicy'"),
        ({"namespaces": ["Team A"]}, "at '/namespaces/0'"),
        ({"metrics.port": 80}, "at '/metrics/port': minimum: got 80, want 1,024"),
        ({"image.digest": "abc"}, "at '/image/digest'"),
        (
            {"store.claim": "a", "store.uri": "s3://b"},
            "store.claim and store.uri: a store is either",
        ),
        ({"store.secret": "a"}, "store.secret: it belongs to a store"),
        (
            {"replicas": 2, "leaderElection.enabled": False},
            "replicas: more than one needs leaderElection",
        ),
        ({"metrics.port": 8081}, "metrics.port and health.port: they must differ"),
        ({"serviceAccount.create": False}, "serviceAccount.name: name an existing ServiceAccount"),
        (
            {"metrics.serviceMonitor.enabled": True, "metrics.service.enabled": False},
            "metrics.serviceMonitor.enabled: it needs metrics.service.enabled=true",
        ),
    ],
)
def test_wrong_values_are_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(Refused) as refused:
        render(wrong)
    assert said in str(refused.value)


@pytest.mark.parametrize("selector", ["", "team=vision", "x.dev/tier=gold, team=vision"])
def test_the_role_has_the_leases_that_the_operator_asks_for(selector: str) -> None:
    text = ",".join(f"{key}={value}" for key, value in selector_of(selector))
    role = only(render({"selector": selector, "rbac.userRoles": False}), "ClusterRole")
    names = [name for rule in role["rules"] for name in rule.get("resourceNames", [])]
    assert names == sorted({lease_name(""), lease_name(text)}), "it looks at who serves all as well"
