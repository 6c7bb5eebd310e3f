"""The data plane's ``store`` command as a Kubernetes Job, and its answers from its pod's log."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Any

from secateur_api import InvalidResource, PruningJob, parse_job
from secateur_api.storekeeping import REQUEST_VARIABLE, Answer, StoreRequest
from secateur_operator.domain.named import Shelf
from secateur_operator.gateway.kube.client import KubeClient
from secateur_operator.gateway.kube.manifests.pod import (
    CONTAINER_SECURITY,
    PodDefaults,
    pod_security,
    store_credentials,
    store_mounts,
    store_volumes,
)
from secateur_operator.gateway.kube.names import JOBS, MANAGED, POD_JOB, PODS, PRUNING_JOBS, STAGE_CONTAINER
from secateur_operator.gateway.protocol import StoreError, answers

_LONGEST_SECONDS = 3600
_LOOK_SECONDS = 2.0
_UNITS_PER_WORD = 3000
"""Units per argument of the command: one may have 128 KiB."""


async def pruning_jobs(client: KubeClient, namespace: str | None) -> AsyncIterator[PruningJob]:
    """Read all PruningJobs; raises StoreError for one that cannot be read: what it names is not known."""
    async for document in client.items(PRUNING_JOBS, namespace):
        try:
            yield parse_job(document)
        except InvalidResource as error:
            meta = document["metadata"]
            if document.get("status"):
                where = f"{meta['namespace']}/{meta['name']}"
                raise StoreError(f"what PruningJob {where} names cannot be read: {error}") from None


async def ask_on(
    client: KubeClient, shelf: Shelf, request: StoreRequest, image: str, defaults: PodDefaults
) -> list[Answer]:
    """Run the command in the shelf's namespace and return its answers. Raises StoreError, GatewayError."""
    body = job_manifest(shelf, request, image, defaults, store_command(request))
    name = (await client.create(JOBS, shelf.namespace, body))["metadata"]["name"]
    failed = await _end_of(client, shelf.namespace, name)
    log = await _log(client, shelf.namespace, name)
    return answers(log.splitlines(), failed or f"the pod of Job {name} left no answer")


def store_command(request: StoreRequest) -> list[str]:
    """Return the data plane's command; its variable tells it the rest of the request."""
    words = [
        ",".join(request.units[start : start + _UNITS_PER_WORD])
        for start in range(0, len(request.units), _UNITS_PER_WORD)
    ]
    return ["python", "-m", "secateur_jobs", "store", *words]


def job_manifest(
    shelf: Shelf, request: StoreRequest, image: str, defaults: PodDefaults, command: Sequence[str]
) -> dict[str, Any]:
    """Return the Job; it has no rights in the API, and is deleted with its log after a while."""
    told = request.model_copy(update={"units": []}).model_dump_json(by_alias=True)
    managed_by, manager = MANAGED.split("=")
    labels = {
        "app.kubernetes.io/name": manager,
        managed_by: manager,
        "app.kubernetes.io/component": "storekeeper",
    }
    container: dict[str, Any] = {
        "name": STAGE_CONTAINER,
        "image": image,
        "command": list(command),
        "env": [
            {"name": REQUEST_VARIABLE, "value": told.replace("$", "$$")},
            {"name": "HOME", "value": "/tmp"},
        ],
        "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}},
        "securityContext": CONTAINER_SECURITY,
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}, *store_mounts(shelf.store)],
        "envFrom": store_credentials(shelf.store),
    }
    if defaults.image_pull_policy:
        container["imagePullPolicy"] = defaults.image_pull_policy
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": f"secateur-store-{uuid.uuid4().hex[:8]}", "labels": labels},
        "spec": {
            "completionMode": "Indexed",  # as the stages' Jobs, so that the same looks tell what it waits for
            "completions": 1,
            "backoffLimit": 0,
            "activeDeadlineSeconds": _LONGEST_SECONDS,
            "ttlSecondsAfterFinished": defaults.ttl_seconds,
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "restartPolicy": "Never",
                    "automountServiceAccountToken": False,
                    "enableServiceLinks": False,
                    "securityContext": pod_security(defaults),
                    "imagePullSecrets": [{"name": one} for one in defaults.image_pull_secrets],
                    "containers": [container],
                    "volumes": [{"name": "tmp", "emptyDir": {}}, *store_volumes(shelf.store)],
                },
            },
        },
    }


async def _end_of(client: KubeClient, namespace: str, name: str) -> str | None:
    """Wait for a Job's end; return why it failed."""
    deadline = time.monotonic() + _LONGEST_SECONDS + 60
    while time.monotonic() < deadline:
        status = (await client.get(JOBS, namespace, name)).get("status") or {}
        for condition in status.get("conditions") or []:
            if condition["type"] in ("Complete", "Failed") and condition["status"] == "True":
                return None if condition["type"] == "Complete" else f"Job {name}: {condition['message']}"
        await asyncio.sleep(_LOOK_SECONDS)
    raise StoreError(f"Job {name} in namespace {namespace} has not ended in {_LONGEST_SECONDS} s")


async def _log(client: KubeClient, namespace: str, name: str) -> str:
    async for pod in client.items(PODS, namespace, labels=f"{POD_JOB}={name}"):
        query = {"container": STAGE_CONTAINER}
        return await client.text(PODS, namespace, pod["metadata"]["name"], "log", query, timeout=60)
    return ""
