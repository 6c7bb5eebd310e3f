"""Strategic merge, as ``kubectl patch`` does it, over the pods that Secateur makes.

Maps are merged field by field; null removes a field. A list whose items have a merge key is merged item by
item; any other list is replaced. ``$patch: replace`` and ``$patch: delete`` are honoured in maps, and
``$patch: delete`` in items; an item that is ``$patch: replace`` and nothing else replaces its list. The
rules are those of Kubernetes' document on strategic merge patches, with the merge keys of its API types,
except two that keep what is ours in place:

* tolerations and envFrom, which Kubernetes replaces, are merged (the user's come after ours),
* an item of env or volumes replaces the one before it: its value or source is one of several fields.
"""

from __future__ import annotations

from typing import Any

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
        raise Refused(f"{path}: {missing[0]} is required; items of {name} are told apart by it")
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
