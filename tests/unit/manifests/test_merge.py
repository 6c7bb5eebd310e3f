"""The strategic merge: its rules one by one, and its laws."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secateur_api import Stage
from secateur_operator.gateway.kube.manifests import PodDefaults, job_manifest
from secateur_operator.gateway.kube.manifests.template import merged
from secateur_operator.gateway.protocol import Refused
from tests.unit.manifests.patches import patches
from tests.unit.manifests.stage_jobs import stage_job_of

POD: dict[str, Any] = job_manifest(
    stage_job_of(Stage.ROUND, number=1, store={"claim": "models", "secret": "s3"}), PodDefaults()
)["spec"]["template"]["spec"]


def container(patch: dict[str, Any]) -> dict[str, Any]:
    """Return the stage's container with a patch over it."""
    found: dict[str, Any] = merged(POD, {"containers": [{"name": "stage", **patch}]}, "spec")["containers"][0]
    return found


# ---- the rules ----


def test_maps_are_merged_and_null_removes() -> None:
    result = merged(POD, {"securityContext": {"fsGroup": None, "runAsUser": 1000}}, "spec")
    assert "fsGroup" not in result["securityContext"]
    assert result["securityContext"]["runAsUser"] == 1000
    assert result["securityContext"]["runAsNonRoot"] is True


def test_a_variable_with_another_source_replaces_the_one_before() -> None:
    source = {"secretKeyRef": {"name": "a", "key": "b"}}
    env = container({"env": [{"name": "HOME", "valueFrom": source}]})["env"]
    assert [variable for variable in env if variable["name"] == "HOME"] == [
        {"name": "HOME", "valueFrom": source}
    ]


def test_a_volume_with_another_source_replaces_the_one_before() -> None:
    patch = {"volumes": [{"name": "tmp", "ephemeral": {"volumeClaimTemplate": {}}}]}
    result = merged(POD, patch, "spec")["volumes"]
    assert result[0] == {"name": "tmp", "ephemeral": {"volumeClaimTemplate": {}}}
    assert len(result) == len(POD["volumes"])


def test_mounts_are_told_apart_by_their_path() -> None:
    mounts = container({"volumeMounts": [{"mountPath": "/tmp", "name": "big"}]})["volumeMounts"]
    assert mounts[0] == {"mountPath": "/tmp", "name": "big"}
    assert len(mounts) == 2


def test_tolerations_are_added_and_the_same_taint_is_said_anew() -> None:
    wanted = {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute"}
    result = merged(POD, {"tolerations": [{"operator": "Exists", "key": "gpu"}, wanted]}, "spec")[
        "tolerations"
    ]
    assert [t["key"] for t in result] == [
        "node.kubernetes.io/not-ready",
        "node.kubernetes.io/unreachable",
        "gpu",
    ]


def test_sources_of_the_environment_come_after_ours() -> None:
    """The store's credentials stay; of two sources with the same key the later counts."""
    sources = container({"envFrom": [{"secretRef": {"name": "mine"}}]})["envFrom"]
    assert [source["secretRef"]["name"] for source in sources] == ["s3", "mine"]


def test_a_list_without_merge_key_is_replaced() -> None:
    assert container({"command": ["sh", "-c", "exec python -m secateur_jobs round"]})["command"][0] == "sh"


def test_a_quantity_may_be_a_number() -> None:
    assert container({"resources": {"requests": {"cpu": 2}}})["resources"]["requests"]["cpu"] == 2


def test_patch_delete_takes_an_item_away() -> None:
    result = merged(POD, {"volumes": [{"name": "store", "$patch": "delete"}]}, "spec")
    assert [volume["name"] for volume in result["volumes"]] == ["tmp"]
    assert merged(result, {"volumes": [{"name": "store", "$patch": "delete"}]}, "spec") == result


def test_patch_replace_of_a_list_and_of_a_map() -> None:
    lists = merged(POD, {"tolerations": [{"$patch": "replace"}, {"operator": "Exists"}]}, "spec")
    assert lists["tolerations"] == [{"operator": "Exists"}]
    maps = merged(POD, {"securityContext": {"$patch": "replace", "runAsUser": 7}}, "spec")
    assert maps["securityContext"] == {"runAsUser": 7}


@pytest.mark.parametrize(
    ("patch", "said"),
    [
        ({"containers": [{"image": "a"}]}, "spec.containers[0]: name is required"),
        ({"containers": ["stage"]}, "spec.containers[0]: expected a mapping, found a single value"),
        ({"containers": {"name": "stage"}}, "spec.containers: expected a list, found a mapping"),
        ({"securityContext": "none"}, "spec.securityContext: expected a mapping, found a single value"),
        ({"restartPolicy": {}}, "spec.restartPolicy: expected a single value, found a mapping"),
        (
            {"$retainKeys": ["a"]},
            "spec.$retainKeys: unknown directive; known: $patch: merge, replace, delete",
        ),
        (
            {"volumes": [{"name": "a", "$patch": "drop"}]},
            "spec.volumes[0].$patch: 'drop' is not one of merge",
        ),
        (
            {"containers": [{"name": "stage", "$patch": "replace"}]},
            "spec.containers[0].$patch: 'replace' must stand alone in an item; it replaces the whole list",
        ),
        (
            {"containers": [{"name": "stage", "volumeMounts": [{"name": "a"}]}]},
            "spec.containers[0].volumeMounts[0]: mountPath is required",
        ),
    ],
)
def test_what_cannot_be_merged_is_refused_with_its_path(patch: dict[str, Any], said: str) -> None:
    with pytest.raises(Refused) as refused:
        merged(POD, patch, "spec")
    assert str(refused.value).startswith(said)


# ---- the laws ----


@settings(max_examples=80, deadline=None)
@given(patches())
def test_nothing_changes_what_was_given(patch: dict[str, Any]) -> None:
    before = copy.deepcopy((POD, patch))
    merged(POD, patch, "spec")
    assert (POD, patch) == before


def test_an_empty_patch_is_the_identity() -> None:
    assert merged(POD, {}, "spec") == POD


@settings(max_examples=80, deadline=None)
@given(patches())
def test_twice_is_as_once(patch: dict[str, Any]) -> None:
    once = merged(POD, patch, "spec")
    assert merged(once, patch, "spec") == once


@settings(max_examples=80, deadline=None)
@given(patches(), patches())
def test_the_later_wins(first: dict[str, Any], second: dict[str, Any]) -> None:
    """Whatever came before, what the second says stands in the result as if it had come alone."""
    both, alone = merged(merged(POD, first, "spec"), second, "spec"), merged(POD, second, "spec")
    for name, value in second.items():
        if isinstance(value, list):
            for item in value:
                assert (item in both[name]) == (item in alone[name])
        elif isinstance(value, dict):
            for field, part in value.items():
                assert both[name].get(field) == part
        else:
            assert both.get(name) == value


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.text(max_size=8), st.integers() | st.text(max_size=5), max_size=4))
def test_over_nothing_a_patch_is_itself(patch: dict[str, Any]) -> None:
    if not any(name.startswith("$") for name in patch):
        assert merged({}, patch, "spec") == patch
