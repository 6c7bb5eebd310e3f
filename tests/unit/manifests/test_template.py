"""What a user's pod template may change, and what it is told about the rest."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secateur_api import Stage
from secateur_api.spec import PodTemplate
from secateur_operator.gateway.kube.manifests import PodDefaults, job_manifest
from secateur_operator.gateway.protocol import Refused
from tests.unit.manifests.stage_jobs import stage_job_of

_JOB = stage_job_of(Stage.ROUND, number=1, resources=[{"gpu": 1}])


def pod(template: dict[str, Any]) -> dict[str, Any]:
    """Return the pod template of a Job with a user's template."""
    spec = _JOB.spec.model_copy(update={"template": PodTemplate.model_validate(template)})
    found: dict[str, Any] = job_manifest(replace(_JOB, spec=spec), PodDefaults())["spec"]["template"]
    return found


def of_stage(**fields: Any) -> dict[str, Any]:
    """Return a template that changes the stage's container."""
    return {"spec": {"containers": [{"name": "stage", **fields}]}}


_S = "spec.template.spec"
_C = "spec.template.spec.containers[stage]"
HELD: list[tuple[dict[str, Any], str, str]] = [
    ({"metadata": {"name": "mine"}}, "spec.template.metadata.name", "only labels and annotations"),
    (
        {"metadata": {"labels": {"secateur.dev/run": "7"}}},
        "spec.template.metadata.labels",
        "use other labels",
    ),
    (
        {"metadata": {"labels": {"app.kubernetes.io/managed-by": "me"}}},
        "spec.template.metadata.labels",
        "are the operator's",
    ),
    ({"metadata": {"labels": {"$patch": "delete"}}}, "spec.template.metadata.labels", "are the operator's"),
    (
        {"metadata": {"labels": {"kueue.x-k8s.io/queue-name": "q"}}},
        "spec.template.metadata.labels",
        "is set by spec.queue",
    ),
    (
        {"metadata": {"annotations": {"secateur.dev/input-hash": "0"}}},
        "spec.template.metadata.annotations",
        "use others",
    ),
    ({"spec": {"restartPolicy": "OnFailure"}}, f"{_S}.restartPolicy", "it stays Never"),
    (
        {"spec": {"automountServiceAccountToken": True}},
        f"{_S}.automountServiceAccountToken",
        "it stays false",
    ),
    ({"spec": {"activeDeadlineSeconds": 5}}, f"{_S}.activeDeadlineSeconds", "spec.budget.wallClock"),
    ({"spec": {"containers": [{"name": "proxy", "image": "a"}]}}, f"{_S}.containers", "initContainers"),
    (
        {"spec": {"containers": [{"name": "stage", "$patch": "delete"}]}},
        f"{_S}.containers",
        "has one container, 'stage'",
    ),
    ({"spec": {"$patch": "delete"}}, f"{_S}.containers", "has one container, 'stage'"),
    (of_stage(image="mine:1"), f"{_C}.image", "set by spec.image"),
    (of_stage(terminationMessagePath="/tmp/a"), f"{_C}.terminationMessagePath", "result is read from there"),
    (
        of_stage(terminationMessagePolicy="FallbackToLogsOnError"),
        f"{_C}.terminationMessagePolicy",
        "a log is",
    ),
    (of_stage(env=[{"name": "SECATEUR_INPUT", "value": "{}"}]), f"{_C}.env", "use other names"),
    (of_stage(env=[{"name": "JOB_COMPLETION_INDEX", "value": "3"}]), f"{_C}.env", "use other names"),
    (of_stage(resources={"limits": {"nvidia.com/gpu": 4}}), f"{_C}.resources", "spec.resources[].gpu"),
    ({"spec": {"volumes": [{"name": "store", "emptyDir": {}}]}}, f"{_S}.volumes", "set by spec.store"),
    (
        of_stage(volumeMounts=[{"name": "a", "mountPath": "/store/"}]),
        f"{_C}.volumeMounts",
        "use another path",
    ),
    (
        of_stage(volumeMounts=[{"name": "store", "mountPath": "/store", "$patch": "delete"}]),
        f"{_C}.volumeMounts",
        "where the artifact store is mounted",
    ),
]


