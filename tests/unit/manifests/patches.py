"""Patches of a pod spec as users write them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

_NAMES = ("a", "b", "c")
names = st.sampled_from(_NAMES)
small = st.dictionaries(names, st.sampled_from(["x", "y", ""]), max_size=2)


def _unique(items: st.SearchStrategy[dict[str, Any]], key: str) -> st.SearchStrategy[list[dict[str, Any]]]:
    return st.lists(items, max_size=3, unique_by=lambda item: item[key])


_env = st.one_of(
    st.fixed_dictionaries({"name": names, "value": names}),
    st.fixed_dictionaries(
        {"name": names, "valueFrom": st.just({"secretKeyRef": {"name": "keys", "key": "k"}})}
    ),
)
_source = st.sampled_from(
    [{"emptyDir": {}}, {"emptyDir": {"medium": "Memory"}}, {"secret": {"secretName": "s"}}]
)
_volume = st.builds(lambda name, source: {"name": name, **source}, st.sampled_from([*_NAMES, "tmp"]), _source)
_mount = st.fixed_dictionaries(
    {"name": names, "mountPath": st.sampled_from(["/a", "/b"])}, optional={"readOnly": st.booleans()}
)
_stage = st.fixed_dictionaries(
    {"name": st.just("stage")},
    optional={
        "env": _unique(_env, "name"),
        "envFrom": st.lists(
            st.builds(lambda n: {"secretRef": {"name": n}}, names), max_size=2, unique_by=str
        ),
        "volumeMounts": _unique(_mount, "mountPath"),
        "command": st.lists(names, min_size=1, max_size=2),
        "resources": st.fixed_dictionaries({"limits": st.just({"example.com/nic": "1"})}),
    },
)
_toleration = st.fixed_dictionaries(
    {"key": names, "operator": st.just("Exists")},
    optional={"effect": st.sampled_from(["NoSchedule", "NoExecute"])},
)
_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "nodeSelector": small,
    "securityContext": st.fixed_dictionaries({}, optional={"runAsUser": st.integers(1, 9)}),
    "priorityClassName": names,
    "hostNetwork": st.booleans(),
    "imagePullSecrets": _unique(st.fixed_dictionaries({"name": names}), "name"),
    "volumes": _unique(_volume, "name"),
    "containers": st.lists(_stage, max_size=1),
}
OURS: dict[str, st.SearchStrategy[Any]] = {
    "tolerations": st.lists(_toleration, max_size=2, unique_by=lambda t: (t.get("key"), t.get("effect")))
}
"""Lists that Secateur merges where Kubernetes replaces them."""


def patches() -> st.SearchStrategy[dict[str, Any]]:
    """Return patches without directives; those have tests of their own."""
    return st.fixed_dictionaries({}, optional={**_FIELDS, **OURS})
