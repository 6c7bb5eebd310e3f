"""Pods that do not run yet: not scheduled, no image, no volume, no Secret, or merely slow."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from secateur_api.conditions import Reason
from secateur_operator.domain.observed import Trouble
from secateur_operator.domain.times import moment_of, seconds_between
from secateur_operator.gateway.kube import names
from secateur_operator.gateway.kube.observe import newest_by_index

Body = Mapping[str, Any]


@dataclass(frozen=True)
class Sight:
    """A Job, its pods, and those events about them that were read."""

    job: Body
    pods: Sequence[Body]
    events: Sequence[Body]
    """Core events, of any object."""
    now: datetime

    @cached_property
    def newest(self) -> dict[int, Body]:
        """The pod of each index that counts, by index."""
        return dict(sorted(newest_by_index(self.pods).items()))

    def age(self, body: Body) -> float:
        """Return the seconds since an object was made; by two machines' clocks, so for rough limits only."""
        return seconds_between(body["metadata"]["creationTimestamp"], self.now)

    def last_event(self, body: Body) -> Body | None:
        """Return the newest event about an object."""
        uid = body["metadata"]["uid"]
        about = [event for event in self.events if event["involvedObject"].get("uid") == uid]
        return max(about, key=_said_at, default=None)


def stage_container(pod: Body) -> Body:
    """Return the stage's container as the pod asks for it."""
    containers = (pod.get("spec") or {}).get("containers") or []
    found: Body = next((one for one in containers if one.get("name") == names.STAGE_CONTAINER), {})
    return found


