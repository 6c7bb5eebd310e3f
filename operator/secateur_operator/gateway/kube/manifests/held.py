"""The parts of a pod that a template may not change: by them a stage is run and its end is understood."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from secateur_api.spec.cluster import STORE_MOUNT
from secateur_operator.gateway.kube.manifests.environment import RESERVED
from secateur_operator.gateway.kube.manifests.labels import PREFIX, QUEUE
from secateur_operator.gateway.kube.manifests.merge import Map
from secateur_operator.gateway.kube.manifests.resources import GPU
from secateur_operator.gateway.kube.manifests.store import VOLUME
from secateur_operator.gateway.kube.names import STAGE_CONTAINER


@dataclass(frozen=True)
class Held:
    """One part that stays as it is."""

    path: str
    """Where it stands in a pod template."""
    read: Callable[[Map], object]
    """Reads it from a pod template, which a user may have written anyhow."""
    remedy: str
    """Why it stays, and what would be right."""


def _items(holder: Map, name: str) -> list[Map]:
    found = holder.get(name)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _map(holder: Map, name: str) -> Map:
    found = holder.get(name)
    return found if isinstance(found, dict) else {}


def _spec(name: str) -> Callable[[Map], object]:
    return lambda pod: pod["spec"].get(name)


def _stage(name: str) -> Callable[[Map], object]:
    return lambda pod: _container(pod).get(name)


def _container(pod: Map) -> Map:
    found = _items(pod["spec"], "containers")
    return next((container for container in found if container.get("name") == STAGE_CONTAINER), {})


def _container_names(pod: Map) -> list[object]:
    return [container.get("name") for container in _items(pod["spec"], "containers")]


def _own(kind: str) -> Callable[[Map], object]:
    def read(pod: Map) -> dict[str, Any]:
        found = _map(pod["metadata"], kind)
        return {name: value for name, value in found.items() if name.startswith((PREFIX, _STANDARD, QUEUE))}

    return read


def _reserved_variables(pod: Map) -> list[Map]:
    return [variable for variable in _items(_container(pod), "env") if variable.get("name") in RESERVED]


def _gpus(pod: Map) -> list[object]:
    resources = _map(_container(pod), "resources")
    return [_map(resources, kind).get(GPU) for kind in ("requests", "limits")]


def _store_volume(pod: Map) -> list[Map]:
    return [volume for volume in _items(pod["spec"], "volumes") if volume.get("name") == VOLUME]


def _store_mount(pod: Map) -> list[Map]:
    mounts = _items(_container(pod), "volumeMounts")
    return [mount for mount in mounts if str(mount.get("mountPath")).rstrip("/") == STORE_MOUNT]


_STANDARD = "app.kubernetes.io/"
_STAGE = f"spec.containers[{STAGE_CONTAINER}]"
HELD = (
    Held(
        "metadata.labels",
        _own("labels"),
        f"labels that begin with {PREFIX} or {_STANDARD} are the operator's, {QUEUE} is said by spec.queue; "
        "use other labels",
    ),
    Held(
        "metadata.annotations",
        _own("annotations"),
        f"annotations that begin with {PREFIX} or {_STANDARD} are the operator's; use others",
    ),
    Held(
        "spec.containers",
        _container_names,
        f"a stage's pod has one container, {STAGE_CONTAINER!r}; what shall run before it belongs in "
        "initContainers, and what shall run beside it as well, with restartPolicy Always",
    ),
    Held("spec.restartPolicy", _spec("restartPolicy"), "it stays Never: retries are counted per pod"),
    Held(
        "spec.activeDeadlineSeconds",
        _spec("activeDeadlineSeconds"),
        "the time is bounded by spec.budget.wallClock; leave it out",
    ),
    Held(
        "spec.automountServiceAccountToken",
        _spec("automountServiceAccountToken"),
        "it stays false: a stage has no rights in the API. A serviceAccountName is allowed, and a token for "
        "another service comes by a projected volume",
    ),
    Held(f"{_STAGE}.image", _stage("image"), "the image is said by spec.image"),
    Held(
        f"{_STAGE}.terminationMessagePath",
        _stage("terminationMessagePath"),
        "the stage's result is read from there; leave it out",
    ),
    Held(
        f"{_STAGE}.terminationMessagePolicy",
        _stage("terminationMessagePolicy"),
        "a log is no result; leave it out",
    ),
    Held(
        f"{_STAGE}.env",
        _reserved_variables,
        f"{', '.join(RESERVED)} tell the stage what to do; use other names",
    ),
    Held(f"{_STAGE}.resources", _gpus, f"{GPU} is said by spec.resources[].gpu"),
    Held(
        "spec.volumes",
        _store_volume,
        f"the volume {VOLUME!r} is the artifact store, said by spec.store; use another name",
    ),
    Held(
        f"{_STAGE}.volumeMounts",
        _store_mount,
        f"{STORE_MOUNT} is where the artifact store is mounted; use another path",
    ),
)
