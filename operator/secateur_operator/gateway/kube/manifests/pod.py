"""The pod of a stage: one container, restricted, without rights in the API.

Settings of the operator that every Job gets, labels by which people and the operator find what belongs
together, the way to the artifact store (a mounted claim, or credentials for a URI), and the container's
environment and resources.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from secateur_api.base import GROUP
from secateur_api.spec import Store
from secateur_api.spec.cluster import STORE_MOUNT
from secateur_api.stage import (
    INPUT_LIMIT,
    INPUT_VARIABLE,
    RECALL_VARIABLE,
    SHARD_VARIABLE,
    TERMINATION_VARIABLE,
)
from secateur_operator.domain.conditions import resources_of
from secateur_operator.domain.plan import StageJob, store_of
from secateur_operator.gateway.kube.names import (
    JOB_LABEL,
    MANAGED,
    OWNER_UID_LABEL,
    RUN_LABEL,
    STAGE_CONTAINER,
)
from secateur_operator.gateway.protocol import Refused


@dataclass(frozen=True)
class PodDefaults:
    """Settings of the operator that go into Jobs and pods."""

    ttl_seconds: int = 86400
    """A finished Job is deleted after so many seconds; its result is in the store and in the status."""
    image_pull_policy: str | None = None
    """``Always``, ``IfNotPresent`` or ``Never``; None leaves it to Kubernetes (by the image's tag)."""
    image_pull_secrets: tuple[str, ...] = ()
    """Names of Secrets in the job's namespace."""
    fs_group: int | None = 65532
    """Group that may write to the store's volume; the group of Secateur's images. None: none is set."""


PREFIX = f"{GROUP}/"
"""Of every label and annotation that is Secateur's own."""
QUEUE = "kueue.x-k8s.io/queue-name"

_VALUE = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")


def pod_labels(job: StageJob) -> dict[str, str]:
    """Return the labels of a Job's pods."""
    managed_by, manager = MANAGED.split("=")
    labels = {
        "app.kubernetes.io/name": manager,
        managed_by: manager,
        "app.kubernetes.io/component": "stage",
        JOB_LABEL: job.owner,
        OWNER_UID_LABEL: job.owner_uid,
        RUN_LABEL: str(job.run),
        f"{PREFIX}stage": job.stage.value,
        f"{PREFIX}attempt": str(job.attempt),
    }
    if job.round is not None:
        labels[f"{PREFIX}round"] = str(job.round)
    if job.recall:
        labels[f"{PREFIX}recall"] = "true"
    return labels


def job_labels(job: StageJob) -> dict[str, str]:
    """Return the labels of a Job: its pods', and the queue that Kueue holds it in.

    A recall is not queued: it needs next to nothing, and a job waits for it. Raises Refused.
    """
    queue = job.spec.queue
    if queue is None or job.recall:
        return pod_labels(job)
    if _VALUE.fullmatch(queue) is None:
        raise Refused(
            f"spec.queue: {queue!r} cannot be the value of the label {QUEUE}; expected the name of a "
            "LocalQueue: at most 63 characters that end with a letter or a digit"
        )
    return {**pod_labels(job), QUEUE: queue}


VOLUME = "store"


def store_volumes(store: Store) -> list[dict[str, Any]]:
    """Return the pod's volumes for the store."""
    if store.claim is None:
        return []
    return [{"name": VOLUME, "persistentVolumeClaim": {"claimName": store.claim}}]


def store_mounts(store: Store) -> list[dict[str, Any]]:
    """Return the container's mounts for the store."""
    return [] if store.claim is None else [{"name": VOLUME, "mountPath": STORE_MOUNT}]


def store_credentials(store: Store) -> list[dict[str, Any]]:
    """Return the container's environment sources for the store."""
    return [] if store.secret is None else [{"secretRef": {"name": store.secret}}]


GPU = "nvidia.com/gpu"
RECALL_CPU = "100m"
RECALL_MEMORY = "256Mi"
"""A recall reads one small file; it was seen to use 40 MiB with a volume and 80 MiB with S3."""


def gpus_of(job: StageJob) -> int:
    """Return the GPUs of each pod; 0 where it runs on the CPU."""
    return 0 if job.recall or job.on_cpu else resources_of(job.spec, job.stage).gpu


def resources(job: StageJob) -> dict[str, Any]:
    """Return requests and limits: CPU has no limit, so that idle cores are used."""
    if job.recall:
        return _sized(RECALL_CPU, RECALL_MEMORY)
    wanted = resources_of(job.spec, job.stage)
    sized = _sized(wanted.cpu, wanted.memory)
    gpus = gpus_of(job)
    if gpus:
        sized["limits"][GPU] = str(gpus)
    return sized


def _sized(cpu: str, memory: str) -> dict[str, Any]:
    return {"requests": {"cpu": cpu, "memory": memory}, "limits": {"memory": memory}}


RESERVED = (INPUT_VARIABLE, RECALL_VARIABLE, SHARD_VARIABLE, TERMINATION_VARIABLE)
"""Variables by which a stage is told what to do; a template may not set them."""
SCRATCH = "/tmp"
"""The one folder, besides the store, that a stage may write to."""


def environment(job: StageJob) -> list[dict[str, str]]:
    """Return the container's variables. Raises Refused if the input is too long for one."""
    size = len(job.input_json.encode())
    if size > INPUT_LIMIT:
        raise Refused(
            f"spec: the input of stage {job.stage.value} has {size} bytes; {INPUT_LIMIT} are allowed: "
            "it is passed in one environment variable; put long args into a file that the factory reads"
        )
    values = {INPUT_VARIABLE: job.input_json, "TMPDIR": SCRATCH, "HOME": SCRATCH, "PYTHONUNBUFFERED": "1"}
    if job.recall:
        values[RECALL_VARIABLE] = "1"
    if not gpus_of(job):  # an image or a node may show every GPU to every pod
        values["CUDA_VISIBLE_DEVICES"] = ""
    return [{"name": name, "value": _literal(value)} for name, value in values.items()]


def _literal(value: str) -> str:
    """Return the text that the kubelet turns into ``value``: it replaces ``$(NAME)`` and ``$$``."""
    return value.replace("$", "$$")


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