def _said_at(event: Body) -> datetime:
    series = event.get("series") or {}
    times = (series.get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"))
    return moment_of(next(at for at in times if at))


SETTLING_SECONDS = 3.0
"""A pod is not called unschedulable before: the one before it may be about to make room."""
STARTING_SECONDS = 15.0
"""How long a pod may take to start before that is worth a word."""
GPU = "nvidia.com/gpu"
_IMAGE = (
    "ErrImagePull",
    "ImagePullBackOff",
    "ErrImageNeverPull",
    "InvalidImageName",
    "ImageInspectError",
    "RegistryUnavailable",
    "SignatureValidationFailed",
)
_REFUSED = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")
_CONFIG = re.compile(r"(secret|configmap) (?:\"|[^ ]+/)(?P<name>[^\"\s]+)", re.IGNORECASE)
_ITSELF = re.compile(r" \(pod: \"[^\"]*\", container: [^)]*\)")
"""The pod that a message is about anyway."""
_CLAIM = re.compile(r"persistentvolumeclaim \"(?P<name>[^\"]+)\"", re.IGNORECASE)


def trouble_of(sight: Sight, pod: Body) -> Trouble | None:
    """Return what keeps a pending pod from running; None if it is only about to."""
    return _unscheduled(sight, pod) or next(_stuck_containers(pod), None) or _starting(sight, pod)


def is_silent(sight: Sight, pod: Body) -> bool:
    """Whether a pod has waited on its node without saying why: its events may tell."""
    scheduled = bool((pod.get("spec") or {}).get("nodeName"))
    return scheduled and sight.age(pod) >= SETTLING_SECONDS and next(_stuck_containers(pod), None) is None


# ---- the scheduler ----


def _unscheduled(sight: Sight, pod: Body) -> Trouble | None:
    conditions = (pod.get("status") or {}).get("conditions") or []
    found = next(
        (one for one in conditions if one["type"] == "PodScheduled" and one["status"] == "False"), None
    )
    if found is None:
        return None
    if found.get("reason") == "SchedulingGated":
        gates = ", ".join(gate["name"] for gate in (pod.get("spec") or {}).get("schedulingGates") or [])
        return Trouble(Reason.QUEUE_WAITING, f"{_pod(pod)} is held by its scheduling gates: {gates}")
    if found.get("reason") != "Unschedulable" or sight.age(pod) < SETTLING_SECONDS:
        return None
    said, _, preemption = found.get("message", "").partition("preemption: ")
    said = said.replace("no new claims to deallocate,", "").strip(" .")
    return _volume(pod, said) or _no_gpu(pod, said, preemption) or _no_room(pod, said)


def _volume(pod: Body, said: str) -> Trouble | None:
    missing = _CLAIM.search(said)
    if missing is not None and "not found" in said:
        return Trouble(
            Reason.VOLUME_MISSING,
            f"the PersistentVolumeClaim {missing['name']!r} that {_pod(pod)} mounts does not exist in "
            f"namespace {_namespace(pod)}; create it, or change spec.store.claim",
        )
    if "unbound" in said or "volume node affinity" in said or "PersistentVolume" in said:
        claims = ", ".join(repr(name) for name in _claims(pod)) or "of its volumes"
        return Trouble(
            Reason.VOLUME_MISSING,
            f"{_pod(pod)} waits for the PersistentVolumeClaim {claims}, which has no usable volume: "
            f"{said}; `kubectl describe pvc -n {_namespace(pod)}` says why (StorageClass, size, zone)",
        )
    return None


def _no_gpu(pod: Body, said: str, preemption: str) -> Trouble | None:
    """The scheduler's words on preemption tell a GPU that is in use from one that no node has."""
    if f"Insufficient {GPU}" not in said:
        return None
    asked = ((stage_container(pod).get("resources") or {}).get("limits") or {}).get(GPU, "?")
    if "not helpful" in preemption and "No preemption victims" not in preemption:
        return Trouble(
            Reason.UNSCHEDULABLE,
            f"no node has as many GPUs as {_pod(pod)} asks for ({asked} {GPU}); "
            "lower spec.resources[].gpu, add a node, or set gpuWait to fall back to the CPU",
        )
    return Trouble(
        Reason.UNSCHEDULABLE,
        f"the GPUs are all in use: {_pod(pod)} waits for {asked} {GPU} and starts as soon as they are free; "
        "set spec.resources[].gpuWait to fall back to the CPU instead",
    )


def _no_room(pod: Body, said: str) -> Trouble:
    if "Insufficient" in said:
        remedy = "lower what spec.resources[] asks for, or make room"
    else:
        remedy = (
            "change nodeSelector, affinity or tolerations in spec.template, or the nodes' labels and taints"
        )
    return Trouble(Reason.UNSCHEDULABLE, f"no node takes {_pod(pod)}: {said}; {remedy}")


# ---- the kubelet ----


def _stuck_containers(pod: Body) -> Iterator[Trouble]:
    status = pod.get("status") or {}
    for container in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        waiting = (container.get("state") or {}).get("waiting") or {}
        reason, said = waiting.get("reason", ""), _ITSELF.sub("", waiting.get("message", ""))
        if reason in _IMAGE:
            yield Trouble(
                Reason.IMAGE_UNAVAILABLE,
                f"the image {container.get('image')!r} of {_pod(pod)} cannot be pulled: {said or reason}; "
                "check spec.image (or the operator's --image), and for a private registry imagePullSecrets "
                "in spec.template",
            )
        elif reason in _REFUSED:
            yield _config(pod, said) or Trouble(
                Reason.POD_REFUSED,
                f"the node cannot start {_pod(pod)}: {said or reason}; "
                "change spec.image or spec.template accordingly",
            )


def _config(pod: Body, said: str) -> Trouble | None:
    """Name a Secret or ConfigMap that is not there, or lacks a key."""
    named = _CONFIG.search(said)
    if named is None:
        return None
    kind = "Secret" if named[1].lower() == "secret" else "ConfigMap"
    key = re.search(r"couldn't find key (\S+)", said)
    lacks = f"has no key {key[1]!r}" if key else "does not exist"
    return Trouble(
        Reason.SECRET_MISSING,
        f"the {kind} {named['name']!r} that {_pod(pod)} uses {lacks} in namespace {_namespace(pod)}; "
        f"create it, or change {'spec.store.secret or ' if kind == 'Secret' else ''}spec.template",
    )


def _starting(sight: Sight, pod: Body) -> Trouble | None:
    event = sight.last_event(pod) or {}
    said, warns = str(event.get("message", "")).strip(), event.get("type") == "Warning"
    if warns and event.get("reason") in ("FailedMount", "FailedAttachVolume"):
        return _config(pod, said) or Trouble(
            Reason.VOLUME_MISSING,
            f"a volume of {_pod(pod)} cannot be mounted: {said}; check the claim and its storage",
        )
    if sight.age(pod) < STARTING_SECONDS:
        return None
    node = (pod.get("spec") or {}).get("nodeName")
    if node is None:
        return Trouble(Reason.POD_STARTING, f"{_pod(pod)} waits for the scheduler")
    return Trouble(
        Reason.POD_STARTING, f"{_pod(pod)} is starting on node {node}{': ' + said if said else ''}"
    )


def _pod(pod: Body) -> str:
    return f"pod {pod['metadata']['name']}"


def _namespace(pod: Body) -> str:
    return str(pod["metadata"]["namespace"])


def _claims(pod: Body) -> list[str]:
    volumes = (pod.get("spec") or {}).get("volumes") or []
    return [
        volume["persistentVolumeClaim"]["claimName"]
        for volume in volumes
        if "persistentVolumeClaim" in volume
    ]