@pytest.mark.parametrize(("template", "path", "words"), HELD, ids=lambda value: str(value)[:60])
def test_what_is_held_is_refused_with_its_path_and_a_remedy(
    template: dict[str, Any], path: str, words: str
) -> None:
    with pytest.raises(Refused) as refused:
        pod(template)
    assert str(refused.value).startswith(f"{path}: ")
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ({"metadata": {"labels": "none"}}, "spec.template.metadata.labels: expected a mapping"),
        ({"spec": {"containers": "stage"}}, "spec.template.spec.containers: expected a list"),
    ],
)
def test_what_is_no_template_is_refused(template: dict[str, Any], said: str) -> None:
    with pytest.raises(Refused, match=said):
        pod(template)


def test_what_only_the_api_server_knows_to_be_wrong_is_left_to_it() -> None:
    assert pod({"metadata": {"annotations": "none"}})["metadata"]["annotations"] == "none"


def test_the_same_said_again_is_no_change() -> None:
    again = {"spec": {"restartPolicy": "Never", "automountServiceAccountToken": False}}
    assert pod(again) == pod({})


@pytest.mark.parametrize(
    "template",
    [
        {"metadata": {"labels": {"team": "vision"}, "annotations": {"bench/round": "1"}}},
        {"spec": {"nodeSelector": {"disk": "fast"}, "priorityClassName": "batch", "hostname": "a"}},
        {"spec": {"serviceAccountName": "bucket-reader", "runtimeClassName": "nvidia"}},
        {"spec": {"terminationGracePeriodSeconds": 60, "shareProcessNamespace": True}},
        {"spec": {"initContainers": [{"name": "proxy", "image": "a", "restartPolicy": "Always"}]}},
        {"spec": {"volumes": [{"name": "tmp", "emptyDir": {"medium": "Memory"}}]}},
        of_stage(command=["sh", "-c", "exec python -m secateur_jobs round"], workingDir="/tmp"),
        of_stage(env=[{"name": "SECATEUR_LITE_PYTHON", "value": "/opt/lite/bin/python"}]),
        of_stage(resources={"limits": {"cpu": 2, "example.com/nic": 1}}),
        of_stage(securityContext={"readOnlyRootFilesystem": False}),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_a_user_needs_goes_in(template: dict[str, Any]) -> None:
    result = pod(template)
    for part in ("metadata", "spec"):
        for name, value in template.get(part, {}).items():
            if name != "containers":
                assert _within(value, result[part][name])
    for wanted in template.get("spec", {}).get("containers", []):
        (stage,) = result["spec"]["containers"]
        assert all(_within(value, stage[name]) for name, value in wanted.items())


def _within(wanted: Any, found: Any) -> bool:
    """Whether all that is wanted is found."""
    if isinstance(wanted, dict):
        return all(_within(value, found[name]) for name, value in wanted.items())
    if isinstance(wanted, list):
        return all(any(_within(value, one) for one in found) for value in wanted)
    return bool(wanted == found)


_words = st.sampled_from(
    [
        "spec", "containers", "name", "stage", "env", "volumes", "volumeMounts", "mountPath", "resources",
        "limits", "labels", "annotations", "$patch", "replace", "delete", "/store", "tolerations", "envFrom",
    ]
)  # fmt: skip
_anything = st.recursive(
    st.none() | st.booleans() | st.integers() | _words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_words, inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None)
@given(
    st.fixed_dictionaries(
        {},
        optional={"metadata": st.dictionaries(_words, _anything), "spec": st.dictionaries(_words, _anything)},
    )
)
def test_any_template_gives_a_job_or_a_reason(template: dict[str, Any]) -> None:
    result = None
    with contextlib.suppress(Refused):
        result = pod(template)
    if result is None:
        with pytest.raises(Refused, match=r"^spec\.template\."):
            pod(template)
        return
    (stage,) = result["spec"]["containers"]
    assert stage["name"] == "stage"
    assert result["spec"]["restartPolicy"] == "Never"
    assert pod({})["metadata"]["labels"].items() <= result["metadata"]["labels"].items()
