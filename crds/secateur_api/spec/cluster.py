"""Where a job runs on a cluster: its store, its pods' resources, overrides of the pod template."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import Field, StringConstraints

from secateur_api.base import Contract, Rule
from secateur_api.quantity import QUANTITY
from secateur_api.spec.types import Duration, Stage
from secateur_api.uri import redacted

ObjectReference = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][-a-z0-9.]*$", max_length=253)]
Quantity = Annotated[str, StringConstraints(pattern=QUANTITY, max_length=32)]
STORE_MOUNT = "/store"
"""Where a claim is mounted in stage pods."""


class Store(Contract):
    """The artifact store: a volume claim, or anything that fsspec reaches."""

    claim: ObjectReference | None = None
    """A PersistentVolumeClaim in the job's namespace."""
    uri: Annotated[str, Field(min_length=1, max_length=2048)] | None = None
    """An fsspec URI that every stage pod reaches: ``s3://bucket/prefix``."""
    secret: ObjectReference | None = None
    """A Secret in the job's namespace whose keys become environment variables of the stages:
    AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.claim) != has(self.uri)",
            "a store is either a claim or a uri",
            lambda s: (s.claim is None) != (s.uri is None),
        ),
    )

    @property
    def stage_uri(self) -> str:
        """The store as a stage process sees it."""
        return f"file://{STORE_MOUNT}" if self.uri is None else self.uri

    @property
    def public_uri(self) -> str:
        """The store as the status names it: ``pvc://claim``, or the URI without credentials."""
        return f"pvc://{self.claim}" if self.uri is None else redacted(self.uri)


class StageResources(Contract):
    """What each pod of some stages asks for."""

    stages: Annotated[list[Stage], Field(max_length=8)] | None = None
    """Stages that this entry is for; absent: all. The first entry that fits a stage counts."""
    cpu: Quantity = "1"
    """CPU request; there is no limit, so that idle cores are used."""
    memory: Quantity = "2Gi"
    """Memory request and limit."""
    gpu: Annotated[int, Field(ge=0, le=64)] = 0
    """GPUs (``nvidia.com/gpu``); 0 runs on the CPU."""
    gpu_wait: Duration | None = None
    """After waiting so long for a GPU, the stage runs on the CPU instead; absent: it waits."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.gpuWait) || self.gpu > 0",
            "gpuWait needs gpu of at least 1",
            lambda s: s.gpu_wait is None or s.gpu > 0,
        ),
    )


class PodTemplate(Contract):
    """A partial PodTemplateSpec, merged strategically over the pods that Secateur makes.

    The stage's container is named ``stage``.
    """

    metadata: dict[str, Any] = {}
    """Labels and annotations to add."""
    spec: dict[str, Any] = {}
    """Pod spec fields: nodeSelector, tolerations, priorityClassName, imagePullSecrets, volumes, containers
    (by name) with env, envFrom, volumeMounts, and so on."""
