"""``spec.template`` over a stage's pod: strategic merge as ``kubectl patch`` does it, and what is held.

Maps are merged field by field; null removes a field. A list whose items have a merge key is merged item by
item; any other list is replaced. ``$patch: replace`` and ``$patch: delete`` are honoured in maps, and
``$patch: delete`` in items; an item that is ``$patch: replace`` and nothing else replaces its list. The
rules are those of Kubernetes' document on strategic merge patches, with the merge keys of its API types,
except two that keep what is ours in place:

* tolerations and envFrom, which Kubernetes replaces, are merged (the user's come after ours),
* an item of env or volumes replaces the one before it: its value or source is one of several fields.

Who may create PruningJobs may shape their pods; what such pods may do on the cluster is for the namespace's
Pod Security level to say. Only the parts stay as they are by which a stage is run and its end is understood.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from secateur_api.spec import PodTemplate
from secateur_api.spec.cluster import STORE_MOUNT
from secateur_operator.gateway.kube.manifests.pod import GPU, PREFIX, QUEUE, RESERVED, VOLUME
from secateur_operator.gateway.kube.names import STAGE_CONTAINER
from secateur_operator.gateway.protocol import Refused

Map = dict[str, Any]

_REQUIRED: dict[str, tuple[str, ...]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "env": ("name",),
    "volumes": ("name",),
    "volumeMounts": ("mountPath",),
    "volumeDevices": ("devicePath",),
    "imagePullSecrets": ("name",),
    "resourceClaims": ("name",),
    "schedulingGates": ("name",),
    "hostAliases": ("ip",),
    "ports": ("containerPort",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "tolerations": (),
    "envFrom": (),
}
"""Fields that an item of a merged list must have; they are part of its identity."""
_OPTIONAL: dict[str, tuple[str, ...]] = {
    "ports": ("protocol",),
    "tolerations": ("key", "value", "effect"),
    "envFrom": ("prefix", "secretRef", "configMapRef"),
}
"""Fields that are part of an item's identity where it has them."""
_ONE_OF = ("env", "volumes")
_DIRECTIVE = "$patch"
_ACTIONS = ("merge", "replace", "delete")


def merged(base: Map, patch: Map, path: str) -> Map:
    """Return ``base`` with ``patch`` merged over it; both stay as they are.

    ``path`` is where the patch stands, for messages. Raises Refused where the patch cannot be merged.
    """
    action = _action(patch, path)
    if action == "delete":
        return {}
    result = {} if action == "replace" else dict(base)
    for name, value in patch.items():
        if name == _DIRECTIVE:
            continue
        if value is None:
            result.pop(name, None)
        else:
            result[name] = _value(name, result.get(name), value, f"{path}.{name}")
    return result


def _value(name: str, base: Any, value: Any, path: str) -> Any:
    if base is not None and _kind(base) != _kind(value):
        raise Refused(f"{path}: expected {_kind(base)}, found {_kind(value)}")
    if isinstance(value, dict):
        return merged(base or {}, value, path)
    if not isinstance(value, list):
        return value
    if name in _REQUIRED:
        return _merged_list(name, base or [], value, path)
    return [_item(item, f"{path}[{index}]") for index, item in enumerate(value) if not _replaces(item)]


def _item(item: Any, path: str) -> Any:
    return merged({}, item, path) if isinstance(item, dict) else item


def _merged_list(name: str, base: list[Any], patch: list[Any], path: str) -> list[Any]:
    result = [] if any(_replaces(item) for item in patch) else list(base)
    for index, item in enumerate(patch):
        where = f"{path}[{index}]"
        if not isinstance(item, dict):
            raise Refused(f"{where}: expected {_kind({})}, found {_kind(item)}")
        if _replaces(item):
            continue
        identity = _identity(name, item, where)
        place = next((i for i, known in enumerate(result) if _identity(name, known, where) == identity), None)
        action = _action(item, where)
        if action == "replace":
            raise Refused(
                f"{where}.{_DIRECTIVE}: 'replace' must stand alone in an item; it replaces the whole list"
            )
        if action == "delete":
            if place is not None:
                del result[place]
        elif place is None:
            result.append(merged({}, item, where))
        else:
            before = {} if name in _ONE_OF else result[place]
            result[place] = merged(before, item, where)
    return result


def _identity(name: str, item: Map, path: str) -> list[Any]:
    required = _REQUIRED[name]
    missing = [key for key in required if item.get(key) is None]
    if missing:
        raise Refused(f"{path}: {missing[0]} is required; it identifies the items of {name}")
    return [item.get(key) for key in (*required, *_OPTIONAL.get(name, ()))]


def _replaces(item: Any) -> bool:
    """Whether an item is no item but says that the list is to be replaced."""
    return bool(item == {_DIRECTIVE: "replace"})


def _action(patch: Map, path: str) -> str:
    unknown = next((name for name in patch if name.startswith("$") and name != _DIRECTIVE), None)
    if unknown is not None:
        raise Refused(f"{path}.{unknown}: unknown directive; known: {_DIRECTIVE}: {', '.join(_ACTIONS)}")
    action = patch.get(_DIRECTIVE, "merge")
    if action not in _ACTIONS:
        raise Refused(f"{path}.{_DIRECTIVE}: {action!r} is not one of {', '.join(_ACTIONS)}")
    return str(action)


def _kind(value: Any) -> str:
    """Name what kind of node a value is; of what type a single value must be, the API server knows."""
    if isinstance(value, dict):
        return "a mapping"
    return "a list" if isinstance(value, list) else "a single value"


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
        f"labels that begin with {PREFIX} or {_STANDARD} are the operator's, {QUEUE} is set by spec.queue; "
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
    Held(f"{_STAGE}.image", _stage("image"), "the image is set by spec.image"),
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
    Held(f"{_STAGE}.resources", _gpus, f"{GPU} is set by spec.resources[].gpu"),
    Held(
        "spec.volumes",
        _store_volume,
        f"the volume {VOLUME!r} is the artifact store, set by spec.store; use another name",
    ),
    Held(
        f"{_STAGE}.volumeMounts",
        _store_mount,
        f"{STORE_MOUNT} is where the artifact store is mounted; use another path",
    ),
)


PATH = "spec.template"
_METADATA = ("labels", "annotations")


def with_template(pod: Map, template: PodTemplate | None) -> Map:
    """Return the pod template with the user's merged over it.

    Raises Refused where it cannot be merged, or changes what must stay.
    """
    if template is None:
        return pod
    foreign = next((name for name in template.metadata if name not in (*_METADATA, "$patch")), None)
    if foreign is not None:
        raise Refused(f"{PATH}.metadata.{foreign}: only {' and '.join(_METADATA)} can be set on a pod")
    result = {
        "metadata": merged(pod["metadata"], template.metadata, f"{PATH}.metadata"),
        "spec": merged(pod["spec"], template.spec, f"{PATH}.spec"),
    }
    for held in HELD:
        if held.read(pod) != held.read(result):
            raise Refused(f"{PATH}.{held.path}: {held.remedy}")
    return result
