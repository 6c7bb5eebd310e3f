"""The API server takes the Jobs that Secateur makes, and their pods where Pod Security is restricted."""

from __future__ import annotations

import json
import secrets
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from secateur_api import Stage
from secateur_operator.gateway.kube.manifests import PodDefaults, job_manifest
from secateur_operator.gateway.kube.manifests.template import merged
from tests.api.server import Refused, Server
from tests.control_plane.access import kubectl
from tests.unit.manifests.cases import CASES, PRIORITY_CLASS, RUNTIME_CLASS, SERVICE_ACCOUNT
from tests.unit.manifests.patches import OURS, patches
from tests.unit.manifests.stage_jobs import stage_job_of

pytestmark = pytest.mark.api
LEVEL = "pod-security.kubernetes.io/enforce"


@pytest.fixture(scope="module")
def restricted(server: Server) -> Iterator[str]:
    """A namespace that enforces the level ``restricted``, with what the templates name."""
    name = f"b-restricted-{secrets.token_hex(4)}"
    server.kubectl("create", "namespace", name)
    server.kubectl("label", "namespace", name, f"{LEVEL}=restricted")
    for account in ("default", SERVICE_ACCOUNT):  # without controllers nobody else makes the default one
        _apply(server, _named("v1", "ServiceAccount", account, name))
    _apply(server, {**_named("scheduling.k8s.io/v1", "PriorityClass", PRIORITY_CLASS), "value": 1})
    _apply(server, {**_named("node.k8s.io/v1", "RuntimeClass", RUNTIME_CLASS), "handler": "runc"})
    yield name
    server.kubectl("delete", "priorityclass", PRIORITY_CLASS)
    server.kubectl("delete", "runtimeclass", RUNTIME_CLASS)
    server.kubectl("delete", "namespace", name, "--wait=false")


def _named(api: str, kind: str, name: str, namespace: str | None = None) -> dict[str, Any]:
    metadata = {"name": name} if namespace is None else {"name": name, "namespace": namespace}
    return {"apiVersion": api, "kind": kind, "metadata": metadata}


def _apply(server: Server, document: dict[str, Any]) -> None:
    server.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", document=document)


def _job(manifest: dict[str, Any], namespace: str) -> dict[str, Any]:
    return {**manifest, "metadata": {**manifest["metadata"], "namespace": namespace}}


def _pod(manifest: dict[str, Any], namespace: str) -> dict[str, Any]:
    """Return the bare pod of a Job: Pod Security only warns of Jobs, but refuses pods."""
    template = manifest["spec"]["template"]
    metadata = {**template["metadata"], "name": manifest["metadata"]["name"], "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


@pytest.mark.parametrize("name", CASES)
def test_the_server_takes_the_job_as_it_is(server: Server, restricted: str, name: str) -> None:
    manifest = CASES[name].manifest
    stored = server.accepts(_job(manifest, restricted))
    assert _kept(manifest["spec"], stored["spec"]) == []
    assert stored["metadata"]["labels"].items() >= manifest["metadata"]["labels"].items()


def _kept(ours: Any, stored: Any, path: str = "spec") -> list[str]:
    """Name every field of ours that the server did not store as it was given."""
    if isinstance(ours, dict):
        return [
            lost
            for key, value in ours.items()
            for lost in _kept(value, (stored or {}).get(key), f"{path}.{key}")
        ]
    if isinstance(ours, list) and isinstance(stored, list) and len(ours) == len(stored):
        pairs = enumerate(zip(ours, stored, strict=True))
        return [lost for i, (a, b) in pairs for lost in _kept(a, b, f"{path}[{i}]")]
    # an empty map or text is the same as none
    return [] if ours == stored or (not ours and not stored) else [f"{path}: {ours!r} became {stored!r}"]


@pytest.mark.parametrize("name", CASES)
def test_its_pods_are_taken_where_pod_security_is_restricted(
    server: Server, restricted: str, name: str
) -> None:
    server.accepts(_pod(CASES[name].manifest, restricted))


def test_the_namespace_really_enforces(server: Server, restricted: str) -> None:
    pod = _pod(CASES["preflight"].manifest, restricted)
    pod["spec"]["containers"][0]["securityContext"] = {}
    with pytest.raises(Refused, match='violates PodSecurity "restricted:latest"'):
        server.accepts(pod)


def test_a_misspelt_field_of_a_template_is_refused_by_name(server: Server, restricted: str) -> None:
    job = stage_job_of(Stage.CONVERT, template={"spec": {"nodeSelektor": {"a": "b"}}})
    with pytest.raises(Refused, match=r'unknown field "spec\.template\.spec\.nodeSelektor"'):
        server.accepts(_job(job_manifest(job, PodDefaults()), restricted))


# ---- the merge is the one of Kubernetes ----

_BASE = _pod(
    job_manifest(stage_job_of(Stage.ROUND, number=1, store={"claim": "models"}), PodDefaults()), "default"
)


def _patched_by_kubectl(patch: dict[str, Any]) -> dict[str, Any]:
    command = [
        kubectl(),
        "patch",
        "--local",
        "--type=strategic",
        "-o",
        "json",
        "-f",
        "-",
        "-p",
        json.dumps(patch),
    ]
    done = subprocess.run(command, input=json.dumps(_BASE), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _sorted(pod: dict[str, Any]) -> Any:
    """Return a pod spec with its merged lists in one order, and without empty values."""
    spec = _without_empty(pod["spec"])
    for holder in (spec, *spec["containers"]):
        for name in {"volumes", "imagePullSecrets", "env", "volumeMounts", "envFrom"} & set(holder):
            holder[name].sort(key=lambda item: json.dumps(item, sort_keys=True))
    return spec


def _without_empty(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {key: _without_empty(part) for key, part in value.items()}
        return {key: part for key, part in kept.items() if part not in ({}, [], "", None, False)}
    return [_without_empty(part) for part in value] if isinstance(value, list) else value


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(
    "patch",
    [
        {"securityContext": {"fsGroup": None}, "nodeSelector": {"a": "b"}},
        {"securityContext": {"$patch": "replace", "runAsUser": 5}},
        {"volumes": [{"name": "store", "$patch": "delete"}, {"name": "extra", "emptyDir": {}}]},
        {"volumes": [{"$patch": "replace"}, {"name": "extra", "emptyDir": {}}]},
        {
            "containers": [
                {"name": "stage", "command": ["sh"], "volumeMounts": [{"mountPath": "/tmp", "name": "x"}]}
            ]
        },
        {"containers": [{"name": "stage", "env": [{"name": "HOME", "$patch": "delete"}]}]},
    ],
    ids=str,
)
def test_directives_do_what_they_do_in_kubectl(patch: dict[str, Any]) -> None:
    ours = {"spec": merged(_BASE["spec"], patch, "spec")}
    assert _sorted(ours) == _sorted(_patched_by_kubectl({"spec": patch}))


@pytest.mark.usefixtures("server")
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(patches())
def test_a_patch_does_what_it_does_in_kubectl(patch: dict[str, Any]) -> None:
    """Except for what ``merge`` says of itself: another source for our volume, and lists that we merge."""
    common = {name: value for name, value in patch.items() if name not in OURS}
    if "volumes" in common:
        common["volumes"] = [v for v in common["volumes"] if v["name"] != "tmp" or "emptyDir" in v]
    theirs = _patched_by_kubectl({"spec": common})
    assert _sorted({"spec": merged(_BASE["spec"], common, "spec")}) == _sorted(theirs)
