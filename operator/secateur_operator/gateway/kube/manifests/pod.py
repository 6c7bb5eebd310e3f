"""The pod of a stage: one container, restricted, without rights in the API."""

from __future__ import annotations

from typing import Any

from secateur_operator.domain.plan import StageJob, store_of
from secateur_operator.gateway.kube.manifests.defaults import PodDefaults
from secateur_operator.gateway.kube.manifests.environment import SCRATCH, environment
from secateur_operator.gateway.kube.manifests.labels import pod_labels
from secateur_operator.gateway.kube.manifests.resources import resources
from secateur_operator.gateway.kube.manifests.store import store_credentials, store_mounts, store_volumes
from secateur_operator.gateway.kube.names import STAGE_CONTAINER
from secateur_operator.gateway.protocol import Refused

GRACE_SECONDS = 10
"""A stage ends at once when it is asked to; nothing that it holds is worth waiting for."""
LOST_NODE_SECONDS = 60
"""A pod on a node that does not answer is given up after so long (Kubernetes' own default is 300)."""
CONTAINER_SECURITY = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}
_SCRATCH_VOLUME = "tmp"


def stage_pod(job: StageJob, defaults: PodDefaults) -> dict[str, Any]:
    """Return the pod template of a Job, before ``spec.template``. Raises Refused."""
    spec: dict[str, Any] = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": pod_security(defaults),
        "tolerations": [_lost_node("not-ready"), _lost_node("unreachable")],
        "containers": [_container(job, defaults)],
        "volumes": [{"name": _SCRATCH_VOLUME, "emptyDir": {}}, *store_volumes(store_of(job.spec))],
    }
    if defaults.image_pull_secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in defaults.image_pull_secrets]
    return {"metadata": {"labels": pod_labels(job)}, "spec": spec}


def _container(job: StageJob, defaults: PodDefaults) -> dict[str, Any]:
    if job.spec.image is None:
        raise Refused(
            "spec.image: an image is required, because the operator has no default image; name Secateur's "
            "jobs image, or one that is built from it"
        )
    store = store_of(job.spec)
    container: dict[str, Any] = {
        "name": STAGE_CONTAINER,
        "image": job.spec.image,
        "command": ["python", "-m", "secateur_jobs", job.stage.value],
        "env": environment(job),
        "resources": resources(job),
        "securityContext": CONTAINER_SECURITY,
        "volumeMounts": [{"name": _SCRATCH_VOLUME, "mountPath": SCRATCH}, *store_mounts(store)],
    }
    credentials = store_credentials(store)
    if credentials:
        container["envFrom"] = credentials
    if defaults.image_pull_policy:
        container["imagePullPolicy"] = defaults.image_pull_policy
    return container


def pod_security(defaults: PodDefaults) -> dict[str, Any]:
    """Return what every pod that Secateur makes is held to."""
    context: dict[str, Any] = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    if defaults.fs_group is not None:
        # a new volume belongs to root without it; OnRootMismatch: a full store is not walked each time
        context.update(fsGroup=defaults.fs_group, fsGroupChangePolicy="OnRootMismatch")
    return context


def _lost_node(taint: str) -> dict[str, Any]:
    return {
        "key": f"node.kubernetes.io/{taint}",
        "operator": "Exists",
        "effect": "NoExecute",
        "tolerationSeconds": LOST_NODE_SECONDS,
    }
