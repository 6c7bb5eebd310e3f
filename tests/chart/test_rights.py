"""The chart's role holds what the operator needs, and nothing else, by the API server's own record.

Pods are kwok's; API server, controllers, operator and role are real.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.server import Server
from tests.bench.cluster import kwok
from tests.bench.cluster import operator as operators
from tests.bench.cluster.workload import document
from tests.chart.chart import CHART, NAMESPACE, helm, of_kind, render, settings
from tests.chart.rights import Audit, Right, given
from tests.cluster_kit.waiting import wait_until
from tests.control_plane.access import NoApiServer, assets
from tests.control_plane.plane import control_plane
from tests.control_plane.processes import free_ports

pytestmark = pytest.mark.api

USER = f"system:serviceaccount:{NAMESPACE}:secateur"
VALUES: dict[str, Any] = {"replicas": 0}
"""The operator runs beside the cluster, as the chart's account."""
OWNING = Right("update", "secateur.dev", "pruningjobs/finalizers")
"""Never asked for: admission looks at who may do it when a Job says that its owner waits for it."""
ALL_VERBS = ("get", "list", "watch", "create", "update", "patch", "delete")
LIMIT_SECONDS = 120.0


class Scene:
    """A cluster with the chart installed, and the operator with the chart's rights."""

    def __init__(self, server: Server, audit: Audit) -> None:
        self.server = server
        self.audit = audit

    def job(self, namespace: str, name: str, **spec: Any) -> None:
        """Create a PruningJob."""
        self.server.kubectl("create", "-f", "-", document=document(namespace, name, **spec))

    def status(self, namespace: str, name: str) -> dict[str, Any]:
        """Return a PruningJob's status."""
        found = json.loads(self.server.kubectl("get", "pj", name, "-n", namespace, "-o", "json"))
        status: dict[str, Any] = found.get("status", {})
        return status

    def wait(self, namespace: str, name: str, key: str, value: str) -> None:
        """Wait for a field of the status."""
        wait_until(
            f"{key} of {name} is {value}",
            lambda: self.status(namespace, name).get(key) == value,
            LIMIT_SECONDS,
            lambda: self.status(namespace, name),
        )

    def suspend(self, namespace: str, name: str, suspend: bool) -> None:
        """Suspend or resume it, and wait for that."""
        change = json.dumps({"spec": {"suspend": suspend}})
        self.server.kubectl("patch", "pj", name, "-n", namespace, "--type=merge", "-p", change)
        self.wait(namespace, name, "phase", "Suspended" if suspend else "Running")


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Everything, running."""
    folder = tmp_path_factory.mktemp("rights")
    try:
        found = assets("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
    except NoApiServer as missing:
        pytest.skip(str(missing))
    if shutil.which("kwok") is None:
        pytest.skip("needs kwok on PATH")
    audit = Audit(folder)
    more = {**audit.options, "enable-admission-plugins": "OwnerReferencesPermissionEnforcement"}
    with control_plane(folder / "plane", found, controllers=True, more=more) as plane:
        server = Server(plane.kubeconfig)
        server.kubectl("create", "-f", "-", document=kwok.node())
        options = ["--kubeconfig", str(plane.kubeconfig), "--namespace", NAMESPACE, "--create-namespace"]
        helm("install", "secateur", str(CHART), *options, *settings(VALUES))
        server.kubectl("wait", "--for=condition=Established", "crd/pruningjobs.secateur.dev", "--timeout=30s")
        mine = _as(server, folder, "secateur")
        lease = ("--lease-name=secateur", f"--lease-namespace={NAMESPACE}")
        pods = kwok.running(plane, folder, free_ports(1)[0], run_seconds=2.0)
        with pods, operators.running(mine, folder, *lease):
            yield Scene(server, audit)


def test_every_right_is_used_and_none_is_missing(scene: Scene) -> None:
    scene.server.kubectl("create", "namespace", "team")
    scene.job("team", "whole")
    scene.job("team", "stopped")
    scene.wait("team", "stopped", "phase", "Running")
    for suspend in (True, False, True):  # said twice, an event is counted
        scene.suspend("team", "stopped", suspend)
    scene.server.kubectl("create", "namespace", "poor")
    scene.server.kubectl("create", "quota", "none", "-n", "poor", "--hard=pods=0")
    scene.job("poor", "starved")  # its Job's events say why there is no pod
    scene.wait("team", "whole", "phase", "Succeeded")

    roles = render({**VALUES, "rbac.userRoles": False})
    allowed = given(of_kind(roles, "ClusterRole") + of_kind(roles, "Role"))
    wait_until(
        "each right is used",
        lambda: scene.audit.used(USER) >= allowed - {OWNING},
        LIMIT_SECONDS,
        lambda: allowed - scene.audit.used(USER),
    )
    assert scene.audit.used(USER) == allowed - {OWNING}
    assert scene.audit.refused(USER) == set()


@pytest.mark.parametrize(
    ("role", "verbs"),
    [("view", {"get", "list", "watch"}), ("edit", set(ALL_VERBS))],
)
def test_what_users_may(scene: Scene, role: str, verbs: set[str]) -> None:
    scene.server.kubectl("create", "namespace", f"{role}ers")
    scene.server.kubectl(
        "create", "rolebinding", "jane", "-n", f"{role}ers", f"--clusterrole={role}", "--user=jane"
    )

    def may() -> set[str]:
        return {verb for verb in ALL_VERBS if _can(scene.server, f"{role}ers", verb, "pruningjobs")}

    wait_until("roles are aggregated", lambda: may() == verbs, LIMIT_SECONDS, may)
    assert not _can(scene.server, f"{role}ers", "patch", "pruningjobs/status")
    assert not _can(scene.server, "default", "get", "pruningjobs")


def test_the_account_that_removes_old_results_has_the_rights_that_it_uses(
    scene: Scene, tmp_path: Path
) -> None:
    roles = render({"store.gc.schedule": "@daily", "rbac.userRoles": False})
    mine = [one for one in roles if one["metadata"]["name"].endswith("-gc") and one["kind"] != "CronJob"]
    for one in mine:
        scene.server.kubectl("apply", "-f", "-", document=one)
    scene.server.kubectl("create", "namespace", "store")
    scene.job("store", "whole")
    scene.wait("store", "whole", "phase", "Succeeded")
    config = _as(scene.server, tmp_path, "secateur-gc")
    process = subprocess.Popen(
        [sys.executable, "-m", "secateur_operator.cli", "store", "gc", "--cluster", "--namespace", "store"],
        env={**os.environ, "KUBECONFIG": str(config)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    query = ("get", "pods", "-n", "store", "-l", "app.kubernetes.io/component=storekeeper", "-o", "name")

    def pod() -> str | None:
        return scene.server.kubectl(*query).strip() or None

    found = wait_until("its pod is there", pod, LIMIT_SECONDS, process.poll)
    ended = ("-n", "store", "--subresource=status", "--type=merge", "-p", '{"status":{"phase":"Succeeded"}}')
    scene.server.kubectl("patch", found, *ended)
    _, said = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == 2, said  # kwok's pods do nothing, so that there is no answer
    assert "store: " in said
    user = f"system:serviceaccount:{NAMESPACE}:secateur-gc"
    allowed = given([one for one in mine if one["kind"] == "ClusterRole"])
    wait_until(
        "each right is used",
        lambda: scene.audit.used(user) >= allowed,
        LIMIT_SECONDS,
        lambda: allowed - scene.audit.used(user),
    )
    assert scene.audit.used(user) == allowed
    assert scene.audit.refused(user) == set()


def test_without_the_right_to_own_no_job_is_made_where_admission_guards_it(scene: Scene) -> None:
    role = json.loads(scene.server.kubectl("get", "clusterrole", f"{NAMESPACE}-secateur", "-o", "json"))
    fewer = [rule for rule in role["rules"] if rule["resources"] != [OWNING.resource]]
    assert len(fewer) == len(role["rules"]) - 1
    scene.server.kubectl("replace", "-f", "-", document={**role, "rules": fewer})
    scene.server.kubectl("create", "namespace", "late")
    scene.job("late", "orphan")

    def said() -> bool:
        return "blockOwnerDeletion" in json.dumps(scene.status("late", "orphan"))

    wait_until("the status says why", said, LIMIT_SECONDS, lambda: scene.status("late", "orphan"))


def _can(server: Server, namespace: str, verb: str, resource: str) -> bool:
    """Whether jane may."""
    kind, _, part = resource.partition("/")
    asked = {
        "namespace": namespace,
        "verb": verb,
        "group": "secateur.dev",
        "resource": kind,
        "subresource": part,
    }
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": "jane", "resourceAttributes": asked},
    }
    answer = json.loads(server.kubectl("create", "-f", "-", "-o", "json", document=review))
    allowed: bool = answer["status"]["allowed"]
    return allowed


def _as(server: Server, folder: Path, account: str) -> Path:
    """Return a kubeconfig of one of the chart's ServiceAccounts."""
    token = server.kubectl("create", "token", account, "-n", NAMESPACE, "--duration=1h").strip()
    config = json.loads(server.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": token}
    file = folder / "operator.kubeconfig"
    file.touch(mode=0o600)
    file.write_text(json.dumps(config))
    return file
